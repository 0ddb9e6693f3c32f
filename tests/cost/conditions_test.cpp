// What a condition demands, as it was written before a pass moved it.
#include "cost/conditions.h"

#include <gtest/gtest.h>

#include <string_view>

namespace sluice {
namespace {

TEST(Conditions, AreShownAsTheyWereWritten) {
  const struct {
    std::string_view asked, written;
  } cases[] = {
      {"item.ok", "item.ok"},
      {"item.ok is possible", "item.ok"},
      {"(item.a == 1) is possible", "item.a == 1"},
      {"((a or b) and (c or d)) is possible", "(a or b) and (c or d)"},
      {"(a or b) and (c or d) is possible", "(a or b) and (c or d)"},
      {"(item.a == ')') is possible", "item.a == ')'"},
      {R"x((item.a == "\")") is possible)x", R"x(item.a == "\")")x"},
      {"(a) is possible or (b)", "(a) is possible or (b)"},
      {"", ""},
      {" is possible", ""},
  };
  for (const auto& each : cases) EXPECT_EQ(demanded(each.asked), each.written) << each.asked;
}

}  // namespace
}  // namespace sluice
