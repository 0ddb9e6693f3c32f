// maxLength, maxItems, maxProperties and the three that begin with min: how much a value holds.
#include <fmt/format.h>

#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

class SizeKeyword final : public Keyword {
 public:
  SizeKeyword(std::string pointer, const SizeWords& words, bool maximum, std::uint64_t limit)
      : Keyword(std::move(pointer)), words_(words), maximum_(maximum), limit_(limit) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (value.kind() != words_.kind || bytes_decide(value)) return true;
    const std::size_t size = value.size();
    if (maximum_ ? size <= limit_ : size >= limit_) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must have at {} {} {}, has {}", maximum_ ? "most" : "least", limit_,
                         limit_ == 1 ? words_.one : words_.many, size);
    });
  }

 private:
  // A character has one to four bytes: often they need not be counted.
  bool bytes_decide(const Value& value) const {
    if (!value.is_string()) return false;
    const std::size_t bytes = value.as_string().size();
    return maximum_ ? bytes <= limit_ : bytes / 4 >= limit_;
  }

  SizeWords words_;
  bool maximum_;
  std::uint64_t limit_;
};

}  // namespace

void build_size_keywords(Builder& builder, const SizeWords& words) {
  if (auto limit = builder.count(words.maximum)) {
    builder.add<SizeKeyword>(words.maximum, words, true, *limit);
  }
  if (auto limit = builder.count(words.minimum)) {
    builder.add<SizeKeyword>(words.minimum, words, false, *limit);
  }
}

}  // namespace sluice::json_schema
