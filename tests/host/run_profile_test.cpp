// What real runs did, as their journals tell it: per step, task by task, and what would have
// helped.
#include "host/runs/run_profile.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "tests/host/durable_bench.h"

namespace sluice {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kMs = kNsPerMs;

// `nap` sleeps 0.1 s and gives its argument back; two at once.
constexpr const char* kNap =
    "sluice: 1\ntools:\n  nap: {kind: process, stdout: text, effect: pure, concurrency: 2,\n"
    "        command: [sh, -c, 'sleep 0.1; printf %s \"$1\"', sh]}\n";

class RunProfiles : public DurableBench {
 protected:
  ProfiledRun profile(const std::string& text, std::size_t most = RunProfileFold::kMostTasks) {
    auto report = run(text);
    EXPECT_TRUE(report.has_value()) << status(report);
    auto made = profile_run(journal(), report->run_id, most);
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return std::move(*made);
  }
  static const StepProfile& step(const RunProfile& profile, std::string_view id) {
    auto found = std::ranges::find(profile.steps, id, &StepProfile::id);
    if (found != profile.steps.end()) return *found;
    static const StepProfile kNone;
    ADD_FAILURE() << "no step " << id;
    return kNone;
  }
  static std::vector<std::string> path(const RunProfile& profile) {
    std::vector<std::string> labels;
    for (std::uint32_t task : profile.critical) labels.push_back(profile.labels[task]);
    return labels;
  }
  // A task's dependencies end before it begins, and none is its own.
  static void expect_sound(const RunProfile& profile) {
    const auto& tasks = profile.realized.tasks;
    ASSERT_EQ(profile.labels.size(), tasks.size());
    for (std::size_t at = 0; at < tasks.size(); ++at) {
      EXPECT_LE(tasks[at].start_ns, tasks[at].end_ns) << profile.labels[at];
      for (std::uint32_t before : tasks[at].after) {
        EXPECT_NE(before, at) << profile.labels[at];
        EXPECT_LE(tasks[before].end_ns, tasks[at].end_ns)
            << profile.labels[before] << " before " << profile.labels[at];
      }
    }
    EXPECT_TRUE(simulate_run(profile.realized).has_value()) << "tasks in a circle";
  }
};

TEST_F(RunProfiles, TellWaitingFromWorking) {
  auto made = profile(std::string(kNap) + R"(steps:
  list: {value: [1, 2, 3, 4]}
  nap: {for_each: "{{ steps.list.output }}", tool: nap, with: {args: ["{{ item }}"]}}
  all: {value: "{{ steps.nap.output | join }}"}
result: "{{ steps.all.output }}"
)");
  const RunProfile& seen = made.profile;
  expect_sound(seen);
  ASSERT_EQ(seen.steps.size(), 3u);
  EXPECT_EQ(seen.tasks, 6u);
  const StepProfile& nap = step(seen, "nap");
  EXPECT_EQ(nap.calls, 4u);
  EXPECT_EQ(nap.done, 4u);
  EXPECT_EQ(nap.resource, "tool:nap.run");
  // Two rounds of two: each task works 0.1 s, two of them wait as long before.
  EXPECT_GE(nap.working_ns, 400 * kMs);
  EXPECT_GE(nap.waiting_ns, 190 * kMs);
  EXPECT_LT(nap.waiting_ns, nap.working_ns);
  EXPECT_GE(nap.busy_ns, 400 * kMs);
  EXPECT_EQ(step(seen, "list").working_ns, 0);
  ASSERT_EQ(path(seen).size(), 1u);
  EXPECT_THAT(path(seen).front(), HasSubstr("nap["));
  const auto found = try_changes(seen.realized, possible_changes(seen.realized));
  ASSERT_TRUE(found.has_value());
  EXPECT_NEAR(static_cast<double>(found->unchanged_ns),
              static_cast<double>(seen.end_ns - seen.start_ns), 100.0 * kMs);
  auto more = simulate_run(seen.realized, {Change::Kind::kMorePlaces, "tool:nap.run", 2, 1});
  ASSERT_TRUE(more.has_value());
  EXPECT_LT(more->length_ns, found->unchanged_ns - 50 * kMs) << "four at once take one round";
}

TEST_F(RunProfiles, TheCriticalPathGoesThroughSubPlans) {
  auto made = profile(std::string(kNap) + R"(plans:
  twice:
    sluice: 1
    params: {n: {type: integer}}
    steps:
      first: {tool: nap, with: {args: ["{{ params.n }}"]}}
      last: {tool: nap, with: {args: ["{{ steps.first.output }}"]}}
    result: "{{ steps.last.output }}"
steps:
  rows: {for_each: [1, 2], plan: twice, with: {n: "{{ item }}"}, concurrency: 1}
  end: {tool: nap, with: {args: ["{{ steps.rows.output | join }}"]}}
result: "{{ steps.end.output }}"
)");
  const RunProfile& seen = made.profile;
  expect_sound(seen);
  ASSERT_EQ(seen.steps.size(), 4u);
  EXPECT_EQ(seen.steps[1].id, "rows/first");
  EXPECT_EQ(step(seen, "rows/last").calls, 2u);
  EXPECT_EQ(step(seen, "rows").done, 2u);
  EXPECT_GE(step(seen, "rows").working_ns, 390 * kMs) << "from the begin to the end of its plan";
  EXPECT_THAT(path(seen), testing::ElementsAre("rows[1]/first", "rows[1]/last", "end"))
      << "row 1 waited for row 0's place, not for what it gave";
  EXPECT_GE(step(seen, "rows").waiting_ns, 150 * kMs);
  auto wider = simulate_run(seen.realized, {Change::Kind::kMorePlaces, "step rows", 1, 1});
  auto same = simulate_run(seen.realized);
  ASSERT_TRUE(wider && same);
  EXPECT_LT(wider->length_ns, same->length_ns - 100 * kMs);
}

TEST_F(RunProfiles, SkippedFailedAndCachedAreCounted) {
  auto made = profile(std::string(kNap) + R"(steps:
  some: {for_each: [1, 2, 3], when: "{{ item > 1 }}", value: "{{ item }}"}
  bad: {tool: nap, with: {args: ["x"]}, output: {type: integer}, on_error: {step: good}}
  good: {tool: nap, with: {args: ["instead"]}}
result: ["{{ steps.some.output }}", "{{ steps.bad.output }}"]
)");
  const RunProfile& seen = made.profile;
  expect_sound(seen);
  const StepProfile& some = step(seen, "some");
  EXPECT_EQ(some.skipped, 1u);
  EXPECT_EQ(some.done, 2u);
  EXPECT_EQ(some.tasks, 3u);
  EXPECT_EQ(some.conditions, 3u);
  EXPECT_EQ(some.held, 2u);
  EXPECT_EQ(step(seen, "good").calls, 1u);
  EXPECT_THAT(path(seen), testing::ElementsAre("bad", "good"))
      << "a fallback comes behind what it stands in for";
}

TEST_F(RunProfiles, AStreamIsAChainOfItsItems) {
  auto made = profile(R"(sluice: 1
tools:
  n: {kind: process, stdout: lines, effect: pure,
      command: [sh, -c, 'for i in 1 2 3; do sleep 0.05; echo $i; done']}
steps:
  n: {tool: n}
  a: {for_each: "{{ steps.n.output }}", value: "{{ item | int }}"}
result: "{{ steps.a.output }}"
)");
  const RunProfile& seen = made.profile;
  expect_sound(seen);
  EXPECT_EQ(step(seen, "n").tasks, 3u);
  EXPECT_EQ(step(seen, "n").calls, 1u);
  EXPECT_GE(step(seen, "n").working_ns, 150 * kMs);
  const auto on_path = path(seen);
  EXPECT_THAT(on_path, testing::Contains("n[2]"));
  auto same = simulate_run(seen.realized);
  auto faster = simulate_run(seen.realized, {Change::Kind::kStepFaster, "n", 0, 2});
  ASSERT_TRUE(same && faster);
  EXPECT_LT(faster->length_ns, same->length_ns - 60 * kMs);
}

TEST_F(RunProfiles, OfLongRunsOneOfSoManyItemsIsKept) {
  std::string items = "0";
  for (int i = 1; i < 400; ++i) items += ", " + std::to_string(i);
  const std::string text = "sluice: 1\nsteps:\n  a: {for_each: [" + items +
                           R"(], value: "{{ item }}", output: {type: integer}}
  b: {for_each: "{{ steps.a.output }}", value: "{{ item * 2 }}"}
  sum: {value: "{{ steps.b.output | sum }}"}
result: "{{ steps.sum.output }}"
)";
  auto all = profile(text);
  EXPECT_EQ(all.profile.one_of, 1u);
  EXPECT_EQ(all.profile.tasks, 801u);
  auto made = profile(text, 120);
  const RunProfile& seen = made.profile;
  expect_sound(seen);
  EXPECT_EQ(seen.tasks, 801u) << "counts are of all tasks";
  EXPECT_EQ(step(seen, "a").done, 400u);
  EXPECT_EQ(seen.one_of, 8u);
  EXPECT_TRUE(seen.no_graph.empty());
  std::size_t kept = 0;
  for (const std::string& label : seen.labels) kept += label.starts_with("a[") ? 1 : 0;
  EXPECT_EQ(kept, 50u);
  for (std::size_t at = 0; at < seen.labels.size(); ++at) {
    if (!seen.labels[at].starts_with("b[")) continue;
    ASSERT_EQ(seen.realized.tasks[at].after.size(), 1u);
    const std::string& before = seen.labels[seen.realized.tasks[at].after.front()];
    EXPECT_EQ(before.substr(1), seen.labels[at].substr(1)) << "the same item of the step before";
  }
}

TEST_F(RunProfiles, ARunWithoutItemsHasNoSample) {
  std::string text = "sluice: 1\nsteps:\n";
  for (int i = 0; i < 30; ++i) {
    text += "  s" + std::to_string(i) + ": {value: " + std::to_string(i) + "}\n";
  }
  auto made = profile(text, 20);
  EXPECT_THAT(made.profile.no_graph, HasSubstr("more than 20 tasks"));
  EXPECT_EQ(made.profile.tasks, 30u);
  EXPECT_TRUE(made.profile.realized.tasks.empty());
}

TEST_F(RunProfiles, OfAnUnknownRunIsAnError) {
  auto made = profile_run(journal(), "nosuchrun");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code(), ErrorCode::kRunUnknown);
}

TEST_F(RunProfiles, KnowTheParametersOfTheRun) {
  auto report = run_plan(request("sluice: 1\nparams: {n: {type: integer}}\nsteps: {a: {value: "
                                 "\"{{ params.n }}\"}}\nresult: \"{{ steps.a.output }}\"\n",
                                 Value::object({{"n", Value::integer(7)}})),
                         settings(), watching);
  ASSERT_EQ(status(report), "succeeded");
  auto made = profile_run(journal(), report->run_id);
  ASSERT_TRUE(made.has_value());
  ASSERT_NE(made->params.find("n"), nullptr);
  EXPECT_EQ(made->params.find("n")->as_int(), 7);
}

}  // namespace
}  // namespace sluice
