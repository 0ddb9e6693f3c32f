#include "host/calls/wait_spec.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

constexpr WallNs kNow = 1'000 * kNsPerSecond;

WaitBegan read(const char* spec) {
  return read_wait({.call = {}, .step = nullptr, .task_id = "w", .spec = *parse_json(spec)}, kNow);
}

TEST(WaitSpec, ADurationCountsFromNow) {
  const WaitBegan wait = read(R"({"for":"10m"})");
  ASSERT_FALSE(wait.error) << wait.error->message();
  EXPECT_EQ(wait.until_wall_ns, kNow + 600 * kNsPerSecond);
  EXPECT_TRUE(wait.has_value) << "time alone gives null";
  EXPECT_TRUE(wait.value.is_null());
}

TEST(WaitSpec, ATimeIsAnInstantInUtc) {
  const WaitBegan wait = read(R"({"until":"1970-01-01T01:00:10+01:00","value":5})");
  ASSERT_FALSE(wait.error) << wait.error->message();
  EXPECT_EQ(wait.until_wall_ns, 10 * kNsPerSecond);
  EXPECT_EQ(wait.value.as_int(), 5);
}

TEST(WaitSpec, TheFirstInstantIsNotNever) {
  EXPECT_NE(read(R"({"until":"1970-01-01T00:00:00Z"})").until_wall_ns, 0);
  EXPECT_EQ(read(R"({"signal":"go"})").until_wall_ns, 0);
}

TEST(WaitSpec, ASignalHasItsWordsForPeople) {
  const WaitBegan wait = read(R"({"signal":"go","of":"finance","ask":"Pay 300?","for":"1h"})");
  ASSERT_FALSE(wait.error);
  EXPECT_EQ(wait.signal, "go");
  EXPECT_EQ(wait.of, "finance");
  EXPECT_EQ(wait.ask, "Pay 300?");
  EXPECT_FALSE(wait.has_value) << "without a value it fails with TIMEOUT";
  EXPECT_TRUE(read(R"({"signal":"go","for":"1h","value":null})").has_value);
}

TEST(WaitSpec, WhatCannotBeUnderstoodSaysSo) {
  for (const char* spec : {R"({"for":"soon"})", R"({"for":7})", R"({"until":"tomorrow"})",
                           R"({"until":"2026-02-30T00:00:00Z"})", R"({})", R"([1])", "null"}) {
    const WaitBegan wait = read(spec);
    ASSERT_TRUE(wait.error) << spec;
    EXPECT_EQ(wait.error->code(), ErrorCode::kWaitInvalid) << spec;
  }
}

TEST(WaitSpec, BeyondTheClockIsTheEndOfTheClock) {
  const WaitBegan wait = read(R"({"for":"9000000000h"})");
  EXPECT_TRUE(wait.error || wait.until_wall_ns > kNow);
}

}  // namespace
}  // namespace sluice
