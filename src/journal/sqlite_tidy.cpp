// What SqliteStore does in idle moments: moves the log into the file, removes what compaction and
// deletion left, gives free pages back to the disk. Each call is one short piece.
#include <fmt/format.h>

#include <algorithm>

#include "journal/run_owner.h"
#include "journal/sqlite_schema.h"
#include "journal/sqlite_store.h"

namespace sluice {
namespace {

constexpr int kCheckpointFrames = 1000;
// SQLite writes at most 128 KiB less one byte at once; of more it takes the rest of that division.
constexpr sqlite3_int64 kLogPieceBytes = 64 << 10;
constexpr int kRowsAtOnce = 4000;
constexpr int kContentsAtOnce = 200;
constexpr int kPagesAtOnce = 500;
// The file is made smaller when at least this many pages, and a quarter of it, are free.
constexpr std::int64_t kFreePagesKept = 1000;

}  // namespace

// Readers and other writers go on meanwhile. What cannot be moved now is moved another time.
void SqliteStore::checkpoint() {
  if (!log_trusted_) return;
  int frames = 0;
  int moved = 0;
  sqlite3_wal_checkpoint_v2(writer_->handle(), "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
  wal_frames_ = 0;  // the next commit says anew
}

void SqliteStore::trust_log(bool trusted) {
  log_trusted_ = trusted;
  sqlite3_db_config(writer_->handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, trusted ? 0 : 1, nullptr);
}

Result<void> SqliteStore::write_log_again() {
  sqlite3_file* log = nullptr;
  sqlite3_file_control(writer_->handle(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  sqlite3_int64 size = 0;
  if (log != nullptr && log->pMethods != nullptr) {
    if (int code = log->pMethods->xFileSize(log, &size); code != SQLITE_OK) {
      return std::unexpected(writer_->error(code));
    }
  }
  std::string piece;
  for (sqlite3_int64 at = 0; at < size; at += kLogPieceBytes) {
    const int bytes = static_cast<int>(std::min<sqlite3_int64>(kLogPieceBytes, size - at));
    piece.resize(static_cast<std::size_t>(bytes));
    int code = log->pMethods->xRead(log, piece.data(), bytes, at);
    if (code == SQLITE_OK) code = log->pMethods->xWrite(log, piece.data(), bytes, at);
    if (code != SQLITE_OK) return std::unexpected(writer_->error(code));
  }
  if (size > 0) {
    const int code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (code != SQLITE_OK) return std::unexpected(writer_->error(code));
  }
  trust_log(true);
  return {};
}

Result<void> SqliteStore::delete_run(std::string_view run_id) {
  auto lock = exclusive_lock();
  auto done = transaction([&]() -> Result<void> {
    auto row = known_row(*writer_, run_id);
    if (!row) return std::unexpected(row.error());
    auto locks = LockView::open(lock_path());
    if (!locks) return std::unexpected(locks.error());
    auto locked = locks->locked(row->id);
    if (!locked) return std::unexpected(locked.error());
    if (*locked) {
      return std::unexpected(run_not_deleted(run_id, row->owner));
    }
    auto query = writer_->query("UPDATE runs SET run_id = NULL, state = 2 WHERE id = ?");
    if (!query) return std::unexpected(query.error());
    return query->integer(row->id).run();
  });
  if (done) look_for_gone_ = true;
  return done;
}

Result<bool> SqliteStore::trim_compacted() {
  if (compacted_.empty()) return false;
  const std::int64_t run = *compacted_.begin();
  int rows = 0;
  std::uint64_t bytes = 0;
  auto done = transaction([&]() -> Result<void> {
    // What the row says now: meanwhile the run may be deleted, and its number another run's.
    auto query = writer_->query(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE key >= ?1 AND "
        "key < ?1 + (SELECT first_seq FROM runs WHERE id = ?2) LIMIT ?3) RETURNING length(body)");
    if (!query) return std::unexpected(query.error());
    query->integer(record_key(run, 0)).integer(run).integer(kRowsAtOnce);
    for (;;) {
      auto row = query->step();
      if (!row) return std::unexpected(row.error());
      if (!*row) return {};
      ++rows;
      bytes += query->get_number(0);
    }
  });
  if (!done) return std::unexpected(done.error());
  // The row learns of it with the next card.
  for (auto& [run_id, held] : held_) {
    if (held.id == run) held.bytes -= std::min(held.bytes, bytes);
  }
  if (rows < kRowsAtOnce) {
    compacted_.erase(run);
    shrink_ = true;
  }
  return true;
}

// One piece of one deleted run: records, then contents, then its row.
Result<bool> SqliteStore::remove_gone() {
  if (!look_for_gone_) return false;
  auto run = writer_->integer("SELECT id FROM runs WHERE state = 2 LIMIT 1");
  if (!run) return std::unexpected(run.error());
  if (*run == 0) {
    look_for_gone_ = false;
    return false;
  }
  const auto piece = [&](const char* sql, std::int64_t from, std::int64_t to,
                         int limit) -> Result<bool> {
    auto query = writer_->query(sql);
    if (!query) return std::unexpected(query.error());
    if (auto ran = query->integer(from).integer(to).integer(limit).run(); !ran) {
      return std::unexpected(ran.error());
    }
    return sqlite3_changes(writer_->handle()) > 0;
  };
  auto done = transaction([&]() -> Result<void> {
    auto some = piece(
        "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE key >= ? AND key < ? "
        "LIMIT ?)",
        record_key(*run, 0), record_key(*run + 1, 0), kRowsAtOnce);
    if (!some || *some) return some ? Result<void>() : std::unexpected(some.error());
    // Contents that no other run names; then this run's uses of them. Both in one piece.
    some = piece(
        "DELETE FROM contents WHERE id IN (SELECT content FROM content_uses AS mine "
        "WHERE run = ?1 AND NOT EXISTS (SELECT 1 FROM content_uses AS other "
        "WHERE other.content = mine.content AND other.run <> ?2) LIMIT ?3)",
        *run, *run, kContentsAtOnce);
    if (!some || *some) return some ? Result<void>() : std::unexpected(some.error());
    some = piece("DELETE FROM content_uses WHERE run BETWEEN ? AND ? AND ? > 0", *run, *run, 1);
    if (some) some = piece("DELETE FROM inbox WHERE run BETWEEN ? AND ? AND ? > 0", *run, *run, 1);
    if (some) some = piece("DELETE FROM runs WHERE id BETWEEN ? AND ? AND ? > 0", *run, *run, 1);
    return some ? Result<void>() : std::unexpected(some.error());
  });
  if (!done) return std::unexpected(done.error());
  shrink_ = true;
  return true;
}

Result<bool> SqliteStore::shrink_file() {
  if (!shrink_) return false;
  auto free = writer_->integer("PRAGMA freelist_count");
  if (!free) return std::unexpected(free.error());
  auto all = writer_->integer("PRAGMA page_count");
  if (!all) return std::unexpected(all.error());
  if (*free < kFreePagesKept || *free < *all / 4) {
    shrink_ = false;
    return false;
  }
  static const std::string sql = fmt::format("PRAGMA incremental_vacuum({})", kPagesAtOnce);
  if (auto done = writer_->run(sql.c_str()); !done) return std::unexpected(done.error());
  return true;
}

Result<bool> SqliteStore::tidy_up() {
  auto lock = exclusive_lock();
  if (wal_frames_ >= kCheckpointFrames) checkpoint();
  auto more = trim_compacted();
  if (more && !*more) more = remove_gone();
  if (more && !*more) more = shrink_file();
  return more;
}

}  // namespace sluice
