// Lowering of one step: its expressions onto numbered inputs, its references onto edges. Internal
// to plan/. One thread.
#pragma once

#include <string>
#include <vector>

#include "base/name_map.h"
#include "plan/physical.h"
#include "plan/references.h"

namespace sluice {

// What lowering knows of the steps of one plan while it goes through them.
struct LoweringIndex {
  NameMap<std::uint32_t> physical;  // step id -> index in the order
  std::vector<std::string> ids;     // by physical index, as is
  std::vector<char> slots;          // whether it has slots
};

// Collects inputs and edges while trees are bound to them.
class InputBuilder {
 public:
  // `slot_reads`: `[index]` of a relation with slots reads one slot; else the whole, indexed.
  InputBuilder(const LoweringIndex& index, bool slot_reads)
      : index_(index), slot_reads_(slot_reads) {}

  BoundTree bind(const Binding& binding, EdgeUse use);
  std::uint32_t edge(std::uint32_t from, EdgeMode mode, EdgeUse use);

  std::vector<Edge> edges;
  std::vector<StepInput> inputs;

 private:
  std::uint32_t input(const ExprInput& input, EdgeUse use);
  StepInput source_of(const ExprInput& input, EdgeUse use);

  const LoweringIndex& index_;
  bool slot_reads_;
};

// `fallback`: the step runs only when another one has failed. Fills all but plan, resource,
// effect, rank, consumers and hash.
void lower_step(const Step& step, const LoweringIndex& index, bool fallback, PhysicalStep& into);

// Decides Edge::windowed for all slot edges of a plan.
void choose_windows(std::vector<PhysicalStep>& steps);

}  // namespace sluice
