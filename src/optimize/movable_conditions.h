// The conditions of a plan's steps, operand by operand, and where each of them may be asked
// instead: what early_conditions may do without anybody being able to tell. Whether it is worth it
// is for the pass to know. As the draft was when it is made, but for what `let_wait` adds. One
// pass, one thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "optimize/early_ends.h"
#include "optimize/plan_draft.h"
#include "optimize/step_reach.h"

namespace sluice {

struct MovableCondition {
  std::string text;                  // an expression
  std::string said;                  // for people
  bool forgives = false;             // another pass has moved it: what cannot be told holds
  std::string owner;                 // the first step that has it
  std::vector<std::uint32_t> reads;  // steps whose outputs it reads, each once
  std::vector<std::uint32_t> slots;  // of them, those of which it reads one slot
  bool item = false;                 // reads `item`
  bool slot = false;                 // reads `index`, or one slot of a step
  bool movable = false;
  std::vector<std::pair<std::uint32_t, std::size_t>> places;  // steps, and which operand it is
};

class MovableConditions {
 public:
  MovableConditions(const PlanDraft& draft, const ToolCatalog& tools);

  // Some step has one that may be asked elsewhere.
  bool any() const { return any_; }
  std::size_t size() const { return conditions_.size(); }
  const MovableCondition& operator[](std::uint32_t number) const { return conditions_[number]; }
  // Of the step's `when`, as written; by number.
  const std::vector<std::uint32_t>& own(std::uint32_t step) const { return own_[step]; }
  // Why the step runs whether or not it is needed; "" when it can be spared.
  const std::string& obstacle(std::uint32_t step);
  // Why its readers, where they are skipped, may not be so before it has ended.
  std::string readers_end(std::uint32_t step);
  // Whether the condition says the same of the step's task as of the reader's.
  bool fits(std::uint32_t reader, std::uint32_t step, const MovableCondition& condition) const;
  bool waits_for(const MovableCondition& condition, std::uint32_t step) const {
    return reach_.reach(condition.reads, step);
  }
  void let_wait(std::uint32_t step, const MovableCondition& condition) {
    for (const std::uint32_t from : condition.reads) reach_.add(step, from);
  }
  const StepReach& reach() const { return reach_; }

 private:
  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }
  void collect();
  std::uint32_t number_of(const std::string& text, const Step& owner);
  void classify(const Expr& expr, MovableCondition& made) const;
  bool usable(std::uint32_t step, const MovableCondition& condition) const;
  std::string own_obstacle(std::uint32_t step) const;
  std::string reader_obstacle(std::uint32_t step) const;
  std::vector<std::uint32_t> read_by(std::uint32_t step, bool body) const;
  bool same_rows(std::uint32_t one, std::uint32_t other) const;
  std::uint32_t source_of_rows(std::uint32_t step) const;
  bool plain_items(std::uint32_t step) const;

  const PlanDraft& draft_;
  const ToolCatalog& tools_;
  StepReach reach_;
  std::optional<EarlyEnds> ends_;  // once it is asked
  bool any_ = false;
  std::vector<MovableCondition> conditions_;
  std::map<std::string, std::uint32_t> by_text_;
  std::vector<std::vector<std::uint32_t>> own_;
  std::vector<std::optional<std::string>> obstacles_;
};

}  // namespace sluice
