// What random_typed_plan.cpp puts plans together from: steps that are known so far and expressions
// over them. Inside of tests/laws/. One thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"

namespace sluice::laws {

enum class Kind : std::uint8_t {
  kInt,
  kFlag,   // "low", "mid", "high"
  kYes,    // "yes", "no"
  kLabel,  // {label, score}
  kText,
  kRow,   // {n, tag, perhaps m}
  kInts,  // a list, as one value
  kRows,
};
// A value of the kind, as YAML.
std::string_view some_value(Kind kind);

// A step that others may read.
struct Grown {
  std::string id;
  Kind kind = Kind::kInt;
  int length = 0;  // 0: one task; lists of one number are equally long
  bool may_skip = false;
};

// What a for_each may go over.
struct Items {
  std::string text;  // of the for_each
  Kind kind = Kind::kInt;
  int length = 0;
  std::string source;  // the step that is read, or ""
};

using Fields = std::vector<std::pair<std::string, std::string>>;
std::string step_line(const std::string& id, const Fields& fields);
std::string* field_of(Fields& fields, std::string_view key);  // null: there is none
void set_field(Fields& fields, std::string_view key, std::string text);
std::string quoted(std::string_view expression);  // as a scalar of YAML
void replace_all(std::string& text, std::string_view what, std::string_view with);

struct Made {
  Grown grown;
  Fields fields;
};

// Chance, in words.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  bool one_in(std::uint64_t n) { return random_.below(n) == 0; }
  bool chance(double probability) { return random_.unit() < probability; }
  int between(int low, int high) {
    return low + static_cast<int>(random_.below(static_cast<std::uint64_t>(high - low + 1)));
  }
  template <class Range>
  const auto& any(const Range& range) {
    return range[random_.below(std::size(range))];
  }

 private:
  Random random_;
};

// The expressions of one step, and what they read.
class Reading {
 public:
  // `params`: names of integers. `items`: null: the step has no for_each.
  Reading(Dice& dice, const std::vector<Grown>& grown, const std::vector<std::string>& params,
          bool root, const Items* items)
      : dice_(dice), grown_(grown), params_(params), root_(root), items_(items) {}

  std::string number(int depth = 0);
  std::string condition();  // with its conjuncts
  std::string prompt();
  std::string anything();  // of any kind: a whole list, a row
  // "a: {skipped: skip}, b: ..."; what has to be said about inputs, and sometimes more.
  std::string joins(bool& may_skip);
  const std::set<std::string>& reads() const { return reads_; }

 private:
  std::string conjunct(int depth = 0);
  std::string of_item();
  std::string of_step(const Grown& step);
  std::string choice_of_step(const Grown& step);
  std::string place_of(const Grown& step, bool& whole);
  std::string erring();
  const Grown* pick(bool choices);
  const Grown* find(const std::string& id) const;

  Dice& dice_;
  const std::vector<Grown>& grown_;
  const std::vector<std::string>& params_;
  bool root_;
  const Items* items_;
  std::set<std::string> reads_;   // by output
  std::set<std::string> wholes_;  // of them, those that were read as a whole list
};

}  // namespace sluice::laws
