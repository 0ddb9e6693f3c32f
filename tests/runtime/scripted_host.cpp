#include "tests/runtime/scripted_host.h"

#include <gtest/gtest.h>

#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/tool_catalog.h"
#include "runtime/record.h"

namespace sluice::testing {

PhysicalPlanPtr plan_of(const std::string& text) {
  ParsedPlan parsed = parse_plan(text, "test.yaml");
  for (const Diagnostic& finding : parsed.diagnostics.all()) ADD_FAILURE() << finding.message;
  return *lower_plan(parsed.plan, *catalog_of(*parsed.plan));
}

ScriptedHost::Answer returned(Value value) { return CallReturned{std::move(value)}; }
ScriptedHost::Answer failed(ErrorCode code, bool doubt) {
  return CallFailed{Error(code, "scripted"), doubt};
}

void ScriptedHost::run(int most) {
  while (most-- > 0 && step()) {
  }
}

void ScriptedHost::die() {
  time_.forget();
  streams_.clear();
  running.clear();
  inbox_ = nullptr;
}

void ScriptedHost::set_timer(const SetTimer& timer) {
  time_.set_timer(timer, wall_now(),
                  [this, id = timer.timer] { inbox_->deliver({now(), TimerFired{id}}); });
}

void ScriptedHost::perform(const StartCall& start) {
  running.insert(start.call);  // twice at once shows in `performed`
  performed.push_back(start.task_id);
  if (effect_of(start) == Effect::kOnce) once_.insert(start.call);
  ++times[start.idempotency_key];
  if (start.streaming && items) {
    streams_[start.call] = {start, items(start)};
    return later(call_takes_ns, [this, ref = start.call] { go_on(streams_.at(ref).start); });
  }
  auto outcome = answer(start);
  if (!outcome) return;
  later(call_takes_ns, [this, ref = start.call, outcome = *outcome] {
    if (running.erase(ref) > 0) inbox_->deliver({now(), CallEnded{ref, outcome, {}}});
  });
}

void ScriptedHost::go_on(const StartCall& start) {
  auto found = streams_.find(start.call);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (stream.given == stream.items.size()) {
    auto outcome = answer(start);
    if (!outcome) return;
    const CallRef ref = start.call;
    streams_.erase(found);
    running.erase(ref);
    return inbox_->deliver({now(), CallEnded{ref, *outcome, {}}});
  }
  if (stream.credit == 0) return;
  --stream.credit;
  const CallRef ref = start.call;
  inbox_->deliver({now(), ItemEmitted{ref, stream.items[stream.given++]}});
  later(call_takes_ns, [this, ref] {
    auto at = streams_.find(ref);
    if (at != streams_.end()) go_on(at->second.start);
  });
}

void ScriptedHost::cancel(const CallRef& call) {
  cancelled.push_back(std::to_string(call.task.step));
  const bool was = running.contains(call);
  streams_.erase(call);
  if (!was) return;
  const bool doubt = cut_is_doubt && once_.contains(call);
  later(0, [this, call, doubt] {
    if (running.erase(call) == 0) return;
    Error cut(ErrorCode::kCancelled, "cut");
    inbox_->deliver({now(), CallEnded{call, CallFailed{cut, doubt}, {}}});
  });
}

void ScriptedHost::resume(const CallRef& call) {
  auto found = streams_.find(call);
  if (found == streams_.end()) return;
  const bool paused = found->second.credit == 0;
  found->second.credit += kStreamCredit;
  if (paused) later(0, [this, start = found->second.start] { go_on(start); });
}

void ScriptedHost::admit(const AdmitPlan& admit) {
  ParsedPlan parsed = parse_plan_value(admit.plan, "produced");
  auto plan = lower_plan(parsed.plan, *catalog_of(*parsed.plan));
  later(admit_takes_ns ? admit_takes_ns() : 0, [this, task = admit.task, plan] {
    if (plan) return inbox_->deliver({now(), PlanAdmitted{task, *plan}});
    inbox_->deliver({now(), PlanRefused{task, plan.error()}});
  });
}

Result<PhysicalPlanPtr> ScriptedHost::adopt(const AdmitPlan& admit, const Value& recorded) {
  if (admit.step == nullptr) return fail(ErrorCode::kInternal, "a plan of no step");
  auto plan = decode_physical(recorded, parse_plan_value(admit.plan, "produced").plan);
  if (!plan) return plan;
  for (const PhysicalStep& step : (*plan)->steps) {
    if ((*plan)->logical->find_step(step.logical.id) == nullptr) {
      ADD_FAILURE() << "the text of another plan: it has no step " << step.logical.id;
    }
  }
  return plan;
}

// {signal, seconds, value}: enough of the language's own forms for these tests.
void ScriptedHost::begin_wait(const BeginWait& wait) {
  WaitBegan began;
  began.call = wait.call;
  if (const Value* signal = wait.spec.find("signal")) began.signal = signal->as_string();
  if (const Value* time = wait.spec.find("for")) {
    const std::string text(time->as_string());
    began.until_wall_ns = wall_now() + std::stoll(text) * kNsPerSecond;
  }
  if (const Value* value = wait.spec.find("value")) began.value = *value;
  began.has_value = wait.spec.find("value") != nullptr || began.signal.empty();
  later(0, [this, began] { inbox_->deliver({now(), began}); });
}

void ScriptedHost::probe(const StartCall& start) {
  CallProbed told = *probe_answer(start);
  told.call = start.call;
  later(call_takes_ns, [this, told] { inbox_->probed(told); });
}

// ---- the rig ----

RunRig::RunRig(PhysicalPlanPtr plan_in, std::unique_ptr<JournalStore> store)
    : plan(std::move(plan_in)),
      journal(std::make_unique<GroupCommitJournal>(std::move(store),
                                                   GroupCommitJournal::Driver::kManual)) {
  journal->on_work([this] {
    if (!commits) return;
    host.post([this] { journal->commit_once(); });
  });
}

RunRig::~RunRig() { loop.reset(); }

void RunRig::make_loop() {
  outcome.reset();
  loop = std::make_unique<RunLoop>(plan, host, store(), &summary,
                                   [this](RunOutcome told) { outcome = std::move(told); });
  host.set_inbox(loop.get());
  RunJournal in{*journal, lease, RunHeader{.run_id = kRun}, "test", RunCard{}, compact_after, 1};
  loop->record_in(std::move(in));
  if (reuse) loop->reuse(reuse);
}

// Without a header, which the loop does not ask for: record 1 is the start.
void RunRig::start(Value params) {
  const RunOptions options{kRun, std::move(params), 1};
  JournalBatch first = first_records(RunHeader{.run_id = kRun}, options, store());
  first.records.erase(first.records.begin());
  lease = *journal->create_run(kRun, {}, std::move(first));
  make_loop();
  loop->start(options);
}

void RunRig::create(std::vector<JournalRecord> records) {
  lease = *journal->create_run(kRun, {}, {std::move(records), {}});
}

Result<ResumeReport> RunRig::resume() {
  make_loop();
  return loop->resume();
}

void RunRig::kill() {
  loop.reset();
  host.die();
  (void)journal->close_run(lease, {}, JournaledRunState::kOpen);  // fails when it was closed
  auto taken = journal->take_over(kRun);
  ASSERT_TRUE(taken) << taken.error().to_string();
  lease = *taken;
}

std::vector<JournalRecord> RunRig::records() const {
  std::vector<JournalRecord> all;
  auto read = journal->read(kRun, 1, [&](JournalSeq, const JournalRecord& record) {
    all.push_back(record);
    return true;
  });
  EXPECT_TRUE(read.has_value());
  return all;
}

std::vector<std::string> RunRig::record_names() const {
  std::vector<std::string> names;
  for (const JournalRecord& record : records()) {
    names.emplace_back(record_type_name(static_cast<RecordType>(record.type)));
  }
  return names;
}

std::unique_ptr<RunRig> RunRig::cut_at(std::size_t count) {
  auto cut = std::make_unique<RunRig>(plan);
  std::vector<JournalRecord> kept = records();
  kept.resize(count);
  cut->create(std::move(kept));
  cut->host.answer = host.answer;
  cut->host.items = host.items;
  cut->host.probe_answer = host.probe_answer;
  cut->values = values;
  return cut;
}

std::string RunRig::status() { return journal->find_run(kRun)->card.status; }

}  // namespace sluice::testing
