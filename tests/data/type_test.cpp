#include "data/type.h"

#include <gtest/gtest.h>

#include "data/json.h"
#include "data/schema.h"

namespace sluice {
namespace {

Value json(std::string_view text) { return parse_json(text).value(); }
Type of_json(std::string_view text) { return Type::of_value(json(text)); }
Type of_schema(std::string_view text) { return Schema::literal(text)->type(); }

TEST(Type, OfValues) {
  struct Case {
    const char* value;
    const char* type;
  };
  const Case cases[] = {
      {"null", "null"},
      {"true", "boolean"},
      {"1", "integer"},
      {"1.0", "integer"},
      {"123456789012345678901234567890", "integer"},
      {"1.5", "number with a fraction"},
      {"\"x\"", "string"},
      {"[]", "array of never"},
      {"[1,2.5]", "array of number"},
      {"[1,null,\"x\"]", "array of null or integer or string"},
      {R"({"a":1,"b":[true]})", "{a: integer, b: array of boolean}"},
      {R"([{"a":1},{"a":"x","b":2}])", "array of {a: integer or string, b?: integer}"},
  };
  for (const auto& [value, type] : cases) EXPECT_EQ(of_json(value).to_string(), type) << value;
  EXPECT_EQ(Type::of_value(Value::blob("x", "y")).to_string(), "blob");
  EXPECT_EQ(Type::of_value(Value::vector({1})).to_string(), "vector");
  EXPECT_EQ(Type().to_string(), "any");
  EXPECT_EQ(Type::never().to_string(), "never");
}

TEST(Type, OfSchemas) {
  struct Case {
    const char* schema;
    const char* type;
  };
  const Case cases[] = {
      {"true", "any"},
      {"false", "never"},
      {"{}", "any"},
      {R"({"type":"number"})", "number"},
      {R"({"type":["string","null"]})", "null or string"},
      {R"({"enum":[1,"a"]})", "integer or string"},
      {R"({"const":null})", "null"},
      {R"({"type":"array","items":{"type":"string"}})", "array of string"},
      {R"({"type":"array","prefixItems":[{"type":"null"}],"items":{"type":"string"}})",
       "array of null or string"},
      {R"({"type":"array","prefixItems":[{"type":"null"}]})", "array"},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})",
       "{a: integer}"},
      {R"({"type":"object","properties":{"a":{"type":"integer"}}})", "{a?: integer}"},
      {R"({"allOf":[{"type":["string","null"]},{"type":["string","array"]}]})", "string"},
      {R"({"anyOf":[{"type":"string"},{"type":"integer"}]})", "integer or string"},
      {R"({"$ref":"#/$defs/x","$defs":{"x":{"type":"boolean"}}})", "boolean"},
      {R"({"if":{"type":"null"},"then":{"type":"null"},"else":{"type":"string"}})",
       "null or string"},
      {R"({"not":{"type":"null"}})", "any"},
  };
  for (const auto& [schema, type] : cases) {
    EXPECT_EQ(of_schema(schema).to_string(), type) << schema;
  }
}

TEST(Type, RecursiveSchemasEnd) {
  Type tree = of_schema(R"({"type":"object","required":["left","right"],
      "properties":{"left":{"$ref":"#"},"right":{"$ref":"#"}}})");
  EXPECT_TRUE(tree.requires_property("left"));
  Type inner = *tree.property("left")->property("right");
  EXPECT_EQ(inner.kinds(), Type::kObject);
  EXPECT_FALSE(tree.to_string().empty());
}

TEST(Type, Properties) {
  Type open = of_schema(R"({"type":"object","properties":{"a":{"type":"integer"}}})");
  EXPECT_EQ(open.property("a")->kinds(), Type::kInteger);
  EXPECT_TRUE(open.property("b")->is_any());
  EXPECT_FALSE(open.requires_property("a"));
  Type closed = of_schema(R"({"type":"object","properties":{"a":true,"never":false},
                              "required":["a"],"additionalProperties":false})");
  EXPECT_TRUE(closed.property("a")->is_any());
  EXPECT_EQ(closed.property("b"), std::nullopt);
  EXPECT_EQ(closed.property("never"), std::nullopt);
  EXPECT_TRUE(closed.requires_property("a"));
  EXPECT_TRUE(closed.closed());
  EXPECT_EQ(closed.property_names(), (std::set<std::string, std::less<>>{"a"}));
  EXPECT_EQ(Type::of(Type::kString).property("a"), std::nullopt);
  EXPECT_EQ(Type::of(Type::kString).element().kinds(), 0);
  EXPECT_TRUE(Type::of(Type::kArray).element().is_any());
}

TEST(Type, CertainMisfits) {
  struct Case {
    const char* from;  // schemas
    const char* to;
    const char* why;  // nullptr: may fit
  };
  const Case cases[] = {
      {R"({"type":"integer"})", R"({"type":"array"})", "needs an array, not an integer"},
      {R"({"type":["integer","null"]})", R"({"type":"string"})",
       "needs a string, not null or an integer"},
      {R"({"type":["integer","null"]})", R"({"type":"null"})", nullptr},
      {R"({"type":"integer"})", R"({"type":"number"})", nullptr},
      {R"({"type":"number"})", R"({"type":"integer"})", nullptr},
      {"true", R"({"type":"integer"})", nullptr},
      {R"({"type":"integer"})", "true", nullptr},
      {R"({"type":"integer"})", "false", "allows no value at all"},
      {"false", R"({"type":"integer"})", nullptr},
      {R"({"type":"array","items":{"type":"string"}})",
       R"({"type":"array","items":{"type":"null"}})", nullptr},  // both may be empty
      {R"({"type":"object","properties":{"a":true},"additionalProperties":false})",
       R"({"type":"object","required":["b"]})", "needs the property b, which is never there"},
      {R"({"type":"object"})", R"({"type":"object","required":["b"]})", nullptr},
      {R"({"type":"object","properties":{"a":{"type":"null"}}})",
       R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"]})",
       "has a property a that needs a string, not null"},
      {R"({"type":"object","properties":{"a":{"type":"null"}}})",
       R"({"type":"object","properties":{"a":{"type":"string"}}})", nullptr},  // a may be missing
      {R"({"type":"object","properties":{"a":{"type":"null"}},"required":["a"]})",
       R"({"type":"object","additionalProperties":false})",
       "has a property a that may not be there"},
      {R"({"type":["object","null"],"required":["a"]})",
       R"({"type":["object","null"],"additionalProperties":false})", nullptr},  // null fits
  };
  for (const auto& [from, to, why] : cases) {
    SCOPED_TRACE(std::string(from) + " to " + to);
    std::string words;
    EXPECT_EQ(certainly_misfits(of_schema(from), of_schema(to), &words), why != nullptr);
    EXPECT_EQ(certainly_misfits(of_schema(from), of_schema(to)), why != nullptr);
    if (why) EXPECT_EQ(words, why);
  }
}

TEST(Type, JoinAndMeet) {
  Type string = Type::of(Type::kString);
  EXPECT_EQ(join(Type::never(), string).to_string(), "string");
  EXPECT_TRUE(join(Type::any(), string).is_any());
  EXPECT_EQ(meet(Type::any(), string).to_string(), "string");
  EXPECT_EQ(meet(Type::of(Type::kNull), string).to_string(), "never");
  Type a = Type::object_of({{"x", string}, {"y", string}}, {"x", "y"}, true);
  Type b = Type::object_of({{"x", Type::of(Type::kNull)}}, {"x"}, true);
  EXPECT_EQ(join(a, b).to_string(), "{x: null or string, y?: string}");
  EXPECT_TRUE(join(a, b).closed());
  Type open = Type::object_of({{"x", string}}, {}, false);
  EXPECT_TRUE(join(a, open).property("y")->is_any());
  EXPECT_FALSE(join(a, open).closed());
  EXPECT_EQ(meet(a, open).to_string(), "{x: string, y: string}");
  EXPECT_EQ(meet(b, open).property("x"), std::nullopt);
  EXPECT_EQ(join(Type::array_of(string), string).to_string(), "string or array of string");
}

TEST(Type, LargeAndDeepValuesAreBounded) {
  std::vector<Value> items(100'000, json(R"({"a":1})"));
  items.push_back(json("\"last\""));
  Type large = Type::of_value(Value::array(std::move(items)));
  EXPECT_TRUE(large.element().can_be(Type::kString));
  EXPECT_TRUE(large.element().can_be(Type::kObject));
  Value deep;
  for (int i = 0; i < 100'000; ++i) deep = Value::array({deep});
  EXPECT_EQ(Type::of_value(deep).kinds(), Type::kArray);
}

}  // namespace
}  // namespace sluice
