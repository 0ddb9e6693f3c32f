#include "tests/laws/law_run.h"

#include "runtime/run_loop.h"
#include "runtime/value_store.h"
#include "tests/laws/law_host.h"

namespace sluice::laws {
namespace {

constexpr const char* kRunId = "law";
constexpr int kMostSteps = 200'000;

std::vector<LawFrame::Step> steps_of(const PhysicalPlan& plan) {
  std::vector<LawFrame::Step> steps;
  for (const PhysicalStep& step : plan.steps) {
    LawFrame::Step known{step.logical.id, {}, step.when.has_value(), step.mapped, step.fallback_of};
    for (const Edge& edge : step.edges) known.reads.push_back({edge.from, edge.mode, edge.use});
    steps.push_back(std::move(known));
  }
  return steps;
}

// Writes down how tasks end.
class LawTrace final : public TraceSink {
 public:
  explicit LawTrace(LawRun& record) : record_(record) {}
  void watch(const RunState& state) { state_ = &state; }

  void on_trace(const TraceEvent& event) override {
    const bool ends = event.kind == TraceKind::kTaskDone || event.kind == TraceKind::kTaskSkipped ||
                      event.kind == TraceKind::kTaskFailed;
    if (!ends || event.step == nullptr || state_ == nullptr) return;
    const TaskRef& task = event.call.task;
    LawFrame& frame = record_.frames[task.frame];
    const std::string id = state_->task_id(task);
    const std::size_t slash = id.rfind('/');
    if (frame.steps.empty()) frame.steps = steps_of(*event.plan);
    frame.prefix = slash == std::string::npos ? "" : id.substr(0, slash + 1);
    frame.tasks[{task.step, task.item}] = event.kind;
    if (event.kind != TraceKind::kTaskFailed) return;
    record_.failed.insert(root_step(id));
    const bool by_input = event.error != nullptr && event.error->code() == ErrorCode::kInputFailed;
    if (!by_input) record_.by_itself.insert(root_step(id));
  }

 private:
  LawRun& record_;
  const RunState* state_ = nullptr;
};

}  // namespace

std::string root_step(const std::string& task) { return task.substr(0, task.find_first_of("[#/")); }

std::string step_path(const std::string& task) {
  std::string path;
  bool inside = false;
  for (char c : task) {
    if (c == '[' || c == '#') inside = true;
    if (c == '/') inside = false;
    if (!inside) path += c;
  }
  return path;
}

LawRun run_law_plan(const PhysicalPlanPtr& plan, const ToolCatalog& tools, const Value& params,
                    std::uint64_t order, const OptimizerSettings& produced, LawKept* kept) {
  LawRun record;
  LawTrace trace(record);
  LawHost host(tools, record, order, produced, kept);
  MemoryValueStore values;
  RunLoop loop(plan, host, values, &trace, [&](RunOutcome outcome) {
    record.ended = true;
    record.status = outcome.status;
    record.result = outcome.result;
    if (!outcome.errors.empty()) record.error = outcome.errors.front().to_string();
  });
  host.set_inbox(&loop);
  trace.watch(loop.state());
  loop.start({.run_id = kRunId, .params = params, .seed = 1});
  for (int steps = 0; steps < kMostSteps && host.step(); ++steps) {
  }
  for (const std::string& task : record.unlucky) record.failed.insert(root_step(task));
  const auto& most_calls = plan->budget.calls;
  record.spent = record.status == RunStatus::kBudgetSpent ||
                 (most_calls && record.calls.size() >= static_cast<std::size_t>(*most_calls));
  return record;
}

}  // namespace sluice::laws
