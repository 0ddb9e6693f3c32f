#include "data/value_codec.h"

#include <gtest/gtest.h>

#include "data/json.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return *parse_json(text); }

TEST(ValueCodec, GivesBackWhatItGot) {
  for (const char* text :
       {"null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808",
        "123456789012345678901234567890", "1.5", "-0.0", "1e300", "\"\"", "\"a\\u00e9\\u4e2d\"",
        "[]", "{}", "[1,[2,[3,[]]],{}]", R"({"z":1,"a":{"b":[null,true,"x"]},"m":[]})"}) {
    const Value value = json(text);
    auto back = decode_value(encode_value(value));
    ASSERT_TRUE(back.has_value()) << text;
    EXPECT_EQ(to_json(*back), to_json(value)) << text;  // the order of members too
    EXPECT_EQ(back->kind(), value.kind()) << text;
  }
}

TEST(ValueCodec, KeepsBlobsAndVectors) {
  const Value value = Value::array({Value::blob(std::string("\0\xff", 2), "image/png"),
                                    Value::blob_reference(sha256("x"), "text/plain", 77),
                                    Value::vector({1.5F, -2.0F}), Value::vector({})});
  auto back = decode_value(encode_value(value));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back->items()[0].blob_bytes(), std::string_view("\0\xff", 2));
  EXPECT_EQ(back->items()[0].blob_media_type(), "image/png");
  EXPECT_FALSE(back->items()[1].blob_bytes().has_value());
  EXPECT_EQ(back->items()[1].blob_size(), 77u);
  ASSERT_EQ(back->items()[2].floats().size(), 2u);
  EXPECT_EQ(back->items()[2].floats()[1], -2.0F);
  EXPECT_EQ(back->items()[3].floats().size(), 0u);
}

TEST(ValueCodec, KeepsLabelsWhereTheyWere) {
  const Value secret = Value::string("k").with_labels({.secret = true});
  const Value inside = Value::array({secret, Value::integer(1)});
  auto back = decode_value(encode_value(inside));
  ASSERT_TRUE(back.has_value());
  EXPECT_TRUE(back->labels().secret);
  EXPECT_TRUE(back->secret_only_inside());
  EXPECT_TRUE(back->items()[0].labels().secret);
  EXPECT_FALSE(back->items()[1].labels().secret);
  const Value marked = Value::object({{"a", Value::integer(1)}})
                           .with_labels({.secret = true, .untrusted = true, .tenant = 7});
  back = decode_value(encode_value(marked));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->labels(), marked.labels());
  EXPECT_FALSE(back->secret_only_inside());
}

TEST(ValueCodec, SurvivesAnyNesting) {
  Value deep = Value::integer(1);
  for (int i = 0; i < 100'000; ++i) deep = Value::array({std::move(deep)});
  auto back = decode_value(encode_value(deep));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, deep);
}

TEST(ValueCodec, RefusesDamage) {
  const std::string good = encode_value(json(R"({"a":[1,2,"three"],"b":{"c":1.5}})"));
  EXPECT_FALSE(decode_value("").has_value());
  EXPECT_FALSE(decode_value(good + "x").has_value());
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(decode_value(std::string_view(good).substr(0, cut)).has_value()) << cut;
  }
  // Any changed byte gives an error or a value, never a crash.
  for (std::size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      (void)decode_value(bad);
    }
  }
}

}  // namespace
}  // namespace sluice
