#include "simulate/people.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/record.h"

namespace sluice {

People::~People() { power_gone(); }

void People::power_gone() {
  if (life_) life_->die();
  if (vfs_) vfs_->die();
  watched_.reset();
  journal_.reset();
  vfs_.reset();
  life_.reset();
}

Journal* People::journal() {
  if (journal_) return watched_.get();
  life_ = std::make_unique<Life>(immortal_, [](bool) {});
  if (world_.machine) vfs_ = std::make_unique<SimVfs>(*world_.machine);
  auto store = world_.connect(*life_, vfs_.get());
  if (!store) {
    power_gone();
    return nullptr;
  }
  journal_ =
      std::make_unique<GroupCommitJournal>(*std::move(store), GroupCommitJournal::Driver::kManual);
  watched_ = std::make_unique<WatchedJournal>(*journal_, world_.promises, [] { return true; });
  return watched_.get();
}

Result<void> People::send(const RunMessage& message) {
  Journal* journal = this->journal();
  if (journal == nullptr) return fail(ErrorCode::kIo, "the store cannot be opened");
  const auto [kind, body] = encode_message(message);
  auto id = journal->send(world_.run_id, kind, body, kSimEpochNs + world_.queue.now());
  world_.surroundings.tell(0, fmt::format("a person sends {} {}: {}", kind, body,
                                          id ? "taken" : id.error().to_string()));
  if (!id) return std::unexpected(id.error());
  notify_();
  return {};
}

bool People::signal(const std::string& name) {
  return send(SignalMessage{name, "", Value::integer(kFirstSignalValue + ++signals_)}).has_value();
}

bool People::cancel() {
  world_.cancel_asked = true;
  return send(CancelMessage{"somebody had enough"}).has_value();
}

// Whether somebody has said already what became of a task, and nobody has listened yet.
bool People::said(const std::string& task) {
  Journal* journal = this->journal();
  if (journal == nullptr) return true;
  std::uint64_t heard = 0;
  Result<void> read = journal->read(world_.run_id, 1, [&](JournalSeq, const JournalRecord& record) {
    Result<Record> decoded = decode_record(record);
    if (!decoded) return true;
    heard = std::max(heard, record_message(*decoded));
    if (const auto* snapshot = std::get_if<SnapshotRecord>(&decoded->body)) {
      heard = std::max(heard, snapshot->last_message);
    }
    return true;
  });
  Result<std::vector<InboxMessage>> waiting = journal->inbox(world_.run_id, heard);
  if (!read || !waiting) return true;
  for (const InboxMessage& message : *waiting) {
    Result<RunMessage> decoded = decode_message(message);
    if (!decoded) continue;
    const auto* resolve = std::get_if<ResolveMessage>(&*decoded);
    if (resolve != nullptr && resolve->task == task) return true;
  }
  return false;
}

bool People::settle(const std::vector<RunState::Doubt>& doubts, bool others_live) {
  bool all = true;
  for (const RunState::Doubt& doubt : doubts) {
    if (said(doubt.task_id)) continue;
    auto key = world_.keys.find(identity_of(doubt.call));
    const bool left = key != world_.keys.end();
    const Deed* deed = left ? world_.ledger.find(key->second) : nullptr;
    const bool may_still =
        (left && world_.tools.in_flight(key->second)) || (deed == nullptr && others_live);
    if (may_still) {
      all = false;  // nobody can know yet
      continue;
    }
    ResolveMessage message;
    message.task = doubt.task_id;
    if (deed != nullptr) {
      message.verdict = ResolveMessage::Verdict::kDone;
      message.output = deed->output;
    } else if (world_.scenario.tool_trouble > 0 && world_.random.below(3) == 0) {
      message.verdict = ResolveMessage::Verdict::kFailed;
    } else {
      message.verdict = ResolveMessage::Verdict::kRetry;
    }
    // A run that has ended meanwhile asks nobody any more.
    Result<void> sent = send(message);
    if (!sent && sent.error().code() != ErrorCode::kRunEnded) all = false;
  }
  return all;
}

}  // namespace sluice
