// Binder: carries out Bind effects. It evaluates the expressions of tasks over what the state says
// they read. Deterministic: the same state and request give the same answer, so binds are not
// journaled and a replay does them again. One thread.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <vector>

#include "data/expr.h"
#include "data/hash.h"
#include "runtime/effect.h"
#include "runtime/event.h"
#include "runtime/run_state.h"
#include "runtime/value_store.h"

namespace sluice {

class Binder {
 public:
  explicit Binder(ValueStore& values) : values_(values) {}

  // Appends one Bound per request, in order.
  void bind(const RunState& state, std::span<const BindRequest> requests, std::vector<Bound>& out);

  // Large values that were made here and gone to the ValueStore. No record names them: a journal
  // has them only once a snapshot refers to them.
  std::set<Hash256>& made() { return made_; }
  // A value of the ValueStore could not be read: what bind gave then means nothing.
  const std::optional<Error>& lost() const { return lost_; }

 private:
  // Where a tree's inputs come from: a task, or a frame's result.
  struct Source {
    const RunState& state;
    TaskRef task;
    const PhysicalStep* step;  // null: the frame's result
    const PhysicalPlan* plan;
    int depth = 0;  // of join values inside join values
  };

  Bound bind_one(const RunState& state, const BindRequest& request);
  void bind_items(const Source& source, Bound& bound);
  void bind_body(const Source& source, Bound& bound);
  void bind_condition(const Source& source, const BoundTree& tree, Bound& bound);
  void bind_result(const Source& source, Bound& bound);
  Result<Value> evaluate(const Source& source, const BoundTree& tree);
  Result<Value> evaluate_node(const Source& source, const BoundTree& tree, const Binding& node,
                              std::size_t& leaf);
  Result<Value> evaluate_prompt(const Source& source, const BoundTree& tree, const Binding& node,
                                std::size_t leaf);
  Result<void> gather(const Source& source, const BoundTree& tree, std::size_t leaf,
                      std::vector<Value>& inputs);
  Result<Value> read(const Source& source, std::uint32_t input);
  Result<Value> read_edge(const Source& source, const StepInput& input);
  Result<Value> check_output(const PhysicalStep& step, Value value);

  ValueStore& values_;
  std::set<Hash256> made_;
  std::optional<Error> lost_;
  EvalContext context_;
  std::vector<Value> scratch_;
};

}  // namespace sluice
