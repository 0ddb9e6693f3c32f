#include "simulate/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/json.h"
#include "runtime/recovery_impl.h"
#include "simulate/people.h"
#include "simulate/sim_values.h"

namespace sluice {
namespace {

bool unharmed(const Error& error, const WorldParts& world) {
  const bool honest = error.code() == ErrorCode::kJournalDamaged ||
                      error.code() == ErrorCode::kJournal || error.code() == ErrorCode::kIo;
  return world.rotten && honest;
}

// A connection of its own to what is left.
struct Auditor {
  explicit Auditor(WorldParts& world) : life(immortal, [](bool) {}) {
    if (world.machine) vfs = std::make_unique<SimVfs>(*world.machine);
    auto store = world.connect(life, vfs.get());
    if (!store) {
      problem = store.error();
      return;
    }
    journal = std::make_unique<GroupCommitJournal>(*std::move(store),
                                                   GroupCommitJournal::Driver::kManual);
  }
  ~Auditor() { journal.reset(); }

  DeathPlan immortal{{}};
  Life life;
  std::unique_ptr<SimVfs> vfs;
  std::unique_ptr<GroupCommitJournal> journal;
  std::optional<Error> problem;
};

using Records = std::vector<std::pair<JournalSeq, JournalRecord>>;

Result<Records> read_all(Journal& journal, const std::string& run_id) {
  Records records;
  Result<void> read = journal.read(run_id, 1, [&](JournalSeq seq, const JournalRecord& record) {
    records.emplace_back(seq, record);
    return true;
  });
  if (!read && read.error().code() != ErrorCode::kRunUnknown) return std::unexpected(read.error());
  return records;
}

void check_undo(WorldParts& world, const History& history, const RunEndedRecord* ended) {
  const bool fails = ended != nullptr && ended->status != RunStatus::kSucceeded;
  const std::vector<CallIdentity>& undone = world.undone;
  if (!undone.empty() && (!world.plan->physical->undo || (ended != nullptr && !fails))) {
    return world.violate("undo", "something was undone in a run that nobody undoes");
  }
  if (!world.plan->physical->undo || !history.whole) return;
  std::vector<CallIdentity> expected;
  for (const History::Finished& call : history.returned) {
    if (!call.undo && call.can_be_undone) expected.insert(expected.begin(), call.call);
  }
  std::size_t at = 0;
  for (const CallIdentity& call : undone) {
    while (at < expected.size() && expected[at] != call) ++at;
    if (at == expected.size()) {
      const bool known = std::ranges::find(expected, call) != expected.end();
      return world.violate(
          "undo", known ? "calls are undone out of order" : "a call is undone that never finished");
    }
  }
  const bool calm = world.scenario.tool_trouble == 0 && !world.tools_were_down;
  if (fails && calm && undone.size() != expected.size()) {
    world.violate(
        "undo", fmt::format("{} calls are to be undone, {} were", expected.size(), undone.size()));
  }
}

void check_budget(WorldParts& world, const History& history) {
  const auto& most = world.plan->physical->budget.calls;
  if (!most || static_cast<std::int64_t>(history.calls.size()) <= *most) return;
  world.violate("budget", fmt::format("{} calls with a budget of {}", history.calls.size(), *most));
}

void check_end(WorldParts& world, const RunEndedRecord* ended, SimValues& values,
               const std::optional<Told>& told) {
  if (told && ended == nullptr) {
    return world.violate("end_lost", "the end of the run was told, and the journal has none");
  }
  if (!told || ended == nullptr) return;
  if (ended->status != told->outcome.status) {
    world.violate("end_differs",
                  fmt::format("told {}, journaled {}", run_status_name(told->outcome.status),
                              run_status_name(ended->status)));
  }
  if (!told->result_read) return;
  Result<Value> result = values.load(ended->result);
  if (!result) {
    if (!unharmed(result.error(), world)) {
      world.violate("content_lost", result.error().to_string());
    }
  } else if (!(*result == told->outcome.result)) {
    world.violate("end_differs", "the result that was told is not the one in the journal");
  }
}

// What was still to be undone when the run was left.
void note_undoing(WorldParts& world, Recovery& recovery) {
  (void)recovery.state();  // works out what the last event led to
  for (const OpenCallEffect* call : recovery.inside().core->open.calls()) {
    if (!call->start.undo) continue;
    CallIdentity base = identity_of(call->start.call);
    base.call &= static_cast<std::uint16_t>(~kUndoCall);
    world.undoing.push_back(base);
  }
}

void replay(WorldParts& world, Journal& journal, const Records& records,
            const std::optional<Told>& told) {
  SimValues values(false, [&](const Hash256& hash) { return journal.content(hash); });
  History history(world, values);
  world.whole = history.whole = records.empty() || records.front().first == 1;
  Recovery recovery(world.plan->physical, values, &history, adopt_sim_plan, true);
  recovery.on_call_end(
      [&](const StartCall& start, const CallEnded& ended) { history.on_call_end(start, ended); });
  for (const auto& [seq, record] : records) {
    Result<void> taken = recovery.take(seq, record);
    if (taken) continue;
    if (!unharmed(taken.error(), world)) {
      world.violate("not_replayable", fmt::format("record {}: {}", seq, taken.error().to_string()));
    }
    return;
  }
  if (const auto& difference = recovery.difference()) {
    world.violate("replay_differs", fmt::format("before record {}: was {}, now {}", difference->seq,
                                                difference->was, difference->now));
  }
  if (!history.wrong.empty()) world.violate("signal", history.wrong);
  if (world.watches_calls) note_undoing(world, recovery);
  const RunEndedRecord* ended = recovery.ended() ? &*recovery.ended() : nullptr;
  check_end(world, ended, values, told);
  check_undo(world, history, ended);
  check_budget(world, history);
}

}  // namespace

void History::on_trace(const TraceEvent& event) {
  if (event.kind == TraceKind::kSignal && event.value != nullptr) {
    taken_[event.call.task] = *event.value;
  }
  const bool waited = event.kind == TraceKind::kTaskDone && event.step != nullptr &&
                      event.step->logical.op == OperatorKind::kWait && event.value != nullptr;
  if (!waited) return;
  auto taken = taken_.find(event.call.task);
  if (taken != taken_.end() && !(taken->second == *event.value)) {
    wrong = "a wait took a signal and gave another value";
  }
  if (!event.value->is_int() || event.value->as_int() < kFirstSignalValue) return;
  auto [before, is_new] = signal_values.try_emplace(event.value->as_int(), event.call.task);
  if (!is_new && before->second != event.call.task) wrong = "one signal ended two waits";
}

void History::on_call_end(const StartCall& start, const CallEnded& ended) {
  if (!start.undo) calls.emplace(identity_of(start.call), start.call.attempt);
  const auto* gave = std::get_if<CallReturned>(&ended.outcome);
  if (gave == nullptr) return;
  if (world_.watches_calls) learn(start, *gave);
  const SimFunction* function = sim_function_of(start);
  // What a fork took over is its old run's to undo.
  const bool undoable = function != nullptr && !function->undo.empty() && !gave->cached;
  returned.push_back({identity_of(start.call), start.undo, undoable});
}

void History::learn(const StartCall& start, const CallReturned& gave) {
  if (start.undo || start.call.call != 0) return;
  Result<Value> args = values_.load(start.args);
  Result<Value> output = values_.load(gave.output);
  if (!args || !output) return;
  world_.returned.push_back({identity_of(start.call), start.task_id, what_is_called(start), *args,
                             *output, gave.cached, start.streaming});
}

void check_ledger(WorldParts& world) {
  std::map<CallIdentity, const Deed*> first;
  std::map<std::string, const Deed*> by_key;
  for (const Deed& deed : world.ledger.deeds()) {
    auto [same, is_new] = by_key.try_emplace(deed.key, &deed);
    if (!is_new && !(same->second->args == deed.args)) {
      world.violate("made_from_lost",
                    fmt::format("{} came with {} and then with {} under one key: what it was made "
                                "from was not durable",
                                deed.task, to_json(same->second->args), to_json(deed.args)));
    }
    if (deed.repeated || deed.process < world.first_process) continue;
    auto [before, first_time] = first.try_emplace(identity_of(deed.call), &deed);
    if (first_time) continue;
    const bool once = deed.effect == Effect::kOnce;
    world.violate(once ? "once_twice" : "idempotent_twice",
                  fmt::format("{} {} was done twice, by process {} and by process {}",
                              deed.function, deed.task, before->second->process, deed.process));
  }
}

void check_journal(WorldParts& world, const std::optional<Told>& told) {
  Auditor auditor(world);
  Result<Records> records = auditor.problem ? Result<Records>(std::unexpected(*auditor.problem))
                                            : read_all(*auditor.journal, world.run_id);
  if (!records) {
    if (unharmed(records.error(), world)) {
      world.report.damaged = true;
      return;
    }
    return world.violate("unreadable", records.error().to_string());
  }
  world.report.records = records->size();
  std::map<JournalSeq, std::uint64_t> now;
  for (const auto& [seq, record] : *records) {
    now[seq] = record_mark(record);
    const auto type = static_cast<RecordType>(record.type);
    world.has_intents = world.has_intents || type == RecordType::kIntent;
  }
  world.left_behind = now;
  if (world.rotten) {
    if (std::string wrong = world.promises.falsified(now); !wrong.empty()) {
      world.violate("damage_unseen", std::move(wrong));
    }
    return;
  }
  if (std::string broken = world.promises.broken(now); !broken.empty()) {
    world.violate("acknowledged_lost", std::move(broken));
  }
  const auto first = records->empty() ? RecordType::kHeader
                                      : static_cast<RecordType>(records->front().second.type);
  if (first != RecordType::kHeader && first != RecordType::kSnapshot) {
    world.violate("header_lost", "the journal goes on without the header of the run");
  }
  if (world.report.violations.empty()) replay(world, *auditor.journal, *records, told);
}

Result<std::map<JournalSeq, std::uint64_t>> read_marks(WorldParts& world,
                                                       const std::string& run_id) {
  Auditor auditor(world);
  if (auditor.problem) return std::unexpected(*auditor.problem);
  Result<Records> records = read_all(*auditor.journal, run_id);
  if (!records) return std::unexpected(records.error());
  std::map<JournalSeq, std::uint64_t> marks;
  for (const auto& [seq, record] : *records) marks[seq] = record_mark(record);
  return marks;
}

void check_outcome(WorldParts& world, const std::optional<Told>& told) {
  if (!told) return;
  const RunStatus status = told->outcome.status;
  const Budget& budget = world.plan->physical->budget;
  if (status == RunStatus::kCancelled && !world.cancel_asked) {
    return world.violate("wrong_end", "the run was cancelled by nobody");
  }
  if (status == RunStatus::kBudgetSpent && budget.none()) {
    return world.violate("wrong_end", "a budget is spent that there is not");
  }
  // A fork may have what an agent answered when its tools were down.
  bool were_down = false;
  for (const WorldParts* run = &world; run != nullptr; run = run->forked_from) {
    were_down = were_down || run->tools_were_down;
  }
  const bool calm = world.scenario.tool_trouble == 0 && !were_down && !world.cancel_asked &&
                    world.plan->shape.deterministic;
  const bool quiet = !world.is_fork() && world.scenario.crashes.empty() && world.acts.empty();
  if (quiet || (!calm && status != RunStatus::kSucceeded) || !world.plan->shape.deterministic)
    return;
  const WorldReport& without = undisturbed({world.plan, world.params});
  if (calm && without.status != status) {
    return world.violate("result_differs",
                         fmt::format("the run ends {}, without trouble {}", run_status_name(status),
                                     run_status_name(without.status)));
  }
  if (calm && told->result_read && !(without.result == told->outcome.result)) {
    world.violate("result_differs",
                  fmt::format("the result is {}, without trouble {}", preview(told->outcome.result),
                              preview(without.result)));
  }
}

}  // namespace sluice
