#include "data/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "data/json.h"

namespace sluice {
namespace {

using Kind = Value::Kind;

Value json(std::string_view text) { return parse_json(text).value(); }

// The 16 bytes of labels and kinds survive copies and moves for every kind.
std::vector<Value> one_of_each() {
  return {Value(),
          Value::boolean(true),
          Value::integer(-7),
          Value::big_integer("123456789012345678901"),
          Value::number(0.5),
          Value::string("héllo"),
          Value::array({Value::integer(1)}),
          Value::object({{"a", Value::integer(1)}}),
          Value::blob("bytes", "text/plain"),
          Value::vector({1.0F, 2.0F})};
}

TEST(Value, EveryKindSurvivesCopyAndMove) {
  Labels labels{.secret = true, .untrusted = true, .tenant = 9};
  for (const Value& plain : one_of_each()) {
    SCOPED_TRACE(kind_name(plain.kind()));
    Value value = plain.with_labels(labels);
    EXPECT_EQ(value, plain);
    Value copy = value;
    EXPECT_EQ(copy, value);
    EXPECT_EQ(copy.labels(), labels);
    Value moved = std::move(copy);
    EXPECT_EQ(moved, value);
    EXPECT_EQ(moved.labels(), labels);
    EXPECT_TRUE(copy.is_null());  // NOLINT: a moved-from value is null
    EXPECT_TRUE(copy.labels().none());
    Value assigned = Value::string("old");
    assigned = moved;
    EXPECT_EQ(assigned, value);
    const Value& same = assigned;
    assigned = same;
    EXPECT_EQ(assigned, value);
    EXPECT_GT(value.memory_bytes(), 0U);
  }
}

TEST(Value, KindsDiffer) {
  auto values = one_of_each();
  for (std::size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(values[i].kind()), i);
    for (std::size_t j = 0; j < values.size(); ++j) EXPECT_EQ(values[i] == values[j], i == j);
  }
}

TEST(Value, AssignmentFromInsideItself) {
  Value value = Value::array({Value::array({Value::string("deep")})});
  value = value.items()[0];
  EXPECT_EQ(value, Value::array({Value::string("deep")}));
}

TEST(Value, BigIntegersNormalize) {
  EXPECT_EQ(Value::big_integer("9223372036854775807").kind(), Kind::kInt);
  EXPECT_EQ(Value::big_integer("-9223372036854775808").as_int(),
            std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(Value::big_integer("9223372036854775808").kind(), Kind::kBigInt);
  EXPECT_EQ(Value::big_integer("-000").as_int(), 0);
  EXPECT_EQ(Value::big_integer("0009223372036854775808").as_string(), "9223372036854775808");
  EXPECT_EQ(Value::big_integer("9223372036854775808").as_double(), 9223372036854775808.0);
  EXPECT_EQ(Value::big_integer("-" + std::string(400, '9')).as_double(),
            -std::numeric_limits<double>::infinity());
}

TEST(Value, NumbersThatDoNotExistAreNull) {
  EXPECT_TRUE(Value::number(std::nan("")).is_null());
  EXPECT_TRUE(Value::number(std::numeric_limits<double>::infinity()).is_null());
}

TEST(Value, Sizes) {
  EXPECT_EQ(Value::string("").size(), 0U);
  EXPECT_EQ(Value::string("héllo €😀").size(), 8U);
  EXPECT_EQ(Value::array({Value(), Value()}).size(), 2U);
  EXPECT_EQ(Value::object({{"a", Value()}}).size(), 1U);
  EXPECT_EQ(Value::blob("12345", "x/y").size(), 5U);
  EXPECT_EQ(Value::vector({1, 2, 3}).size(), 3U);
  EXPECT_EQ(Value::integer(5).size(), 0U);
}

TEST(Value, Utf8IsChecked) {
  struct Case {
    std::string_view bytes;
    std::size_t valid_prefix;
  };
  using namespace std::string_view_literals;
  const Case cases[] = {
      {""sv, 0},
      {"plain"sv, 5},
      {"a\0b"sv, 3},
      {"\xC3\xA9"sv, 2},
      {"\xF0\x9F\x98\x80"sv, 4},
      {"\xF4\x8F\xBF\xBF"sv, 4},
      {"\xEF\xBF\xBF"sv, 3},
      {"ok\xFF"sv, 2},            // never a byte of UTF-8
      {"\x80"sv, 0},              // continuation first
      {"\xC0\x80"sv, 0},          // overlong
      {"\xE0\x9F\xBF"sv, 0},      // overlong
      {"\xF0\x8F\xBF\xBF"sv, 0},  // overlong
      {"\xED\xA0\x80"sv, 0},      // surrogate
      {"\xF4\x90\x80\x80"sv, 0},  // beyond U+10FFFF
      {"12345678\xE2\x82"sv, 8},  // cut short
      {"\xE2\x82\xAC tail \xE2("sv, 9},
  };
  for (const auto& [bytes, prefix] : cases) {
    EXPECT_EQ(utf8_valid_prefix(bytes), prefix) << to_json(Value::vector({})) << bytes.size();
    EXPECT_EQ(valid_utf8(bytes), prefix == bytes.size());
    auto value = Value::from_utf8(bytes);
    EXPECT_EQ(value.has_value(), prefix == bytes.size());
    if (!value) EXPECT_EQ(value.error().code(), ErrorCode::kUtf8Invalid);
  }
}

TEST(Value, ObjectsKeepOrderAndTheLastDuplicate) {
  Value few =
      Value::object({{"b", Value::integer(1)}, {"a", Value::integer(2)}, {"b", Value::integer(3)}});
  EXPECT_EQ(to_json(few), R"({"b":3,"a":2})");
  std::vector<Value::Member> members;
  for (int i = 0; i < 1000; ++i) {
    members.emplace_back("key" + std::to_string(i % 500), Value::integer(i));
  }
  Value many = Value::object(std::move(members));
  ASSERT_EQ(many.size(), 500U);
  for (int i = 0; i < 500; ++i) {
    std::string key = "key" + std::to_string(i);
    EXPECT_EQ(many.members()[static_cast<std::size_t>(i)].first, key);
    ASSERT_NE(many.find(key), nullptr);
    EXPECT_EQ(many.find(key)->as_int(), i + 500);
  }
  EXPECT_EQ(many.find("key500"), nullptr);
  EXPECT_EQ(many.find(""), nullptr);
  EXPECT_EQ(Value::integer(1).find("a"), nullptr);
}

TEST(Value, FindAtTheBorderOfTheIndex) {
  for (int count = 0; count < 20; ++count) {
    std::vector<Value::Member> members;
    for (int i = 0; i < count; ++i) members.emplace_back(std::to_string(i), Value::integer(i));
    Value object = Value::object(std::move(members));
    for (int i = 0; i < count; ++i) EXPECT_EQ(object.find(std::to_string(i))->as_int(), i);
    EXPECT_EQ(object.find("x"), nullptr);
  }
}

TEST(Value, Blobs) {
  Value held = Value::blob("hello", "text/plain");
  EXPECT_EQ(held.blob_hash(), sha256("hello"));
  EXPECT_EQ(held.blob_bytes(), "hello");
  Value named = Value::blob_reference(sha256("hello"), "text/plain", 5);
  EXPECT_EQ(named.blob_bytes(), std::nullopt);
  EXPECT_EQ(held, named);  // the same content
  EXPECT_NE(held, Value::blob("hello", "text/html"));
}

TEST(Value, LabelsAreUnioned) {
  Value secret = Value::string("s").with_labels({.secret = true});
  Value foreign = Value::integer(1).with_labels({.untrusted = true, .tenant = 3});
  Value array = Value::array({secret, foreign, Value()});
  EXPECT_EQ(array.labels(), (Labels{true, true, 3}));
  EXPECT_TRUE(array.secret_only_inside());
  Value nested = Value::object({{"a", array}, {"b", Value::integer(2).with_labels({.tenant = 4})}});
  EXPECT_EQ(nested.labels(), (Labels{true, true, Labels::kManyTenants}));
  EXPECT_TRUE(nested.find("b")->labels() == (Labels{false, false, 4}));
  EXPECT_TRUE(array.items()[2].labels().none());
  // Labels added to the container are its own: what it holds keeps what it had.
  Value marked = Value::array({Value::integer(1)}).with_labels({.secret = true});
  EXPECT_FALSE(marked.secret_only_inside());
  EXPECT_FALSE(marked.items()[0].labels().secret);
  EXPECT_FALSE(array.with_labels({.secret = true}).secret_only_inside());
  EXPECT_TRUE(array.with_labels({.untrusted = true}).secret_only_inside());
}

TEST(Value, EqualityOfNumbers) {
  EXPECT_EQ(json("1"), json("1.0"));
  EXPECT_EQ(json("0"), json("-0.0"));
  EXPECT_NE(json("1"), json("1.5"));
  EXPECT_NE(json("1"), json("true"));
  EXPECT_NE(json("9007199254740993"), json("9007199254740992.0"));
  EXPECT_EQ(json("100000000000000000000"), json("1e20"));
  EXPECT_NE(json("9223372036854775807"), json("9223372036854775808"));
  EXPECT_NE(json("-1"), json("-1e300"));
}

// Equal values must hash equally, and the other way round: result keys depend on it.
TEST(Value, EqualityAndTheCanonicalFormAgree) {
  const char* texts[] = {"0",
                         "-0",
                         "0.0",
                         "1",
                         "1.0",
                         "1e0",
                         "1.5",
                         "9007199254740992",
                         "9007199254740993",
                         "9007199254740992.0",
                         "9007199254740994.0",
                         "9223372036854775807",
                         "9223372036854775808",
                         "9223372036854775808.0",
                         "9223372036854776000",
                         "100000000000000000000",
                         "1e20",
                         "1e21",
                         "1000000000000000000000",
                         "123456789012345680000",
                         "123456789012345683968",
                         "123456789012345683968.0",
                         "[1]",
                         "[1.0]",
                         R"({"a":1,"b":2})",
                         R"({"b":2.0,"a":1})",
                         R"({"a":1})",
                         "\"1\"",
                         "null"};
  for (const char* a : texts) {
    for (const char* b : texts) {
      EXPECT_EQ(json(a) == json(b), canonical_json(json(a)) == canonical_json(json(b)))
          << a << " and " << b;
    }
  }
}

TEST(Value, CompareNumbersIsExact) {
  // In ascending order.
  const char* ascending[] = {"-1e300",
                             "-100000000000000000000",
                             "-9223372036854775809",
                             "-9223372036854775808",
                             "-2.5",
                             "-2",
                             "0",
                             "0.5",
                             "1",
                             "9007199254740992.0",
                             "9007199254740993",
                             "9223372036854775807",
                             "9223372036854775808.0",
                             "9223372036854775809",
                             "1e19",
                             "100000000000000000001",
                             "1e300"};
  for (std::size_t i = 0; i < std::size(ascending); ++i) {
    for (std::size_t j = 0; j < std::size(ascending); ++j) {
      int expected = i < j ? -1 : i > j ? 1 : 0;
      EXPECT_EQ(compare_numbers(json(ascending[i]), json(ascending[j])), expected)
          << ascending[i] << " and " << ascending[j];
    }
  }
}

TEST(Value, ObjectsAreEqualWithoutRegardToOrder) {
  EXPECT_EQ(json(R"({"a":1,"b":[true,{"c":null}]})"), json(R"({"b":[true,{"c":null}],"a":1})"));
  EXPECT_NE(json(R"({"a":1,"b":2})"), json(R"({"a":1,"c":2})"));
  EXPECT_NE(json(R"({"a":1})"), json(R"({"a":1,"b":2})"));
  EXPECT_NE(json("[1,2]"), json("[2,1]"));
}

Value nested(int levels, bool objects) {
  Value value;
  for (int i = 0; i < levels; ++i) {
    if (objects) {
      std::vector<Value::Member> members;
      members.emplace_back("a", std::move(value));
      value = Value::object(std::move(members));
    } else {
      std::vector<Value> items;
      items.push_back(std::move(value));
      value = Value::array(std::move(items));
    }
  }
  return value;
}

TEST(Value, AMillionLevelsNeitherOverflowNorLeak) {
  for (bool objects : {false, true}) {
    Value a = nested(1'000'000, objects);
    Value b = nested(1'000'000, objects);
    EXPECT_EQ(a, b);
    EXPECT_NE(a, nested(999'999, objects));
    EXPECT_GT(a.memory_bytes(), 16'000'000U);
    EXPECT_EQ(canonical_json(a).size(), objects ? 6'000'004U : 2'000'004U);
    EXPECT_LE(preview(a).size(), 120U);
    Value inner = a;
    for (int i = 0; i < 10; ++i) inner = objects ? *inner.find("a") : inner.items()[0];
    a = Value();
    EXPECT_EQ(inner, nested(999'990, objects));  // what is still held stays
  }
}

TEST(Value, ThreadsShareAndLetGo) {
  Value shared = json(R"([{"a":[1,2,3]},"text",{"b":{"c":"d"}}])");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([copy = shared] {
      for (int i = 0; i < 20'000; ++i) {
        Value mine = copy;
        Value part = mine.items()[static_cast<std::size_t>(i % 3)];
        Value holder = Value::array({part, mine});
        ASSERT_EQ(holder.size(), 2U);
      }
    });
  }
  shared = Value();
  for (auto& thread : threads) thread.join();
}

TEST(ValueDeathTest, ReadingAsAnotherKindIsOurOwnBug) {
  EXPECT_DEATH((void)Value::string("x").as_int(), "as_int");
  EXPECT_DEATH((void)Value().items(), "another kind");
  EXPECT_DEATH((void)Value::string("\xFF"), "UTF-8");
}

}  // namespace
}  // namespace sluice
