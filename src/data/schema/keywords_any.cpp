// type, enum, const, and the keywords that only say something.
#include <fmt/format.h>

#include <cmath>

#include "data/json.h"
#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

struct TypeName {
  std::string_view name;
  std::uint16_t kinds;
  std::string_view with_article;
};
constexpr TypeName kTypeNames[] = {
    {"null", Type::kNull, "null"},
    {"boolean", Type::kBoolean, "a boolean"},
    {"object", Type::kObject, "an object"},
    {"array", Type::kArray, "an array"},
    {"number", Type::kNumber, "a number"},
    {"string", Type::kString, "a string"},
    {"integer", Type::kInteger, "an integer"},
};

std::uint16_t kind_of(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return Type::kNull;
    case Value::Kind::kBool:
      return Type::kBoolean;
    case Value::Kind::kInt:
    case Value::Kind::kBigInt:
      return Type::kInteger;
    case Value::Kind::kDouble:
      return value.as_double() == std::trunc(value.as_double()) ? Type::kInteger : Type::kFraction;
    case Value::Kind::kString:
      return Type::kString;
    case Value::Kind::kArray:
      return Type::kArray;
    case Value::Kind::kObject:
      return Type::kObject;
    case Value::Kind::kBlob:
      return Type::kBlob;
    case Value::Kind::kVector:
      return Type::kVector;
  }
  return 0;
}

class TypeKeyword final : public Keyword {
 public:
  TypeKeyword(std::string pointer, std::uint16_t kinds, std::string words)
      : Keyword(std::move(pointer)), kinds_(kinds), words_(std::move(words)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if ((kind_of(value) & kinds_) != 0) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must be {}, is {}", words_, kind_with_article(value.kind()));
    });
  }
  Type type(TypeBuilder&) const override { return Type::of(kinds_); }

 private:
  std::uint16_t kinds_;
  std::string words_;
};

class EnumKeyword final : public Keyword {
 public:
  EnumKeyword(std::string pointer, std::vector<Value> allowed)
      : Keyword(std::move(pointer)), allowed_(std::move(allowed)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    for (const auto& allowed : allowed_) {
      if (allowed == value) return true;
    }
    return evaluation.refuse(pointer(), [&] { return words(value); });
  }
  Type type(TypeBuilder&) const override {
    Type type = Type::never();
    for (const auto& allowed : allowed_) type = join(type, Type::of_value(allowed));
    return type;
  }

 private:
  std::string words(const Value& value) const {
    constexpr std::size_t kShown = 8;
    std::string list;
    for (std::size_t i = 0; i < allowed_.size() && i < kShown; ++i) {
      list += (i > 0 ? ", " : "") + preview(allowed_[i], 40);
    }
    if (allowed_.size() > kShown) list += ", ...";
    return fmt::format("must be {}{}, is {}", allowed_.size() > 1 ? "one of " : "", list,
                       preview(value, 60));
  }
  std::vector<Value> allowed_;
};

void build_type(Builder& builder) {
  const Value* value = builder.get("type");
  if (value == nullptr) return;
  std::vector<Value> names;
  if (value->is_array()) {
    names.assign(value->items().begin(), value->items().end());
  } else {
    names.push_back(*value);
  }
  std::uint16_t kinds = 0;
  std::string words;
  for (const auto& name : names) {
    const TypeName* known = nullptr;
    for (const auto& candidate : kTypeNames) {
      if (name.is_string() && name.as_string() == candidate.name) known = &candidate;
    }
    if (known == nullptr) {
      return builder.invalid("type", fmt::format("{} is no type; the types are null, boolean, "
                                                 "object, array, number, string, integer",
                                                 preview(name, 40)));
    }
    kinds |= known->kinds;
    words += (words.empty() ? "" : " or ") + std::string(known->with_article);
  }
  if (names.empty()) return builder.invalid("type", "type must name at least one type");
  builder.add<TypeKeyword>("type", kinds, std::move(words));
}

}  // namespace

void build_any_keywords(Builder& builder) {
  build_type(builder);
  if (const Value* value = builder.get("enum")) {
    if (value->is_array()) {
      builder.add<EnumKeyword>("enum",
                               std::vector<Value>(value->items().begin(), value->items().end()));
    } else {
      builder.invalid("enum", "enum must be an array of values");
    }
  }
  if (const Value* value = builder.get("const")) {
    builder.add<EnumKeyword>("const", std::vector<Value>{*value});
  }
}

void build_annotations(Builder& builder) {
  for (std::string_view keyword : {"title", "description", "$comment", "format"}) {
    const Value* value = builder.get(keyword);
    if (value == nullptr || value->is_string()) continue;
    builder.invalid(keyword, fmt::format("{} must be a string, not {}", keyword,
                                         kind_with_article(value->kind())));
  }
  for (std::string_view keyword : {"deprecated", "readOnly", "writeOnly"}) builder.flag(keyword);
  const Value* examples = builder.get("examples");
  if (examples != nullptr && !examples->is_array()) {
    builder.invalid("examples", "examples must be an array of values");
  }
  for (std::string_view keyword : {"$defs", "definitions"}) builder.subschema_map(keyword);
  const Value* dialect = builder.get("$schema");
  if (dialect == nullptr) return;
  std::string_view uri = dialect->is_string() ? dialect->as_string() : "";
  if (uri.ends_with('#')) uri.remove_suffix(1);
  if (uri == "https://json-schema.org/draft/2020-12/schema") return;
  builder.unsupported("$schema",
                      fmt::format("$schema {} is another dialect; schemas here are read as "
                                  "https://json-schema.org/draft/2020-12/schema",
                                  preview(*dialect, 80)));
}

}  // namespace sluice::json_schema
