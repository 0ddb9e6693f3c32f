#include "simulate/process.h"

#include <fmt/format.h>

#include <utility>

#include "plan/physical_codec.h"
#include "runtime/record.h"

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

RunHeader SimProcess::header() const {
  RunHeader header;
  header.run_id = kSimRun;
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

void SimProcess::make_loop(RunLease lease) {
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
                     .header = header(),
                     .owner = fmt::format("process {}", id_),
                     .card = card(),
                     .compact_after = world_.scenario.compact_after};
  loop_->record_in(std::move(journal));
}

void SimProcess::boot() {
  ++world_.report.boots;
  Result<void> booted = open();
  if (booted) booted = begin_run();
  if (booted || !alive()) return;
  finished_ = true;
  problem_ = booted.error();
}

// The run is made, begun or taken up, as far as the process before has come.
Result<void> SimProcess::begin_run() {
  Result<JournaledRun> found = watched_->find_run(kSimRun);
  if (!found && found.error().code() != ErrorCode::kRunUnknown) {
    return std::unexpected(found.error());
  }
  if (found && found->state == JournaledRunState::kEnded) {
    run_over_ = true;
    finished_ = true;
    return {};
  }
  Result<RunLease> lease =
      found ? watched_->take_over(kSimRun) : watched_->create_run(kSimRun, card());
  if (!lease) return std::unexpected(lease.error());
  bool has_header = false, has_start = false;
  auto read = watched_->read(kSimRun, 1, [&](JournalSeq, const JournalRecord& record) {
    const auto type = static_cast<RecordType>(record.type);
    has_header = has_header || type == RecordType::kHeader || type == RecordType::kSnapshot;
    has_start = has_start || type == RecordType::kRunStarted || type == RecordType::kSnapshot;
    return !has_start;
  });
  if (!read) return read;
  if (has_start) {
    if (world_.scenario.decodes_plan) {
      auto decoded = decode_physical(world_.plan->encoded, world_.plan->logical);
      if (!decoded) return std::unexpected(decoded.error());
      physical_ = *decoded;
    }
    make_loop(*std::move(lease));
    return resume_run();
  }
  if (!has_header) {
    JournalBatch batch;
    batch.records.push_back(encode_record({0, header()}));
    batch.records.push_back(
        encode_record({0, NoteRecord{fmt::format("made by process {}", id_), 0, 0}}));
    auto appended = watched_->append(*lease, std::move(batch), nullptr);
    if (!appended) return std::unexpected(appended.error());
  }
  make_loop(*std::move(lease));
  loop_->start({std::string(kSimRun), world_.plan->params, world_.scenario.seed});
  return {};
}

Result<void> SimProcess::resume_run() {
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
  Result<std::vector<InboxMessage>> waiting = watched_->inbox(kSimRun, last);
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
  Result<std::vector<InboxMessage>> messages = watched_->inbox(kSimRun, after);
  if (!messages) return poll_inbox();
  for (const InboxMessage& message : *messages) {
    if (running()) loop_->take(message);
  }
}

void SimProcess::interrupt() {
  if (running()) loop_->interrupt();
}

}  // namespace sluice
