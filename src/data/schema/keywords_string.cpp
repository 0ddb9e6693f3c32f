// maxLength, minLength, pattern.
#include <fmt/format.h>

#include "data/json.h"
#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

class LengthKeyword final : public Keyword {
 public:
  LengthKeyword(std::string pointer, bool maximum, std::uint64_t limit)
      : Keyword(std::move(pointer)), maximum_(maximum), limit_(limit) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_string()) return true;
    // A character has one to four bytes: often the bytes alone decide.
    std::size_t bytes = value.as_string().size();
    if (maximum_ ? bytes <= limit_ : bytes / 4 >= limit_) return true;
    std::size_t length = value.size();
    if (maximum_ ? length <= limit_ : length >= limit_) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must have at {} {} character{}, has {}", maximum_ ? "most" : "least",
                         limit_, limit_ == 1 ? "" : "s", length);
    });
  }

 private:
  bool maximum_;
  std::uint64_t limit_;
};

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
  if (auto limit = builder.count("maxLength"))
    builder.add<LengthKeyword>("maxLength", true, *limit);
  if (auto limit = builder.count("minLength")) {
    builder.add<LengthKeyword>("minLength", false, *limit);
  }
  const Value* expression = builder.get("pattern");
  if (expression == nullptr) return;
  if (!expression->is_string()) return builder.invalid("pattern", "pattern must be a string");
  if (auto pattern = builder.pattern("pattern", expression->as_string())) {
    builder.add<PatternKeyword>("pattern", std::move(*pattern));
  }
}

}  // namespace sluice::json_schema
