#include "simulate/mortal_store.h"

namespace sluice {
namespace {

Error dead() { return {ErrorCode::kIo, "the process is dead"}; }

}  // namespace

Result<void> MortalStore::fault() {
  if (shared_.faults.full) return fail(ErrorCode::kDiskFull, "no space left on the simulated disk");
  if (shared_.faults.errors > 0 && random_.unit() < shared_.faults.errors) {
    return fail(ErrorCode::kIo, "the simulated disk failed");
  }
  return {};
}

template <class Work>
auto MortalStore::write(const Work& work) -> decltype(work()) {
  if (!life_.chance()) return std::unexpected(dead());
  if (auto bad = fault(); !bad) return std::unexpected(bad.error());
  auto done = work();
  if (!life_.chance()) return std::unexpected(dead());
  return done;
}

template <class Work>
auto MortalStore::read_only(const Work& work) -> decltype(work()) {
  if (!life_.alive()) return std::unexpected(dead());
  if (shared_.faults.errors > 0 && random_.unit() < shared_.faults.errors / 4) {
    return std::unexpected(Error(ErrorCode::kIo, "the simulated disk failed"));
  }
  return work();
}

Result<RunLease> MortalStore::create_run(std::string_view run_id, const RunCard& card,
                                         const JournalBatch& first) {
  return write([&] {
    auto lease = store_.create_run(run_id, card, first);
    if (lease) shared_.owner = *lease;
    return lease;
  });
}
Result<JournalStore::Taken> MortalStore::take_over(std::string_view run_id) {
  return write([&]() -> Result<Taken> {
    auto taken = store_.take_over(run_id);
    if (!taken && taken.error().code() == ErrorCode::kRunBusy) {
      RunCommit release{.lease = shared_.owner, .close = JournaledRunState::kOpen};
      if (auto done = store_.commit({&release, 1}); !done) return std::unexpected(done.error());
      taken = store_.take_over(run_id);
    }
    if (taken) shared_.owner = taken->lease;
    return taken;
  });
}
Result<void> MortalStore::commit(std::span<RunCommit> commits) {
  return write([&] { return store_.commit(commits); });
}
Result<JournalSeq> MortalStore::last_seq(const RunLease& lease) {
  return write([&] { return store_.last_seq(lease); });
}
Result<void> MortalStore::compact(const RunLease& lease, JournalSeq upto,
                                  const JournalRecord& snapshot) {
  return write([&] { return store_.compact(lease, upto, snapshot); });
}
Result<void> MortalStore::read(std::string_view run_id, JournalSeq first,
                               const Journal::Visit& visit) {
  return read_only([&] { return store_.read(run_id, first, visit); });
}
Result<JournaledRun> MortalStore::find_run(std::string_view run_id) {
  return read_only([&] { return store_.find_run(run_id); });
}
Result<std::vector<JournaledRun>> MortalStore::list_runs(const RunQuery& query) {
  return read_only([&] { return store_.list_runs(query); });
}
Result<void> MortalStore::delete_run(std::string_view run_id) {
  return write([&] { return store_.delete_run(run_id); });
}
Result<bool> MortalStore::tidy_up() {
  return write([&] { return store_.tidy_up(); });
}
Result<std::uint64_t> MortalStore::send(std::string_view run_id, std::string_view kind,
                                        std::string_view body, WallNs now) {
  return write([&] { return store_.send(run_id, kind, body, now); });
}
Result<std::vector<InboxMessage>> MortalStore::inbox(std::string_view run_id,
                                                     std::uint64_t after_id) {
  return read_only([&] { return store_.inbox(run_id, after_id); });
}
Result<std::string> MortalStore::content(const Hash256& hash) {
  return read_only([&] { return store_.content(hash); });
}
Result<void> MortalStore::check(const std::function<void(const JournalDamage&)>& found) {
  return read_only([&] { return store_.check(found); });
}

}  // namespace sluice
