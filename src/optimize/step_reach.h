// Which steps a step waits for, directly or not: asked over and over by passes that let steps wait
// for more. One pass, one thread.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "optimize/plan_draft.h"

namespace sluice {

class StepReach {
 public:
  // A step and the one that stands in for it wait for each other.
  explicit StepReach(const PlanDraft& draft);

  // Steps that it waits for itself.
  const std::vector<std::uint32_t>& needs(std::uint32_t step) const { return needs_[step]; }
  // Whether one of `steps` is `other` or waits for it.
  bool reach(const std::vector<std::uint32_t>& steps, std::uint32_t other) const;
  bool reach(std::uint32_t step, std::uint32_t other) const {
    return ((row(step)[other / 64] >> (other % 64)) & 1) != 0;
  }
  // Lets the step wait for one that does not wait for it.
  void add(std::uint32_t step, std::uint32_t needed);

  // Calls `visit` with each of `steps` and all that they wait for, once each, the lowest first.
  template <class Visit>
  void visit(const std::vector<std::uint32_t>& steps, Visit visit) const {
    std::vector<std::uint64_t> all(words_, 0);
    for (const std::uint32_t step : steps) merge(all.data(), row(step));
    for (std::size_t word = 0; word < words_; ++word) {
      for (std::uint64_t bits = all[word]; bits != 0; bits &= bits - 1) {
        visit(static_cast<std::uint32_t>(word * 64) +
              static_cast<std::uint32_t>(std::countr_zero(bits)));
      }
    }
  }

 private:
  const std::uint64_t* row(std::uint32_t step) const { return &rows_[step * words_]; }
  bool merge(std::uint64_t* into, const std::uint64_t* from) const;  // true: it became more

  std::size_t words_;
  std::vector<std::uint64_t> rows_;  // of each step: itself and what it waits for, one bit each
  std::vector<std::vector<std::uint32_t>> needs_;
};

}  // namespace sluice
