#include "host/files/spill_store.h"

#include <gtest/gtest.h>

#include <map>

#include "data/json.h"
#include "data/value_codec.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

Value large(int seed, std::size_t bytes = 100'000) {
  return Value::string(std::string(bytes, static_cast<char>('a' + seed % 26)) +
                       std::to_string(seed));
}

class SpillStoreTest : public testing::Test {
 protected:
  ScratchDir dir;
  SpillStore store{{.large_bytes = 64 << 10, .memory_bytes = 1 << 20, .directory = dir.path()}};
};

TEST_F(SpillStoreTest, SmallValuesStayAsTheyAre) {
  const Value value = *parse_json(R"({"a":[1,2,3]})");
  EXPECT_EQ(store.keep(value), value);
  EXPECT_EQ(store.stats().values, 0u);
  EXPECT_EQ(*store.load(value), value);
}

TEST_F(SpillStoreTest, LargeValuesGoByContent) {
  const Value kept = store.keep(large(1));
  ASSERT_EQ(kept.kind(), Value::Kind::kBlob);
  EXPECT_EQ(kept.blob_media_type(), kSpilledMediaType);
  EXPECT_EQ(store.keep(large(1)).blob_hash(), kept.blob_hash());
  EXPECT_EQ(store.stats().values, 1u);
  EXPECT_EQ(*store.load(kept), large(1));
}

TEST_F(SpillStoreTest, HoldsTheMemoryBoundAndLosesNothing) {
  std::vector<Value> kept;
  for (int i = 0; i < 100; ++i) kept.push_back(store.keep(large(i)));
  EXPECT_LE(store.stats().resident_bytes, std::size_t{1} << 20);
  EXPECT_LE(store.stats().peak_resident_bytes, std::size_t{1} << 20);
  EXPECT_GT(store.stats().spilled_bytes, 80u * 100'000);
  for (int i = 0; i < 100; ++i) {
    auto back = store.load(kept[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(*back, large(i));
    EXPECT_LE(store.stats().resident_bytes, std::size_t{1} << 20);
  }
  EXPECT_GT(store.stats().loads_from_disk, 80u);
}

TEST_F(SpillStoreTest, WhatIsUsedStaysInMemory) {
  const Value hot = store.keep(large(0));
  for (int i = 1; i < 50; ++i) {
    store.keep(large(i));
    ASSERT_TRUE(store.load(hot).has_value());
  }
  EXPECT_EQ(store.stats().loads_from_disk, 0u);
}

TEST_F(SpillStoreTest, LoadsWhatLiesInsideContainers) {
  const Value row = Value::object({{"text", store.keep(large(1))}, {"n", Value::integer(5)}});
  const Value list = Value::array({row, Value::string("x"), store.keep(large(2))});
  for (int i = 10; i < 60; ++i) store.keep(large(i));  // pushes both out
  auto back = store.load(list);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, Value::array({Value::object({{"text", large(1)}, {"n", Value::integer(5)}}),
                                 Value::string("x"), large(2)}));
}

TEST_F(SpillStoreTest, ALargeListOfLargeValuesComesBackWhole) {
  std::vector<Value> references, originals;
  for (int i = 0; i < 2000; ++i) {
    originals.push_back(large(i, 70'000));
    references.push_back(store.keep(originals.back()));
    if (i >= 30) {  // the test itself should not hold 140 MB
      originals.pop_back();
      references.back() = references[static_cast<std::size_t>(i % 30)];
    }
  }
  const Value list = store.keep(Value::array(references));
  EXPECT_EQ(list.kind(), Value::Kind::kBlob) << "the list of references is large itself";
  auto back = store.load(list);
  ASSERT_TRUE(back.has_value());
  ASSERT_EQ(back->items().size(), 2000u);
  EXPECT_EQ(back->items()[7], originals[7]);
  EXPECT_EQ(back->items()[1999], originals[1999 % 30]);
}

TEST_F(SpillStoreTest, SecretsNeverReachTheDisk) {
  const Value secret = large(1).with_labels({.secret = true});
  const Value kept = store.keep(secret);
  EXPECT_TRUE(kept.labels().secret);
  const auto before = store.stats().spilled_bytes;
  EXPECT_EQ(before, 0u);
  for (int i = 2; i < 40; ++i) store.keep(large(i));
  auto back = store.load(kept);
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->labels().secret);
  EXPECT_EQ(store.stats().loads_from_disk, 0u);
}

TEST(SpillStore, GoesOnWithoutADisk) {
  SpillStore store({.large_bytes = 1 << 10, .memory_bytes = 1 << 12, .directory = "/nonexistent"});
  std::vector<Value> kept;
  for (int i = 0; i < 10; ++i) kept.push_back(store.keep(large(i, 5000)));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(*store.load(kept[static_cast<std::size_t>(i)]), large(i, 5000));
}

TEST_F(SpillStoreTest, LeavesNoFileBehind) {
  for (int i = 0; i < 50; ++i) store.keep(large(i));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST_F(SpillStoreTest, GivesTheBytesThatTheReferenceNames) {
  std::string bytes;
  const Value kept = store.keep(large(1), &bytes);
  EXPECT_EQ(sha256(bytes), kept.blob_hash());
  EXPECT_EQ(*decode_value(bytes), large(1));
  std::string none = "none";
  store.keep(Value::integer(1), &none);
  EXPECT_EQ(none, "none") << "a small value has no place of its own";
}

TEST(SpillStoreFetch, GetsValuesOfAnEarlierProcess) {
  ScratchDir dir;
  std::map<std::string, std::string> journal;
  std::vector<Value> kept;
  {
    SpillStore first({.directory = dir.path()});
    for (int i = 0; i < 40; ++i) {
      std::string bytes;
      kept.push_back(first.keep(large(i), &bytes));
      journal[kept.back().blob_hash().hex()] = bytes;
    }
  }
  SpillOptions options{.memory_bytes = 1 << 20, .directory = dir.path()};
  options.fetch = [&](const Hash256& hash) -> Result<std::string> {
    auto found = journal.find(hash.hex());
    if (found == journal.end()) return fail(ErrorCode::kJournal, "no such content");
    return found->second;
  };
  SpillStore second(options);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 40; ++i) {
      auto back = second.load(Value::array({kept[static_cast<std::size_t>(i)]}));
      ASSERT_TRUE(back.has_value());
      EXPECT_EQ(back->items()[0], large(i));
      EXPECT_LE(second.stats().resident_bytes, std::size_t{1} << 20);
    }
  }
  EXPECT_GE(second.stats().fetched, 40u);
  EXPECT_EQ(second.stats().spilled_bytes, 0u) << "the journal has them";
  journal.clear();
  SpillStore third(options);
  auto lost = third.load(kept[0]);
  ASSERT_FALSE(lost.has_value());
  EXPECT_EQ(lost.error().code(), ErrorCode::kJournal);
}

}  // namespace
}  // namespace sluice
