#include "simulate/world_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "simulate/plan_changes.h"

namespace sluice {
namespace {

constexpr std::size_t kViolationsTold = 5;

// A store that has just been made, so that not every world must make one.
const SimDisk& empty_store() {
  thread_local const std::unique_ptr<SimMachine> made = [] {
    auto machine = std::make_unique<SimMachine>(1);
    SimVfs vfs(*machine);
    auto store = open_sqlite_store(
        {.path = std::string(kSimStorePath), .vfs = vfs.name(), .lock_files = false, .busy_ms = 0});
    SLUICE_ENSURE(store.has_value(), store ? "" : store.error().to_string());
    store->reset();
    return machine;
  }();
  return made->disk;
}

// A process that was taken over while it lived, and then acts on what it had been told before, is
// beyond what any journal can prevent: where owners are known by locks, only the dead are taken
// over.
bool slow_posts(const Scenario& of) {
  return of.slow_commits &&
         std::ranges::find(of.acts, ActKind::kRival, &Act::kind) == of.acts.end();
}

}  // namespace

CallIdentity identity_of(const CallRef& call) {
  const auto number = static_cast<std::uint16_t>(call.call & (kUndoCall | 0xFF));
  return {call.task, call.round, call.turn, number};
}

Outside::Outside(const Scenario& of)
    : scenario(of),
      queue(of.seed + 1, slow_posts(of)),
      tools(queue, ledger, {of.seed + 2, of.tool_trouble, of.duplicates}),
      surroundings{
          .queue = queue, .tools = tools, .seed = of.seed + 3, .trouble = of.tool_trouble} {
  if (of.sqlite) {
    machine = std::make_unique<SimMachine>(empty_store(), of.seed + 5);
  } else {
    memory.store = make_memory_store();
  }
}

std::string what_is_called(const StartCall& start) {
  const Step& step = start.step->logical;
  return fmt::format("{} {}.{}", static_cast<int>(step.op), step.target, step.function);
}

WorldParts::WorldParts(Outside& all, const RunPlan& runs)
    : outside(all),
      scenario(all.scenario),
      queue(all.queue),
      ledger(all.ledger),
      tools(all.tools),
      surroundings(all.surroundings),
      machine(all.machine),
      memory(all.memory),
      run_id("run0"),
      plan(runs.plan),
      params(runs.params),
      acts(all.scenario.acts),
      deaths(all.scenario.crashes),
      random(all.scenario.seed + 4),
      first_process(all.booted + 1),
      watches_calls(!all.scenario.forks.empty()) {
  watch_surroundings();
}

WorldParts::WorldParts(WorldParts& before, const RunPlan& runs, const Fork& as, std::uint32_t from)
    : outside(before.outside),
      scenario(before.scenario),
      queue(before.queue),
      ledger(before.ledger),
      tools(before.tools),
      surroundings(before.surroundings),
      machine(before.machine),
      memory(before.memory),
      run_id(before.run_id + "f"),
      plan(runs.plan),
      params(runs.params),
      acts(as.acts),
      deaths(as.crashes),
      random(before.scenario.seed + before.run_id.size()),
      first_process(before.outside.booted + 1),
      forked_from(&before),
      fork_step(step_to_fork_from(*runs.plan, from)),
      watches_calls(true) {
  watch_surroundings();
  tools.down(false);
}

void WorldParts::watch_surroundings() {
  surroundings.violated = [this](std::string_view check, std::string what) {
    violate(check, std::move(what));
  };
  surroundings.left = [this](const StartCall& start, const SimFunction* function,
                             EventQueue::Owner) {
    // Pure calls and reads may leave before what led to them is durable: it may come otherwise.
    if (function == nullptr || function->effect < Effect::kIdempotent) return;
    const CallIdentity identity = identity_of(start.call);
    if (watches_calls && start.call.call == 0) {
      sent.push_back(
          {identity, start.task_id, what_is_called(start), start.args, start.idempotency_key});
    }
    if (start.undo) {
      CallIdentity base = identity;
      base.call &= static_cast<std::uint16_t>(~kUndoCall);
      if (std::ranges::find(undone, base) == undone.end()) undone.push_back(base);
    }
    auto [known, is_new] = keys.try_emplace(identity, start.idempotency_key);
    if (!is_new && known->second != start.idempotency_key) {
      violate("key_changed", start.task_id + " went out with another key than before");
    }
    auto [owner, first] = owners.try_emplace(start.idempotency_key, identity);
    if (!first && owner->second != identity) {
      violate("key_shared", start.task_id + " went out with the key of another call");
    }
  };
}

void WorldParts::violate(std::string_view check, std::string what) {
  // What a disk loses by itself nobody can promise; passing damage off as data is still wrong.
  if (rotten && check != "damage_unseen") return;
  if (report.violations.size() < kViolationsTold) {
    report.violations.push_back({std::string(check), std::move(what)});
  }
}

Result<std::unique_ptr<JournalStore>> WorldParts::connect(Life& life, SimVfs* vfs) {
  if (vfs != nullptr) {
    return open_sqlite_store({.path = std::string(kSimStorePath),
                              .vfs = vfs->name(),
                              .lock_files = false,
                              .busy_ms = 0});
  }
  return std::make_unique<MortalStore>(memory, life, ++outside.connections + scenario.seed);
}

}  // namespace sluice
