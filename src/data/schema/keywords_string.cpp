// pattern, and the bounds of a text's length.
#include <fmt/format.h>

#include "data/json.h"
#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

class PatternKeyword final : public Keyword {
 public:
  PatternKeyword(std::string pointer, Pattern pattern)
      : Keyword(std::move(pointer)), pattern_(std::move(pattern)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_string() || pattern_.matches(value.as_string())) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must match the pattern {}, is {}", pattern_.source(), preview(value, 60));
    });
  }

 private:
  Pattern pattern_;
};

}  // namespace

void build_string_keywords(Builder& builder) {
  build_size_keywords(builder,
                      {"maxLength", "minLength", Value::Kind::kString, "character", "characters"});
  const Value* expression = builder.get("pattern");
  if (expression == nullptr) return;
  if (!expression->is_string()) return builder.invalid("pattern", "pattern must be a string");
  if (auto pattern = builder.pattern("pattern", expression->as_string())) {
    builder.add<PatternKeyword>("pattern", std::move(*pattern));
  }
}

}  // namespace sluice::json_schema
