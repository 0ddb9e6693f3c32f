// The times of a wait: ISO 8601 with an offset, local time with a zone, and what is neither.
#include "plan/wait_time.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::HasSubstr;

struct Good {
  const char* text;
  std::int64_t seconds;  // since 1970, in UTC
  std::int64_t ns = 0;
};

class WaitUntil : public ::testing::TestWithParam<Good> {};

TEST_P(WaitUntil, IsThisInstant) {
  auto instant = parse_wait_until(GetParam().text);
  ASSERT_TRUE(instant) << instant.error().to_string();
  EXPECT_EQ(*instant, GetParam().seconds * kNsPerSecond + GetParam().ns) << GetParam().text;
}

// Seconds from `date -u -d ... +%s`.
INSTANTIATE_TEST_SUITE_P(
    All, WaitUntil,
    ::testing::Values(
        Good{"1970-01-01T00:00:00Z", 0}, Good{"1970-01-01T00:00Z", 0},
        Good{"2026-12-24T18:00:00+01:00", 1798131600},
        Good{"2026-12-24 18:00:00+01:00", 1798131600}, Good{"2026-12-24T18:00+01:00", 1798131600},
        Good{"2026-12-24 17:00Z", 1798131600}, Good{"2026-12-24 18:00 Europe/Berlin", 1798131600},
        Good{"2026-12-24T18:00:00 Europe/Berlin", 1798131600},
        Good{"2026-12-24T11:30:00-05:30", 1798131600},
        Good{"2026-12-24T17:00:00.5Z", 1798131600, 500'000'000},
        Good{"2026-12-24T17:00:00.000000001Z", 1798131600, 1},
        Good{"2028-02-29T12:00:00Z", 1835438400}, Good{"2261-12-31T23:59:59Z", 9214646399},
        // Summer and winter, both halves of the earth, offsets of half and quarter hours.
        Good{"2026-07-01 12:00 Europe/Berlin", 1782900000},
        Good{"2026-07-01 12:00 America/New_York", 1782921600},
        Good{"2026-07-01 12:00 Asia/Kolkata", 1782887400},
        Good{"2026-07-01 12:00 Asia/Kathmandu", 1782886500},
        Good{"2026-01-15 12:00 Australia/Lord_Howe", 1768438800},
        Good{"2026-07-15 12:00 Australia/Lord_Howe", 1784079000},
        Good{"2026-07-01 12:00 UTC", 1782907200},
        Good{"2037-07-01 12:00 Europe/Berlin", 2130055200},
        // Just before and behind a change of the clocks (01:00 UTC on 29 March and 25 October).
        Good{"2026-03-29 01:59:59 Europe/Berlin", 1774745999},
        Good{"2026-03-29 03:00 Europe/Berlin", 1774746000},
        Good{"2026-10-25 01:59:59 Europe/Berlin", 1792886399},
        Good{"2026-10-25 03:00 Europe/Berlin", 1792893600},
        Good{"2026-10-25T02:30:00+02:00", 1792888200},
        Good{"2026-10-25T02:30:00+01:00", 1792891800}));

struct Bad {
  const char* text;
  std::vector<const char*> says;
};

class WaitUntilNot : public ::testing::TestWithParam<Bad> {};

TEST_P(WaitUntilNot, SaysWhy) {
  auto instant = parse_wait_until(GetParam().text);
  ASSERT_FALSE(instant) << GetParam().text << " is " << *instant;
  EXPECT_EQ(instant.error().code(), ErrorCode::kWaitInvalid);
  for (const char* part : GetParam().says) {
    EXPECT_THAT(instant.error().message(), HasSubstr(part)) << GetParam().text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, WaitUntilNot,
    ::testing::Values(
        Bad{"", {"an empty text is no time", "Europe/Berlin"}},
        Bad{"tomorrow", {"tomorrow is no time"}}, Bad{"2026-12-24", {"is no time"}},
        Bad{"24.12.2026 18:00", {"is no time"}}, Bad{"2026-12-24T18", {"is no time"}},
        Bad{"2026-12-24t18:00Z", {"is no time"}}, Bad{" 2026-12-24T18:00Z", {"is no time"}},
        Bad{"2026-12-24T18:00Z ", {"is no time"}}, Bad{"2026-12-24T18:00:Z", {"is no time"}},
        Bad{"2026-12-24T18:00:00.Z", {"is no time"}},
        Bad{"2026-12-24T18:00:00.0000000001Z", {"is no time"}},
        Bad{"+2026-12-24T18:00Z", {"is no time"}}, Bad{"20261224T180000Z", {"is no time"}},
        Bad{"2026-12-24T18:00", {"2026-12-24T18:00 says not where", "18:00 Europe/Berlin"}},
        Bad{"2026-02-29T12:00Z", {"2026-02-29T12:00 is on no calendar"}},
        Bad{"2026-13-01T12:00Z", {"no calendar"}}, Bad{"2026-12-24T24:00Z", {"no clock"}},
        Bad{"2026-12-24T18:60Z", {"no clock"}}, Bad{"2026-12-24T18:00:60Z", {"no clock"}},
        Bad{"1969-12-31T23:59Z", {"not between 1970 and 2261"}},
        Bad{"9999-01-01T00:00Z", {"not between 1970 and 2261"}},
        Bad{"2026-12-24T18:00+1", {"+1 is no offset", "+01:00"}},
        Bad{"2026-12-24T18:00+0100", {"no offset"}}, Bad{"2026-12-24T18:00+01:60", {"no offset"}},
        Bad{"2026-12-24T18:00+19:00", {"no offset"}},
        Bad{"2026-12-24T18:00+01:00 Europe/Berlin", {"no offset"}},
        Bad{"2026-12-24 18:00 Berlin", {"no time zone Berlin; did you mean Europe/Berlin?"}},
        Bad{"2026-12-24 18:00 europe/berlin", {"did you mean Europe/Berlin?"}},
        Bad{"2026-12-24 18:00 Europe/Berln", {"did you mean Europe/Berlin?"}},
        Bad{"2026-12-24 18:00 ../../etc/passwd", {"no time zone"}},
        Bad{"2026-12-24 18:00  Europe/Berlin", {"no time zone"}},
        Bad{"2026-12-24 18:00 Mars/Olympus", {"no time zone Mars/Olympus"}},
        Bad{"2045-07-01 12:00 Europe/Berlin", {"known up to 2037", "2045-07-01T12:00:00+"}},
        // The hour that is not there and the one that is there twice.
        Bad{"2026-03-29 02:30 Europe/Berlin",
            {"2026-03-29 02:30 does not exist", "from +01:00 to +02:00",
             "write 2026-03-29T02:30:00+01:00 or 2026-03-29T02:30:00+02:00"}},
        Bad{"2026-10-25 02:30 Europe/Berlin",
            {"2026-10-25 02:30 is there twice", "from +02:00 to +01:00",
             "write 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"}},
        Bad{"2026-03-08 02:00 America/New_York", {"does not exist", "-05:00", "-04:00"}},
        Bad{"2026-11-01 01:59:59 America/New_York", {"is there twice", "-04:00", "-05:00"}},
        Bad{"2026-10-04 02:15 Australia/Lord_Howe", {"does not exist", "+10:30", "+11:00"}},
        Bad{"2011-12-30 12:00 Pacific/Apia", {"does not exist", "-10:00", "+14:00"}}));

TEST(WaitUntil, TakesOnlyTexts) {
  for (const Value& value : {Value(), Value::integer(5), Value::array({})}) {
    auto instant = parse_wait_until(value);
    ASSERT_FALSE(instant);
    EXPECT_THAT(instant.error().message(), HasSubstr("until needs a time"));
  }
}

TEST(WaitFor, IsADuration) {
  EXPECT_EQ(*parse_wait_for(Value::string("10m")), 600'000);
  EXPECT_EQ(*parse_wait_for(Value::string("0s")), 0);
  for (const Value& value : {Value(), Value::integer(5), Value::string(""), Value::string("5"),
                             Value::string("10 minutes"), Value::number(1.5)}) {
    auto ms = parse_wait_for(value);
    ASSERT_FALSE(ms);
    EXPECT_EQ(ms.error().code(), ErrorCode::kWaitInvalid);
  }
  EXPECT_THAT(parse_wait_for(Value::integer(5)).error().message(), HasSubstr("write 5s or 5m"));
}

}  // namespace
}  // namespace sluice
