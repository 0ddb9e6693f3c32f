// Random schemas against random values: what is valid never certainly misfits the schema's Type,
// validate and valid agree, the order of keywords does not matter, and nothing crashes.
#include <gtest/gtest.h>

#include "base/random.h"
#include "data/json.h"
#include "data/schema.h"

namespace sluice {
namespace {

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Value value(int depth) {
    switch (random_.below(depth > 0 ? 9 : 6)) {
      case 0:
        return Value();
      case 1:
        return Value::boolean(random_.below(2) == 0);
      case 2:
        return Value::integer(static_cast<std::int64_t>(random_.below(6)) - 2);
      case 3:
        return Value::number(static_cast<double>(random_.below(9)) / 2 - 1);
      case 4:
        return Value::string(text());
      case 5:
        return random_.below(20) == 0 ? Value::big_integer("99999999999999999999")
                                      : Value::string(text());
      case 6: {
        std::vector<Value> items;
        for (auto n = random_.below(4); n > 0; --n) items.push_back(value(depth - 1));
        return Value::array(std::move(items));
      }
      default: {
        std::vector<Value::Member> members;
        for (auto n = random_.below(4); n > 0; --n) members.emplace_back(text(), value(depth - 1));
        return Value::object(std::move(members));
      }
    }
  }

  Value schema(int depth) {
    if (random_.below(12) == 0) return Value::boolean(random_.below(4) != 0);
    std::vector<Value::Member> members;
    for (auto n = random_.below(4); n > 0; --n) keyword(depth, members);
    return Value::object(std::move(members));
  }

  Value root() {
    Value made = schema(3);
    if (!made.is_object()) return made;
    std::vector<Value::Member> members(made.members().begin(), made.members().end());
    members.emplace_back("$defs", Value::object({{"a", schema(2)}, {"b", schema(2)}}));
    return Value::object(std::move(members));
  }

 private:
  std::string text() { return std::string(1, static_cast<char>('a' + random_.below(4))); }
  Value small() { return Value::integer(static_cast<std::int64_t>(random_.below(4))); }
  Value list(int depth) {
    std::vector<Value> items;
    for (auto n = random_.below(3) + 1; n > 0; --n) items.push_back(schema(depth - 1));
    return Value::array(std::move(items));
  }
  Value map(int depth) {
    std::vector<Value::Member> members;
    for (auto n = random_.below(4); n > 0; --n) members.emplace_back(text(), schema(depth - 1));
    return Value::object(std::move(members));
  }
  Value type() {
    static constexpr std::string_view kTypes[] = {"null",   "boolean", "object", "array",
                                                  "number", "string",  "integer"};
    if (random_.below(2) == 0) return Value::string(kTypes[random_.below(7)]);
    std::vector<Value> names;
    for (auto n = random_.below(3) + 1; n > 0; --n) {
      names.push_back(Value::string(kTypes[random_.below(7)]));
    }
    return Value::array(std::move(names));
  }

  void keyword(int depth, std::vector<Value::Member>& out) {
    static constexpr std::string_view kPlain[] = {"minimum",   "maximum",       "exclusiveMinimum",
                                                  "minItems",  "maxItems",      "minLength",
                                                  "maxLength", "minProperties", "maxProperties"};
    static constexpr std::string_view kSchemas[] = {
        "items", "not", "if", "then", "else", "contains", "additionalProperties", "propertyNames"};
    static constexpr std::string_view kLists[] = {"allOf", "anyOf", "oneOf", "prefixItems"};
    static constexpr std::string_view kMaps[] = {"properties", "patternProperties",
                                                 "dependentSchemas"};
    switch (random_.below(depth > 0 ? 10 : 5)) {
      case 0:
      case 1:
        out.emplace_back("type", type());
        break;
      case 2:
        out.emplace_back(kPlain[random_.below(std::size(kPlain))], small());
        break;
      case 3:
        out.emplace_back("enum", Value::array({value(2), value(1), value(0)}));
        break;
      case 4:
        out.emplace_back("required", Value::array({Value::string(text())}));
        break;
      case 5:
      case 6:
        out.emplace_back(kSchemas[random_.below(std::size(kSchemas))], schema(depth - 1));
        break;
      case 7:
        out.emplace_back(kLists[random_.below(std::size(kLists))], list(depth));
        break;
      case 8:
        out.emplace_back(kMaps[random_.below(std::size(kMaps))], map(depth));
        break;
      default:
        out.emplace_back("$ref", Value::string(random_.below(2) ? "#/$defs/a" : "#/$defs/b"));
    }
  }

  Random random_;
};

Value reversed(const Value& value) {
  if (!value.is_object()) return value;
  std::vector<Value::Member> members(value.members().rbegin(), value.members().rend());
  return Value::object(std::move(members));
}

TEST(SchemaRandom, ValidValuesNeverCertainlyMisfit) {
  int valid_pairs = 0;
  int invalid_pairs = 0;
  int misfits = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    Maker maker(seed);
    Value source = maker.root();
    SchemaCompilation compiled = Schema::compile(source);
    if (!compiled.schema) continue;  // a loop of references
    SchemaCompilation turned = Schema::compile(reversed(source));
    ASSERT_NE(turned.schema, nullptr);
    const Type& type = compiled.schema->type();
    Type union_of_valid = Type::never();
    for (int i = 0; i < 12; ++i) {
      Value value = maker.value(3);
      bool valid = compiled.schema->valid(value);
      ASSERT_EQ(valid, compiled.schema->validate(value).empty());
      ASSERT_EQ(valid, turned.schema->valid(value)) << to_json(source);
      std::string why;
      bool misfit = certainly_misfits(Type::of_value(value), type, &why);
      ASSERT_FALSE(valid && misfit)
          << "seed " << seed << ": " << to_json(value) << " is valid under " << to_json(source)
          << " with type " << type.to_string() << ", yet " << why;
      ++(valid ? valid_pairs : invalid_pairs);
      if (misfit) ++misfits;
      if (!valid) continue;
      // What is joined must still fit where each part fitted.
      union_of_valid = join(union_of_valid, Type::of_value(value));
      ASSERT_FALSE(certainly_misfits(union_of_valid, type)) << "seed " << seed;
      ASSERT_FALSE(certainly_misfits(meet(Type::of_value(value), type), type)) << "seed " << seed;
    }
  }
  EXPECT_GT(valid_pairs, 10'000);
  EXPECT_GT(invalid_pairs, 10'000);
  EXPECT_GT(misfits, 5'000);  // and it does find something
}

// Any JSON at all as a schema: problems or a schema, never a crash.
TEST(SchemaRandom, AnyValueAsSchema) {
  Maker maker(99);
  for (int i = 0; i < 20'000; ++i) {
    Value schema = maker.value(4);
    for (SchemaMode mode : {SchemaMode::kStrict, SchemaMode::kLenient}) {
      SchemaCompilation compiled = Schema::compile(schema, {.mode = mode, .resolve = {}});
      if (mode == SchemaMode::kLenient) ASSERT_NE(compiled.schema, nullptr);
      if (compiled.schema) (void)compiled.schema->validate(schema);
    }
  }
}

}  // namespace
}  // namespace sluice
