// The simulated disk keeps what was synced, whatever happens, and loses, tears and reorders the
// rest.

#include "simulate/sim_disk.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>

namespace sluice {
namespace {

std::string after_power_cut(std::uint64_t seed, const std::function<void(SimDisk&)>& work) {
  SimDisk disk(seed);
  work(disk);
  disk.power_cut();
  SimFilePtr file = disk.find("f");
  return file ? std::string(file->bytes()) : "(no file)";
}

std::set<std::string> fates(const std::function<void(SimDisk&)>& work) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 400; ++seed) seen.insert(after_power_cut(seed, work));
  return seen;
}

void write(SimDisk& disk, std::uint64_t offset, std::string_view bytes) {
  ASSERT_EQ(disk.write(*disk.open("f"), offset, bytes), DiskStatus::kOk);
}

TEST(SimDisk, WhatWasSyncedIsNeverLost) {
  EXPECT_EQ(fates([](SimDisk& disk) {
              write(disk, 0, "abc");
              disk.sync(*disk.open("f"));
            }),
            std::set<std::string>{"abc"});
}

TEST(SimDisk, UnsyncedWritesAreKeptOrLost) {
  EXPECT_EQ(fates([](SimDisk& disk) {
              write(disk, 0, "old");
              disk.sync(*disk.open("f"));
              write(disk, 0, "new");
            }),
            (std::set<std::string>{"old", "new"}));
}

TEST(SimDisk, ALaterWriteMaySurviveAnEarlierOne) {
  const auto seen = fates([](SimDisk& disk) {
    write(disk, 0, "..");
    disk.sync(*disk.open("f"));
    write(disk, 0, "a");
    write(disk, 1, "b");
  });
  EXPECT_EQ(seen, (std::set<std::string>{"..", "a.", ".b", "ab"}));
}

TEST(SimDisk, LargeWritesTearAtSectors) {
  const std::string one(kSimSectorBytes, 'x');
  const auto seen = fates([&](SimDisk& disk) {
    write(disk, 0, std::string(3 * kSimSectorBytes, '.'));
    disk.sync(*disk.open("f"));
    write(disk, 0, one + one + one);
  });
  EXPECT_EQ(seen.size(), 8u);
  for (const std::string& bytes : seen) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      EXPECT_EQ(bytes[at], bytes[at / kSimSectorBytes * kSimSectorBytes]);
    }
  }
}

TEST(SimDisk, AFileWhoseNameWasNeverSyncedMayBeGone) {
  EXPECT_TRUE(fates([](SimDisk& disk) { write(disk, 0, "abc"); }).contains("(no file)"));
}

TEST(SimDisk, ARemovedFileMayComeBackUnlessTheDirectoryWasSynced) {
  for (bool now : {false, true}) {
    const auto seen = fates([&](SimDisk& disk) {
      write(disk, 0, "abc");
      disk.sync(*disk.open("f"));
      disk.remove("f", now);
    });
    EXPECT_EQ(seen.contains("abc"), !now);
    EXPECT_TRUE(seen.contains("(no file)"));
  }
}

TEST(SimDisk, AfterAFailedSyncALaterOneDoesNotBringTheWritesBack) {
  const auto seen = fates([](SimDisk& disk) {
    SimFilePtr file = disk.open("f");
    disk.sync(*file);
    write(disk, 0, "abc");
    disk.faults.sync_error = 1;
    ASSERT_EQ(disk.sync(*file), DiskStatus::kError);
    disk.faults.sync_error = 0;
    ASSERT_EQ(disk.sync(*file), DiskStatus::kOk);
    EXPECT_EQ(file->bytes(), "abc") << "the process still sees what it wrote";
  });
  EXPECT_TRUE(seen.contains(""));
  EXPECT_TRUE(seen.contains("abc"));
}

TEST(SimDisk, AFullDiskTakesNoMoreAndKeepsWhatItHas) {
  SimDisk disk(1);
  disk.faults.room_bytes = 4;
  EXPECT_EQ(disk.write(*disk.open("f"), 0, "abcd"), DiskStatus::kOk);
  EXPECT_EQ(disk.write(*disk.open("f"), 4, "e"), DiskStatus::kFull);
  EXPECT_EQ(disk.write(*disk.open("f"), 0, "ABCD"), DiskStatus::kOk)
      << "writing over needs no room";
  EXPECT_EQ(disk.find("f")->bytes(), "ABCD");
}

TEST(SimDisk, EqualSeedsGiveEqualFates) {
  auto work = [](SimDisk& disk) { write(disk, 0, std::string(5000, 'x')); };
  EXPECT_EQ(after_power_cut(77, work), after_power_cut(77, work));
}

}  // namespace
}  // namespace sluice
