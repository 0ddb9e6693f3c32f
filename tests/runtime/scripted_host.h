// A host of a script: calls are answered by a function, in virtual time, in the order in which they
// were made. What was performed is written down outside the run, as the world would see it. And a
// rig around it: one run over a journal in memory, whose process may die at any record.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "journal/group_commit.h"
#include "runtime/run_loop.h"
#include "runtime/summary.h"
#include "tests/runtime/virtual_time.h"

namespace sluice::testing {

PhysicalPlanPtr plan_of(const std::string& text);

class ScriptedHost final : public Host {
 public:
  // What a call gives; null: it never ends by itself.
  using Answer = std::optional<decltype(CallEnded::outcome)>;
  std::function<Answer(const StartCall&)> answer;
  std::function<std::vector<Value>(const StartCall&)> items;  // of a stream, before its end
  std::function<std::optional<CallProbed>(const StartCall&)> probe_answer;  // null: no probe
  std::function<Effect(const StartCall&)> effect;                           // null: the step's
  WallNs wall_ns = 1'000'000'000'000'000'000;
  std::int64_t call_takes_ns = kNsPerMs;
  std::function<std::int64_t()> admit_takes_ns;  // null: nothing
  bool cut_is_doubt =
      true;  // of `once` calls that are cancelled; else they say that they did not happen

  void set_inbox(EventInbox* inbox) { inbox_ = inbox; }
  // Lets the world go on until nothing is left to do, or `most` things have happened.
  void run(int most = 1'000'000);
  // One thing: a post, else whatever is due next. False: nothing is left.
  bool step() { return time_.step(); }
  // A process that dies: nothing under way comes back.
  void die();

  std::vector<std::string> performed;  // TaskIds, in order
  std::map<std::string, int> times;    // by idempotency key
  std::set<CallRef> running;
  std::vector<std::string> cancelled;

  SteadyNs now() override { return time_.now(); }
  WallNs wall_now() override { return wall_ns + time_.now(); }
  void post(std::function<void()> work) override { time_.post(std::move(work)); }
  void set_timer(const SetTimer& timer) override;
  void clear_timer(std::uint64_t timer) override { time_.clear_timer(timer); }
  void perform(const StartCall& start) override;
  void cancel(const CallRef& call) override;
  void resume(const CallRef& call) override;
  void admit(const AdmitPlan& admit) override;
  void begin_wait(const BeginWait& wait) override;
  Effect effect_of(const StartCall& start) override {
    return effect ? effect(start) : start.step->effect;
  }
  bool has_probe(const StartCall& start) override { return probe_answer && probe_answer(start); }
  void probe(const StartCall& start) override;
  Result<PhysicalPlanPtr> adopt(const AdmitPlan& admit, const Value& recorded) override;

 private:
  void later(std::int64_t delay_ns, std::function<void()> work) {
    time_.later(delay_ns, std::move(work));
  }
  void go_on(const StartCall& start);

  struct Stream {
    StartCall start;
    std::vector<Value> items;
    std::size_t given = 0;
    std::uint32_t credit = kStreamCredit;
  };
  EventInbox* inbox_ = nullptr;
  VirtualTime time_;
  std::map<CallRef, Stream> streams_;
  std::set<CallRef> once_;
};

// One run, its journal, and the processes that work on it one after the other.
class RunRig {
 public:
  explicit RunRig(PhysicalPlanPtr plan, std::unique_ptr<JournalStore> store = make_memory_store());
  ~RunRig();

  void start(Value params = Value::object({}));
  // The run with records of another one, for `resume`.
  void create(std::vector<JournalRecord> records);
  Result<ResumeReport> resume();
  void run() { host.run(); }
  // Drops the process, behind all that it appended.
  void kill();
  // A new journal that holds the first `count` records of this one's run.
  std::unique_ptr<RunRig> cut_at(std::size_t count);
  std::vector<JournalRecord> records() const;
  std::vector<std::string> record_names() const;
  std::string status();  // of the card

  PhysicalPlanPtr plan;
  ScriptedHost host;
  MemoryValueStore values;
  std::unique_ptr<ValueStore> spilling;  // in its place, when set
  SummaryFold summary;
  std::unique_ptr<GroupCommitJournal> journal;
  RunLease lease;
  std::uint64_t compact_after = 0;
  bool commits = true;  // by itself, after each thing that happens
  std::shared_ptr<const ReuseTable> reuse;
  std::unique_ptr<RunLoop> loop;
  std::optional<RunOutcome> outcome;

  static constexpr const char* kRun = "run";

 private:
  void make_loop();
  ValueStore& store() { return spilling ? *spilling : values; }
};

ScriptedHost::Answer returned(Value value);
ScriptedHost::Answer failed(ErrorCode code, bool doubt = false);

}  // namespace sluice::testing
