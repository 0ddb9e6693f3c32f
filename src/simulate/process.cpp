#include "simulate/process.h"

#include <fmt/format.h>

#include <utility>

#include "plan/physical_codec.h"
#include "runtime/record.h"
#include "runtime/recorded_plan.h"
#include "runtime/recovery.h"
#include "runtime/run_fork.h"
#include "simulate/plan_forms.h"

namespace sluice {

SimProcess::SimProcess(WorldParts& world, Id id, std::function<void(SimProcess&, Told)> told)
    : world_(world),
      id_(id),
      told_(std::move(told)),
      life_(world.deaths, [&world, this](bool power) {
        if (power) world.power_goes = true;
        if (vfs_) vfs_->die();
      }) {
  if (world.machine) {
    vfs_ = std::make_unique<SimVfs>(*world.machine);
    vfs_->on_operation([this] { return !life_.chance(); });
  }
  values_ = std::make_unique<SimValues>(
      world.scenario.spills, [this](const Hash256& hash) { return watched_->content(hash); });
  host_ = std::make_unique<SimHost>(world.surroundings, id, life_, world.plan, *values_);
  physical_ = world.plan->physical;
}

SimProcess::~SimProcess() {
  host_->set_inbox(nullptr);
  loop_.reset();
  journal_.reset();  // commits what waits; the dead commit nothing
}

void SimProcess::die() {
  life_.die();
  if (vfs_) vfs_->die();
}

RunHeader SimProcess::new_header() const {
  RunHeader header;
  header.run_id = world_.run_id;
  header.program = fmt::format("process {}", id_);
  header.files = {{"plan", world_.plan->shape.text}};
  header.physical = world_.plan->encoded;
  header.wall_ns = host_->wall_now();
  return header;
}

RunCard SimProcess::card() const {
  RunCard card;
  card.plan = world_.plan->name;
  card.status = "running";
  card.started_ns = kSimEpochNs;
  if (world_.is_fork()) card.forked_from = world_.forked_from->run_id;
  return card;
}

void SimProcess::commit_later() {
  Random random(world_.queue.happened() * 77 + world_.scenario.seed);
  const std::uint64_t most = world_.scenario.slow_commits && random.below(5) == 0 ? 400 : 3;
  const auto delay = static_cast<std::int64_t>(random.below(most * 1000)) * 1000;
  world_.queue.after(id_, delay, [this] {
    if (!alive() || !journal_ || finished_) return;
    journal_->commit_once();
  });
}

Result<void> SimProcess::open() {
  auto store = world_.connect(life_, vfs_.get());
  if (!store) return std::unexpected(store.error());
  journal_ =
      std::make_unique<GroupCommitJournal>(*std::move(store), GroupCommitJournal::Driver::kManual);
  journal_->on_work([this] { commit_later(); });
  watched_ = std::make_unique<WatchedJournal>(*journal_, world_.promises,
                                              [this] { return life_.alive(); });
  return {};
}

void SimProcess::make_loop(RunLease lease, JournalSeq begun) {
  lease_ = lease;
  loop_ =
      std::make_unique<RunLoop>(physical_, *host_, *values_, nullptr, [this](RunOutcome outcome) {
        finished_ = true;
        if (!life_.alive()) return;
        Told told{std::move(outcome), loop_->state().doubts()};
        Result<Value> whole = values_->load(told.outcome.result);
        told.result_read = whole.has_value();
        if (whole) told.outcome.result = *whole;
        told_(*this, std::move(told));
      });
  host_->set_inbox(loop_.get());
  RunJournal journal{.journal = *watched_,
                     .lease = std::move(lease),
                     .header = header_,
                     .owner = fmt::format("process {}", id_),
                     .card = card(),
                     .compact_after = world_.scenario.compact_after,
                     .begun = begun};
  loop_->record_in(std::move(journal));
  if (reuse_) loop_->reuse(reuse_);
}

void SimProcess::boot() {
  ++world_.report.boots;
  Result<void> booted = open();
  if (booted) booted = begin_run();
  if (booted || !alive()) return;
  finished_ = true;
  problem_ = booted.error();
}

// The run is made, or taken up where the process before has come to.
Result<void> SimProcess::begin_run() {
  header_ = new_header();
  Result<JournaledRun> found = watched_->find_run(world_.run_id);
  if (!found && found.error().code() != ErrorCode::kRunUnknown) {
    return std::unexpected(found.error());
  }
  if (found && found->state == JournaledRunState::kEnded) {
    run_over_ = true;
    finished_ = true;
    return {};
  }
  if (!found) return make_run();
  Result<RunLease> lease = watched_->take_over(world_.run_id);
  if (!lease) return std::unexpected(lease.error());
  bool has_header = false, has_start = false;
  auto read = watched_->read(world_.run_id, 1, [&](JournalSeq, const JournalRecord& record) {
    const auto type = static_cast<RecordType>(record.type);
    has_header = has_header || type == RecordType::kHeader || type == RecordType::kSnapshot;
    has_start = has_start || type == RecordType::kRunStarted || type == RecordType::kSnapshot;
    return !has_start;
  });
  if (!read) return read;
  if (!has_header || !has_start) {
    if (!world_.rotten) world_.violate("half_begun", "a run was found without its first records");
    return fail(ErrorCode::kJournalDamaged, "the run has no beginning");
  }
  if (world_.is_fork()) {
    if (auto known = read_fork_again(); !known) return known;
  }
  if (world_.scenario.decodes_plan) {
    auto decoded = decode_physical(world_.plan->encoded, world_.plan->logical);
    if (!decoded) return std::unexpected(decoded.error());
    physical_ = *decoded;
  }
  make_loop(*std::move(lease), 0);
  return resume_run();
}

Result<void> SimProcess::make_run() {
  if (world_.is_fork()) {
    if (auto prepared = prepare_fork_of_run(); !prepared) return prepared;
  }
  const RunOptions options{world_.run_id, world_.params, world_.scenario.seed};
  JournalBatch first = first_records(header_, options, *values_);
  const JournalSeq begun = first.records.size();
  Result<RunLease> lease = watched_->create_run(world_.run_id, card(), std::move(first));
  if (!lease) return std::unexpected(lease.error());
  // What is appended together survives together.
  JournalBatch notes;
  for (const char* note : {"made by process", "begun by process"}) {
    notes.records.push_back(encode_record({1, NoteRecord{fmt::format("{} {}", note, id_), 0, 0}}));
  }
  auto appended = watched_->append(*lease, std::move(notes), nullptr);
  if (!appended) return std::unexpected(appended.error());
  make_loop(*std::move(lease), begun);
  loop_->start(options);
  return {};
}

// As the command line does it, before there is such a run.
Result<void> SimProcess::prepare_fork_of_run() {
  const WorldParts& old = *world_.forked_from;
  auto prepared = prepare_fork(*watched_, old.run_id, world_.fork_step, world_.plan->logical,
                               {*values_, adopt_sim_plan});
  if (!prepared) {
    const ErrorCode code = prepared.error().code();
    if (code == ErrorCode::kRunChanged || code == ErrorCode::kRunUnknown) {
      world_.refused = prepared.error();
    }
    return std::unexpected(prepared.error());
  }
  if (!prepared->params.is_null() && !(prepared->params == old.params)) {
    world_.violate("fork_params", "the old run had other parameters");
  }
  reuse_ = prepared->forked.reuse;
  header_.forked_from = old.run_id;
  header_.fork_step = world_.fork_step;
  header_.settings =
      Value::object(encode_fork_bounds({prepared->forked.first_seq, prepared->forked.last_seq}));
  return {};
}

// As whoever takes a fork up does it.
Result<void> SimProcess::read_fork_again() {
  auto header = read_run_header(*watched_, world_.run_id);
  if (!header) return std::unexpected(header.error());
  header_ = *std::move(header);
  auto reuse =
      reuse_of_fork(*watched_, header_, *world_.plan->physical, {*values_, adopt_sim_plan});
  if (!reuse) return std::unexpected(reuse.error());
  reuse_ = *std::move(reuse);
  return {};
}

// Whether the journal begins with a snapshot in which a plan is under way that was produced below a
// sub-plan.
void SimProcess::count_nested() {
  bool below = false;
  AdoptPlan adopt = [&below](const AdmitPlan& admit, const Value& recorded) {
    below = below || admit.task.frame != 0;
    return adopt_sim_plan(admit, recorded);
  };
  std::optional<JournalRecord> first;
  auto read = watched_->read(world_.run_id, 1, [&](JournalSeq, const JournalRecord& record) {
    first = record;
    return false;
  });
  if (!read || !first || static_cast<RecordType>(first->type) != RecordType::kSnapshot) return;
  Recovery recovery(physical_, *values_, nullptr, adopt, false);
  if (recovery.take(1, *first) && below) ++world_.report.nested_restored;
}

Result<void> SimProcess::resume_run() {
  if (world_.scenario.shape >= kFirstShapes && world_.scenario.compact_after > 0) count_nested();
  Result<ResumeReport> resumed = loop_->resume();
  if (!resumed && resumed.error().code() == ErrorCode::kRunEnded) {
    // The process before died between the last record and closing the run.
    run_over_ = true;
    finished_ = true;
    return watched_->close_run(lease_, card(), JournaledRunState::kEnded);
  }
  if (!resumed) return std::unexpected(resumed.error());
  check_inbox();
  take_messages();
  return {};
}

// A message that was acknowledged to its sender is in the journal or still in the inbox.
void SimProcess::check_inbox() {
  if (!running()) return;
  const std::uint64_t last = loop_->last_message();
  Result<std::vector<InboxMessage>> waiting = watched_->inbox(world_.run_id, last);
  if (!waiting) return;
  for (std::uint64_t id : world_.promises.messages()) {
    if (id <= last) continue;
    bool there = false;
    for (const InboxMessage& message : *waiting) there = there || message.id == id;
    if (!there) world_.violate("message_lost", fmt::format("message {} is gone", id));
  }
}

void SimProcess::poll_inbox() {
  const auto delay = static_cast<std::int64_t>(world_.random.below(30) + 1) * kNsPerMs;
  world_.queue.after(id_, delay, [this] { take_messages(); });
}

void SimProcess::take_messages() {
  if (!running()) return;
  // Some hosts remember what they have read, others offer everything again.
  const std::uint64_t after = id_ % 2 == 0 ? 0 : loop_->last_message();
  Result<std::vector<InboxMessage>> messages = watched_->inbox(world_.run_id, after);
  if (!messages) return poll_inbox();
  for (const InboxMessage& message : *messages) {
    if (running()) loop_->take(message);
  }
}

void SimProcess::interrupt() {
  if (running()) loop_->interrupt();
}

void SimProcess::replan(std::uint64_t which) {
  if (!running()) return;
  Random random(which);
  std::vector<std::uint32_t> steps;
  for (std::uint32_t step = 0; step < physical_->steps.size(); ++step) {
    if (loop_->state().may_replan(step)) steps.push_back(step);
  }
  if (steps.empty()) return;
  const std::uint32_t step = steps[random.below(steps.size())];
  PhysicalPlanPtr form = other_form(*physical_->steps[step].plan, random);
  if (!form) return;
  ++world_.report.replans;
  loop_->replan(step, std::move(form), "another order");
}

}  // namespace sluice
