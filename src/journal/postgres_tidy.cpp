// PostgresStore: deletion, what it and compaction leave for idle moments, and the check of
// everything.
#include <fmt/format.h>

#include <algorithm>

#include "journal/content_codec.h"
#include "journal/postgres_store.h"
#include "journal/record_checksum.h"
#include "journal/run_owner.h"

namespace sluice {
namespace {

constexpr int kRowsAtOnce = 4000;
constexpr int kPageRecords = 2000;
constexpr int kPageContents = 50;

bool delete_records(pqxx::transaction_base& work, int run, JournalSeq below) {
  return work.exec(fmt::format("DELETE FROM sluice.records WHERE ctid IN (SELECT ctid FROM "
                               "sluice.records WHERE run = {} AND seq < {} LIMIT {})",
                               run, below, kRowsAtOnce))
             .affected_rows() > 0;
}

}  // namespace

Result<void> PostgresStore::delete_run(std::string_view run_id) {
  auto done = write([&](pqxx::work& work) -> Result<void> {
    const auto row = run_row(work, run_id);
    if (!row) return std::unexpected(unknown_run(run_id, place_.name()));
    const bool free = !held_.contains(run_id) &&
                      work.exec1(fmt::format("SELECT pg_try_advisory_xact_lock({}, {})",
                                             kPostgresLocks, row->id))[0]
                          .as<bool>();
    if (!free) {
      return std::unexpected(run_not_deleted(run_id, row->owner));
    }
    work.exec(
        fmt::format("UPDATE sluice.runs SET run_id = NULL, state = 2 WHERE id = {}", row->id));
    return {};
  });
  if (done) look_for_gone_ = true;
  return done;
}

Result<bool> PostgresStore::trim_compacted() {
  if (compacted_.empty()) return false;
  const auto [run, first_seq] = *compacted_.begin();
  bool some = false;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    some = delete_records(work, run, first_seq);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  if (!some) compacted_.erase(run);
  return true;
}

Result<bool> PostgresStore::remove_gone() {
  if (!look_for_gone_) return false;
  bool some = false;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    const auto rows = work.exec("SELECT id FROM sluice.runs WHERE state = 2 LIMIT 1");
    if (rows.empty()) return {};
    some = true;
    const int run = rows[0][0].as<int>();
    if (delete_records(work, run, INT64_MAX)) return {};
    work.exec(fmt::format("SELECT pg_advisory_xact_lock({}, {})", kPostgresLocks, kContentsLock));
    work.exec(fmt::format(
        "DELETE FROM sluice.contents WHERE hash IN (SELECT hash FROM sluice.content_uses AS mine "
        "WHERE run = {0} AND NOT EXISTS (SELECT 1 FROM sluice.content_uses AS other "
        "WHERE other.hash = mine.hash AND other.run <> {0}))",
        run));
    work.exec(fmt::format("DELETE FROM sluice.content_uses WHERE run = {}", run));
    work.exec(fmt::format("DELETE FROM sluice.inbox WHERE run = {}", run));
    work.exec(fmt::format("DELETE FROM sluice.runs WHERE id = {}", run));
    return {};
  });
  if (!done) return std::unexpected(done.error());
  look_for_gone_ = some;
  return some;
}

Result<bool> PostgresStore::tidy_up() {
  auto more = trim_compacted();
  if (more && !*more) more = remove_gone();
  return more;
}

void PostgresStore::check_run(const JournaledRun& run, const Found& found) {
  const std::uint64_t seed = checksum_seed(run.run_id);
  JournalSeq next = run.first_seq;
  for (bool more = true; more;) {
    auto done = look<bool>([&](pqxx::read_transaction& work) -> Result<bool> {
      const auto rows = work.exec_params(
          "SELECT seq, type, version, body FROM sluice.records WHERE run = (SELECT id FROM "
          "sluice.runs WHERE run_id = $1) AND seq >= $2 ORDER BY seq LIMIT $3",
          postgres_text(run.run_id), static_cast<std::int64_t>(next), kPageRecords);
      for (const auto& row : rows) {
        const auto seq = row[0].as<JournalSeq>();
        if (seq > next) {
          found({run.run_id, next,
                 seq == next + 1 ? std::string("the record is missing")
                                 : fmt::format("the records up to {} are missing", seq - 1)});
        }
        next = seq + 1;
        const std::string body = bytes_of(row[3]);
        if (!checked_body(body, seed, seq, static_cast<std::uint16_t>(row[1].as<int>()),
                          static_cast<std::uint16_t>(row[2].as<int>()))) {
          found({run.run_id, seq, "the record is damaged"});
        }
      }
      return rows.size() == static_cast<std::size_t>(kPageRecords);
    });
    if (!done) found({run.run_id, 0, done.error().message()});
    more = done.value_or(false);
  }
  if (next <= run.last_seq) {
    found({run.run_id, next, fmt::format("the records up to {} are missing", run.last_seq)});
  }
}

Result<void> PostgresStore::check_contents(const Found& found) {
  std::string after;
  for (bool more = true; more;) {
    auto page = look<bool>([&](pqxx::read_transaction& work) -> Result<bool> {
      const auto rows = work.exec_params(
          "SELECT hash, bytes FROM sluice.contents WHERE hash > $1 ORDER BY hash LIMIT $2",
          postgres_bytes(after), kPageContents);
      for (const auto& row : rows) {
        after = bytes_of(row[0]);
        Hash256 hash;
        if (after.size() == hash.bytes.size()) std::ranges::copy(after, hash.bytes.begin());
        if (!decode_content(bytes_of(row[1]), hash, place_.name())) {
          found({"", 0, fmt::format("content {} is damaged", hash.hex())});
        }
      }
      return rows.size() == static_cast<std::size_t>(kPageContents);
    });
    if (!page) return std::unexpected(page.error());
    more = *page;
  }
  auto missing = look<bool>([&](pqxx::read_transaction& work) -> Result<bool> {
    const auto rows = work.exec(
        "SELECT run_id, count(*) FROM sluice.content_uses AS uses JOIN sluice.runs ON id = run "
        "LEFT JOIN sluice.contents ON contents.hash = uses.hash WHERE contents.hash IS NULL AND "
        "state <> 2 GROUP BY run_id");
    for (const auto& row : rows) {
      found({row[0].as<std::string>(), 0,
             fmt::format("{} of its contents are missing", row[1].as<std::string>())});
    }
    return true;
  });
  if (!missing) return std::unexpected(missing.error());
  return {};
}

Result<void> PostgresStore::check(const Found& found) {
  auto runs = list_runs({});
  if (!runs) return std::unexpected(runs.error());
  for (const auto& run : *runs) check_run(run, found);
  if (auto done = check_contents(found); !done) found({"", 0, done.error().message()});
  return {};
}

}  // namespace sluice
