#include "plan/parse.h"

#include "plan/plan_reader.h"
#include "plan/text_tree.h"

namespace sluice {
namespace {

ParsedPlan finish(ReadState& state, PlanPtr plan, Diagnostics&& diagnostics) {
  // Every plan inside knows all the files: a position names one by its index.
  for (const auto& each : state.plans) {
    each->files = state.files;
    each->broken = each->broken || diagnostics.has_errors();  // of the text or of another plan
  }
  diagnostics.sort();
  return {std::move(plan), std::move(diagnostics)};
}

}  // namespace

ParsedPlan parse_plan(std::string_view text, std::string_view file_name,
                      const ParseOptions& options) {
  Diagnostics diagnostics;
  ReadState state{options, diagnostics, {std::string(file_name)}, {std::string(file_name)}, {}, 0};
  PlanPtr plan;
  if (auto root = read_text_tree(text, 0, options.limits, diagnostics)) {
    plan = PlanReader(state, nullptr).read(*root, true);
  }
  return finish(state, std::move(plan), std::move(diagnostics));
}

ParsedPlan parse_plan_value(const Value& value, std::string_view file_name,
                            const ParseOptions& options) {
  Diagnostics diagnostics;
  ReadState state{options, diagnostics, {std::string(file_name)}, {std::string(file_name)}, {}, 0};
  PlanPtr plan;
  if (auto root = tree_of_value(value, options.limits, diagnostics)) {
    plan = PlanReader(state, nullptr).read(*root, false);
  }
  return finish(state, std::move(plan), std::move(diagnostics));
}

}  // namespace sluice
