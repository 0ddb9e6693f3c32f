#include "journal/commit_mistakes.h"

#include <utility>

#include "base/failpoint.h"

namespace sluice {
namespace {

// Commits `commits`, then `rest` in a second transaction.
Result<void> commit_twice(JournalStore& store, std::vector<RunCommit>& commits,
                          std::vector<RunCommit>& rest) {
  if (auto first = store.commit(commits); !first) return first;
  return rest.empty() ? Result<void>() : store.commit(rest);
}

Result<void> contents_later(JournalStore& store, std::vector<RunCommit>& commits) {
  std::vector<RunCommit> rest;
  for (auto& commit : commits) {
    if (commit.contents.empty() || commit.close) continue;
    rest.push_back({.lease = commit.lease, .contents = std::exchange(commit.contents, {})});
  }
  return commit_twice(store, commits, rest);
}

Result<void> torn(JournalStore& store, std::vector<RunCommit>& commits) {
  std::vector<RunCommit> rest;
  for (auto& commit : commits) {
    if (commit.records.size() < 2 || commit.close) continue;
    const std::size_t half = commit.records.size() / 2;
    const auto middle = commit.records.begin() + static_cast<std::ptrdiff_t>(half);
    RunCommit second{.lease = commit.lease, .first_seq = commit.first_seq + half};
    second.records.assign(std::make_move_iterator(middle),
                          std::make_move_iterator(commit.records.end()));
    commit.records.erase(middle, commit.records.end());
    rest.push_back(std::move(second));
  }
  return commit_twice(store, commits, rest);
}

}  // namespace

Result<void> commit_to_store(JournalStore& store, std::vector<RunCommit>& commits) {
  if (failpoint(Failpoint::kLoseLastRecord)) {
    for (auto& commit : commits) {
      if (!commit.records.empty()) commit.records.pop_back();
    }
  }
  if (failpoint(Failpoint::kReorderBatch)) {
    for (auto& commit : commits) {
      const std::size_t count = commit.records.size();
      if (count >= 2) std::swap(commit.records[count - 1], commit.records[count - 2]);
    }
  }
  if (failpoint(Failpoint::kContentAfterRecord)) return contents_later(store, commits);
  if (failpoint(Failpoint::kTornBatch)) return torn(store, commits);
  return store.commit(commits);
}

Result<RunLease> create_in_store(JournalStore& store, std::string_view run_id, const RunCard& card,
                                 const JournalBatch& first) {
  if (!failpoint(Failpoint::kBeginInPieces)) return store.create_run(run_id, card, first);
  auto lease = store.create_run(run_id, card, {{}, first.contents});
  JournalSeq seq = 0;
  for (const JournalRecord& record : first.records) {
    if (!lease) break;
    RunCommit piece{.lease = *lease, .first_seq = ++seq, .records = {record}};
    if (auto done = store.commit({&piece, 1}); !done) return std::unexpected(done.error());
  }
  return lease;
}

}  // namespace sluice
