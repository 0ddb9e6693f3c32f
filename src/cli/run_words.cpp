#include "cli/run_words.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "cli/numbers_text.h"

namespace sluice::cli {
namespace {

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); }
Value number(std::uint64_t count) { return Value::integer(static_cast<std::int64_t>(count)); }

}  // namespace

std::string run_state_word(const JournaledRun& run) {
  const std::string& status = run.card.status;
  if (run.state == JournaledRunState::kEnded) return status.empty() ? "ended" : status;
  if (status == "in_doubt") return status;
  if (!run.owner.empty()) return status.empty() ? "running" : status;
  return status == "waiting" || run.card.waits > 0 ? "waiting" : "interrupted";
}

Ink run_state_ink(const std::string& state) {
  if (state == "succeeded") return Ink::kGreen;
  if (state == "failed") return Ink::kRed;
  if (state == "running" || state == "waiting") return Ink::kCyan;
  return Ink::kYellow;
}

std::string run_note(const JournaledRun& run) {
  if (!run.card.note.empty()) return run.card.note;
  if (run.state == JournaledRunState::kEnded) return "";
  if (run.card.doubts > 0) return fmt::format("{} in doubt", run.card.doubts);
  return run.owner;
}

Value run_json(const JournaledRun& run) {
  const RunCard& card = run.card;
  std::vector<Value::Member> members{
      {"run", text(run.run_id)},
      {"state", text(run_state_word(run))},
      {"ended", Value::boolean(run.state == JournaledRunState::kEnded)},
      {"plan", text(card.plan)},
      {"started", text(time_text(card.started_ns))},
      {"updated", text(time_text(card.updated_ns))},
      {"tasks_done", number(card.tasks_done)},
      {"tasks_failed", number(card.tasks_failed)},
      {"doubts", number(card.doubts)},
      {"waits", number(card.waits)},
      {"tokens", number(card.tokens)},
      {"usd", Value::number(card.usd)},
      {"records", number(run.last_seq)},
      {"bytes", number(run.bytes)},
  };
  if (!card.note.empty()) members.emplace_back("note", text(card.note));
  if (!card.forked_from.empty()) members.emplace_back("forked_from", text(card.forked_from));
  if (!run.owner.empty()) members.emplace_back("owner", text(run.owner));
  return Value::object(std::move(members));
}

}  // namespace sluice::cli
