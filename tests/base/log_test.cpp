#include "base/log.h"

#include <gtest/gtest.h>

#include "base/ensure.h"

namespace sluice {
namespace {

TEST(Log, WritesToStderrFromTheLevelOn) {
  set_log_level(LogLevel::kInfo);
  testing::internal::CaptureStderr();
  log(LogLevel::kDebug, "not this");
  log(LogLevel::kInfo, "this {} %s as it stands");  // never a format string
  std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find("not this"), std::string::npos);
  EXPECT_NE(text.find("info this {} %s as it stands"), std::string::npos) << text;
  set_log_level(LogLevel::kOff);
  testing::internal::CaptureStderr();
  log(LogLevel::kError, "silence");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  set_log_level(LogLevel::kWarning);
}

TEST(Log, LevelsHaveNames) {
  EXPECT_EQ(log_level_from_name("warning"), LogLevel::kWarning);
  EXPECT_EQ(log_level_from_name("trace"), LogLevel::kTrace);
  EXPECT_EQ(log_level_from_name("loud"), std::nullopt);
}

TEST(EnsureDeathTest, SaysWhereAndWhy) {
  EXPECT_DEATH(SLUICE_ENSURE(1 > 2, "numbers are broken"), "numbers are broken .*1 > 2.*log_test");
  SLUICE_ENSURE(true, "never seen");
}

}  // namespace
}  // namespace sluice
