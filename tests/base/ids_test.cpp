#include "base/ids.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace sluice {
namespace {

TEST(RunId, SortsByTime) {
  Random random(1);
  std::string last;
  for (WallNs now : {WallNs{0}, 1 * kNsPerMs, 31 * kNsPerMs, 32 * kNsPerMs,
                     WallNs{1'700'000'000'000} * kNsPerMs, WallNs{1'700'000'000'001} * kNsPerMs}) {
    std::string id = make_run_id(now, random);
    EXPECT_EQ(id.size(), 16U);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdefghjkmnpqrstvwxyz"), std::string::npos);
    EXPECT_LT(last.substr(0, 9), id.substr(0, 9) + "~");
    EXPECT_LE(last, id);
    last = id;
  }
}

TEST(RunId, ChanceTellsIdsOfOneMomentApart) {
  Random random(2);
  std::set<std::string> ids;
  for (int i = 0; i < 10'000; ++i) ids.insert(make_run_id(5 * kNsPerSecond, random));
  EXPECT_EQ(ids.size(), 10'000U);
  Random same(2);
  EXPECT_TRUE(ids.contains(make_run_id(5 * kNsPerSecond, same)));
}

TEST(EditDistance, CountsSlips) {
  struct Case {
    const char* a;
    const char* b;
    std::size_t distance;
  };
  const Case cases[] = {{"", "", 0},         {"abc", "abc", 0},       {"", "abc", 3},
                        {"wiht", "with", 1}, {"al", "a1", 1},         {"kitten", "sitting", 3},
                        {"ca", "abc", 3},    {"abcdef", "acbdef", 1}, {"a", "b", 1}};
  for (const auto& [a, b, distance] : cases) {
    EXPECT_EQ(edit_distance(a, b), distance) << a << " " << b;
    EXPECT_EQ(edit_distance(b, a), distance) << b << " " << a;
  }
}

TEST(EditDistance, LongNamesCostNothing) {
  std::string a(1'000'000, 'a');
  std::string b(1'000'000, 'b');
  EXPECT_EQ(edit_distance(a, b), 1'000'000U);
  EXPECT_EQ(edit_distance(a, a), 0U);
}

TEST(ClosestName, SuggestsOnlyWhatIsClose) {
  std::vector<std::string> names = {"with", "when", "after", "output"};
  EXPECT_EQ(closest_name("wiht", names), "with");
  EXPECT_EQ(closest_name("ouput", names), "output");
  EXPECT_EQ(closest_name("zzzzzz", names), "");
  EXPECT_EQ(closest_name("x", std::vector<std::string>{}), "");
}

}  // namespace
}  // namespace sluice
