#include <gtest/gtest.h>

#include "data/schema/pattern.h"

namespace sluice::json_schema {
namespace {

TEST(Pattern, MeansWhatEcmaMeans) {
  struct Case {
    std::string_view pattern;
    std::string_view text;
    bool matches;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"b", "abc", true},  // anywhere
      {"^b", "abc", false},
      {"^abc$", "abc\n", false},  // $ is the very end
      {"a.c", "a\nc", false},
      {"a.c",
       "a\xE2\x80\xA8"
       "c",
       false},  // U+2028 ends a line too
      {"a.c", "aéc", true},
      {"^\\d+$", "৪২", false},  // digits of ASCII only
      {"^\\w+$", "é", false},
      {"^\\s$", "\xC2\xA0", true},  // but all white space of Unicode
      {"^\\s$", "\xEF\xBB\xBF", true},
      {"^\\S$", "\xC2\xA0", false},
      {"^[\\s]$", "\xE3\x80\x80", true},
      {"^[^\\s]$", "x", true},
      {"^[\\S]$", "x", true},
      {"^\\cC$", "\x03", true},
      {"^\\0$", "\0"sv, true},
      {"^\\x41\\u0042\\u{43}$", "ABC", true},
      {"^\\ud83d\\ude00$", "😀", true},
      {"^\\p{Letter}$", "é", true},
      {"^\\p{digit}+$", "৪২", true},
      {"^\\p{Script=Greek}$", "α", true},
      {"^\\P{L}$", "é", false},
      {"^[]$", "", false},
      {"^[^]$", "\n", true},
      {"^[[:alpha:]]$", "a]", true},  // no POSIX class: one of [ : a l p h, then ]
      {"^[[:alpha:]]$", "b", false},
      {"^(?<year>\\d{4})$", "2024", true},
      {"^(a|b)+$", "abab", true},
      {"^a{2,3}$", "aaaa", false},
      {"^\\/\\-\\_\\.$", "/-_.", true},
      {"^[\\b]$", "\b", true},
      {"\\bcat\\b", "a cat!", true},
      {"^[a-z\\]]$", "]", true},
      {"", "anything", true},
  };
  for (const auto& [expression, text, matches] : cases) {
    auto pattern = Pattern::compile(expression);
    ASSERT_TRUE(pattern.has_value()) << expression << ": " << pattern.error().message();
    EXPECT_EQ(pattern->matches(text), matches) << expression << " on " << text;
  }
}

TEST(Pattern, RefusesByName) {
  struct Case {
    std::string_view pattern;
    ErrorCode code;
    std::string_view words;
  };
  const Case cases[] = {
      {"a(?=b)", ErrorCode::kSchemaUnsupported, "look-ahead"},
      {"a(?!b)", ErrorCode::kSchemaUnsupported, "look-ahead"},
      {"(?<=a)b", ErrorCode::kSchemaUnsupported, "look-behind"},
      {"(?<!a)b", ErrorCode::kSchemaUnsupported, "look-behind"},
      {"(a)\\1", ErrorCode::kSchemaUnsupported, "back reference"},
      {"(?<n>a)\\k<n>", ErrorCode::kSchemaUnsupported, "back reference"},
      {"\\p{Emoji_Presentation}", ErrorCode::kSchemaUnsupported, "character property"},
      {"\\ud800", ErrorCode::kSchemaUnsupported, "surrogate"},
      {"a{1,100000}", ErrorCode::kSchemaUnsupported, "repetition"},
      {"(", ErrorCode::kSchemaInvalid, ""},
      {")", ErrorCode::kSchemaInvalid, ""},
      {"[a", ErrorCode::kSchemaInvalid, "without its ]"},
      {"[z-a]", ErrorCode::kSchemaInvalid, ""},
      {"*", ErrorCode::kSchemaInvalid, ""},
      {"a**", ErrorCode::kSchemaInvalid, ""},
      {"\\", ErrorCode::kSchemaInvalid, "at its end"},
      {"\\a", ErrorCode::kSchemaInvalid, "\\a"},
      {"\\Z", ErrorCode::kSchemaInvalid, "\\Z"},
      {"\\Qa\\E", ErrorCode::kSchemaInvalid, "\\Q"},
      {"\\x4", ErrorCode::kSchemaInvalid, "hexadecimal"},
      {"\\u{110000}", ErrorCode::kSchemaInvalid, "U+10FFFF"},
      {"\\u{}", ErrorCode::kSchemaInvalid, "hexadecimal"},
      {"(?P<n>a)", ErrorCode::kSchemaInvalid, "(?"},
      {"(?i)a", ErrorCode::kSchemaInvalid, "(?"},
      {"\\pL", ErrorCode::kSchemaInvalid, "{name}"},
  };
  for (const auto& [expression, code, words] : cases) {
    auto pattern = Pattern::compile(expression);
    ASSERT_FALSE(pattern.has_value()) << expression;
    EXPECT_EQ(pattern.error().code(), code) << expression << ": " << pattern.error().message();
    EXPECT_NE(pattern.error().message().find(words), std::string::npos)
        << pattern.error().message();
  }
}

// RE2 is linear: what makes backtracking engines hang is over at once.
TEST(Pattern, NoCatastrophe) {
  auto pattern = Pattern::compile("^(a+)+$");
  ASSERT_TRUE(pattern.has_value());
  EXPECT_FALSE(pattern->matches(std::string(100'000, 'a') + "b"));
}

}  // namespace
}  // namespace sluice::json_schema
