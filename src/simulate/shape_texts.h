// The generators behind plan_shapes.h, one function per shape. Inside of simulate/. Pure.
#pragma once

#include "simulate/plan_shapes.h"

namespace sluice::shapes {

// shapes_plain.cpp: calls and how they depend on each other
ShapeText chain(Random& random);
ShapeText wide_map(Random& random);
ShapeText map_chain(Random& random);
ShapeText diamond(Random& random);
ShapeText stream(Random& random);

// shapes_trouble.cpp: what happens when calls fail
ShapeText retries(Random& random);
ShapeText fallback(Random& random);
ShapeText saga(Random& random);
ShapeText budget(Random& random);

// shapes_deep.cpp: loops, plans inside plans, people and models
ShapeText repeat(Random& random);
ShapeText sub_plans(Random& random);
ShapeText produced(Random& random);
ShapeText agent(Random& random);
ShapeText waits(Random& random);
ShapeText approval(Random& random);

// shapes_nested.cpp: plans with parameters
ShapeText nested(Random& random);
ShapeText branches(Random& random);
ShapeText rows(Random& random);

// shapes_garden.cpp: anything that reads anything
ShapeText garden(Random& random);

// Builds a plan's text line by line.
class PlanText {
 public:
  PlanText();
  PlanText& key(std::string_view line);   // of the plan, before its steps
  PlanText& step(std::string_view line);  // "a: {...}"
  std::string done(std::string_view result) const;

 private:
  std::string keys_;
  std::string steps_;
};

inline bool chance(Random& random, double probability) { return random.unit() < probability; }
inline int between(Random& random, int low, int high) {
  const auto span = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
  return low + static_cast<int>(random.below(span));
}
template <std::size_t N>
std::string_view any_of(Random& random, const std::string_view (&choices)[N]) {
  return choices[random.below(N)];
}

}  // namespace sluice::shapes
