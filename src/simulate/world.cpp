#include "simulate/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "data/json.h"
#include "simulate/people.h"
#include "simulate/process.h"
#include "simulate/world_parts.h"

namespace sluice {
namespace {

constexpr std::uint64_t kCalmAfter = 4'000;  // things happened: no new trouble from then on
constexpr std::uint64_t kMostHappened = 60'000;
constexpr std::uint64_t kMostBoots = 80;
constexpr int kMostSignals = 60;

class World {
 public:
  explicit World(WorldParts& world)
      : world_(world),
        people_(world_, [this] { notify(); }),
        acts_(world.acts),
        begun_(world.queue.happened()) {}

  void run() {
    boot_process();
    while (!over_) {
      begin_acts();
      if (!world_.queue.step() && !stand_still()) break;
      for (const auto& process : processes_) chance_between(*process);
      bury();
      if (happened() > kMostHappened) {
        world_.violate("endless", "the history does not come to an end");
        break;
      }
      if (happened() > kCalmAfter) calm_down();
      if (world_.left_at != 0 && happened() >= world_.left_at) {
        tell(0, "nobody takes the run up any more");
        break;
      }
    }
    finish();
  }

 private:
  std::uint64_t happened() const { return world_.queue.happened() - begun_; }

  // ---- processes ----

  void boot_process() {
    boot_planned_ = false;
    if (over_) return;
    // What fails while the disk does says nothing.
    if (heals_.empty() && ++boots_ > kMostBoots) {
      world_.violate("not_resumable",
                     fmt::format("{} processes could not bring the run to its end: {}", kMostBoots,
                                 last_problem_));
      over_ = true;
      return;
    }
    if (processes_.empty()) rot();
    const SimProcess::Id id = ++world_.outside.booted;
    tell(id, "boots");
    processes_.push_back(std::make_unique<SimProcess>(
        world_, id, [this](SimProcess&, Told told) { process_told(std::move(told)); }));
    processes_.back()->boot();
    if (world_.refused) over_ = true;
  }

  void plan_boot(std::int64_t delay_ns) {
    if (std::exchange(boot_planned_, true)) return;
    world_.queue.after(EventQueue::kWorld, delay_ns, [this] { boot_process(); });
  }
  std::int64_t some_ms(std::uint64_t most) {
    return static_cast<std::int64_t>(world_.random.below(most) + 1) * kNsPerMs;
  }

  // The one that owns the run, as far as it knows.
  SimProcess* owner() {
    for (auto process = processes_.rbegin(); process != processes_.rend(); ++process) {
      if ((*process)->running()) return process->get();
    }
    return nullptr;
  }

  void chance_between(SimProcess& process) {
    if (process.alive()) process.chance();
  }

  void process_told(Told told) {
    const RunStatus status = told.outcome.status;
    tell(0,
         fmt::format("told: {}{}", run_status_name(status),
                     told.outcome.errors.empty() ? "" : ", " + told.outcome.errors[0].to_string()));
    if (status == RunStatus::kInterrupted) {
      for (const Error& error : told.outcome.errors) last_problem_ = error.to_string();
      return;
    }
    if (status == RunStatus::kInDoubt) {
      // A late answer may settle the doubt while the run is being closed.
      if (told.doubts.empty() && world_.surroundings.late_answers == 0) {
        world_.violate("false_doubt", "the run stopped in doubt about nothing");
      }
      for (const RunState::Doubt& doubt : told.doubts) check_doubt(doubt);
      doubts_ = std::move(told.doubts);
      world_.report.in_doubt = world_.scenario.stops_in_doubt;
      over_ = world_.scenario.stops_in_doubt;
      return;
    }
    // A process that lost the run just behind its end may still tell it; it must be the same.
    if (told_ && told_->outcome.status != status) {
      world_.violate("two_ends", "two ends of the run were told");
    }
    told_ = std::move(told);
    over_ = true;
  }

  // Doubt is honest: only `once` calls, and only ones of which nobody knows.
  void check_doubt(const RunState::Doubt& doubt) {
    auto key = world_.keys.find(identity_of(doubt.call));
    if (key == world_.keys.end()) return;  // its intent was written down, and no more
    const Deed* deed = world_.ledger.find(key->second);
    if (deed != nullptr && deed->effect != Effect::kOnce) {
      world_.violate("false_doubt", doubt.task_id + " may be repeated, and is in doubt");
    }
  }

  void tell(SimProcess::Id process, std::string_view what) {
    world_.surroundings.tell(process, what);
  }

  // Away with the dead and with those who are done; the next one comes.
  void bury() {
    while (true) {
      if (std::exchange(world_.power_goes, false)) cut_power();
      auto gone =
          std::ranges::find_if(processes_, [](const auto& process) { return !process->running(); });
      if (gone == processes_.end()) break;
      if ((*gone)->problem()) note_problem(*(*gone)->problem());
      world_.queue.forget((*gone)->id());
      tell((*gone)->id(), (*gone)->alive() ? "is done" : "is dead");
      if ((*gone)->run_over() && !told_) {
        over_ = true;  // it ended, and the process died before anybody was told
      }
      // Its last commit, in the destructor, is a chance to die too.
      processes_.erase(gone);
    }
    if (over_ || owner() != nullptr) return;
    if (!doubts_.empty()) return settle_soon();
    plan_boot(some_ms(2000));
  }

  void note_problem(const Error& problem) {
    last_problem_ = problem.to_string();
    tell(0, last_problem_);
    if (!world_.rotten) return;
    const bool honest = problem.code() == ErrorCode::kJournalDamaged ||
                        problem.code() == ErrorCode::kJournal || problem.code() == ErrorCode::kIo;
    if (!honest) return;
    world_.report.damaged = true;
    over_ = true;
  }

  void cut_power() {
    tell(0, "the power goes");
    for (const auto& process : processes_) {
      process->die();
      world_.queue.forget(process->id());
    }
    processes_.clear();
    people_.power_gone();
    if (world_.machine) world_.machine->power_cut();
  }

  // ---- people and other trouble ----

  void notify() {
    for (const auto& process : processes_) {
      if (process->running()) process->poll_inbox();
    }
  }

  void settle_soon() {
    if (std::exchange(settling_, true)) return;
    world_.queue.after(EventQueue::kWorld, some_ms(500), [this] {
      settling_ = false;
      if (doubts_.empty() || over_) return;
      if (!people_.settle(doubts_, !processes_.empty())) return settle_soon();
      doubts_.clear();
      if (owner() == nullptr) plan_boot(some_ms(50));
    });
  }

  void begin_acts() {
    while (next_act_ < acts_.size() && acts_[next_act_].at <= happened()) {
      begin(acts_[next_act_++]);
    }
    for (auto heal = heals_.begin(); heal != heals_.end();) {
      if (heal->first > happened()) {
        ++heal;
        continue;
      }
      heal->second();
      heal = heals_.erase(heal);
    }
    bury();
  }

  void heal_after(std::int64_t amount, std::function<void()> heal) {
    heals_.emplace(happened() + static_cast<std::uint64_t>(amount), std::move(heal));
  }

  void begin(const Act& act) {
    tell(0, act_name(act.kind));
    SimProcess* process = owner();
    const auto& signals = world_.plan->shape.signals;
    switch (act.kind) {
      case ActKind::kSignal:
        // Also one that nothing waits for: it is kept, and does no harm.
        people_.signal(signals.empty()
                           ? "nothing"
                           : signals[static_cast<std::size_t>(act.amount) % signals.size()]);
        return;
      case ActKind::kCancel:
        people_.cancel();
        return;
      case ActKind::kInterrupt:
        if (process != nullptr) process->interrupt();
        return;
      case ActKind::kRival:
        return boot_process();
      case ActKind::kClockStep:
        world_.surroundings.wall_step_ns += act.amount * kNsPerSecond;
        for (const auto& each : processes_) each->clock_stepped();
        return;
      case ActKind::kReplan:
        if (process != nullptr) process->replan(static_cast<std::uint64_t>(act.amount));
        return;
      case ActKind::kResolve:
        if (process != nullptr) {
          people_.settle(process->loop()->state().doubts(), processes_.size() > 1);
        }
        return;
      case ActKind::kToolsDown:
        world_.tools_were_down = true;
        world_.tools.down(true);
        return heal_after(act.amount, [this] { world_.tools.down(false); });
      case ActKind::kDiskFull:
      case ActKind::kDiskErrors:
      case ActKind::kRot:
        return begin_disk_trouble(act);
    }
  }

  void begin_disk_trouble(const Act& act) {
    if (act.kind == ActKind::kRot) {
      if (world_.machine) rot_bits_ = static_cast<int>(act.amount / 4 + 1);
      return;
    }
    if (act.kind == ActKind::kDiskFull) {
      world_.memory.faults.full = true;
      if (world_.machine)
        world_.machine->disk.faults.room_bytes = world_.machine->disk.used_bytes();
    } else {
      world_.memory.faults.errors = 0.3;
      if (world_.machine) world_.machine->disk.faults = {.write_error = 0.1, .sync_error = 0.2};
    }
    heal_after(act.amount, [this] { heal_disk(); });
  }

  // Only while nobody has the file open, who would not see it.
  void rot() {
    if (rot_bits_ == 0) return;
    world_.rotten = true;
    people_.power_gone();
    world_.machine->disk.rot(kSimStorePath, std::exchange(rot_bits_, 0));
  }

  void heal_disk() {
    world_.memory.faults = {};
    if (world_.machine) world_.machine->disk.faults = {};
  }

  void calm_down() {
    world_.deaths.calm();
    world_.tools.calm();
    world_.tools.down(false);
    world_.surroundings.calm = true;
    heal_disk();
  }

  // Nothing is under way. True: something has been done about it.
  bool stand_still() {
    if (over_) return false;
    if (!heals_.empty()) {
      for (auto& [at, heal] : heals_) heal();
      heals_.clear();
      notify();
      return true;
    }
    SimProcess* process = owner();
    if (process == nullptr) {
      if (doubts_.empty()) {
        plan_boot(kNsPerMs);
      } else {
        settle_soon();
      }
      return true;
    }
    if (process->id() != world_.outside.booted) {
      // One that lost the run and has not noticed; whoever had it last is gone.
      process->die();
      return true;
    }
    for (const RunState::Waiting& wait : process->loop()->state().waits()) {
      if (wait.wait.signal.empty()) continue;
      if (++signals_sent_ > kMostSignals) break;
      people_.signal(wait.wait.signal);
      return true;
    }
    world_.violate("stuck", "nothing is under way, and the run has not ended");
    over_ = true;
    return false;
  }

  // What still travels arrives; then the power goes, and what is left is checked.
  void finish() {
    for (const auto& process : processes_) {
      process->die();
      world_.queue.forget(process->id());
    }
    processes_.clear();
    people_.power_gone();
    boot_planned_ = true;
    over_ = true;
    while (world_.queue.step()) {
    }
    heal_disk();
    rot();
    if (world_.machine && world_.scenario.seed % 2 == 0) world_.machine->power_cut();
    WorldReport& report = world_.report;
    report.happened = happened();
    report.points = world_.deaths.points();
    report.crashes = world_.deaths.crashes();
    report.deeds = world_.ledger.deeds().size();
    if (told_) {
      report.ended = true;
      report.status = told_->outcome.status;
      report.result = told_->outcome.result;
    }
    check_ledger(world_);
    check_journal(world_, told_);
    if (world_.refused) {
      check_refusal(world_);
    } else {
      check_outcome(world_, told_);
      if (world_.is_fork()) check_fork(world_);
    }
    report.fingerprint = world_.queue.fingerprint();
  }

  WorldParts& world_;
  People people_;
  const std::vector<Act>& acts_;
  std::uint64_t begun_;  // what had happened before
  std::size_t next_act_ = 0;
  std::multimap<std::uint64_t, std::function<void()>> heals_;
  std::vector<std::unique_ptr<SimProcess>> processes_;
  std::uint64_t boots_ = 0;  // on a disk that works
  bool boot_planned_ = false;
  bool settling_ = false;
  bool over_ = false;
  int rot_bits_ = 0;
  int signals_sent_ = 0;
  std::vector<RunState::Doubt> doubts_;
  std::optional<Told> told_;
  std::string last_problem_;
};

}  // namespace

namespace {

void add(WorldReport& all, const WorldReport& fork) {
  all.violations.insert(all.violations.end(), fork.violations.begin(), fork.violations.end());
  all.happened += fork.happened;
  all.points += fork.points;
  all.crashes += fork.crashes;
  all.boots += fork.boots;
  all.records += fork.records;
  all.deeds = fork.deeds;
  all.reused += fork.reused;
  all.nested_restored += fork.nested_restored;
  all.replans += fork.replans;
  all.fingerprint = fork.fingerprint;
}

// A person forks the run from the step that he wants, or where that cannot be, from one before it.
// Null: from nowhere.
std::unique_ptr<WorldParts> run_fork(WorldParts& before, const RunPlan& runs, const Fork& fork,
                                     std::uint64_t left_at, WorldReport& all) {
  const std::size_t steps = runs.plan->physical->steps.size();
  for (std::size_t tries = 0, from = fork.from % steps; tries < steps; ++tries) {
    auto next = std::make_unique<WorldParts>(before, runs, fork, static_cast<std::uint32_t>(from));
    next->left_at = left_at;
    before.surroundings.tell(0, "a person forks the run from " + next->fork_step);
    World(*next).run();
    add(all, next->report);
    if (!next->refused) {
      ++all.forks;
      return next;
    }
    ++all.refused;
    if (!all.violations.empty()) return nullptr;
    from = (from + steps - 1) % steps;
  }
  return nullptr;
}

}  // namespace

WorldReport run_world(const Scenario& scenario, std::string* story) {
  Outside outside(scenario);
  outside.surroundings.story = story;
  const std::vector<RunPlan> plans = run_plans(scenario);
  const std::vector<Fork>& forks = scenario.forks;
  std::vector<std::unique_ptr<WorldParts>> runs;
  runs.push_back(std::make_unique<WorldParts>(outside, plans[0]));
  if (!forks.empty()) runs[0]->left_at = forks[0].at;
  World(*runs[0]).run();
  WorldReport report = runs[0]->report;
  for (std::size_t i = 0; i < forks.size(); ++i) {
    if (!report.violations.empty() || runs.back()->rotten) break;
    const std::uint64_t left_at = i + 1 < forks.size() ? forks[i + 1].at : 0;
    auto next = run_fork(*runs.back(), plans[i + 1], forks[i], left_at, report);
    if (next == nullptr) break;
    runs.push_back(std::move(next));
  }
  return report;
}

const WorldReport& undisturbed(const RunPlan& runs) {
  thread_local std::map<std::string, WorldReport> known;
  const std::string key = runs.plan->shape.text + to_json(runs.params);
  auto found = known.find(key);
  if (found != known.end()) return found->second;
  if (known.size() > 4096) known.clear();
  Scenario quiet;
  quiet.seed = 1;
  Outside outside(quiet);
  WorldParts world(outside, runs);
  World(world).run();
  return known[key] = world.report;
}

}  // namespace sluice
