#include "runtime/early_facts.h"

#include <utility>

#include "runtime/wire.h"

namespace sluice {
namespace {

enum Kind : int { kCall, kPlan, kWait, kTimer };

}  // namespace

EarlyFacts::Key EarlyFacts::call_key(const CallRef& call) { return {kCall, call, 0}; }
EarlyFacts::Key EarlyFacts::plan_key(const TaskRef& task) { return {kPlan, {task}, 0}; }
EarlyFacts::Key EarlyFacts::wait_key(const CallRef& call) { return {kWait, call, 0}; }
EarlyFacts::Key EarlyFacts::timer_key(std::uint64_t timer) { return {kTimer, {}, timer}; }

const CallRef* EarlyFacts::call_of(const Key& key) {
  return std::get<0>(key) == kCall ? &std::get<1>(key) : nullptr;
}

std::optional<EarlyFacts::Key> EarlyFacts::key_of(const Record& record) {
  if (const auto* intent = std::get_if<IntentRecord>(&record.body)) return call_key(intent->call);
  const auto* fact = std::get_if<EventRecord>(&record.body);
  if (fact == nullptr) return std::nullopt;
  const auto& body = fact->event.body;
  if (const auto* ended = std::get_if<CallEnded>(&body)) return call_key(ended->call);
  if (const auto* item = std::get_if<ItemEmitted>(&body)) return call_key(item->call);
  if (const auto* resumed = std::get_if<CallResumed>(&body)) return call_key(resumed->call);
  if (const auto* plan = std::get_if<PlanAdmitted>(&body)) return plan_key(plan->task);
  if (const auto* plan = std::get_if<PlanRefused>(&body)) return plan_key(plan->task);
  if (const auto* wait = std::get_if<WaitBegan>(&body)) return wait_key(wait->call);
  if (const auto* timer = std::get_if<TimerFired>(&body)) return timer_key(timer->timer);
  return std::nullopt;
}

std::optional<EarlyFacts::Key> EarlyFacts::key_of(const RunEffect& effect) {
  if (const auto* start = std::get_if<StartCall>(&effect.body)) return call_key(start->call);
  if (const auto* admit = std::get_if<AdmitPlan>(&effect.body)) return plan_key(admit->task);
  if (const auto* wait = std::get_if<BeginWait>(&effect.body)) return wait_key(wait->call);
  if (const auto* timer = std::get_if<SetTimer>(&effect.body)) return timer_key(timer->timer);
  return std::nullopt;
}

void EarlyFacts::keep(Record record) {
  if (auto key = key_of(record)) facts_[*key].push_back(std::move(record));
}

std::vector<Record> EarlyFacts::take(const RunEffect& effect) {
  if (facts_.empty()) return {};
  auto key = key_of(effect);
  if (!key) return {};
  auto found = facts_.extract(*key);
  return found ? std::move(found.mapped()) : std::vector<Record>();
}

std::string EarlyFacts::encode() const {
  WireWriter out;
  std::size_t count = 0;
  for (const auto& [key, records] : facts_) count += records.size();
  out.number(count);
  for (const auto& [key, records] : facts_) {
    for (const Record& record : records) {
      const JournalRecord encoded = encode_record(record);
      out.number(encoded.type);
      out.number(encoded.version);
      out.text(encoded.body);
    }
  }
  return out.take();
}

Result<void> EarlyFacts::decode(std::string_view bytes) {
  WireReader in(bytes);
  for (std::size_t left = in.count(); left > 0 && !in.bad(); --left) {
    JournalRecord encoded;
    encoded.type = in.number16();
    encoded.version = in.number16();
    encoded.body = in.text();
    if (in.bad()) break;
    auto record = decode_record(encoded);
    if (!record) return std::unexpected(record.error());
    keep(std::move(*record));
  }
  if (!in.good_end()) {
    return fail(ErrorCode::kJournalDamaged, "the early facts of a snapshot are damaged");
  }
  return {};
}

}  // namespace sluice
