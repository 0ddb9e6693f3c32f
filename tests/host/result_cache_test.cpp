#include "host/history/result_cache.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <string>

#include "data/json.h"
#include "data/value_codec.h"
#include "host/calls/kept_results.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

class ResultCacheTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return dir.path() / "results.sqlite"; }
  Hash256 key_of(int number) const { return sha256("key " + std::to_string(number)); }

  ScratchDir dir;
  ManualClock clock{0, 1'700'000'000 * kNsPerSecond};
  Hash256 key = sha256("a step with its inputs");
  Value value = *parse_json(R"({"z":[1,2.5,"x"],"a":null})");
};

TEST_F(ResultCacheTest, FindsWhatWasPutAlsoInTheNextProcess) {
  {
    ResultCache cache(dir.path() / "deep/results.sqlite", clock);
    EXPECT_FALSE(cache.find(key, 0).has_value());
    cache.put(key, value, 0);
    ASSERT_TRUE(cache.find(key, 0).has_value()) << "before it is written";
    EXPECT_EQ(to_json(cache.find(key, 0)->output), to_json(value));
    EXPECT_FALSE(cache.find(key, 0)->earlier);
  }
  clock.advance_ns(kNsPerSecond);
  ResultCache again(dir.path() / "deep/results.sqlite", clock);
  ASSERT_TRUE(again.find(key, 0).has_value());
  EXPECT_TRUE(again.find(key, 0)->earlier);
  EXPECT_FALSE(again.find(sha256("another"), 0).has_value());
  EXPECT_TRUE(again.problem().empty());
}

TEST_F(ResultCacheTest, HonoursTheTimeToLive) {
  ResultCache cache(file(), clock);
  cache.put(key, value, 0);
  clock.advance_ns(10 * kNsPerSecond);
  EXPECT_TRUE(cache.find(key, 10'000).has_value());
  clock.advance_ns(1);
  EXPECT_FALSE(cache.find(key, 10'000).has_value());
  EXPECT_TRUE(cache.find(key, 0).has_value()) << "0 has no end";
  cache.put(key, value, 0);
  EXPECT_TRUE(cache.find(key, 10'000).has_value()) << "put again, it is new again";
}

TEST_F(ResultCacheTest, KeepsNoSecrets) {
  ResultCache cache(file(), clock);
  cache.put(key, Value::string("s").with_labels({.secret = true}), 0);
  EXPECT_FALSE(cache.find(key, 0).has_value());
}

TEST_F(ResultCacheTest, LabelsStay) {
  {
    ResultCache cache(file(), clock);
    cache.put(key, Value::string("s").with_labels({.untrusted = true}), 0);
  }
  ResultCache cache(file(), clock);
  EXPECT_TRUE(cache.find(key, 0)->output.labels().untrusted);
}

TEST_F(ResultCacheTest, ABrokenFileIsACacheThatMisses) {
  auto broken = dir.write("results.sqlite", std::string(4096, 'x'));
  ResultCache cache(broken, clock);
  EXPECT_FALSE(cache.find(key, 0).has_value());
  cache.put(key, value, 0);
  EXPECT_FALSE(cache.find(key, 0).has_value());
  EXPECT_NE(cache.problem().find("results are not cached"), std::string::npos);
}

TEST_F(ResultCacheTest, WritesComeInGroups) {
  ResultCache::Bounds bounds;
  bounds.group = 3;
  ResultCache cache(file(), clock, bounds);
  auto others_see = [&](int number) {
    ResultCache other(file(), clock);
    return other.find(key_of(number), 0).has_value();
  };
  cache.put(key_of(1), value, 0);
  cache.put(key_of(2), value, 0);
  EXPECT_FALSE(others_see(1)) << "it waits for more";
  cache.put(key_of(3), value, 0);
  EXPECT_TRUE(others_see(1) && others_see(2) && others_see(3));
  cache.put(key_of(4), value, 0);
  EXPECT_FALSE(others_see(4));
  clock.advance_ns(2 * kNsPerSecond);
  cache.find(key_of(9), 0);
  EXPECT_TRUE(others_see(4)) << "it has waited for long enough";
  cache.put(key_of(5), value, 0);
  cache.flush();
  EXPECT_TRUE(others_see(5));
}

TEST_F(ResultCacheTest, TheFileIsBoundedAndWhatWasUsedLastStays) {
  ResultCache::Bounds bounds;
  bounds.bytes = 1 << 20;
  bounds.group = 16;
  const Value large = Value::string(std::string(4000, 'x'));
  {
    ResultCache cache(file(), clock, bounds);
    cache.put(key, large, 0);
    for (int i = 0; i < 100; ++i) {
      clock.advance_ns(kNsPerSecond);
      cache.put(key_of(i), large, 0);
    }
  }
  clock.advance_ns(7'200 * kNsPerSecond);
  ResultCache cache(file(), clock, bounds);
  EXPECT_TRUE(cache.find(key, 0).has_value()) << "the oldest, but it is used now";
  for (int i = 100; i < 3'000; ++i) {
    clock.advance_ns(kNsPerSecond);
    cache.put(key_of(i), large, 0);
    if (i % 50 == 0) cache.find(key, 0);
  }
  cache.flush();
  EXPECT_LT(std::filesystem::file_size(file()), 8U << 20);
  EXPECT_FALSE(cache.find(key_of(0), 0).has_value());
  EXPECT_TRUE(cache.find(key_of(2'999), 0).has_value());
}

TEST_F(ResultCacheTest, LargeResultsAreNotKept) {
  ResultCache::Bounds bounds;
  bounds.result_bytes = 100;
  ResultCache cache(file(), clock, bounds);
  cache.put(key, Value::string(std::string(200, 'x')), 0);
  EXPECT_FALSE(cache.find(key, 0).has_value());
  cache.put(key, Value::string("x"), 0);
  EXPECT_TRUE(cache.find(key, 0).has_value());
}

TEST_F(ResultCacheTest, WhatIsOutOfDateGoesWhenTheFileIsOpened) {
  {
    ResultCache cache(file(), clock);
    cache.put(key_of(1), value, 1'000);
    cache.put(key_of(2), value, 0);
  }
  clock.advance_ns(2 * kNsPerSecond);
  {
    ResultCache cache(file(), clock);
    EXPECT_FALSE(cache.find(key_of(1), 0).has_value());
    EXPECT_TRUE(cache.find(key_of(2), 0).has_value());
  }
}

TEST_F(ResultCacheTest, TakesOverWhatAnOlderProgramKept) {
  sqlite3* old = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &old), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(old,
                         "create table result(key blob primary key, created_ns integer not null, "
                         "output blob not null) without rowid",
                         nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_stmt* insert = nullptr;
  sqlite3_prepare_v2(old, "insert into result values (?, ?, ?)", -1, &insert, nullptr);
  const std::string bytes = encode_value(value);
  sqlite3_bind_blob(insert, 1, key.bytes.data(), static_cast<int>(key.bytes.size()),
                    SQLITE_TRANSIENT);
  sqlite3_bind_int64(insert, 2, clock.wall_ns());
  sqlite3_bind_blob(insert, 3, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
  ASSERT_EQ(sqlite3_step(insert), SQLITE_DONE);
  sqlite3_finalize(insert);
  sqlite3_close(old);
  clock.advance_ns(kNsPerSecond);
  ResultCache cache(file(), clock);
  ASSERT_TRUE(cache.find(key, 0).has_value());
  EXPECT_EQ(to_json(cache.find(key, 0)->output), to_json(value));
}

TEST_F(ResultCacheTest, AFileThatSomebodyElseWritesIsNotWaitedFor) {
  ResultCache::Bounds bounds;
  bounds.group = 2;
  ResultCache cache(file(), clock, bounds);
  cache.find(key, 0);
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(file().c_str(), &other), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(other, "begin immediate", nullptr, nullptr, nullptr), SQLITE_OK);
  for (int i = 0; i < 10; ++i) cache.put(key_of(i), value, 0);
  EXPECT_TRUE(cache.find(key_of(0), 0).has_value()) << "from memory";
  EXPECT_TRUE(cache.problem().empty()) << cache.problem();
  ASSERT_EQ(sqlite3_exec(other, "commit", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(other);
  clock.advance_ns(2 * kNsPerSecond);
  cache.put(key, value, 0);
  ResultCache again(file(), clock);
  EXPECT_TRUE(again.find(key_of(0), 0).has_value());
}

TEST(KeptResults, OnlyWhatACallReallyGaveIsKept) {
  using From = CallReturned::From;
  const Value one = Value::integer(1);
  EXPECT_NE(to_keep(CallReturned{one}), nullptr);
  EXPECT_NE(to_keep(CallReturned{one, false, From::kHedged}), nullptr);
  EXPECT_EQ(to_keep(CallReturned{one, true, From::kEqual}), nullptr);
  EXPECT_EQ(to_keep(CallReturned{one, true, From::kEarlierRun}), nullptr);
  EXPECT_EQ(to_keep(CallFailed{Error(ErrorCode::kTimeout, "late"), false}), nullptr);
  EXPECT_EQ(to_keep(ToolsWanted{}), nullptr);
}

TEST(KeptResults, WhoHasTheTurnTellsTheOthers) {
  using From = CallReturned::From;
  EXPECT_TRUE(stands_for_equals({Value()}, 3));
  EXPECT_TRUE(stands_for_equals({Value()}, 0))
      << "made on its own account, it is real all the same";
  EXPECT_TRUE(stands_for_equals({Value(), true, From::kEarlierRun}, 3));
  EXPECT_FALSE(stands_for_equals({Value(), true, From::kEqual}, 0)) << "it was told itself";
}

TEST(KeptResults, TheSchemaIsPartOfTheMeaning) {
  PhysicalStep one, other;
  other.logical.output = Schema::literal(R"({"type": "object"})");
  const Value args = Value::object({{"prompt", Value::string("x")}});
  EXPECT_NE(call_meaning(one, args).finish(), call_meaning(other, args).finish());
  EXPECT_NE(reuse_meaning(one, args).finish(), reuse_meaning(other, args).finish());
  EXPECT_EQ(reuse_meaning(one, args).finish(), reuse_meaning(one, args).finish());
  EXPECT_NE(reuse_meaning(one, args).finish(), reuse_meaning(one, Value()).finish());
}

}  // namespace
}  // namespace sluice
