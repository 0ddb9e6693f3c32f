// Who could tell that a step ends earlier than the plan says: a pass that lets a step be skipped
// before all that it waits for has ended asks, so that nothing acts before what it had to come
// after, and nothing is done that a failure held up. As the draft was when it is made. Pure; any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "optimize/plan_draft.h"

namespace sluice {

// What a step does to the world outside, or sees of it: a model without tools neither.
Effect acts(const PlanDraft& draft, std::uint32_t step);

class EarlyEnds {
 public:
  explicit EarlyEnds(const PlanDraft& draft);

  // Why `step`, where it is skipped, may not be so before each of `lost` (and what that one waits
  // for) has ended; "" when nothing could tell. It goes on waiting for all of `kept`. `guard`: one
  // more that may fail and is not waited for, but for what it waits for itself. Two things can:
  // - Somebody waits for its end or reads its status, or that of a step that is skipped with it,
  //   and something with an effect comes behind. What is lost may fail, and holds that up then.
  // - Something with an effect stands before `lost`, and something that acts or reads comes behind
  //   the step, in whatever way.
  std::string obstacle(std::uint32_t step, const std::vector<std::uint32_t>& lost,
                       const std::vector<std::uint32_t>& kept,
                       std::uint32_t guard = kNoIndex) const;

 private:
  struct Behind {
    Effect all = Effect::kPure;      // the most that it and what comes after it do
    Effect skipped = Effect::kPure;  // where it is skipped: those that run all the same
    Effect ordered = Effect::kPure;  // of them, those behind `waiter`
    std::uint32_t waiter = kNoIndex;
  };

  void look_behind(const PlanDraft& draft, std::uint32_t step);
  void look_before(const PlanDraft& draft, std::uint32_t step);
  // A step with an effect that `lost` waits for and nothing of `kept` does.
  std::uint32_t unwaited_effect(const std::vector<std::uint32_t>& lost,
                                const std::vector<std::uint32_t>& kept) const;

  using Steps = std::vector<std::uint64_t>;  // one bit per step with an effect
  std::vector<std::string> names_;
  std::vector<Behind> behind_;
  std::vector<std::uint32_t> effects_;  // steps with an effect
  std::vector<Steps> before_;           // the step, and all that it may wait for
  std::vector<Steps> surely_before_;    // the step, and what has surely ended when it has
};

}  // namespace sluice
