// probe and undo: the call that their setting describes.
#include "plan/related_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

Result<HelperCall> bind(std::string_view setting) {
  return bind_helper_call(
      *parse_json(setting),
      *parse_json(
          R"({"tool": "bank", "function": "pay", "args": {"eur": 5}, "task": "row[3]/pay"})"),
      Value::string("k1"), *parse_json(R"({"id": 77})"));
}

TEST(HelperCall, BindsItsArguments) {
  auto helper = bind(R"json({"tool": "bank.refund", "with": {
    "id": "{{ output.id }}", "all": "{{ call }}", "eur": "{{ -call.args.eur }}",
    "text": "undo {{ call.task }} ({{ key }})", "list": ["{{ key }}", 1, null, {"x": "plain"}]}})json");
  ASSERT_TRUE(helper) << helper.error().to_string();
  EXPECT_EQ(helper->tool, "bank");
  EXPECT_EQ(helper->function, "refund");
  EXPECT_EQ(helper->args, *parse_json(R"json({"id": 77, "all": {"tool": "bank", "function": "pay",
    "args": {"eur": 5}, "task": "row[3]/pay"}, "eur": -5, "text": "undo row[3]/pay (k1)",
    "list": ["k1", 1, null, {"x": "plain"}]})json"));
}

TEST(HelperCall, NeedsNoArguments) {
  auto helper = bind(R"({"tool": "refund"})");
  ASSERT_TRUE(helper);
  EXPECT_EQ(helper->tool, "refund");
  EXPECT_EQ(helper->function, "");
  EXPECT_TRUE(helper->args.is_object());
}

TEST(HelperCall, SaysWhatIsWrong) {
  EXPECT_EQ(bind(R"({})").error().code(), ErrorCode::kSettingInvalid);
  EXPECT_EQ(bind(R"({"tool": "a", "with": [1]})").error().code(), ErrorCode::kSettingInvalid);
  EXPECT_EQ(bind(R"({"tool": "a", "with": {"x": "{{ output.nr }}"}})").error().code(),
            ErrorCode::kExprUndefined);
  auto name = bind(R"({"tool": "a", "with": {"x": "{{ item }}"}})");
  EXPECT_EQ(name.error().code(), ErrorCode::kExprName);
  EXPECT_THAT(name.error().message(), HasSubstr("no name item; here are call, key, output"));
  EXPECT_EQ(bind(R"({"tool": "a", "with": {"x": "{{ 1 + }}"}})").error().code(),
            ErrorCode::kExprSyntax);
}

}  // namespace
}  // namespace sluice
