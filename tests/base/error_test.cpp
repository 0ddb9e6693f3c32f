#include "base/error.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice {
namespace {

TEST(ErrorCodes, TableIsConsistent) {
  std::set<std::string_view> names;
  std::set<ErrorCode> numbers;
  ASSERT_GT(error_codes().size(), 80U);
  for (const auto& row : error_codes()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " stands twice";
    EXPECT_TRUE(numbers.insert(row.code).second) << row.name << " has a number of another";
    EXPECT_EQ(error_code_from_name(row.name), row.code);
    EXPECT_EQ(&error_code_info(row.code), &row);
    EXPECT_FALSE(row.summary.empty());
    EXPECT_FALSE(row.summary.ends_with('.')) << row.name;
    for (char c : row.name) {
      EXPECT_TRUE((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_') << row.name;
    }
    EXPECT_EQ(error_class_from_name(error_class_name(row.klass)), row.klass);
  }
  EXPECT_EQ(error_code_from_name("NO_SUCH_CODE"), std::nullopt);
  EXPECT_EQ(error_class_from_name("nobody"), std::nullopt);
}

TEST(ErrorCodes, AnUnknownNumberIsInternal) {
  EXPECT_EQ(error_code_info(static_cast<ErrorCode>(9999)).code, ErrorCode::kInternal);
  EXPECT_EQ(error_code_info(static_cast<ErrorCode>(0)).code, ErrorCode::kInternal);
}

TEST(Error, CarriesItsCause) {
  Error tool(ErrorCode::kToolFailed, "exit status 3:\nno such table");
  Error step = Error(ErrorCode::kStepFailed, "step a failed", {0, 4, 7})
                   .with_cause(tool)
                   .with_retry_after_ms(250);
  EXPECT_EQ(step.to_string(), "STEP_FAILED: step a failed: exit status 3: no such table");
  EXPECT_EQ(step.cause()->code(), ErrorCode::kToolFailed);
  EXPECT_EQ(step.retry_after_ms(), 250);
  EXPECT_EQ(step.pos(), (SourcePos{0, 4, 7}));
  EXPECT_EQ(step.with_pos({1, 2, 3}).pos().line, 2U);
  EXPECT_EQ(step.with_pos({1, 2, 3}).cause()->message(), tool.message());
  EXPECT_EQ(tool.cause(), nullptr);
  EXPECT_TRUE(tool.retryable());
  EXPECT_FALSE(step.retryable());
  EXPECT_FALSE(SourcePos{}.known());
}

TEST(Error, ResultHoldsOne) {
  Result<int> result = fail(ErrorCode::kIo, "cannot read");
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().name(), "IO");
  EXPECT_EQ(result.error().klass(), ErrorClass::kSystem);
}

}  // namespace
}  // namespace sluice
