#include "host/result_cache.h"

#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/host/scratch_dir.h"

namespace sluice {
namespace {

class ResultCacheTest : public testing::Test {
 protected:
  ScratchDir dir;
  ManualClock clock{0, 1'700'000'000 * kNsPerSecond};
  Hash256 key = sha256("a step with its inputs");
  Value value = *parse_json(R"({"z":[1,2.5,"x"],"a":null})");
};

TEST_F(ResultCacheTest, FindsWhatWasPutAlsoInTheNextProcess) {
  {
    ResultCache cache(dir.path() / "deep/results.sqlite", clock);
    EXPECT_FALSE(cache.find(key, 0).has_value());
    cache.put(key, value);
    EXPECT_EQ(to_json(*cache.find(key, 0)), to_json(value));
  }
  ResultCache again(dir.path() / "deep/results.sqlite", clock);
  ASSERT_TRUE(again.find(key, 0).has_value());
  EXPECT_FALSE(again.find(sha256("another"), 0).has_value());
  EXPECT_TRUE(again.problem().empty());
}

TEST_F(ResultCacheTest, HonoursTheTimeToLive) {
  ResultCache cache(dir.path() / "results.sqlite", clock);
  cache.put(key, value);
  clock.advance_ns(10 * kNsPerSecond);
  EXPECT_TRUE(cache.find(key, 10'000).has_value());
  clock.advance_ns(1);
  EXPECT_FALSE(cache.find(key, 10'000).has_value());
  EXPECT_TRUE(cache.find(key, 0).has_value()) << "0 has no end";
  cache.put(key, value);
  EXPECT_TRUE(cache.find(key, 10'000).has_value()) << "put again, it is new again";
}

TEST_F(ResultCacheTest, KeepsNoSecrets) {
  ResultCache cache(dir.path() / "results.sqlite", clock);
  cache.put(key, Value::string("s").with_labels({.secret = true}));
  EXPECT_FALSE(cache.find(key, 0).has_value());
}

TEST_F(ResultCacheTest, ABrokenFileIsACacheThatMisses) {
  auto file = dir.write("results.sqlite", std::string(4096, 'x'));
  ResultCache cache(file, clock);
  EXPECT_FALSE(cache.find(key, 0).has_value());
  cache.put(key, value);
  EXPECT_FALSE(cache.find(key, 0).has_value());
  EXPECT_NE(cache.problem().find("results are not cached"), std::string::npos);
}

}  // namespace
}  // namespace sluice
