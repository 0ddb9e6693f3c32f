// multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum.
#include <fmt/format.h>

#include "data/json.h"
#include "data/schema/builder.h"
#include "data/schema/decimal.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

enum class Bound { kMaximum, kExclusiveMaximum, kMinimum, kExclusiveMinimum };

class BoundKeyword final : public Keyword {
 public:
  BoundKeyword(std::string pointer, Bound bound, Value limit)
      : Keyword(std::move(pointer)), bound_(bound), limit_(std::move(limit)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_number() || holds(compare_numbers(value, limit_))) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must be {} {}, is {}", words(), preview(limit_, 40), preview(value, 40));
    });
  }

 private:
  bool holds(int order) const {
    switch (bound_) {
      case Bound::kMaximum:
        return order <= 0;
      case Bound::kExclusiveMaximum:
        return order < 0;
      case Bound::kMinimum:
        return order >= 0;
      case Bound::kExclusiveMinimum:
        return order > 0;
    }
    return true;
  }
  std::string_view words() const {
    switch (bound_) {
      case Bound::kMaximum:
        return "at most";
      case Bound::kExclusiveMaximum:
        return "less than";
      case Bound::kMinimum:
        return "at least";
      case Bound::kExclusiveMinimum:
        return "more than";
    }
    return "";
  }
  Bound bound_;
  Value limit_;
};

class MultipleKeyword final : public Keyword {
 public:
  MultipleKeyword(std::string pointer, Value divisor, Divisor exact)
      : Keyword(std::move(pointer)), divisor_(std::move(divisor)), exact_(exact) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_number() || is_multiple(value, exact_)) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must be a multiple of {}, is {}", preview(divisor_, 40),
                         preview(value, 40));
    });
  }

 private:
  Value divisor_;
  Divisor exact_;
};

}  // namespace

void build_number_keywords(Builder& builder) {
  constexpr std::pair<std::string_view, Bound> kBounds[] = {
      {"maximum", Bound::kMaximum},
      {"exclusiveMaximum", Bound::kExclusiveMaximum},
      {"minimum", Bound::kMinimum},
      {"exclusiveMinimum", Bound::kExclusiveMinimum},
  };
  for (const auto& [keyword, bound] : kBounds) {
    if (auto limit = builder.number(keyword)) builder.add<BoundKeyword>(keyword, bound, *limit);
  }
  auto divisor = builder.number("multipleOf");
  if (!divisor) return;
  if (compare_numbers(*divisor, Value::integer(0)) <= 0) {
    builder.invalid("multipleOf", "multipleOf must be more than 0");
  } else if (auto exact = make_divisor(*divisor)) {
    builder.add<MultipleKeyword>("multipleOf", *divisor, *exact);
  } else {
    builder.unsupported("multipleOf", "multipleOf with more than 18 significant digits");
  }
}

}  // namespace sluice::json_schema
