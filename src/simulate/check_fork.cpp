// The audit of a fork: it took over what was the same and nothing else, made no call again whose
// result was known, used the old keys for old calls, and left the old run as it was.

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "data/json.h"
#include "runtime/replay.h"
#include "simulate/world_parts.h"

namespace sluice {
namespace {

// "each[3]/a#2" is of the step each.
std::string root_of(const std::string& task) { return task.substr(0, task.find_first_of("[/#")); }

// The steps that the fork was to run again, in the words of both plans.
std::set<std::string> to_run_again(const WorldParts& world) {
  std::set<std::string> again;
  for (const WorldParts* each : {world.forked_from, &world}) {
    if (auto steps = steps_from(*each->plan->physical, world.fork_step)) {
      again.insert(steps->begin(), steps->end());
    }
  }
  return again;
}

template <class Call>
bool same(const Call& a, const auto& b) {
  return a.task == b.task && a.what == b.what && a.args == b.args;
}

bool undone(const WorldParts& world, const CallIdentity& call) {
  return std::ranges::find(world.undone, call) != world.undone.end() ||
         std::ranges::find(world.undoing, call) != world.undoing.end();
}

// The old run's last call of this task, if it was this one and returned; null: not known.
const ReturnedCall* known_result(const WorldParts& old, const auto& call) {
  const ReturnedCall* found = nullptr;
  for (const ReturnedCall& before : old.returned) {
    if (same(before, call)) found = &before;
  }
  return found;
}

// The key that the world knows this call by, from the old run or those that it came from.
std::optional<std::string> known_key(const WorldParts& old, const SentCall& call) {
  for (const SentCall& before : old.sent) {
    if (same(before, call)) return before.key;
  }
  const ReturnedCall* taken = known_result(old, call);
  if (taken == nullptr || !taken->cached || old.forked_from == nullptr) return std::nullopt;
  return known_key(*old.forked_from, call);
}

// Whether what stands for a call may have been taken back: nobody need take it over.
bool may_be_undone(const WorldParts& old, const auto& call) {
  for (const WorldParts* run = &old; run != nullptr; run = run->forked_from) {
    const auto undone_here = [&](const auto& before) {
      return same(before, call) && undone(*run, before.call);
    };
    // Also what the run took over itself, and never sent.
    if (std::ranges::any_of(run->sent, undone_here)) return true;
    if (std::ranges::any_of(run->returned, undone_here)) return true;
  }
  return false;
}

// Whether the old run took it back: as the tool knows it.
bool was_undone(const WorldParts& world, CallIdentity call) {
  call.call |= kUndoCall;
  return std::ranges::any_of(world.ledger.deeds(), [&](const Deed& deed) {
    return deed.undo && deed.process >= world.forked_from->first_process &&
           deed.process < world.first_process && identity_of(deed.call) == call;
  });
}

void check_taken(WorldParts& world, const std::set<std::string>& again) {
  const WorldParts& old = *world.forked_from;
  for (const ReturnedCall& call : world.returned) {
    const ReturnedCall* before = known_result(old, call);
    if (!call.cached) {
      const bool must = before != nullptr && old.whole && !again.contains(root_of(call.task)) &&
                        !call.streaming && !before->streaming && !may_be_undone(old, call);
      if (must) world.violate("fork_repeats", call.task + " was made again, and need not be");
      continue;
    }
    ++world.report.reused;
    if (before == nullptr) {
      world.violate("fork_result", call.task + " took over what the old run never got");
    } else if (!(before->output == call.output)) {
      world.violate("fork_result", fmt::format("{} took over {} and the old run got {}", call.task,
                                               preview(call.output), preview(before->output)));
    } else if (again.contains(root_of(call.task))) {
      world.violate("fork_result", call.task + " is of a step that was to run again");
    } else if (was_undone(world, before->call)) {
      world.violate("fork_result", call.task + " took over what was undone");
    }
  }
}

void check_keys(WorldParts& world) {
  const WorldParts& old = *world.forked_from;
  std::map<std::string, const SentCall*> old_keys;
  const WorldParts* run = &old;
  do {
    for (const SentCall& before : run->sent) old_keys.try_emplace(before.key, &before);
    run = run->forked_from;
  } while (run != nullptr);
  for (const SentCall& call : world.sent) {
    auto owner = old_keys.find(call.key);
    if (owner != old_keys.end() && !same(*owner->second, call)) {
      world.violate("fork_key",
                    fmt::format("{} went out with the key of {}", call.task, owner->second->task));
    }
    const std::optional<std::string> key = known_key(old, call);
    if (!key || *key == call.key || !old.whole || may_be_undone(old, call)) continue;
    world.violate("fork_key", call.task + " went out with another key than in the old run");
  }
}

// Also where the result is not known: the old run may have died before it was journaled.
void check_once(WorldParts& world, const std::set<std::string>& again) {
  for (const Deed& deed : world.ledger.deeds()) {
    if (deed.process < world.first_process || deed.effect != Effect::kOnce || deed.undo) continue;
    if (deed.call.call != 0 || again.contains(root_of(deed.task))) continue;
    for (const Deed& before : world.ledger.deeds()) {
      if (before.process >= world.first_process) break;
      const bool repeats = before.effect == Effect::kOnce && before.task == deed.task &&
                           before.call.call == 0 && before.function == deed.function &&
                           before.args == deed.args &&
                           before.process >= world.forked_from->first_process &&
                           !undone(*world.forked_from, identity_of(before.call));
      if (!repeats) continue;
      world.violate("fork_once_twice",
                    fmt::format("{} {} was done by the old run and again by its fork",
                                deed.function, deed.task));
    }
  }
}

}  // namespace

void check_fork(WorldParts& world) {
  if (world.rotten) return;
  const std::set<std::string> again = to_run_again(world);
  check_taken(world, again);
  check_keys(world);
  check_once(world, again);
  auto now = read_marks(world, world.forked_from->run_id);
  if (!now) return world.violate("fork_touches", now.error().to_string());
  if (*now != world.forked_from->left_behind) {
    world.violate("fork_touches", "the journal of the run that was forked is not what it was");
  }
}

void check_refusal(WorldParts& world) {
  const WorldParts& old = *world.forked_from;
  if (read_marks(world, world.run_id).value_or(std::map<JournalSeq, std::uint64_t>()).size() > 0) {
    return world.violate("fork_refused",
                         "a fork that was begun is refused: " + world.refused->to_string());
  }
  const bool may = !old.whole || old.has_intents || old.plan->physical->undo;
  if (may || old.left_behind.empty()) return;
  world.violate("fork_refused", world.refused->to_string());
}

}  // namespace sluice
