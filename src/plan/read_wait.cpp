// The operator `wait`: its own keys, and the keys of other steps that it does not have.
#include <algorithm>
#include <array>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/plan_reader.h"

namespace sluice {

void PlanReader::wait(const TextMember& key, const StepScope& scope, Step& step) {
  static constexpr std::array<std::string_view, 6> kKeys = {"for",   "until", "signal",
                                                            "value", "of",    "ask"};
  step.wait.kind = Binding::Kind::kMap;
  step.wait.pos = key.value.pos;
  if (!want_map(key, "with for, until or signal")) {
    step.wait.broken = true;
    return;
  }
  only_keys(key.value, kKeys);
  const TextMember* limit = key.value.find("for");
  const TextMember* until = key.value.find("until");
  const TextMember* signal = key.value.find("signal");
  if (limit && until) {
    const TextMember* later = key.value.members.data();
    for (const TextMember& member : key.value.members) {
      if (&member == limit || &member == until) later = &member;
    }
    invalid(later->key_pos, "a wait has for or until, not both");
  }
  if (!limit && !until && !signal && !key.value.broken) {
    out_.error(ErrorCode::kKeyMissing, key.value.pos,
               "wait needs for (how long), until (a time) or signal (a name)");
  }
  const TextMember* value = key.value.find("value");
  if (value && signal && !limit && !until) {
    invalid(value->key_pos, "value is what the wait gives when its time is over; add for or until");
  }
  if (signal) signal_name(*signal);
  step.wait = bind_map(key, scope.place, scope.flags);
}

// Whoever sends a signal names it, so its name does not depend on the run.
void PlanReader::signal_name(const TextMember& member) {
  std::optional<std::string> name = word(member);
  if (!name) return;
  if (name->find("{{") == std::string::npos) {
    good_id(*name, member.value.text_pos);
    return;
  }
  invalid(member.value.text_pos,
          "signal is a literal name, no expression; write into of for whom it is");
}

// Reports a key that other steps have, with what to write instead.
bool PlanReader::not_of_a_wait(const TextMember& key) {
  struct Row {
    std::string_view key;
    std::string_view instead;
  };
  static constexpr std::array<Row, 4> kRows = {{
      {"with", "write for, until, signal, value, of and ask into wait"},
      {"timeout", "write for or until into wait"},
      {"retry", "use repeat, or on_error for a signal that does not come"},
      {"cache", "remove it"},
  }};
  const auto* row = std::ranges::find(kRows, key.key, &Row::key);
  if (row == kRows.end()) return false;
  invalid(key.key_pos, fmt::format("a wait has no {}; {}", row->key, row->instead));
  return true;
}

}  // namespace sluice
