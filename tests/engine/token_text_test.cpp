#include "engine/token_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

struct TextCase {
  const char* name;
  std::vector<std::string> stop;
  std::vector<std::string> pieces;
  std::vector<std::string> shown;  // after each piece
  std::string whole;
  bool stopped;
};

TEST(TokenTextTest, ShowsWholeCharactersAndNothingOfAStopString) {
  std::vector<TextCase> cases{
      {"plain", {}, {"a", "b"}, {"a", "b"}, "ab", false},
      {"a character in two tokens",
       {},
       {"x\xC3", "\xA4y"},
       {"x", "\xC3\xA4y"},
       "x\xC3\xA4y",
       false},
      {"a character in four",
       {},
       {"\xF0", "\x9F", "\x98", "\x80"},
       {"", "", "", "\xF0\x9F\x98\x80"},
       "\xF0\x9F\x98\x80",
       false},
      {"a stray byte", {}, {"a\xFFz"}, {"a\xEF\xBF\xBDz"}, "a\xEF\xBF\xBDz", false},
      {"cut by the next character",
       {},
       {"\xE2\x82", "a"},
       {"",
        "\xEF\xBF\xBD"
        "a"},
       "\xEF\xBF\xBD"
       "a",
       false},
      {"cut at the end", {}, {"a\xE2\x82"}, {"a"}, "a\xEF\xBF\xBD", false},
      {"a surrogate",
       {},
       {"\xED\xA0\x80"},
       {"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
       "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
       false},
      {"stop in one token", {"END"}, {"one END two"}, {"one "}, "one ", true},
      {"stop over three tokens",
       {"\n\nUser:"},
       {"hi\n", "\nUs", "er: x"},
       {"hi", "", ""},
       "hi",
       true},
      {"no stop after all", {"abc"}, {"ab", "d"}, {"", "abd"}, "abd", false},
      {"held at the end", {"abc"}, {"xab"}, {"x"}, "xab", false},
      {"the first of two", {"two", "one"}, {"zero one two"}, {"zero "}, "zero ", true},
      {"overlapping beginnings", {"aab"}, {"aa", "ab"}, {"", "a"}, "a", true},
      {"an empty stop string is none", {""}, {"a"}, {"a"}, "a", false}};
  for (const TextCase& test : cases) {
    SCOPED_TRACE(test.name);
    TokenText text(test.stop);
    for (std::size_t i = 0; i < test.pieces.size(); ++i) {
      EXPECT_EQ(text.push(test.pieces[i]), test.shown[i]);
    }
    EXPECT_EQ(text.stopped(), test.stopped);
    text.finish();
    EXPECT_EQ(text.text(), test.whole);
  }
}

}  // namespace
}  // namespace sluice
