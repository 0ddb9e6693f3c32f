#include "journal/sqlite_schema.h"

#include <fmt/format.h>
#include <unistd.h>

#include <string>

namespace sluice {
namespace {

constexpr std::int64_t kApplicationId = 0x736c6a31;  // "slj1"

// bytes: of records and contents, about. owner: who has, or had, the lease; "" when given back.
// last_seq: right while owner is "". A deleted run has no run_id any more.
constexpr const char* kTables = R"sql(
CREATE TABLE runs(
  id INTEGER PRIMARY KEY,
  run_id TEXT UNIQUE,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  owner TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  last_inbox INTEGER NOT NULL,
  plan TEXT NOT NULL,
  status TEXT NOT NULL,
  note TEXT NOT NULL,
  forked_from TEXT NOT NULL,
  started_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  tasks_done INTEGER NOT NULL,
  tasks_failed INTEGER NOT NULL,
  doubts INTEGER NOT NULL,
  waits INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  usd REAL NOT NULL
);
CREATE INDEX runs_by_start ON runs(started_ns);
CREATE INDEX runs_gone ON runs(id) WHERE state = 2;
CREATE TABLE records(
  key INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  version INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE contents(
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  bytes BLOB NOT NULL
);
CREATE TABLE content_uses(
  run INTEGER NOT NULL,
  content INTEGER NOT NULL,
  PRIMARY KEY(run, content)
) WITHOUT ROWID;
CREATE INDEX content_uses_by_content ON content_uses(content);
CREATE TABLE inbox(
  run INTEGER NOT NULL,
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  sent_ns INTEGER NOT NULL,
  PRIMARY KEY(run, id)
) WITHOUT ROWID;
)sql";

enum class Kind { kEmpty, kOurs };

Result<Kind> look_inside(SqliteDatabase& database) {
  auto application = database.integer("PRAGMA application_id");
  if (!application) return std::unexpected(application.error());
  auto format = database.integer("PRAGMA user_version");
  if (!format) return std::unexpected(format.error());
  auto objects = database.integer("SELECT count(*) FROM sqlite_schema");
  if (!objects) return std::unexpected(objects.error());
  if (*application == 0 && *format == 0 && *objects == 0) return Kind::kEmpty;
  if (*application != kApplicationId) {
    return fail(ErrorCode::kJournal,
                fmt::format("{} is a SQLite database of another program, no Sluice journal; name "
                            "another file",
                            database.path()));
  }
  if (*format > kSqliteFormat) {
    return fail(ErrorCode::kJournal,
                fmt::format("the journal {} was written by a newer Sluice (format {}, and this "
                            "program knows formats up to {}); use the newer program",
                            database.path(), *format, kSqliteFormat));
  }
  return Kind::kOurs;
}

// All that is asked is of one moment: another process may be making the tables.
Result<Kind> look(SqliteDatabase& database) {
  if (sqlite3_get_autocommit(database.handle()) == 0) return look_inside(database);
  if (auto begun = database.run("BEGIN"); !begun) return std::unexpected(begun.error());
  auto kind = look_inside(database);
  database.roll_back();
  return kind;
}

Result<void> make_tables(SqliteDatabase& database) {
  if (auto begun = database.run("BEGIN IMMEDIATE"); !begun) return begun;
  auto kind = look(database);  // another process may have been first
  Result<void> made;
  if (!kind) {
    made = std::unexpected(kind.error());
  } else if (*kind == Kind::kEmpty) {
    made = database.run(kTables);
    if (made) {
      made = database.run(fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}",
                                      kApplicationId, kSqliteFormat)
                              .c_str());
    }
  }
  if (made) made = database.run("COMMIT");
  if (!made) database.roll_back();
  return made;
}

// Two processes that open a new store at once get in each other's way here, without SQLite waiting.
Result<void> use_wal(SqliteDatabase& database, std::uint32_t busy_ms) {
  constexpr std::uint32_t kPauseMs = 5;
  for (std::uint32_t waited_ms = 0;; waited_ms += kPauseMs) {
    const int code =
        sqlite3_exec(database.handle(), "PRAGMA journal_mode = WAL", nullptr, nullptr, nullptr);
    if (code == SQLITE_OK) break;
    if ((code & 0xff) != SQLITE_BUSY || waited_ms >= busy_ms) {
      return std::unexpected(database.error(code));
    }
    usleep(kPauseMs * 1000);
  }
  auto mode = database.query("PRAGMA journal_mode");
  if (!mode) return std::unexpected(mode.error());
  auto row = mode->step();
  if (!row) return std::unexpected(row.error());
  if (mode->get_bytes(0) != "wal") {
    return fail(ErrorCode::kIo, fmt::format("the file system of {} cannot hold a journal: it has "
                                            "no shared memory; put the journal on a local disk",
                                            database.path()));
  }
  return {};
}

}  // namespace

Result<void> prepare_sqlite_store(SqliteDatabase& database, const SqliteStoreOptions& options) {
  if (options.exclusive) {
    if (auto set = database.run("PRAGMA locking_mode = EXCLUSIVE"); !set) return set;
  }
  auto kind = look(database);
  if (!kind) return std::unexpected(kind.error());
  if (sqlite3_db_readonly(database.handle(), "main") == 1) {
    return std::unexpected(database.error(SQLITE_READONLY));
  }
  if (*kind == Kind::kEmpty) {
    if (auto set = database.run("PRAGMA auto_vacuum = INCREMENTAL"); !set) return set;
  }
  if (auto wal = use_wal(database, options.busy_ms); !wal) return wal;
  // Checkpoints are ours (tidy_up), and a large log shrinks again.
  auto set = database.run(
      "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY;"
      "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16000;"
      "PRAGMA secure_delete = OFF; PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF");
  if (!set) return set;
  return *kind == Kind::kEmpty ? make_tables(database) : Result<void>();
}

Result<void> prepare_sqlite_reader(SqliteDatabase& database) {
  return database.run(
      "PRAGMA query_only = ON; PRAGMA cache_size = -4000;"
      "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF");
}

}  // namespace sluice
