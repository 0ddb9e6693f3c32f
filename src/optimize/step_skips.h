// Which steps of a plan may be skipped, and what a step says of inputs that are missing: asked by
// passes that let steps read other steps than before. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "optimize/plan_draft.h"

namespace sluice {

// It reads what the other step gives, rather than that it has ended or how.
bool reads_output(const Reference& read);
// Where the input is skipped the step is, and where it failed the step does.
bool plain_join(const Step& step, std::string_view input);
// The step may be skipped for a reason of its own.
bool skips_itself(const Step& step);
// Running the step may wait for time or a person.
bool waits(const Step& step, const Plan& plan);

// As things are when it is made, by the index of the step.
class StepSkips {
 public:
  explicit StepSkips(const PlanDraft& draft);
  bool whole(std::uint32_t step) const { return whole_[step] != 0; }  // all of it
  bool slot(std::uint32_t step) const { return slot_[step] != 0; }    // a task of it

 private:
  std::vector<char> whole_, slot_;
};

// States that the step is skipped where that input is.
void state_skip(Step& step, const std::string& input);
// States what happens anyhow where inputs are skipped: verification asks for it where one may be
// skipped while another is not. Nothing is stated where there is one input only.
void state_skips(Step& step, const std::function<bool(std::string_view input)>& may_skip);

}  // namespace sluice
