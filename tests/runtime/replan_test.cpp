// A step that runs its sub-plan in another form from an item on: what has begun stays, nothing is
// done twice, and a journal with it is resumed, replayed and compacted like any other.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "data/json.h"
#include "runtime/replay.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

// `first` is asked of every row, `second` where the first holds.
std::string text_with(const std::string& steps) {
  return "sluice: 1\n"
         "params: {rows: {type: array}}\n"
         "tools:\n"
         "  ask: {kind: process, command: [ask], effect: pure}\n"
         "plans:\n"
         "  row:\n"
         "    sluice: 1\n"
         "    params: {n: {type: integer}}\n"
         "    steps:\n" +
         steps +
         "    result: {n: \"{{ params.n }}\"}\n"
         "steps:\n"
         "  row: {for_each: \"{{ params.rows }}\", plan: row, with: {n: \"{{ item }}\"}, "
         "concurrency: 2}\n"
         "result: \"{{ steps.row.output }}\"\n";
}

std::string written() {
  return text_with(
      "      first: {tool: ask, with: {args: [\"{{ params.n }}\", 1]}}\n"
      "      second: {when: \"{{ steps.first.output == 'yes' }}\", tool: ask, with: {args: [\"{{ "
      "params.n }}\", 2]}}\n");
}

// The other way round: the steps have other places too.
std::string other() {
  return text_with(
      "      second: {tool: ask, with: {args: [\"{{ params.n }}\", 2]}}\n"
      "      first: {when: \"{{ steps.second.output == 'yes' }}\", tool: ask, with: {args: [\"{{ "
      "params.n }}\", 1]}}\n");
}

Value six_rows() { return *parse_json(R"({"rows": [0, 1, 2, 3, 4, 5]})"); }

PhysicalPlanPtr other_form(const PhysicalPlan& plan) {
  auto form = std::make_shared<PhysicalPlan>(*plan_of(other())->steps.front().plan);
  form->logical = plan.steps.front().plan->logical;
  form->plan_hash = sha256("another form");
  return form;
}

// The first question says yes, the second no.
ScriptedHost::Answer answers(const StartCall& start) {
  return returned(Value::string(start.task_id.ends_with("first") ? "yes" : "no"));
}

std::unique_ptr<RunRig> begun(std::uint64_t compact_after = 0) {
  auto rig = std::make_unique<RunRig>(plan_of(written()));
  rig->host.answer = answers;
  rig->compact_after = compact_after;
  rig->start(six_rows());
  return rig;
}

// Until so many calls have left.
void perform(RunRig& rig, std::size_t calls) {
  while (rig.host.performed.size() < calls && rig.host.step()) {
  }
}

std::vector<std::string> calls_of(const RunRig& rig, const std::string& row) {
  std::vector<std::string> found;
  for (const std::string& task : rig.host.performed) {
    if (task.starts_with(row + "/")) found.push_back(task.substr(row.size() + 1));
  }
  return found;
}

using Names = std::vector<std::string>;

std::size_t times_recorded(const RunRig& rig) {
  const std::vector<std::string> names = rig.record_names();
  return static_cast<std::size_t>(std::ranges::count(names, "step_replanned"));
}

AdoptPlan no_plans() {
  return [](const AdmitPlan&, const Value&) -> Result<PhysicalPlanPtr> {
    return fail(ErrorCode::kInternal, "no plan is produced here");
  };
}

TEST(Replan, RowsThatHaveNotBegunRunTheOtherForm) {
  auto rig = begun();
  perform(*rig, 3);  // rows 0 and 1 are under way
  rig->loop->replan(0, other_form(*rig->plan), "the second says no");
  rig->run();
  ASSERT_TRUE(rig->outcome);
  EXPECT_EQ(rig->outcome->status, RunStatus::kSucceeded);
  EXPECT_EQ(calls_of(*rig, "row[0]"), (Names{"first", "second"}));
  EXPECT_EQ(calls_of(*rig, "row[1]"), (Names{"first", "second"}));
  for (const char* row : {"row[2]", "row[3]", "row[4]", "row[5]"}) {
    EXPECT_EQ(calls_of(*rig, row), Names{"second"}) << row;
  }
  EXPECT_EQ(to_json(rig->outcome->result), R"([{"n":0},{"n":1},{"n":2},{"n":3},{"n":4},{"n":5}])");
  EXPECT_EQ(times_recorded(*rig), 1u);
}

TEST(Replan, StepsAreCountedUnderTheirNamesInBothForms) {
  auto rig = begun();
  perform(*rig, 3);
  rig->loop->replan(0, other_form(*rig->plan), "why");
  rig->run();
  std::map<std::string, std::uint64_t> calls;
  for (const StepSummary& step : rig->summary.summary().steps) {
    EXPECT_TRUE(calls.emplace(step.id, step.calls).second) << step.id << " twice";
  }
  EXPECT_EQ(calls.at("first"), 2u);
  EXPECT_EQ(calls.at("second"), 6u);
}

TEST(Replan, AReplayDecidesTheSame) {
  auto rig = begun();
  perform(*rig, 3);
  rig->loop->replan(0, other_form(*rig->plan), "why");
  perform(*rig, 6);
  rig->loop->replan(0, plan_of(written())->steps.front().plan, "and back");
  rig->run();
  EXPECT_EQ(times_recorded(*rig), 2u);
  auto report =
      replay_run(*rig->journal, RunRig::kRun, rig->plan, rig->values, nullptr, no_plans());
  ASSERT_TRUE(report) << report.error().to_string();
  EXPECT_TRUE(report->ended);
  if (report->difference) ADD_FAILURE() << report->difference->was << report->difference->now;
}

TEST(Replan, ARunThatDiesAnywhereGoesOnWithTheFormsThatItHad) {
  auto rig = begun();
  perform(*rig, 3);
  rig->loop->replan(0, other_form(*rig->plan), "why");
  rig->run();
  ASSERT_TRUE(rig->outcome);
  const std::vector<std::string> names = rig->record_names();
  const auto replanned =
      static_cast<std::size_t>(std::ranges::find(names, "step_replanned") - names.begin());
  for (std::size_t count = 2; count < names.size(); ++count) {
    SCOPED_TRACE(count);
    auto cut = rig->cut_at(count);
    auto report = cut->resume();
    ASSERT_TRUE(report) << report.error().to_string();
    cut->run();
    ASSERT_TRUE(cut->outcome);
    EXPECT_EQ(cut->outcome->result, rig->outcome->result);
    for (const auto& [key, times] : cut->host.times) EXPECT_EQ(times, 1) << key;
    if (count <= replanned) continue;
    // Whatever of the last row was called after the crash was called in its form.
    const Names last = calls_of(*cut, "row[5]");
    EXPECT_TRUE(std::ranges::find(last, "first") == last.end());
  }
}

TEST(Replan, ASnapshotHasTheForms) {
  for (int steps = 1; steps < 80; ++steps) {
    SCOPED_TRACE(steps);
    auto rig = begun(1);
    perform(*rig, 3);
    rig->loop->replan(0, other_form(*rig->plan), "why");
    for (int i = 0; i < steps; ++i) rig->host.step();
    if (rig->outcome) break;
    rig->kill();
    auto report = rig->resume();
    ASSERT_TRUE(report) << report.error().to_string();
    rig->run();
    ASSERT_TRUE(rig->outcome);
    EXPECT_EQ(rig->outcome->status, RunStatus::kSucceeded);
    const Names last = calls_of(*rig, "row[5]");
    EXPECT_TRUE(std::ranges::find(last, "first") == last.end());
    std::set<std::string> ids;
    for (const StepSummary& step : rig->summary.summary().steps) {
      EXPECT_TRUE(ids.insert(step.id).second) << step.id << " twice";
    }
  }
}

TEST(Replan, OnlyAStepThatRunsAKnownPlanForManyItems) {
  const struct {
    const char* what;
    std::string text;
  } kCases[] = {
      {"one item",
       "sluice: 1\nplans: {row: {sluice: 1, steps: {}}}\n"
       "steps:\n  row: {plan: row, with: {}}\n"},
      {"a value", "sluice: 1\nsteps:\n  row: {for_each: [1, 2], value: \"{{ item }}\"}\n"},
      {"a plan that is undone",
       "sluice: 1\nundo: true\nplans: {row: {sluice: 1, steps: {}}}\n"
       "steps:\n  row: {for_each: [1, 2], plan: row, with: {}}\n"},
  };
  for (const auto& each : kCases) {
    SCOPED_TRACE(each.what);
    const PhysicalPlanPtr plan = plan_of(each.text);
    RunRig rig(plan);
    rig.host.answer = answers;
    rig.start();
    EXPECT_FALSE(rig.loop->state().may_replan(0));
    EXPECT_FALSE(rig.loop->state().may_replan(7));
    rig.loop->replan(0, plan, "why");
    rig.run();
    EXPECT_EQ(times_recorded(rig), 0u);
  }
}

// What is said from inside the trace holds for what is being decided there.
TEST(Drain, WhatIsBeingDecidedDoesNotLeave) {
  struct Stopper final : TraceSink {
    RunLoop* loop = nullptr;
    int starts = 0;
    void on_trace(const TraceEvent& event) override {
      if (event.kind == TraceKind::kCallStarted && ++starts == 3) loop->drain();
    }
  };
  const PhysicalPlanPtr plan = plan_of(written());
  ScriptedHost host;
  host.answer = answers;
  MemoryValueStore values;
  Stopper stopper;
  std::optional<RunOutcome> outcome;
  RunLoop loop(plan, host, values, &stopper, [&](RunOutcome end) { outcome = std::move(end); });
  stopper.loop = &loop;
  host.set_inbox(&loop);
  loop.start({RunRig::kRun, six_rows(), 7});
  host.run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->status, RunStatus::kInterrupted);
  EXPECT_EQ(host.performed.size(), 2u) << "the third was told of, and did not leave";
}

}  // namespace
}  // namespace sluice::testing
