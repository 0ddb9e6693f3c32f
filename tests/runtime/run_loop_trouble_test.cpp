// A journal in trouble: a full disk, for a while or for good, and another owner. And mistakes that
// are switched on: each must show.

#include <gtest/gtest.h>

#include <algorithm>

#include "base/failpoint.h"
#include "data/json.h"
#include "runtime/inbox.h"
#include "tests/contract/store_over.h"
#include "tests/runtime/scripted_host.h"

namespace sluice::testing {
namespace {

// A store over another one, whose commits fail while `error` is set.
class FailingStore final : public testing_contract::StoreOver {
 public:
  explicit FailingStore(std::optional<Error>& error)
      : StoreOver(make_memory_store()), error_(error) {}

  Result<void> commit(std::span<RunCommit> commits) override {
    if (!error_) return inner_->commit(commits);
    if (error_->code() != ErrorCode::kJournal) return std::unexpected(*error_);
    for (RunCommit& one : commits) one.outcome = std::unexpected(*error_);
    return {};
  }
  Result<JournalSeq> last_seq(const RunLease& lease) override {
    if (error_ && error_->code() == ErrorCode::kJournal) return std::unexpected(*error_);
    return inner_->last_seq(lease);
  }

 private:
  std::optional<Error>& error_;
};

const std::string kPlan =
    "sluice: 1\n"
    "tools:\n"
    "  look: {kind: process, command: [look], effect: read}\n"
    "  put: {kind: process, command: [put], effect: idempotent}\n"
    "  pay: {kind: process, command: [pay], effect: once}\n"
    "steps:\n"
    "  a: {for_each: \"{{ [1, 2, 3] }}\", tool: put, with: {args: [\"{{ item }}\"]}}\n"
    "  b: {for_each: \"{{ steps.a.output }}\", tool: pay, with: {args: [\"{{ item }}\"]}}\n"
    "  c: {tool: look, with: {args: [\"{{ steps.b.output | length }}\"]}}\n"
    "result: \"{{ steps.c.output }}\"\n";

ScriptedHost::Answer echo(const StartCall& start) {
  return returned(Value::object({{"of", Value::string(start.task_id)}}));
}

CallProbed probe_by_ledger(const ScriptedHost& host, const StartCall& start) {
  CallProbed probed;
  const bool done = host.times.contains(start.idempotency_key);
  probed.state = done ? CallProbed::State::kDone : CallProbed::State::kAbsent;
  if (done) probed.output = std::get<CallReturned>(*echo(start)).output;
  return probed;
}

class TroubleTest : public ::testing::Test {
 protected:
  void begin() {
    rig_.emplace(plan_of(kPlan), std::make_unique<FailingStore>(error_));
    rig_->host.answer = echo;
    rig_->host.probe_answer = [this](const StartCall& start) {
      return probe_by_ledger(rig_->host, start);
    };
    rig_->start();
  }
  // Goes on after whatever was; the world must have seen every call once.
  void resume_and_end() {
    error_.reset();
    rig_->kill();
    auto report = rig_->resume();
    ASSERT_TRUE(report) << report.error().to_string();
    rig_->run();
    ASSERT_TRUE(rig_->outcome);
    EXPECT_EQ(rig_->outcome->status, RunStatus::kSucceeded);
  }
  int most_times_paid() const {
    int most = 0;
    std::map<std::string, int> paid;
    for (const std::string& task : rig_->host.performed) {
      if (task.starts_with("b")) most = std::max(most, ++paid[task]);
    }
    return most;
  }

  std::optional<Error> error_;
  std::optional<RunRig> rig_;
};

TEST_F(TroubleTest, AFullDiskStopsTheRunWhereverItComesAndNothingIsLost) {
  for (bool for_good : {true, false}) {
    for (int steps = 1; steps < 60; ++steps) {
      SCOPED_TRACE(steps);
      error_.reset();
      begin();
      for (int i = 0; i < steps; ++i) rig_->host.step();
      if (rig_->outcome) break;
      error_ = Error(ErrorCode::kDiskFull, "no space");
      if (for_good) {
        rig_->run();
      } else {
        for (int i = 0; i < 3; ++i) rig_->host.step();
        error_.reset();
        rig_->run();
      }
      ASSERT_TRUE(rig_->outcome) << "it hangs";
      if (rig_->outcome->status == RunStatus::kSucceeded) continue;
      EXPECT_EQ(rig_->outcome->status, RunStatus::kInterrupted);
      ASSERT_FALSE(rig_->outcome->errors.empty());
      EXPECT_EQ(rig_->outcome->errors.front().code(), ErrorCode::kDiskFull);
      // The run may have ended in the journal, without our hearing of it.
      if (rig_->records().empty() || rig_->record_names().back() == "ended") continue;
      resume_and_end();
      EXPECT_EQ(most_times_paid(), 1);
    }
  }
}

TEST_F(TroubleTest, AnotherOwnerStopsItAtOnce) {
  begin();
  for (int i = 0; i < 4; ++i) rig_->host.step();
  error_ = Error(ErrorCode::kJournal, "another process owns the run");
  rig_->run();
  ASSERT_TRUE(rig_->outcome);
  EXPECT_EQ(rig_->outcome->status, RunStatus::kInterrupted);
  EXPECT_EQ(rig_->outcome->errors.front().code(), ErrorCode::kJournal);
}

// The commit of the payment's intent came through, the one behind it did not, and the loop hears of
// both at once.
TEST_F(TroubleTest, ACallThatHasNotLeftIsNotInDoubtThoughItsIntentIsDurable) {
  rig_.emplace(plan_of("sluice: 1\n"
                       "tools: {pay: {kind: process, command: [pay], effect: once}}\n"
                       "steps: {paid: {tool: pay, with: {}}}\n"),
               std::make_unique<FailingStore>(error_));
  rig_->host.answer = echo;
  rig_->commits = false;
  rig_->start();
  rig_->journal->commit_once();
  ASSERT_EQ(rig_->record_names().back(), "intent");
  rig_->journal->on_work([this] {
    error_ = Error(ErrorCode::kDiskFull, "no space");
    rig_->journal->on_work([this] { rig_->host.post([this] { rig_->journal->commit_once(); }); });
    rig_->journal->commit_once();
  });
  auto [kind, body] = encode_message(SignalMessage{"go", "", Value::integer(1)});
  rig_->loop->take({1, kind, body, 0});
  error_.reset();
  rig_->run();
  ASSERT_TRUE(rig_->outcome);
  EXPECT_EQ(rig_->outcome->status, RunStatus::kInterrupted);
  EXPECT_TRUE(rig_->host.performed.empty());
  resume_and_end();
  EXPECT_EQ(rig_->host.performed.size(), 1u);
}

// One history with a crash in it. What an observer outside sees wrong, in words; "" for nothing.
std::string crash_history(int steps_before, bool interrupts) {
  RunRig rig(plan_of(kPlan));
  rig.host.answer = echo;
  rig.host.probe_answer = [&](const StartCall& start) { return probe_by_ledger(rig.host, start); };
  rig.commits = false;
  rig.start();
  for (int i = 0; i < steps_before; ++i) {
    if (i % 3 == 2) rig.journal->commit_once();
    rig.host.step();
  }
  if (interrupts && !rig.outcome) {
    rig.commits = true;
    rig.loop->interrupt();
    rig.loop->interrupt();
    rig.journal->commit_once();
    rig.run();
  }
  if (rig.outcome && rig.outcome->status == RunStatus::kFailed) return "it failed";
  const bool told = rig.outcome && rig.outcome->status == RunStatus::kSucceeded;
  const auto durable = rig.records();
  if (told && (durable.empty() || rig.record_names().back() != "ended")) {
    return "an end was told that is not durable";
  }
  if (durable.empty() || rig.record_names().back() == "ended") return "";
  // Dies here: what was not committed is gone, the world and its ledger stay.
  auto next = rig.cut_at(durable.size());
  next->host.times = rig.host.times;
  next->host.probe_answer = [&](const StartCall& start) {
    return probe_by_ledger(next->host, start);
  };
  auto report = next->resume();
  if (!report) return report.error().to_string();
  next->run();
  if (!next->outcome) return "it hangs";
  if (next->outcome->status != RunStatus::kSucceeded) return "it does not succeed";
  for (const std::string& task : next->host.performed) {
    if (!task.starts_with("b")) continue;
    if (std::ranges::count(next->host.performed, task) +
            std::ranges::count(rig.host.performed, task) >
        1) {
      return task + " was paid twice";
    }
  }
  if (next->host.times.size() != 7) return "other keys went out";
  return "";
}

std::string any_crash(bool interrupts) {
  for (int steps = 1; steps < 40; ++steps) {
    if (std::string wrong = crash_history(steps, interrupts); !wrong.empty()) return wrong;
  }
  return "";
}

TEST(Mistakes, NoneIsSeenWhenNoneIsMade) {
  EXPECT_EQ(any_crash(false), "");
  EXPECT_EQ(any_crash(true), "");
}

TEST(Mistakes, EachIsSeenFromOutside) {
  for (Failpoint mistake :
       {Failpoint::kJournalAfterEffect, Failpoint::kSkipIntent, Failpoint::kForgetIntentOnResume,
        Failpoint::kReuseKey, Failpoint::kLoseLastEvent, Failpoint::kEndBeforeDurable,
        Failpoint::kCutIsFailure}) {
    FailpointScope scope(mistake);
    EXPECT_NE(any_crash(false) + any_crash(true), "")
        << failpoints()[static_cast<std::size_t>(mistake)].name;
  }
}

// What an observer sees of a run that dies behind its record `cut` and goes on, of a plan in which
// time, streams, doubt and messages play a part.
std::string observed(std::size_t cut) {
  const std::string plan =
      "sluice: 1\n"
      "tools:\n"
      "  look: {kind: process, command: [look], effect: read}\n"
      "  pay: {kind: process, command: [pay], effect: once}\n"
      "  lines: {kind: process, command: [lines], stdout: lines, effect: read}\n"
      "steps:\n"
      "  line: {tool: lines, with: {}}\n"
      "  each: {for_each: \"{{ steps.line.output }}\", tool: look, with: {args: [\"{{ item "
      "}}\"]}}\n"
      "  late: {after: [each], tool: look, with: {}, retry: {attempts: 2, delay: 5s, jitter: 0}}\n"
      "  told: {after: [late], wait: {signal: go}}\n"
      "  heard: {after: [told], wait: {signal: go, for: 1000s, value: nobody}}\n"
      "  twice: {when: \"{{ steps.heard.output == 1 }}\", tool: look, with: {}}\n"
      "  paid: {after: [heard], tool: pay, with: {}, on_error: skip}\n"
      "result: \"{{ [steps.each.output | length, steps.heard.output] }}\"\n";
  auto script = [](ScriptedHost& host) {
    host.items = [](const StartCall&) { return std::vector<Value>(4, Value::string("line")); };
    host.answer = [](const StartCall& start) {
      if (start.task_id == "paid") return failed(ErrorCode::kTimeout, true);
      const bool fails = start.task_id == "late" && start.call.attempt == 1;
      return fails ? failed(ErrorCode::kToolFailed) : echo(start);
    };
  };
  auto tell = [](RunRig& rig) {
    auto [kind, body] = encode_message(SignalMessage{"go", "", Value::integer(1)});
    rig.loop->take({1, kind, body, 0});
  };
  RunRig whole(plan_of(plan));
  script(whole.host);
  whole.start();
  tell(whole);
  whole.run();
  if (cut >= whole.records().size()) return "";
  auto rig = whole.cut_at(cut);
  script(rig->host);
  std::string text;
  if (auto report = rig->resume(); !report) return report.error().to_string();
  tell(*rig);
  rig->run();
  if (rig->outcome) {
    text = std::string(run_status_name(rig->outcome->status)) + to_json(rig->outcome->result);
  }
  for (const std::string& task : rig->host.performed) text += " " + task;
  return text;
}

TEST(Mistakes, EachChangesWhatIsSeenOfAResumedRun) {
  std::vector<std::string> right;
  for (std::size_t cut = 1; right.empty() || !right.back().empty(); ++cut) {
    right.push_back(observed(cut));
  }
  ASSERT_GT(right.size(), 12u);
  for (Failpoint mistake :
       {Failpoint::kForgetTimerOnResume, Failpoint::kResumeTwice, Failpoint::kIgnoreMessageId,
        Failpoint::kDoubtAsFailure, Failpoint::kStreamNotSkipped, Failpoint::kRedoReturnedCall}) {
    FailpointScope scope(mistake);
    bool seen = false;
    for (std::size_t cut = 1; cut < right.size() && !seen; ++cut) {
      seen = observed(cut) != right[cut - 1];
    }
    EXPECT_TRUE(seen) << failpoints()[static_cast<std::size_t>(mistake)].name;
  }
}

}  // namespace
}  // namespace sluice::testing
