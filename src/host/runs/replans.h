// Which steps of a run were given another form of their plan while it ran, when, from which item on
// and why: folded from its trace, for people. Memory grows with the forms. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/physical.h"
#include "runtime/trace.h"

namespace sluice {

// From `from_item` on the tasks of `step` run their plan in another form.
struct StepReplan {
  std::string step;
  std::uint64_t from_item = 0;
  std::optional<SteadyNs> at;  // nullopt: a snapshot tells of it, and not when it was
  std::string why;
  std::string before, after;  // orders of work
};

class ReplanFold final : public TraceSink {
 public:
  void on_trace(const TraceEvent& event) override;
  void restored(std::string_view folded) override;
  const std::vector<StepReplan>& replans() const { return replans_; }

 private:
  std::vector<StepReplan> replans_;
  std::map<std::uint32_t, std::string> orders_;  // of the last form, by step of the run's plan
  bool restoring_ = false;
};

// In which order the steps of a plan make calls: "first -> second, third -> last". Steps that
// only compute values have no place in it, unless there are no others.
std::string order_of_work(const PhysicalPlan& plan);

}  // namespace sluice
