#include "data/schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "data/json.h"

namespace sluice {
namespace {

Value json(std::string_view text) {
  auto value = parse_json(text);
  EXPECT_TRUE(value.has_value()) << text;
  return value.value_or(Value());
}

TEST(Schema, ViolationsSayWhereAndWhy) {
  struct Case {
    const char* schema;
    const char* value;
    const char* instance;  // pointers
    const char* keyword;
    const char* message;
  };
  const Case cases[] = {
      {R"({"type":"string"})", "1", "", "/type", "must be a string, is an integer"},
      {R"({"type":["string","null"]})", "[]", "", "/type", "must be a string or null, is an array"},
      {R"({"enum":["a",2]})", R"("b")", "", "/enum", R"(must be one of "a", 2, is "b")"},
      {R"({"const":{"a":1}})", "null", "", "/const", R"(must be {"a":1}, is null)"},
      {R"({"properties":{"headline":{"maxLength":3}}})", R"({"headline":"long"})", "/headline",
       "/properties/headline/maxLength", "must have at most 3 characters, has 4"},
      {R"({"minLength":1})", R"("")", "", "/minLength", "must have at least 1 character, has 0"},
      {R"({"pattern":"^a+$"})", R"("b")", "", "/pattern", R"(must match the pattern ^a+$, is "b")"},
      {R"({"minimum":3})", "2", "", "/minimum", "must be at least 3, is 2"},
      {R"({"exclusiveMaximum":3})", "3.0", "", "/exclusiveMaximum", "must be less than 3, is 3.0"},
      {R"({"multipleOf":0.01})", "0.005", "", "/multipleOf",
       "must be a multiple of 0.01, is 0.005"},
      {R"({"items":{"type":"null"}})", "[null,[1]]", "/1", "/items/type",
       "must be null, is an array"},
      {R"({"prefixItems":[true,{"const":1}]})", "[0,2]", "/1", "/prefixItems/1/const",
       "must be 1, is 2"},
      {R"({"items":false})", "[1]", "/0", "/items", "is not allowed here"},
      {R"({"minItems":2})", "[1]", "", "/minItems", "must have at least 2 items, has 1"},
      {R"({"uniqueItems":true})", "[1,2,1.0]", "", "/uniqueItems",
       "must have no two equal items, items 0 and 2 are"},
      {R"({"contains":{"type":"null"},"minContains":2})", "[null]", "", "/contains",
       "must contain at least 2 items of a certain form, has 1"},
      {R"({"required":["a","b","c"]})", R"({"b":1})", "", "/required",
       "must have the property a, c"},
      {R"({"properties":{"a":true},"additionalProperties":false})", R"({"b":1})", "",
       "/additionalProperties", "may not have the property b; there are a"},
      {R"({"maxProperties":1})", R"({"a":1,"b":2})", "", "/maxProperties",
       "must have at most 1 property, has 2"},
      {R"({"propertyNames":{"maxLength":1}})", R"({"ab":1})", "", "/propertyNames",
       "has a property whose name is not allowed: ab"},
      {R"({"dependentRequired":{"a":["b"]}})", R"({"a":1})", "", "/dependentRequired",
       "must have the property b, since it has a"},
      {R"({"anyOf":[{"type":"null"},{"type":"string"}]})", "1", "", "/anyOf",
       "must fit one of 2 alternatives, fits none"},
      {R"({"oneOf":[true,true]})", "1", "", "/oneOf",
       "must fit exactly one of 2 alternatives, fits several"},
      {R"({"not":{"type":"null"}})", "null", "", "/not", "has a form that is not allowed"},
      {R"({"if":{"type":"null"},"else":{"minimum":5}})", "1", "", "/else/minimum",
       "must be at least 5, is 1"},
      {R"({"properties":{"a/b~c":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"null"}}})",
       R"({"a/b~c":1})", "/a~1b~0c", "/$defs/x/type", "must be null, is an integer"},
  };
  for (const auto& [schema, value, instance, keyword, message] : cases) {
    SCOPED_TRACE(schema);
    auto violations = Schema::literal(schema)->validate(json(value));
    ASSERT_EQ(violations.size(), 1U) << describe(violations);
    EXPECT_EQ(violations[0].instance_pointer, instance);
    EXPECT_EQ(violations[0].schema_pointer, keyword);
    EXPECT_EQ(violations[0].message, message);
  }
}

TEST(Schema, AllViolationsUpToABound) {
  SchemaPtr schema = Schema::literal(R"({"items":{"type":"string"},"maxItems":2})");
  Value value = json("[1,2,3,4,5,6,7,8,9,10]");
  EXPECT_EQ(schema->validate(value).size(), 8U);
  EXPECT_EQ(schema->validate(value, 100).size(), 11U);
  EXPECT_EQ(schema->validate(value, 1).size(), 1U);
  EXPECT_EQ(schema->validate(value, 0).size(), 1U);  // never "valid" by asking for none
  EXPECT_EQ(describe(schema->validate(json("[1,\"a\"]"))),
            "at /0: must be a string, is an integer");
}

TEST(Schema, SecretsStayOutOfMessages) {
  Value secret = Value::string("hunter2").with_labels({.secret = true});
  for (const char* schema :
       {R"({"const":1})", R"({"pattern":"^x$"})", R"({"type":"null"})", R"({"maxLength":1})"}) {
    std::string text = describe(Schema::literal(schema)->validate(secret));
    EXPECT_FALSE(text.empty());
    EXPECT_EQ(text.find("hunter2"), std::string::npos) << text;
  }
}

TEST(SchemaCompile, ProblemsByName) {
  constexpr auto kInvalid = ErrorCode::kSchemaInvalid;
  constexpr auto kUnsupported = ErrorCode::kSchemaUnsupported;
  struct Case {
    const char* schema;
    ErrorCode code;
    const char* pointer;
    const char* words;
  };
  const Case cases[] = {
      {"1", kInvalid, "", "a schema is an object, true or false, not an integer"},
      {R"({"items":3})", kInvalid, "/items", "not an integer"},
      {R"({"type":"strng"})", kInvalid, "/type", R"("strng" is no type)"},
      {R"({"type":[]})", kInvalid, "/type", "at least one"},
      {R"({"minLength":-1})", kInvalid, "/minLength", "whole number"},
      {R"({"minLength":1.5})", kInvalid, "/minLength", "whole number"},
      {R"({"maximum":"9"})", kInvalid, "/maximum", "must be a number"},
      {R"({"multipleOf":0})", kInvalid, "/multipleOf", "more than 0"},
      {R"({"multipleOf":1234567890123456789123})", kUnsupported, "/multipleOf", "18 significant"},
      {R"({"required":"a"})", kInvalid, "/required", "array of property names"},
      {R"({"enum":1})", kInvalid, "/enum", "array"},
      {R"({"allOf":[]})", kInvalid, "/allOf", "at least one schema"},
      {R"({"items":[true]})", kInvalid, "/items", "prefixItems"},
      {R"({"properties":[]})", kInvalid, "/properties", "object of schemas"},
      {R"({"uniqueItems":1})", kInvalid, "/uniqueItems", "true or false"},
      {R"({"title":1})", kInvalid, "/title", "must be a string"},
      {R"x({"pattern":"("})x", kInvalid, "/pattern", "missing )"},
      {R"x({"pattern":"a(?=b)"})x", kUnsupported, "/pattern", "look-ahead"},
      {R"({"patternProperties":{"(?<!a)b":true}})", kUnsupported, "/patternProperties",
       "look-behind"},
      {R"({"properties":{"a":{"unevaluatedProperties":false}}})", kUnsupported,
       "/properties/a/unevaluatedProperties", "unevaluatedProperties is not supported"},
      {R"({"maxlength":1})", kUnsupported, "/maxlength", "did you mean maxLength?"},
      {R"({"$dynamicRef":"#x"})", kUnsupported, "/$dynamicRef", "$dynamicRef"},
      {R"({"$ref":"#/$defs/x"})", kInvalid, "/$ref", "points at no schema"},
      {R"({"$ref":"#/$defs/x~2","$defs":{"x":{}}})", kInvalid, "/$ref", "points at no schema"},
      {R"({"$ref":"https://example.com/x"})", kUnsupported, "/$ref", "not fetched"},
      {R"({"$schema":"http://json-schema.org/draft-07/schema#"})", kUnsupported, "/$schema",
       "another dialect"},
      {R"({"$id":"#x"})", kInvalid, "/$id", "without a fragment"},
      {R"({"$anchor":"1"})", kInvalid, "/$anchor", "starts with a letter"},
      {R"({"$ref":"#"})", kInvalid, "", "refers to itself"},
      {R"({"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}},
           "$ref":"#/$defs/a"})",
       kInvalid, "/$defs/a", "refers to itself"},
  };
  for (const auto& [schema, code, pointer, words] : cases) {
    SCOPED_TRACE(schema);
    SchemaCompilation compiled = Schema::compile(json(schema));
    EXPECT_EQ(compiled.schema, nullptr);
    ASSERT_FALSE(compiled.problems.empty());
    EXPECT_EQ(compiled.problems[0].code, code);
    EXPECT_EQ(compiled.problems[0].pointer, pointer);
    EXPECT_NE(compiled.problems[0].message.find(words), std::string::npos)
        << compiled.problems[0].message;
    // Leniently the same things are warnings, and the rest of the schema works.
    SchemaCompilation lenient = Schema::compile(json(schema), {.mode = SchemaMode::kLenient});
    ASSERT_NE(lenient.schema, nullptr);
    EXPECT_FALSE(lenient.problems.empty());
    (void)lenient.schema->validate(json(R"({"a":[1,"b"]})"));
  }
}

TEST(SchemaCompile, LenientKeepsWhatItKnows) {
  SchemaCompilation compiled = Schema::compile(
      json(R"({"$schema":"http://json-schema.org/draft-07/schema#","type":"object","x-order":1,
               "properties":{"a":{"type":"integer","nullable":true}},"required":["a"],
               "definitions":{"n":{"type":"null"}}})"),
      {.mode = SchemaMode::kLenient});
  ASSERT_NE(compiled.schema, nullptr);
  EXPECT_EQ(compiled.problems.size(), 3U);
  EXPECT_FALSE(compiled.schema->valid(json("{}")));
  EXPECT_FALSE(compiled.schema->valid(json(R"({"a":"x"})")));
  EXPECT_TRUE(compiled.schema->valid(json(R"({"a":1})")));
}

TEST(SchemaCompile, ManyProblemsAtOnce) {
  auto compiled = Schema::compile(json(R"({"type":"x","properties":{"a":{"minLength":"1"},
      "b":{"foo":1}},"required":3})"));
  EXPECT_EQ(compiled.problems.size(), 4U);
}

TEST(SchemaOutside, ReferencesAreResolvedAndWrittenIn) {
  std::map<std::string, Value, std::less<>> schemas;
  schemas["#/schemas/point"] = json(R"({"type":"object","required":["x"],
      "properties":{"x":{"$ref":"#/$defs/n"},"next":{"$ref":"#/schemas/point"},
                    "name":{"$ref":"#/schemas/name"}},"$defs":{"n":{"type":"number"}}})");
  schemas["#/schemas/name"] = json(R"({"type":"string","maxLength":3})");
  SchemaOptions options;
  options.resolve = [&](std::string_view uri) -> const Value* {
    auto found = schemas.find(uri);
    return found == schemas.end() ? nullptr : &found->second;
  };
  auto compiled = Schema::compile(
      json(R"({"type":"array","items":{"$ref":"#/schemas/point"},"$defs":{"schemas_name":true}})"),
      options);
  ASSERT_TRUE(compiled.problems.empty()) << compiled.problems[0].message;
  // What was resolved stands in the source, which compiles alone and means the same.
  auto alone = Schema::compile(compiled.schema->source());
  ASSERT_TRUE(alone.problems.empty()) << alone.problems[0].pointer << alone.problems[0].message;
  for (const SchemaPtr& schema : {compiled.schema, alone.schema}) {
    EXPECT_TRUE(schema->valid(json(R"([{"x":1,"next":{"x":2},"name":"abc"}])")));
    EXPECT_FALSE(schema->valid(json(R"([{"x":"1"}])")));
    EXPECT_FALSE(schema->valid(json(R"([{"x":1,"next":{}}])")));
    EXPECT_FALSE(schema->valid(json(R"([{"x":1,"next":{"x":1,"name":"abcd"}}])")));
  }
  auto unknown = Schema::compile(json(R"({"$ref":"#/schemas/nobody"})"), options);
  ASSERT_EQ(unknown.problems.size(), 1U);
  EXPECT_EQ(unknown.problems[0].pointer, "/$ref");
}

TEST(Schema, Defaults) {
  SchemaPtr schema = Schema::literal(R"({"type":"object","properties":{
      "count":{"type":"integer","default":40},"name":{"default":null},"other":{}}})");
  EXPECT_EQ(to_json(schema->with_defaults(json("{}"))), R"({"count":40,"name":null})");
  EXPECT_EQ(to_json(schema->with_defaults(json(R"({"name":"x","count":1})"))),
            R"({"name":"x","count":1})");
  EXPECT_EQ(schema->with_defaults(json("[1]")), json("[1]"));
  Value secret = Value::object({{"k", Value::string("s").with_labels({.secret = true})}});
  EXPECT_EQ(to_json(schema->with_defaults(secret)), R"({"k":"[secret]","count":40,"name":null})");
}

TEST(Schema, NotInGrammar) {
  struct Case {
    const char* schema;
    std::vector<std::string> pointers;
  };
  const Case cases[] = {
      {R"({"type":"object","properties":{"headline":{"type":"string","maxLength":90}},
           "required":["headline"],"additionalProperties":false})",
       {}},
      {R"({"type":"array","items":{"type":"integer","minimum":1,"maximum":5},"minItems":1})", {}},
      {R"({"enum":["a","b"],"type":"string"})", {}},
      {R"({"anyOf":[{"type":"string"},{"type":"null"}]})", {}},
      {R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"string","format":"date"}}})", {}},
      {R"({"type":"string","pattern":"^[A-Z]{2}$"})", {}},
      {R"({"not":{"type":"null"},"type":"string"})", {"/not"}},
      {R"({"type":"array","uniqueItems":true,"contains":{"type":"null"},"minContains":2})",
       {"/contains", "/minContains", "/uniqueItems"}},
      {R"({"type":"object","properties":{"a":{"type":"integer","multipleOf":5}},
           "dependentRequired":{"a":["b"]}})",
       {"/dependentRequired", "/properties/a/multipleOf"}},
      {R"({"if":{"type":"null"},"then":true})", {"/if"}},
      {R"({"minLength":3})", {"/minLength"}},  // no type: the grammar takes anything
      {R"({"type":"string","pattern":"^a$","maxLength":3})", {"/maxLength"}},
      {R"({"type":"string","pattern":"\\bword\\b"})", {"/pattern"}},
      {R"({"type":"number","minimum":0.5})", {"/minimum"}},
      {R"({"$ref":"#/$defs/a","type":"object","$defs":{"a":{"type":"object"}}})", {"/type"}},
      {R"({"$ref":"#x","$defs":{"a":{"$anchor":"x","type":"object"}}})", {"/$ref"}},
      {R"({"allOf":[{"type":"string"},{"type":"string"}]})", {"/allOf"}},
      {R"({"oneOf":[{"type":"string"},{"type":"null"}]})", {"/oneOf"}},
      {R"({"type":"object","patternProperties":{"^a":{"type":"null"}},"minProperties":1,
           "propertyNames":{"type":"string"}})",
       {"/minProperties", "/patternProperties", "/propertyNames"}},
  };
  for (const auto& [schema, pointers] : cases) {
    SchemaPtr compiled = Schema::literal(schema);
    auto listed = compiled->not_in_grammar();
    EXPECT_EQ(std::vector<std::string>(listed.begin(), listed.end()), pointers) << schema;
  }
}

TEST(SchemaBounds, SchemasThatDoubleTheirWork) {
  // Each level refers to the next twice: 2^60 checks unless results are remembered.
  std::string in_place = R"({"$ref":"#/$defs/d0","$defs":{)";
  for (int i = 0; i < 60; ++i) {
    std::string next = R"({"$ref":"#/$defs/d)" + std::to_string(i + 1) + "\"}";
    in_place += "\"d" + std::to_string(i) + R"(":{"allOf":[)" + next + "," + next + "]},";
  }
  in_place += R"("d60":{"type":"integer"}}})";
  SchemaPtr schema = Schema::literal(in_place);
  EXPECT_TRUE(schema->valid(json("1")));
  EXPECT_FALSE(schema->valid(json("null")));
  EXPECT_EQ(schema->validate(json("null")).size(), 1U);

  SchemaPtr tree = Schema::literal(R"({"$defs":{"n":{"type":["object","null"],"allOf":[
      {"properties":{"x":{"$ref":"#/$defs/n"}}},{"properties":{"x":{"$ref":"#/$defs/n"}}}]}},
      "$ref":"#/$defs/n"})");
  Value good;
  Value bad = Value::integer(1);
  for (int i = 0; i < 200; ++i) {
    good = Value::object({{"x", good}});
    bad = Value::object({{"x", bad}});
  }
  EXPECT_TRUE(tree->valid(good));
  EXPECT_FALSE(tree->valid(bad));
  EXPECT_FALSE(tree->validate(bad).empty());

  SchemaPtr any = Schema::literal(R"({"$defs":{"n":{"anyOf":[
      {"type":"object","properties":{"x":{"$ref":"#/$defs/n"}},"required":["y"]},
      {"type":"object","properties":{"x":{"$ref":"#/$defs/n"}}},{"type":"null"}]}},
      "$ref":"#/$defs/n"})");
  EXPECT_TRUE(any->valid(good));
  EXPECT_FALSE(any->valid(bad));
}

TEST(SchemaBounds, DeepValuesAndSchemas) {
  SchemaPtr list = Schema::literal(R"({"type":["array","null"],"items":{"$ref":"#"}})");
  auto nest = [](int levels) {
    Value value;
    for (int i = 0; i < levels; ++i) value = Value::array({value});
    return value;
  };
  EXPECT_TRUE(list->valid(nest(500)));
  EXPECT_FALSE(list->valid(nest(5000)));
  auto violations = list->validate(nest(1'000'000));
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("too deep"), std::string::npos) << violations[0].message;
  // Too deep is no "yes" behind a `not` either.
  SchemaPtr inverted = Schema::literal(
      R"({"not":{"$ref":"#/$defs/l"},"$defs":{"l":{"type":"array","items":{"$ref":"#/$defs/l"}}}})");
  EXPECT_FALSE(inverted->valid(nest(5000)));

  Value schema = json("{}");
  for (int i = 0; i < 100'000; ++i) schema = Value::object({{"items", schema}});
  EXPECT_EQ(Schema::compile(schema).schema, nullptr);
  Value in_place = json("{}");
  for (int i = 0; i < 400; ++i) in_place = Value::object({{"not", in_place}});
  auto compiled = Schema::compile(in_place);
  ASSERT_EQ(compiled.schema, nullptr);
  EXPECT_NE(compiled.problems[0].message.find("in a row"), std::string::npos);
}

TEST(SchemaBounds, UniqueItemsOfMany) {
  std::vector<Value> items;
  for (int i = 0; i < 100'000; ++i) items.push_back(Value::integer(i));
  SchemaPtr schema = Schema::literal(R"({"uniqueItems":true})");
  EXPECT_TRUE(schema->valid(Value::array(items)));
  items.push_back(Value::number(99'999.0));
  auto violations = schema->validate(Value::array(items));
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("99999 and 100000"), std::string::npos);
}

}  // namespace
}  // namespace sluice
