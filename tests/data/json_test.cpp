#include "data/json.h"

#include <gtest/gtest.h>

#include <bit>

#include "base/random.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return parse_json(text).value(); }

TEST(ParseJson, RoundTrips) {
  const char* texts[] = {"null",
                         "true",
                         "false",
                         "0",
                         "-1",
                         "9223372036854775807",
                         "-9223372036854775808",
                         "123456789012345678901234567890",
                         "-18446744073709551616",
                         "0.5",
                         "1.0",
                         "-2.5e-7",
                         "1e+300",
                         R"("")",
                         R"("a\"b\\c\nd\u0001")",
                         R"("é😀")",
                         "[]",
                         "{}",
                         "[[],{}]",
                         R"({"b":1,"a":[1,2.5,"x",null,true],"":{}})"};
  for (const char* text : texts) {
    auto value = parse_json(text);
    ASSERT_TRUE(value.has_value()) << text;
    EXPECT_EQ(to_json(*value), text);
    EXPECT_EQ(json(to_json(*value, {.indent = 2})), *value);
    EXPECT_EQ(json(to_json(*value)).kind(), value->kind());
  }
}

TEST(ParseJson, ReadsTheKinds) {
  EXPECT_EQ(json("-0").kind(), Value::Kind::kInt);
  EXPECT_EQ(json("1.0").kind(), Value::Kind::kDouble);
  EXPECT_EQ(json("1e2").kind(), Value::Kind::kDouble);
  EXPECT_EQ(json("18446744073709551615").kind(), Value::Kind::kBigInt);
  EXPECT_EQ(json(" [ 1 ,\t2\r\n] ").size(), 2U);
  EXPECT_EQ(json(R"("\u00e9\ud83d\ude00\/")").as_string(), "é😀/");
  EXPECT_EQ(json("0.1").as_double(), 0.1);  // correctly rounded
  EXPECT_EQ(json("123456789012345.67e-10").as_double(), 123456789012345.67e-10);
  EXPECT_EQ(json("1e-400").as_double(), 0.0);
}

TEST(ParseJson, RefusesWithPlaceAndReason) {
  struct Case {
    std::string_view text;
    std::uint32_t line;
    std::uint32_t column;
    std::string_view words;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {"", 1, 1, "ends too early"},
      {"  ", 1, 3, "ends too early"},
      {"[1,", 1, 4, "ends too early"},
      {"[1,]", 1, 4, "']'"},
      {"[1 2]", 1, 4, "'2'"},
      {"{\"a\" 1}", 1, 6, "'1'"},
      {"{'a':1}", 1, 2, "double quotes"},
      {"[\n  1,\n  x]", 3, 3, "'x'"},
      {"{\"a\":1}\n\n{", 3, 1, "more text"},
      {"01", 1, 2, "more text"},
      {"nul", 1, 4, "ends too early"},
      {"// no\n1", 1, 1, "'/'"},
      {"\"a\tb\"", 1, 3, "control character"},
      {"\"\xFF\"", 1, 2, "UTF-8"},
      {"\"\xED\xA0\x80\"", 1, 2, "UTF-8"},
      {"\"\\ud800\"", 1, 8, ""},
      {"\"\\x\"", 1, 3, "'x'"},
      {"NaN", 1, 1, "'N'"},
      {"Infinity", 1, 1, "'I'"},
      {"+1", 1, 1, "'+'"},
      {".5", 1, 1, "'.'"},
      {"1.", 1, 3, "ends too early"},
      {"1e400", 1, 6, "too large"},
      {"{\"a\":1,\"b\":2,\"a\":3}", 1, 14, "twice"},
      {"{\"x\\\"\":1,\n \"x\\\"\":2}", 2, 2, "twice"},
      {"\"\0\""sv, 1, 2, "control character"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.text);
    auto value = parse_json(test.text);
    ASSERT_FALSE(value.has_value());
    EXPECT_EQ(value.error().code(), ErrorCode::kJsonInvalid);
    EXPECT_EQ(value.error().pos().line, test.line);
    EXPECT_EQ(value.error().pos().column, test.column) << value.error().message();
    EXPECT_NE(value.error().message().find(test.words), std::string::npos)
        << value.error().message();
  }
}

TEST(ParseJson, NamesTheKeyThatStandsTwice) {
  auto value = parse_json(R"({"x":{"name":1,"other":2,"name":3}})");
  ASSERT_FALSE(value.has_value());
  EXPECT_NE(value.error().message().find("\"name\""), std::string::npos) << value.error().message();
}

TEST(ParseJson, DepthAndSizeAreBounded) {
  auto nest = [](int levels) { return std::string(levels, '[') + std::string(levels, ']'); };
  EXPECT_TRUE(parse_json(nest(512)).has_value());
  EXPECT_FALSE(parse_json(nest(513)).has_value());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '[')).has_value());
  EXPECT_FALSE(parse_json(std::string(1'000'000, '{')).has_value());
  EXPECT_FALSE(parse_json("[[1]]", {.max_depth = 1}).has_value());
  EXPECT_FALSE(parse_json("12345", {.max_bytes = 4}).has_value());
}

// RFC 8785, section 3.2.2 and 3.2.3.
TEST(CanonicalJson, ExamplesOfTheRfc) {
  EXPECT_EQ(canonical_json(json(R"({
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]})")),
            "{\"literals\":[null,true,false],"
            "\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
            "\"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
  EXPECT_EQ(
      canonical_json(json(R"({
      "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
      "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
      "\u00f6": "Latin Small Letter O With Diaeresis"})")),
      "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xC2\x80\":\"Control\","
      "\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\","
      "\"😀\":\"Emoji: Grinning Face\",\"\xEF\xAC\xB3\":\"Hebrew Letter Dalet With Dagesh\"}");
}

// RFC 8785, appendix B: IEEE 754 bits and their text.
TEST(CanonicalJson, NumbersOfTheRfc) {
  struct Case {
    std::uint64_t bits;
    std::string_view text;
  };
  const Case cases[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : cases) {
    EXPECT_EQ(canonical_json(Value::number(std::bit_cast<double>(bits))), text);
  }
}

TEST(CanonicalJson, RandomDoublesComeBack) {
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    Value value = Value::number(std::bit_cast<double>(random.next()));
    if (value.is_null()) continue;
    EXPECT_EQ(json(canonical_json(value)).as_double(), value.as_double());
    Value back = json(to_json(value));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(back.as_double()),
              std::bit_cast<std::uint64_t>(value.as_double()));
    EXPECT_EQ(back.kind(), Value::Kind::kDouble);
  }
}

TEST(CanonicalJson, IntegersKeepAllDigits) {
  EXPECT_EQ(canonical_json(json("9007199254740993")), "9007199254740993");
  EXPECT_EQ(canonical_json(json("123456789012345678901234567890")),
            "123456789012345678901234567890");
}

TEST(CanonicalJson, BlobsAndVectors) {
  Value blob = Value::blob("hello", "text/plain");
  EXPECT_EQ(canonical_json(blob), R"({"$blob":{"media_type":"text/plain","sha256":")" +
                                      sha256("hello").hex() + R"(","size":5}})");
  EXPECT_EQ(canonical_json(Value::vector({0.1F, 1, -2.5F})), R"({"$vector":[0.1,1,-2.5]})");
  EXPECT_EQ(content_hash(json("[1]")), sha256("[1]"));
}

TEST(ToJson, SecretsAreRedacted) {
  Value secret = Value::string("hunter2").with_labels({.secret = true});
  Value login = Value::object({{"user", Value::string("ada")}, {"password", secret}});
  EXPECT_EQ(to_json(login), R"({"user":"ada","password":"[secret]"})");
  EXPECT_EQ(preview(login), R"({"user":"ada","password":"[secret]"})");
  EXPECT_EQ(to_json(login.with_labels({.secret = true})), R"("[secret]")");
  EXPECT_EQ(to_json(login, {.redact_secrets = false}), R"({"user":"ada","password":"hunter2"})");
  EXPECT_EQ(canonical_json(login), R"({"password":"hunter2","user":"ada"})");
  for (const Value& value : {Value::integer(5), Value::blob("k", "x"), Value::vector({1})}) {
    EXPECT_EQ(to_json(value.with_labels({.secret = true})), R"("[secret]")");
  }
}

TEST(ToJson, Indents) {
  EXPECT_EQ(to_json(json(R"({"a":[1,{}],"b":[]})"), {.indent = 2}),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

TEST(Preview, CutsAtACharacter) {
  EXPECT_EQ(preview(json("[1,2]")), "[1,2]");
  for (std::size_t limit = 0; limit < 40; ++limit) {
    std::string text = preview(Value::string("ééé€€€😀😀😀 and so on for a while longer"), limit);
    EXPECT_LE(text.size(), limit);
    EXPECT_TRUE(valid_utf8(text)) << limit;
  }
  Value huge = Value::string(std::string(50'000'000, 'x'));
  EXPECT_EQ(preview(huge, 10), "\"xxxxxx...");
}

// Anything at all: an answer or an error, never a crash; what is accepted comes back the same.
TEST(ParseJson, RandomBytes) {
  Random random(11);
  constexpr std::string_view kAlphabet = "[]{}\",:0123456789.eE+-truefalsn \n\\u\xC3\xA9\xFF";
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text;
    for (std::uint64_t n = random.below(12); n > 0; --n) {
      text += kAlphabet[random.below(kAlphabet.size())];
    }
    auto value = parse_json(text);
    if (!value) continue;
    ++accepted;
    EXPECT_EQ(json(to_json(*value)), *value) << text;
    EXPECT_EQ(json(canonical_json(*value)), *value) << text;
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace sluice
