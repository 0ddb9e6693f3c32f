// Runs that are taken up from a snapshot: all that the snapshot refers to must still be there.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "data/json.h"
#include "data/value_codec.h"
#include "runtime/inbox.h"
#include "runtime/machine/snapshot.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

ScriptedHost::Answer echo(const StartCall& start) {
  if (start.undo) return returned(Value());
  return start.task_id == "bad" ? failed(ErrorCode::kCodeFailed)
                                : returned(Value::string(start.task_id));
}

void signal_go(RunRig& rig) {
  auto [kind, body] = encode_message(SignalMessage{"go", "", Value::integer(1)});
  rig.loop->take({1, kind, body, 0});
}

std::string outcome_text(const RunRig& rig) {
  if (!rig.outcome) return "no end";
  std::string text = std::string(run_status_name(rig.outcome->status)) + " ";
  text += to_json(rig.outcome->result);
  for (const Error& error : rig.outcome->errors) text += "; " + error.to_string();
  return text;
}

TEST(SnapshotResume, AnUndoCallThatIsUnderWayIsNotForgotten) {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "tools:\n"
      "  pay: {kind: process, command: [pay], effect: idempotent, undo: {tool: back}}\n"
      "  back: {kind: process, command: [back], effect: idempotent}\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "plans:\n"
      "  sub: {sluice: 1, steps: {a: {tool: pay, with: {}}, b: {after: [a], tool: pay, with: "
      "{}}}}\n"
      "steps:\n"
      "  s: {plan: sub, with: {}}\n"
      "  bad: {after: [s], tool: bad, with: {}}\n";
  RunRig whole(plan_of(text));
  whole.host.answer = echo;
  whole.start();
  whole.run();
  ASSERT_TRUE(whole.outcome);
  ASSERT_EQ(whole.host.performed, (std::vector<std::string>{"s/a", "s/b", "bad", "s/b", "s/a"}));
  for (int steps = 1; steps < 60; ++steps) {
    SCOPED_TRACE(steps);
    RunRig rig(plan_of(text));
    rig.host.answer = echo;
    rig.compact_after = 1;
    rig.start();
    for (int i = 0; i < steps; ++i) rig.host.step();
    if (rig.outcome) break;
    rig.kill();
    if (rig.records().empty()) continue;
    auto report = rig.resume();
    ASSERT_TRUE(report) << report.error().to_string();
    rig.run();
    EXPECT_EQ(outcome_text(rig), outcome_text(whole));
  }
}

// Its parameter is a plan, which runs below a sub-plan.
constexpr const char* kPlanBelowSubPlan =
    "sluice: 1\n"
    "params: {p: {type: object}}\n"
    "plans:\n"
    "  sub:\n"
    "    sluice: 1\n"
    "    params: {p: {type: object}}\n"
    "    steps:\n"
    "      ran: {plan: \"{{ params.p }}\", with: {}, limits: {operators: [wait], steps: 9, "
    "tasks: 9}}\n"
    "    result: \"{{ steps.ran.output }}\"\n"
    "steps:\n"
    "  s: {plan: sub, with: {p: \"{{ params.p }}\"}}\n"
    "result: \"{{ steps.s.output }}\"\n";

Value produced(const char* text) { return *parse_json(text); }

// In a sub-plan and in a plan that was itself produced.
TEST(SnapshotResume, APlanThatWasProducedBelowASubPlanIsFound) {
  RunRig rig(plan_of(kPlanBelowSubPlan));
  rig.compact_after = 1;
  rig.start(Value::object({{"p", produced(R"({"sluice": 1,
      "steps": {"hold": {"wait": {"signal": "go"}}}, "result": "{{ steps.hold.output }}"})")}}));
  rig.run();
  ASSERT_EQ(rig.status(), "waiting");
  ASSERT_EQ(rig.record_names().front(), "snapshot");
  rig.kill();
  auto report = rig.resume();
  ASSERT_TRUE(report) << report.error().to_string();
  signal_go(rig);
  rig.run();
  EXPECT_EQ(outcome_text(rig), "succeeded 1");
}

// The plan is being looked at when the run is cancelled; then the task that wanted it is gone.
TEST(SnapshotResume, APlanThatNobodyWantsAnyMoreHoldsUpNothing) {
  for (int before = 0; before < 8; ++before) {
    for (int after = 0; after < 8; ++after) {
      SCOPED_TRACE(fmt::format("{} {}", before, after));
      RunRig rig(plan_of(kPlanBelowSubPlan));
      rig.compact_after = 1;
      rig.host.admit_takes_ns = [] { return kNsPerSecond; };
      rig.start(Value::object({{"p", produced(R"({"sluice": 1,
          "steps": {"hold": {"wait": {"signal": "go"}}}})")}}));
      for (int i = 0; i < before; ++i) rig.host.step();
      rig.loop->cancel("enough");
      for (int i = 0; i < after; ++i) rig.host.step();
      if (rig.outcome) continue;
      rig.kill();
      auto report = rig.resume();
      ASSERT_TRUE(report) << report.error().to_string();
      rig.loop->cancel("enough");
      rig.run();
      ASSERT_TRUE(rig.outcome) << "it waits for a plan that nobody wants";
      EXPECT_EQ(rig.outcome->status, RunStatus::kCancelled);
    }
  }
}

TEST(SnapshotResume, ACallOfAProducedPlanIsUndoneThoughNothingOfItIsLeft) {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "params: {p: {type: object}}\n"
      "tools:\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "plans:\n"
      "  sub:\n"
      "    sluice: 1\n"
      "    params: {p: {type: object}}\n"
      "    steps:\n"
      "      ran: {plan: \"{{ params.p }}\", with: {}, limits: {operators: [tool], steps: 9, "
      "tasks: 9}}\n"
      "steps:\n"
      "  s: {plan: sub, with: {p: \"{{ params.p }}\"}}\n"
      "  hold: {after: [s], wait: {signal: go}}\n"
      "  bad: {after: [hold], tool: bad, with: {}}\n";
  RunRig rig(plan_of(text));
  rig.host.answer = echo;
  rig.compact_after = 1;
  rig.start(Value::object({{"p", produced(R"({"sluice": 1, "tools": {
      "pay": {"kind": "process", "command": ["pay"], "effect": "idempotent",
              "undo": {"tool": "back"}},
      "back": {"kind": "process", "command": ["back"], "effect": "idempotent"}},
      "steps": {"one": {"tool": "pay", "with": {}}}})")}}));
  rig.run();
  ASSERT_EQ(rig.status(), "waiting") << outcome_text(rig);
  for (int life = 0; life < 2; ++life) {
    rig.kill();
    auto report = rig.resume();
    ASSERT_TRUE(report) << report.error().to_string();
    rig.run();
  }
  signal_go(rig);
  rig.run();
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.host.performed, (std::vector<std::string>{"s/ran/one", "bad", "s/ran/one"}));
}

// Each round runs a plan of its own, and a crash comes in every one of them: what the earlier
// rounds did is undone by the plans that did it.
TEST(SnapshotResume, CallsOfTheProducedPlansOfEarlierRoundsAreUndone) {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "params: {plans: {type: array}}\n"
      "tools:\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "steps:\n"
      "  ran:\n"
      "    plan: \"{{ params.plans[round - 1] }}\"\n"
      "    with: {}\n"
      "    limits: {operators: [tool, wait], steps: 9, tasks: 9}\n"
      "    repeat: {until: \"{{ round == 3 }}\", max: 3}\n"
      "  bad: {after: [ran], tool: bad, with: {}}\n";
  constexpr std::string_view kTools = R"("tools": {
      "pay": {"kind": "process", "command": ["pay"], "effect": "idempotent",
              "undo": {"tool": "back"}},
      "back": {"kind": "process", "command": ["back"], "effect": "idempotent"}})";
  std::vector<Value> plans;
  for (const char* steps : {R"("one": {"tool": "pay", "with": {}},
                              "hold": {"after": ["one"], "wait": {"signal": "go"}})",
                            R"("hold": {"wait": {"signal": "go"}},
                              "two": {"after": ["hold"], "tool": "pay", "with": {}})",
                            R"("three": {"tool": "pay", "with": {}},
                              "more": {"after": ["three"], "tool": "pay", "with": {}},
                              "hold": {"after": ["more"], "wait": {"signal": "go"}})"}) {
    plans.push_back(
        produced(fmt::format(R"({{"sluice": 1, {}, "steps": {{{}}}}})", kTools, steps).c_str()));
  }
  RunRig rig(plan_of(text));
  rig.host.answer = echo;
  rig.compact_after = 1;
  rig.start(Value::object({{"plans", Value::array(plans)}}));
  rig.run();
  for (std::uint64_t round = 1; round <= 3; ++round) {
    SCOPED_TRACE(round);
    ASSERT_EQ(rig.status(), "waiting") << outcome_text(rig);
    for (int life = 0; life < 2; ++life) {
      rig.kill();
      auto report = rig.resume();
      ASSERT_TRUE(report) << report.error().to_string();
      rig.run();
    }
    auto [kind, body] = encode_message(SignalMessage{"go", "", Value::integer(1)});
    rig.loop->take({round, kind, body, 0});
    rig.run();
  }
  ASSERT_TRUE(rig.outcome);
  EXPECT_EQ(rig.outcome->status, RunStatus::kFailed) << outcome_text(rig);
  EXPECT_EQ(rig.host.performed,
            (std::vector<std::string>{"ran#1/one", "ran#2/two", "ran#3/three", "ran#3/more", "bad",
                                      "ran#3/more", "ran#3/three", "ran#2/two", "ran#1/one"}));
}

// A produced plan that is gone, one of an earlier round, and one that waits.
RunRig rig_with_produced_plans() {
  const std::string text =
      "sluice: 1\n"
      "undo: true\n"
      "params: {p: {type: object}}\n"
      "tools:\n"
      "  bad: {kind: process, command: [bad], effect: read}\n"
      "steps:\n"
      "  ran:\n"
      "    plan: \"{{ params.p }}\"\n"
      "    with: {}\n"
      "    limits: {operators: [tool, wait], steps: 9, tasks: 9}\n"
      "    repeat: {until: \"{{ round == 2 }}\", max: 2}\n"
      "  bad: {after: [ran], tool: bad, with: {}}\n";
  return RunRig(plan_of(text));
}

std::filesystem::path golden_states() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  return std::filesystem::path(root == nullptr ? "." : root) / "tests/runtime/golden/states";
}

// With SLUICE_UPDATE_GOLDEN set, the snapshot of this program's format is written where there is
// none; one that is there is never changed.
void write_golden_state() {
  RunRig rig = rig_with_produced_plans();
  rig.host.answer = echo;
  rig.compact_after = 1;
  rig.start(Value::object({{"p", produced(R"({"sluice": 1, "tools": {
      "pay": {"kind": "process", "command": ["pay"], "effect": "idempotent",
              "undo": {"tool": "back"}},
      "back": {"kind": "process", "command": ["back"], "effect": "idempotent"}},
      "steps": {"one": {"tool": "pay", "with": {}},
                "hold": {"after": ["one"], "wait": {"signal": "go"}}}})")}}));
  rig.run();
  signal_go(rig);
  rig.run();
  ASSERT_EQ(rig.status(), "waiting") << outcome_text(rig);
  ASSERT_EQ(rig.record_names(), std::vector<std::string>{"snapshot"});
  const auto file = golden_states() / fmt::format("produced.v{}.snapshot", kSnapshotVersion);
  if (std::filesystem::exists(file)) return;
  std::filesystem::create_directories(golden_states());
  std::ofstream(file, std::ios::binary) << rig.records().front().body;
}

TEST(SnapshotResume, StatesOfEarlierFormatsAreTakenUp) {
  if (std::getenv("SLUICE_UPDATE_GOLDEN") != nullptr) write_golden_state();
  std::uint64_t read = 0;
  for (const auto& file : std::filesystem::directory_iterator(golden_states())) {
    SCOPED_TRACE(file.path().filename().string());
    std::ostringstream body;
    body << std::ifstream(file.path(), std::ios::binary).rdbuf();
    RunRig rig = rig_with_produced_plans();
    rig.host.answer = echo;
    rig.compact_after = 1;
    rig.create({{static_cast<std::uint16_t>(RecordType::kSnapshot), 1, body.str()}});
    for (int life = 0; life < 2; ++life) {  // the second from what this program wrote
      auto report = rig.resume();
      ASSERT_TRUE(report) << report.error().to_string();
      rig.run();
      ASSERT_EQ(rig.status(), "waiting") << outcome_text(rig);
      if (life == 0) rig.kill();
    }
    auto [kind, message] = encode_message(SignalMessage{"go", "", Value::integer(1)});
    rig.loop->take({2, kind, message, 0});
    rig.run();
    EXPECT_EQ(rig.host.performed, (std::vector<std::string>{"bad", "ran#2/one", "ran#1/one"}));
    ++read;
  }
  EXPECT_GE(read, kSnapshotVersion);
}

// Large values rest here while a process lives, and in the journal's contents.
class SpillingStore final : public ValueStore {
 public:
  explicit SpillingStore(Journal& journal) : journal_(journal) {}
  Value keep(Value value, std::string* encoded) override {
    if (!value.is_string() || value.as_string().size() < 100) return value;
    std::string bytes = encode_value(value);
    const Hash256 hash = sha256(bytes);
    const std::size_t size = bytes.size();
    kept_[hash] = std::move(value);
    if (encoded != nullptr) *encoded = std::move(bytes);
    return Value::blob_reference(hash, kSpilledMediaType, size);
  }
  Result<Value> load(const Value& value) override {
    if (value.is_array()) {
      std::vector<Value> items;
      for (const Value& item : value.items()) {
        auto whole = load(item);
        if (!whole) return whole;
        items.push_back(std::move(*whole));
      }
      return Value::array(std::move(items));
    }
    if (value.is_object()) {
      std::vector<Value::Member> members;
      for (const auto& [name, member] : value.members()) {
        auto whole = load(member);
        if (!whole) return whole;
        members.emplace_back(name, std::move(*whole));
      }
      return Value::object(std::move(members));
    }
    if (value.kind() != Value::Kind::kBlob) return value;
    if (auto found = kept_.find(value.blob_hash()); found != kept_.end()) return found->second;
    auto bytes = journal_.content(value.blob_hash());
    if (!bytes) return std::unexpected(bytes.error());
    return decode_value(*bytes);
  }

 private:
  Journal& journal_;
  std::map<Hash256, Value> kept_;
};

TEST(SnapshotResume, ALargeValueThatAStepMadeIsThereAfterACrash) {
  const std::string large(400, 'x');
  RunRig rig(
      plan_of("sluice: 1\n"
              "tools:\n"
              "  look: {kind: process, command: [look], effect: read}\n"
              "steps:\n"
              "  big: {value: \"" +
              large +
              "\"}\n"
              "  seen: {tool: look, with: {}}\n"
              "  hold: {after: [seen], wait: {signal: go}}\n"
              "  used: {after: [hold], value: \"{{ steps.big.output }}\"}\n"
              "result: \"{{ steps.used.output | length }}\"\n"));
  rig.host.answer = echo;
  rig.compact_after = 1;
  for (int life = 0; life < 3; ++life) {
    rig.spilling = std::make_unique<SpillingStore>(*rig.journal);
    if (life == 0) {
      rig.start();
    } else {
      auto report = rig.resume();
      ASSERT_TRUE(report) << report.error().to_string();
    }
    rig.run();
    ASSERT_EQ(rig.status(), "waiting");
    if (life == 2) break;
    ASSERT_EQ(rig.record_names().front(), "snapshot");
    rig.kill();
  }
  signal_go(rig);
  rig.run();
  EXPECT_EQ(outcome_text(rig), "succeeded 400");
}

}  // namespace
}  // namespace sluice::testing
