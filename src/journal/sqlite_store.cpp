#include "journal/sqlite_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "base/failpoint.h"
#include "journal/content_codec.h"
#include "journal/record_checksum.h"
#include "journal/run_owner.h"
#include "journal/sqlite_schema.h"

namespace sluice {
namespace {

// Above this many pages in the log a commit moves them into the file itself, even when no moment
// is idle.
constexpr int kMostWalFrames = 16'000;

void bind_card(SqliteQuery& query, const RunCard& card) {
  query.text(card.plan).text(card.status).text(card.note).text(card.forked_from);
  query.integer(card.started_ns).integer(card.updated_ns);
  query.number(card.tasks_done).number(card.tasks_failed).number(card.doubts).number(card.waits);
  query.number(card.tokens).real(card.usd);
}

std::string_view view(const Hash256& hash) {
  return {reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()};
}

// Compressing takes its time: before the transaction.
std::vector<std::string> encoded_contents(const RunCommit& commit) {
  std::vector<std::string> encoded;
  for (const auto& content : commit.contents) encoded.push_back(encode_content(content.bytes));
  return encoded;
}

// The file with its rights, before SQLite makes it with others. An existing one is not touched:
// closing it would drop the locks of other connections in this process.
Result<void> create_file(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  std::error_code failed;
  if (!folder.empty()) std::filesystem::create_directories(folder, failed);
  if (failed) {
    return fail(failed == std::errc::no_space_on_device ? ErrorCode::kDiskFull : ErrorCode::kIo,
                fmt::format("the folder {} for the journal cannot be made: {}", folder.string(),
                            failed.message()));
  }
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file >= 0) {
    close(file);
  } else if (errno != EEXIST) {
    return fail(errno == ENOSPC ? ErrorCode::kDiskFull : ErrorCode::kIo,
                fmt::format("the journal {} cannot be made: {}", path, std::strerror(errno)));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<JournalStore>> open_sqlite_store(const SqliteStoreOptions& options) {
  if (options.vfs.empty()) {
    if (auto made = create_file(options.path); !made) return std::unexpected(made.error());
  }
  auto database = SqliteDatabase::open(options);
  if (!database) return std::unexpected(database.error());
  if (auto ready = prepare_sqlite_store(**database, options); !ready) {
    return std::unexpected(ready.error());
  }
  return std::make_unique<SqliteStore>(options, std::move(*database));
}

SqliteStore::SqliteStore(SqliteStoreOptions options, std::unique_ptr<SqliteDatabase> writer)
    : options_(std::move(options)),
      owner_(name_of_this_process()),
      writer_(std::move(writer)),
      locks_(lock_path()) {
  sqlite3_wal_hook(
      writer_->handle(),
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<SqliteStore*>(self)->wal_frames_ = frames;
        return SQLITE_OK;
      },
      this);
  trust_log(false);
}

SqliteStore::ExclusiveLock SqliteStore::exclusive_lock() {
  return options_.exclusive ? ExclusiveLock(exclusive_) : ExclusiveLock();
}

Result<void> SqliteStore::set_sync(bool on) {
  if (sync_ == on) return {};
  sync_ = on;
  return writer_->run(on ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = OFF");
}

Result<std::optional<SqliteStore::RunRow>> SqliteStore::run_row(SqliteDatabase& database,
                                                                std::string_view run_id) {
  auto query = database.query(
      "SELECT id, epoch, state, owner, last_inbox, bytes, first_seq FROM runs WHERE run_id = ?");
  if (!query) return std::unexpected(query.error());
  auto row = query->text(run_id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return RunRow{.id = query->get_integer(0),
                .epoch = query->get_number(1),
                .state = static_cast<int>(query->get_integer(2)),
                .owner = std::string(query->get_bytes(3)),
                .last_inbox = query->get_number(4),
                .bytes = query->get_number(5),
                .first_seq = query->get_number(6)};
}

Result<SqliteStore::RunRow> SqliteStore::known_row(SqliteDatabase& database,
                                                   std::string_view run_id) {
  auto row = run_row(database, run_id);
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::unexpected(unknown_run(run_id, options_.path));
  return std::move(**row);
}

Result<SqliteStore::RunRow> SqliteStore::owned_row(const RunLease& lease) {
  auto row = run_row(*writer_, lease.run_id);
  if (!row) return std::unexpected(row.error());
  if (!*row) {
    return std::unexpected(deleted_run(lease.run_id, options_.path));
  }
  if ((*row)->epoch != lease.epoch && !failpoint(Failpoint::kStaleEpochAccepted)) {
    return std::unexpected(fenced_run(lease.run_id));
  }
  if ((*row)->state != static_cast<int>(JournaledRunState::kOpen)) {
    return std::unexpected(closed_run(lease.run_id));
  }
  return std::move(**row);
}

Result<JournalSeq> SqliteStore::highest_seq(std::int64_t run) {
  auto query = writer_->query("SELECT max(key) FROM records WHERE key >= ? AND key < ?");
  if (!query) return std::unexpected(query.error());
  auto row = query->integer(record_key(run, 0)).integer(record_key(run + 1, 0)).step();
  if (!row) return std::unexpected(row.error());
  return *row ? seq_of_key(query->get_integer(0)) : 0;
}

Result<void> SqliteStore::insert_run(std::string_view run_id, const RunCard& card, Held& held) {
  if (auto there = run_row(*writer_, run_id); !there) {
    return std::unexpected(there.error());
  } else if (*there) {
    return fail(ErrorCode::kJournal,
                fmt::format("the journal {} already has a run {}", options_.path, run_id));
  }
  auto query = writer_->query(
      "INSERT INTO runs(run_id, owner, plan, status, note, forked_from, started_ns, updated_ns, "
      "tasks_done, tasks_failed, doubts, waits, tokens, usd, state, epoch, first_seq, last_seq, "
      "bytes, last_inbox) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 1, 0, 0, 0)");
  if (!query) return std::unexpected(query.error());
  query->text(run_id).text(owner_);
  bind_card(*query, card);
  if (auto done = query->run(); !done) return done;
  held.id = sqlite3_last_insert_rowid(writer_->handle());
  if (!options_.lock_files) return {};
  auto locked = locks_.take(held.id);
  if (!locked) return std::unexpected(locked.error());
  if (!*locked) {
    return fail(ErrorCode::kIo,
                fmt::format("a lock in {} is held by another process", lock_path()));
  }
  return {};
}

// The card again: it takes along what the run's row says of its records.
Result<void> SqliteStore::write_first(const RunCommit& commit,
                                      const std::vector<std::string>& contents, Held& held) {
  if (auto done = write_contents(commit, contents, held); !done) return done;
  if (auto done = write_records(commit, held); !done) return done;
  return write_card(commit, held);
}

Result<RunLease> SqliteStore::create_run(std::string_view run_id, const RunCard& card,
                                         const JournalBatch& first) {
  auto lock = exclusive_lock();
  if (run_id.empty()) return fail(ErrorCode::kJournal, "a run needs an id");
  const RunCommit commit{.lease = {std::string(run_id), 1},
                         .first_seq = 1,
                         .records = first.records,
                         .contents = first.contents,
                         .card = card};
  const auto contents = encoded_contents(commit);
  if (auto set = set_sync(true); !set) return std::unexpected(set.error());
  Held held;
  auto made = transaction([&]() -> Result<void> {
    if (auto row = insert_run(run_id, card, held); !row) return row;
    return write_first(commit, contents, held);
  });
  if (!made) {
    locks_.release(held.id);
    return std::unexpected(made.error());
  }
  held_[std::string(run_id)] = held;
  return commit.lease;
}

Result<void> SqliteStore::claim_run(std::string_view run_id, Taken& taken, Held& held) {
  auto row = known_row(*writer_, run_id);
  if (!row) return std::unexpected(row.error());
  if (row->state != static_cast<int>(JournaledRunState::kOpen)) {
    return std::unexpected(ended_run(run_id));
  }
  if (options_.lock_files) {
    auto locked = locks_.take(row->id);
    if (!locked) return std::unexpected(locked.error());
    if (!*locked) {
      return std::unexpected(busy_run(run_id, row->owner));
    }
  }
  held.id = row->id;
  held.bytes = row->bytes;
  auto last = highest_seq(held.id);
  if (!last) return std::unexpected(last.error());
  held.last_seq = taken.last_seq = *last;
  // The last owner may have died before what it compacted was removed.
  if (row->first_seq > 1) compacted_.insert(held.id);
  taken.lease = {std::string(run_id), row->epoch + 1};
  auto query = writer_->query("UPDATE runs SET epoch = ?, owner = ? WHERE id = ?");
  if (!query) return std::unexpected(query.error());
  return query->number(taken.lease.epoch).text(owner_).integer(held.id).run();
}

Result<JournalStore::Taken> SqliteStore::take_over(std::string_view run_id) {
  auto lock = exclusive_lock();
  Taken taken;
  Held held;
  auto done = transaction([&] { return claim_run(run_id, taken, held); });
  if (!done) {
    if (held.id != 0) locks_.release(held.id);  // taken just now
    return std::unexpected(done.error());
  }
  held_[std::string(run_id)] = held;
  return taken;
}

Result<void> SqliteStore::commit(std::span<RunCommit> commits) {
  auto lock = exclusive_lock();
  std::vector<std::vector<std::string>> contents;
  for (const RunCommit& one : commits) contents.push_back(encoded_contents(one));
  if (auto set = set_sync(!failpoint(Failpoint::kSkipSync)); !set) return set;
  std::vector<Held> after(commits.size());
  auto done = transaction([&]() -> Result<void> {
    for (std::size_t i = 0; i < commits.size(); ++i) {
      auto held = held_.find(commits[i].lease.run_id);
      if (held != held_.end()) after[i] = held->second;
      if (auto written = write_run(commits[i], contents[i], after[i]); !written) return written;
    }
    return {};
  });
  if (!done) return done;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    if (!commits[i].outcome) continue;
    auto held = held_.find(commits[i].lease.run_id);
    if (held == held_.end()) continue;
    held->second = after[i];
    if (!commits[i].close) continue;
    locks_.release(held->second.id);
    held_.erase(held);
  }
  if (wal_frames_ >= kMostWalFrames) checkpoint();
  return {};
}

Result<void> SqliteStore::write_run(RunCommit& commit, const std::vector<std::string>& contents,
                                    Held& held) {
  commit.outcome = {};
  auto row = owned_row(commit.lease);
  if (!row) {
    if (row.error().code() != ErrorCode::kJournal) return std::unexpected(row.error());
    commit.outcome = std::unexpected(row.error());
    return {};
  }
  held.id = row->id;
  if (auto done = write_contents(commit, contents, held); !done) return done;
  if (auto done = write_records(commit, held); !done) return done;
  if (commit.acknowledged != 0) {
    auto query = writer_->query("DELETE FROM inbox WHERE run = ? AND id <= ?");
    if (!query) return std::unexpected(query.error());
    if (auto done = query->integer(held.id).number(commit.acknowledged).run(); !done) return done;
  }
  return commit.card || commit.close ? write_card(commit, held) : Result<void>();
}

Result<void> SqliteStore::write_records(const RunCommit& commit, Held& held) {
  if (commit.records.empty()) return {};
  const std::uint64_t seed = checksum_seed(commit.lease.run_id);
  JournalSeq seq = commit.first_seq;
  std::string body;
  for (const auto& record : commit.records) {
    body.clear();
    append_checked(body, seed, seq, record);
    auto query = writer_->query("INSERT INTO records(key, type, version, body) VALUES(?, ?, ?, ?)");
    if (!query) return std::unexpected(query.error());
    query->integer(record_key(held.id, seq)).integer(record.type).integer(record.version);
    if (auto done = query->blob(body).run(); !done) return done;
    held.bytes += body.size();
    held.last_seq = seq++;
  }
  return {};
}

Result<void> SqliteStore::write_contents(const RunCommit& commit,
                                         const std::vector<std::string>& contents, Held& held) {
  for (std::size_t i = 0; i < commit.contents.size(); ++i) {
    const std::string_view hash = view(commit.contents[i].hash);
    {
      auto insert = writer_->query(
          "INSERT INTO contents(hash, bytes) VALUES(?, ?) ON CONFLICT(hash) DO NOTHING");
      if (!insert) return std::unexpected(insert.error());
      if (auto done = insert->blob(hash).blob(contents[i]).run(); !done) return done;
    }
    auto use = writer_->query(
        "INSERT OR IGNORE INTO content_uses(run, content) "
        "SELECT ?, id FROM contents WHERE hash = ?");
    if (!use) return std::unexpected(use.error());
    if (auto done = use->integer(held.id).blob(hash).run(); !done) return done;
    if (sqlite3_changes(writer_->handle()) > 0) held.bytes += contents[i].size();
  }
  return {};
}

Result<void> SqliteStore::write_card(const RunCommit& commit, const Held& held) {
  if (commit.card) {
    auto query = writer_->query(
        "UPDATE runs SET plan = ?, status = ?, note = ?, forked_from = ?, started_ns = ?, "
        "updated_ns = ?, tasks_done = ?, tasks_failed = ?, doubts = ?, waits = ?, tokens = ?, "
        "usd = ?, last_seq = ?, bytes = ? WHERE id = ?");
    if (!query) return std::unexpected(query.error());
    bind_card(*query, *commit.card);
    query->number(held.last_seq).number(held.bytes).integer(held.id);
    if (auto done = query->run(); !done) return done;
  }
  if (!commit.close) return {};
  auto query =
      writer_->query("UPDATE runs SET state = ?, owner = '', last_seq = ?, bytes = ? WHERE id = ?");
  if (!query) return std::unexpected(query.error());
  query->integer(static_cast<int>(*commit.close)).number(held.last_seq).number(held.bytes);
  return query->integer(held.id).run();
}

Result<JournalSeq> SqliteStore::last_seq(const RunLease& lease) {
  auto lock = exclusive_lock();
  auto row = owned_row(lease);
  if (!row) return std::unexpected(row.error());
  auto last = highest_seq(row->id);
  auto held = held_.find(lease.run_id);
  if (last && held != held_.end()) held->second.last_seq = *last;
  return last;
}

Result<void> SqliteStore::write_snapshot(std::int64_t run, std::string_view run_id, JournalSeq upto,
                                         const JournalRecord& snapshot) {
  std::string body;
  append_checked(body, checksum_seed(run_id), upto, snapshot);
  {
    auto query = writer_->query(
        "INSERT OR REPLACE INTO records(key, type, version, body) VALUES(?, ?, ?, ?)");
    if (!query) return std::unexpected(query.error());
    query->integer(record_key(run, upto)).integer(snapshot.type).integer(snapshot.version);
    if (auto done = query->blob(body).run(); !done) return done;
  }
  auto query = writer_->query("UPDATE runs SET first_seq = max(first_seq, ?) WHERE id = ?");
  if (!query) return std::unexpected(query.error());
  return query->number(upto).integer(run).run();
}

Result<void> SqliteStore::compact(const RunLease& lease, JournalSeq upto,
                                  const JournalRecord& snapshot) {
  auto lock = exclusive_lock();
  std::int64_t run = 0;
  if (failpoint(Failpoint::kCompactDeletesFirst)) {
    auto done = transaction([&]() -> Result<void> {
      auto row = owned_row(lease);
      if (!row) return std::unexpected(row.error());
      auto query = writer_->query("DELETE FROM records WHERE key >= ? AND key <= ?");
      if (!query) return std::unexpected(query.error());
      return query->integer(record_key(row->id, 0)).integer(record_key(row->id, upto)).run();
    });
    if (!done) return done;
  }
  auto done = transaction([&]() -> Result<void> {
    auto row = owned_row(lease);
    if (!row) return std::unexpected(row.error());
    run = row->id;
    return write_snapshot(run, lease.run_id, upto, snapshot);
  });
  if (done) compacted_.insert(run);
  return done;
}

Result<std::uint64_t> SqliteStore::send(std::string_view run_id, std::string_view kind,
                                        std::string_view body, WallNs now) {
  auto lock = exclusive_lock();
  std::uint64_t id = 0;
  if (auto set = set_sync(!failpoint(Failpoint::kInboxNotDurable)); !set) {
    return std::unexpected(set.error());
  }
  auto done = transaction([&]() -> Result<void> {
    auto row = known_row(*writer_, run_id);
    if (!row) return std::unexpected(row.error());
    if (row->state != static_cast<int>(JournaledRunState::kOpen)) {
      return std::unexpected(deaf_run(run_id));
    }
    id = row->last_inbox + 1;
    {
      auto query = writer_->query("UPDATE runs SET last_inbox = ? WHERE id = ?");
      if (!query) return std::unexpected(query.error());
      if (auto sent = query->number(id).integer(row->id).run(); !sent) return sent;
    }
    auto query =
        writer_->query("INSERT INTO inbox(run, id, kind, body, sent_ns) VALUES(?, ?, ?, ?, ?)");
    if (!query) return std::unexpected(query.error());
    return query->integer(row->id).number(id).text(kind).text(body).integer(now).run();
  });
  if (!done) return std::unexpected(done.error());
  return id;
}

}  // namespace sluice
