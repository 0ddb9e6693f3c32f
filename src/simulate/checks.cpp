#include "simulate/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/json.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "runtime/recovery.h"
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

Result<Records> read_all(Journal& journal) {
  Records records;
  Result<void> read = journal.read(kSimRun, 1, [&](JournalSeq seq, const JournalRecord& record) {
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

void replay(WorldParts& world, Journal& journal, const Records& records,
            const std::optional<Told>& told) {
  SimValues values(false, [&](const Hash256& hash) { return journal.content(hash); });
  auto adopt = [&](const AdmitPlan& admit, const Value& recorded) -> Result<PhysicalPlanPtr> {
    ParsedPlan parsed = parse_plan_value(admit.plan, "produced");
    if (!parsed.plan) return fail(ErrorCode::kJournalDamaged, "a produced plan cannot be read");
    return decode_physical(recorded, parsed.plan);
  };
  History history;
  history.whole = records.empty() || records.front().first == 1;
  Recovery recovery(world.plan->physical, values, &history, adopt, true);
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
  if (!std::holds_alternative<CallReturned>(ended.outcome)) return;
  std::string_view name;
  if (const Value* wanted = start.wanted.find("name")) {
    name = wanted->as_string();
    if (name.starts_with("t.")) name.remove_prefix(2);
  } else if (start.step->logical.op == OperatorKind::kTool) {
    name = start.step->logical.function;
  }
  const SimFunction* function = find_sim_function(name);
  const bool undoable = function != nullptr && !function->undo.empty();
  returned.push_back({identity_of(start.call), start.undo, undoable});
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
    if (deed.repeated) continue;
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
                                            : read_all(*auditor.journal);
  if (!records) {
    if (unharmed(records.error(), world)) {
      world.report.damaged = true;
      return;
    }
    return world.violate("unreadable", records.error().to_string());
  }
  world.report.records = records->size();
  std::map<JournalSeq, std::uint64_t> now;
  for (const auto& [seq, record] : *records) now[seq] = record_mark(record);
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
  const bool calm = world.scenario.tool_trouble == 0 && !world.tools_were_down &&
                    !world.cancel_asked && world.plan->shape.deterministic;
  const bool quiet = world.scenario.crashes.empty() && world.scenario.acts.empty();
  if (quiet || (!calm && status != RunStatus::kSucceeded) || !world.plan->shape.deterministic)
    return;
  const WorldReport& without = undisturbed(world.scenario);
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
