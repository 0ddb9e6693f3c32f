// SqliteStore::check: SQLite's own look at its pages, then every record and content of ours. What
// is damaged hides as little as possible of what is not.
#include <fmt/format.h>

#include "journal/content_codec.h"
#include "journal/record_checksum.h"
#include "journal/sqlite_schema.h"
#include "journal/sqlite_store.h"

namespace sluice {
namespace {

using Found = std::function<void(const JournalDamage&)>;

Result<void> check_pages(SqliteDatabase& database, const Found& found) {
  auto query = database.query("PRAGMA integrity_check(100)");
  if (!query) return std::unexpected(query.error());
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const std::string_view line = query->get_bytes(0);
    if (line != "ok") found({"", 0, std::string(line)});
  }
}

}  // namespace

Result<void> SqliteStore::check_run(SqliteDatabase& database, const JournaledRun& run,
                                    std::int64_t id, const Found& found) {
  auto query = database.query(
      "SELECT key, type, version, body FROM records WHERE key >= ? AND key < ? ORDER BY key");
  if (!query) return std::unexpected(query.error());
  query->integer(record_key(id, run.first_seq)).integer(record_key(id + 1, 0));
  const std::uint64_t seed = checksum_seed(run.run_id);
  JournalSeq next = run.first_seq;
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const JournalSeq seq = seq_of_key(query->get_integer(0));
    if (seq == next + 1) found({run.run_id, next, "the record is missing"});
    if (seq > next + 1) {
      found({run.run_id, next, fmt::format("the records up to {} are missing", seq - 1)});
    }
    next = seq + 1;
    if (!checked_body(query->get_bytes(3), seed, seq,
                      static_cast<std::uint16_t>(query->get_integer(1)),
                      static_cast<std::uint16_t>(query->get_integer(2)))) {
      found({run.run_id, seq, "the record is damaged"});
    }
  }
  if (next <= run.last_seq) {
    found({run.run_id, next, fmt::format("the records up to {} are missing", run.last_seq)});
  }
  return {};
}

// Records of runs that are not in the table of runs.
Result<void> SqliteStore::check_strays(SqliteDatabase& database, const Found& found) {
  std::int64_t next = 0;
  for (;;) {
    auto query = database.query(
        "SELECT key >> 36, (SELECT count(*) FROM runs WHERE id = key >> 36) FROM records "
        "WHERE key >= ? ORDER BY key LIMIT 1");
    if (!query) return std::unexpected(query.error());
    auto row = query->integer(record_key(next, 0)).step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const std::int64_t run = query->get_integer(0);
    if (query->get_integer(1) == 0) {
      found({"", 0, fmt::format("there are records of a run {} that has no row", run)});
    }
    if (run < next) return {};
    next = run + 1;
  }
}

Result<void> SqliteStore::check_contents(SqliteDatabase& database, const Found& found) {
  auto query = database.query("SELECT hash, bytes FROM contents");
  if (!query) return std::unexpected(query.error());
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const std::string_view stored = query->get_bytes(0);
    Hash256 hash;
    if (stored.size() != hash.bytes.size()) {
      found({"", 0, "a content has no hash"});
      continue;
    }
    std::ranges::copy(stored, hash.bytes.begin());
    auto bytes = decode_content(query->get_bytes(1), hash, options_.path);
    if (!bytes) found({"", 0, fmt::format("content {} is damaged", hash.hex())});
  }
  auto missing = database.query(
      "SELECT run_id, count(*) FROM content_uses LEFT JOIN contents ON contents.id = content "
      "JOIN runs ON runs.id = run WHERE contents.id IS NULL AND state <> 2 GROUP BY run_id");
  if (!missing) return std::unexpected(missing.error());
  for (;;) {
    auto row = missing->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    found({std::string(missing->get_bytes(0)), 0,
           fmt::format("{} of its contents are missing", missing->get_integer(1))});
  }
}

Result<void> SqliteStore::check(const Found& found) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  // Each part says where it had to stop; the others go on.
  const auto part = [&](const std::string& run_id, Result<void> done) {
    if (!done) found({run_id, 0, done.error().message()});
  };
  part("", check_pages(**database, found));
  auto runs = list_runs({});
  if (!runs) {
    found({"", 0, runs.error().message()});
    return {};
  }
  for (const auto& run : *runs) {
    auto row = run_row(**database, run.run_id);
    if (!row) {
      found({run.run_id, 0, row.error().message()});
    } else if (*row) {
      part(run.run_id, check_run(**database, run, (*row)->id, found));
    }
  }
  part("", check_strays(**database, found));
  part("", check_contents(**database, found));
  return {};
}

}  // namespace sluice
