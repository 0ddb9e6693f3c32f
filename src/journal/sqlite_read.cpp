// What SqliteStore reads: each call on a connection of its own, so that it waits for no commit.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "journal/content_codec.h"
#include "journal/record_checksum.h"
#include "journal/run_owner.h"
#include "journal/sqlite_schema.h"
#include "journal/sqlite_store.h"

namespace sluice {
namespace {

// A page of records is copied out before its visitor sees it, so that a slow visitor holds nothing.
constexpr std::size_t kPageRecords = 2000;
constexpr std::size_t kPageBytes = 1 << 20;
// More idle reading connections than this are closed.
constexpr std::size_t kMostIdleReaders = 4;

constexpr const char* kListed =
    "SELECT run_id, state, owner, first_seq, "
    "CASE owner WHEN '' THEN last_seq ELSE ifnull((SELECT max(key) & 0xfffffffff FROM records "
    "WHERE key >= runs.id << 36 AND key < (runs.id + 1) << 36), 0) END, "
    "bytes, plan, status, note, forked_from, started_ns, updated_ns, tasks_done, tasks_failed, "
    "doubts, waits, tokens, usd, id FROM runs ";
static_assert(kSeqBits == 36, "as in the statement above");

}  // namespace

Result<SqliteDatabase*> SqliteStore::Reader::open() {
  if (store_.options_.exclusive) return store_.writer_.get();
  {
    std::lock_guard lock(store_.readers_mutex_);
    if (!store_.readers_.empty()) {
      own_ = std::move(store_.readers_.back());
      store_.readers_.pop_back();
      return own_.get();
    }
  }
  auto opened = SqliteDatabase::open(store_.options_);
  if (!opened) return std::unexpected(opened.error());
  if (auto ready = prepare_sqlite_reader(**opened); !ready) return std::unexpected(ready.error());
  own_ = std::move(*opened);
  return own_.get();
}

SqliteStore::Reader::~Reader() {
  if (!own_) return;
  std::lock_guard lock(store_.readers_mutex_);
  if (store_.readers_.size() < kMostIdleReaders) store_.readers_.push_back(std::move(own_));
}

Result<std::int64_t> SqliteStore::known_run(std::string_view run_id) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  auto run = known_row(**database, run_id);
  if (!run) return std::unexpected(run.error());
  return run->id;
}

Result<RecordPage> SqliteStore::read_page(std::string_view run_id, std::int64_t run,
                                          JournalSeq next) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  RecordPage page;
  auto query = (*database)->query(
      "SELECT key, type, version, body, (SELECT first_seq FROM runs WHERE id = ?1) FROM records "
      "WHERE key >= max(?2, ?3 + (SELECT first_seq FROM runs WHERE id = ?1)) AND key < ?4 "
      "ORDER BY key");
  if (!query) return std::unexpected(query.error());
  query->integer(run).integer(record_key(run, next)).integer(record_key(run, 0));
  query->integer(record_key(run + 1, 0));
  const std::uint64_t seed = checksum_seed(run_id);
  std::size_t bytes = 0;
  while (page.records.size() < kPageRecords && bytes < kPageBytes) {
    auto row = query->step();
    if (!row) {
      page.error = row.error();
      return page;
    }
    if (!*row) {
      page.end = true;
      return page;
    }
    const JournalSeq seq = seq_of_key(query->get_integer(0));
    if (page.records.empty()) next = std::max(next, query->get_number(4));
    if (seq != next) {
      page.error = damaged_record(options_.path, run_id, next, "is missing");
      return page;
    }
    ++next;
    JournalRecord record;
    record.type = static_cast<std::uint16_t>(query->get_integer(1));
    record.version = static_cast<std::uint16_t>(query->get_integer(2));
    auto body = checked_body(query->get_bytes(3), seed, seq, record.type, record.version);
    if (!body) {
      page.error = damaged_record(options_.path, run_id, seq, "is damaged");
      return page;
    }
    record.body = *body;
    bytes += body->size();
    page.records.push_back({seq, std::move(record)});
  }
  return page;
}

Result<void> SqliteStore::read(std::string_view run_id, JournalSeq first,
                               const Journal::Visit& visit) {
  auto run = known_run(run_id);
  if (!run) return std::unexpected(run.error());
  return visit_pages(first, visit, [&](JournalSeq next) { return read_page(run_id, *run, next); });
}

Result<JournaledRun> SqliteStore::listed_run(const SqliteQuery& row, const LockView& locks) {
  JournaledRun run;
  run.run_id = row.get_bytes(0);
  run.state = row.get_integer(1) == static_cast<int>(JournaledRunState::kOpen)
                  ? JournaledRunState::kOpen
                  : JournaledRunState::kEnded;
  run.first_seq = row.get_number(3);
  run.last_seq = row.get_number(4);
  run.bytes = row.get_number(5);
  run.card.plan = row.get_bytes(6);
  run.card.status = row.get_bytes(7);
  run.card.note = row.get_bytes(8);
  run.card.forked_from = row.get_bytes(9);
  run.card.started_ns = row.get_integer(10);
  run.card.updated_ns = row.get_integer(11);
  run.card.tasks_done = row.get_number(12);
  run.card.tasks_failed = row.get_number(13);
  run.card.doubts = row.get_number(14);
  run.card.waits = row.get_number(15);
  run.card.tokens = row.get_number(16);
  run.card.usd = row.get_real(17);
  const std::string_view owner = row.get_bytes(2);
  if (owner.empty()) return run;
  auto locked = locks.locked(row.get_integer(18));
  if (!locked) return std::unexpected(locked.error());
  if (*locked) run.owner = owner;
  return run;
}

Result<JournaledRun> SqliteStore::find_run(std::string_view run_id) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  static const std::string sql = std::string(kListed) + "WHERE run_id = ?";
  auto query = (*database)->query(sql.c_str());
  if (!query) return std::unexpected(query.error());
  auto row = query->text(run_id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) {
    return std::unexpected(unknown_run(run_id, options_.path));
  }
  auto locks = LockView::open(lock_path());
  if (!locks) return std::unexpected(locks.error());
  return listed_run(*query, *locks);
}

Result<std::vector<JournaledRun>> SqliteStore::list_runs(const RunQuery& query) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  static const std::string sql =
      std::string(kListed) +
      "WHERE state <> 2 AND (?1 IS NULL OR state = ?1) AND (?2 = '' OR status = ?2) "
      "AND (?3 = '' OR plan = ?3) AND started_ns > ?4 "
      "ORDER BY started_ns DESC, id DESC LIMIT ?5";
  auto rows = (*database)->query(sql.c_str());
  if (!rows) return std::unexpected(rows.error());
  if (query.state) {
    rows->integer(static_cast<int>(*query.state));
  } else {
    rows->null();
  }
  rows->text(query.status).text(query.plan);
  rows->integer(query.started_after_ns == 0 ? INT64_MIN : query.started_after_ns);
  rows->integer(static_cast<std::int64_t>(std::min<std::size_t>(query.limit, INT64_MAX)));
  auto locks = LockView::open(lock_path());
  if (!locks) return std::unexpected(locks.error());
  std::vector<JournaledRun> list;
  for (;;) {
    auto row = rows->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return list;
    auto run = listed_run(*rows, *locks);
    if (!run) return std::unexpected(run.error());
    list.push_back(std::move(*run));
  }
}

Result<std::vector<InboxMessage>> SqliteStore::inbox(std::string_view run_id,
                                                     std::uint64_t after_id) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  auto run = known_row(**database, run_id);
  if (!run) return std::unexpected(run.error());
  std::vector<InboxMessage> list;
  if (run->last_inbox <= after_id) return list;
  auto query = (*database)->query(
      "SELECT id, kind, body, sent_ns FROM inbox WHERE run = ? AND id > ? ORDER BY id");
  if (!query) return std::unexpected(query.error());
  query->integer(run->id).number(after_id);
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return list;
    list.push_back({query->get_number(0), std::string(query->get_bytes(1)),
                    std::string(query->get_bytes(2)), query->get_integer(3)});
  }
}

Result<std::string> SqliteStore::content(const Hash256& hash) {
  Reader reader(*this);
  auto database = reader.open();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->query("SELECT bytes FROM contents WHERE hash = ?");
  if (!query) return std::unexpected(query.error());
  auto row =
      query->blob({reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()}).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) {
    return fail(ErrorCode::kJournal,
                fmt::format("the journal {} has no content {}", options_.path, hash.hex()));
  }
  return decode_content(query->get_bytes(0), hash, options_.path);
}

}  // namespace sluice
