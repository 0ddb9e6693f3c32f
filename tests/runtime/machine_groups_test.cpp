// In which order ready tasks start, when some of them ask about the same, and how many at once,
// when more would gain nothing.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/prompt_group.h"
#include "tests/runtime/machine_rig.h"

namespace sluice::testing {
namespace {

// One mapped step, and one that reads it slot by slot.
PhysicalPlan rows_plan(std::uint32_t concurrency) {
  PhysicalPlan plan;
  plan.concurrency = concurrency;
  plan.steps = {call_step("rows")};
  plan.steps[0].mapped = true;
  plan.steps[0].for_each.emplace();
  return plan;
}

std::vector<std::string> rows(const std::vector<int>& items) {
  std::vector<std::string> names;
  for (int item : items) names.push_back(fmt::format("rows[{}]", item));
  return names;
}

// Every call ends as soon as the next could start, the oldest first.
void run_to_the_end(MachineRig& rig, std::size_t ended = 0) {
  for (; ended < rig.starts.size(); ++ended) rig.returns(rig.starts[ended].task_id);
}

std::uint64_t thirds(const TaskRef& task) { return 1 + task.item % 3; }

TEST(MachineGroups, TasksOfAGroupStartWhereItsFirstOneStands) {
  MachineRig rig(rows_plan(1));
  rig.items = 9;
  rig.group_of = thirds;
  rig.start();
  run_to_the_end(rig);
  EXPECT_EQ(rig.started(), rows({0, 3, 6, 1, 4, 7, 2, 5, 8}));
  ASSERT_EQ(rig.ends.size(), 1U);
  EXPECT_EQ(rig.ends[0].status, RunStatus::kSucceeded);
}

TEST(MachineGroups, WithoutGroupsInTheOrderOfItems) {
  MachineRig rig(rows_plan(1));
  rig.items = 5;
  rig.start();
  run_to_the_end(rig);
  EXPECT_EQ(rig.started(), rows({0, 1, 2, 3, 4}));
}

TEST(MachineGroups, TasksWithoutAGroupKeepTheirPlace) {
  MachineRig rig(rows_plan(1));
  rig.items = 6;
  rig.group_of = [](const TaskRef& task) { return task.item % 4 == 0 ? 7ULL : 0ULL; };
  rig.start();
  run_to_the_end(rig);
  EXPECT_EQ(rig.started(), rows({0, 4, 1, 2, 3, 5}));
}

TEST(MachineGroups, SeveralAtOnceToo) {
  MachineRig rig(rows_plan(2));
  rig.items = 6;
  rig.group_of = thirds;
  rig.start();
  EXPECT_EQ(rig.started(), rows({0, 3}));
  run_to_the_end(rig);
  EXPECT_EQ(rig.started(), rows({0, 3, 1, 4, 2, 5}));
}

TEST(MachineGroups, TheOrderOfItemsWhereThePlanAsksForIt) {
  PhysicalPlan plan = rows_plan(64);
  plan.steps[0].logical.concurrency = 1;
  MachineRig rig(std::move(plan));
  rig.items = 6;
  rig.group_of = thirds;
  rig.start();
  run_to_the_end(rig);
  EXPECT_EQ(rig.started(), rows({0, 1, 2, 3, 4, 5}));
}

TEST(MachineGroups, NobodyWaitsLongerThanTheWindow) {
  PhysicalPlan plan = rows_plan(1);
  plan.window = 4;
  MachineRig rig(std::move(plan));
  rig.items = 12;
  rig.group_of = [](const TaskRef& task) { return 1ULL + task.item % 2; };
  rig.start();
  run_to_the_end(rig);
  const auto started = rig.started();
  ASSERT_EQ(started.size(), 12U);
  for (std::size_t place = 0; place < started.size(); ++place) {
    const auto item = rig.starts[place].call.task.item;
    EXPECT_LE(item, place + 3) << started[place];
    EXPECT_LE(place, item + 3) << started[place];
  }
}

TEST(MachineGroups, SurviveASnapshot) {
  PhysicalPlan plan = rows_plan(1);
  PhysicalPlanPtr same = finish_plan(PhysicalPlan(plan));
  MachineRig rig(std::move(plan));
  rig.items = 9;
  rig.group_of = thirds;
  rig.start();
  rig.returns("rows[0]");
  const std::string bytes = rig.state->snapshot();
  auto restored = RunState::restore(
      bytes, same,
      [](const AdmissionRef&, const PhysicalStep&, const Value&) -> Result<PhysicalPlanPtr> {
        return fail(ErrorCode::kInternal, "nothing was admitted");
      },
      &rig);
  ASSERT_TRUE(restored) << restored.error().to_string();
  EXPECT_EQ((*restored)->snapshot(), bytes);
  rig.state = std::move(*restored);
  run_to_the_end(rig, 1);
  EXPECT_EQ(rig.started(), rows({0, 3, 6, 1, 4, 7, 2, 5, 8}));
}

PhysicalPlan limited_plan(std::uint32_t stated, std::uint32_t advised) {
  PhysicalPlan plan = rows_plan(64);
  plan.steps[0].resource = "tool:x";
  plan.steps[0].resource_limit = stated;
  plan.steps[0].advice.most_at_once = advised;
  return plan;
}

TEST(MachineLimits, TheLesserOfWhatIsStatedAndAdvised) {
  struct Case {
    std::uint32_t stated, advised, at_once;
  };
  for (const Case& one : {Case{4, 2, 2}, Case{2, 4, 2}, Case{0, 3, 3}, Case{4, 0, 4}}) {
    MachineRig rig(limited_plan(one.stated, one.advised));
    rig.items = 6;
    rig.start();
    EXPECT_EQ(rig.starts.size(), one.at_once) << one.stated << " " << one.advised;
    for (std::size_t ended = 0; ended < rig.starts.size(); ++ended) {
      rig.returns(rig.starts[ended].task_id);
      EXPECT_EQ(rig.starts.size(), std::min<std::size_t>(ended + 1 + one.at_once, 6));
    }
    ASSERT_EQ(rig.ends.size(), 1U);
    EXPECT_EQ(rig.ends[0].status, RunStatus::kSucceeded);
  }
}

TEST(MachineLimits, OfAllStepsOfACalleeOrNone) {
  for (const bool known : {true, false}) {
    PhysicalPlan plan = limited_plan(8, 2);
    plan.steps.push_back(call_step("more"));
    plan.steps[1].mapped = true;
    plan.steps[1].for_each.emplace();
    plan.steps[1].resource = "tool:x";
    plan.steps[1].resource_limit = 8;
    plan.steps[1].advice.most_at_once = known ? 3 : 0;
    MachineRig rig(std::move(plan));
    rig.items = 6;
    rig.start();
    EXPECT_EQ(rig.starts.size(), known ? 3U : 8U);
    run_to_the_end(rig);
    ASSERT_EQ(rig.ends.size(), 1U);
    EXPECT_EQ(rig.starts.size(), 12U);
  }
}

TEST(PromptGroup, IsOfTheFirstBytesOfThePrompt) {
  PhysicalStep step = call_step("ask");
  step.advice.group_bytes = 8;
  auto pieces = [](const std::string& first, const std::string& second) {
    auto piece = [](const std::string& text, bool data) {
      return Value::object({{"text", Value::string(text)}, {"data", Value::boolean(data)}});
    };
    return Value::object({{"prompt", Value::array({piece(first, true), piece(second, false)})}});
  };
  const auto group = [&](const Value& with) { return prompt_group(step, with); };
  EXPECT_EQ(group(pieces("12345678", "q")), group(pieces("12345678", "r")));
  EXPECT_EQ(group(pieces("1234", "5678 q")), group(pieces("1234", "5678 r")));
  EXPECT_NE(group(pieces("1234567", "q")), group(pieces("1234567", "r")));
  EXPECT_NE(group(pieces("x2345678", "q")), group(pieces("12345678", "q")));
  auto messages = [](const std::string& role, const std::string& content) {
    return Value::object(
        {{"messages", Value::array({Value::object({{"role", Value::string(role)},
                                                   {"content", Value::string(content)}})})}});
  };
  EXPECT_EQ(group(messages("user", "1234 q")), group(messages("user", "1234 r")));
  EXPECT_NE(group(messages("user", "123")), group(messages("use", "r123")));
  EXPECT_NE(group(Value()), 0U) << "a step without any is a group of its own";
  PhysicalStep other = step;
  other.resource = "model:other";
  EXPECT_NE(prompt_group(other, pieces("12345678", "q")), group(pieces("12345678", "q")));
}

}  // namespace
}  // namespace sluice::testing
