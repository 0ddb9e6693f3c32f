// What PostgresStore reads: each call on a connection of its own, so that it waits for no commit.
#include <fmt/format.h>

#include <algorithm>

#include "journal/content_codec.h"
#include "journal/postgres_store.h"
#include "journal/record_checksum.h"
#include "journal/run_owner.h"

namespace sluice {
namespace {

constexpr int kPageRecords = 2000;

std::string listed_runs(std::string_view where) {
  return fmt::format(
      "WITH locks AS MATERIALIZED (SELECT objid::bigint AS run FROM pg_locks WHERE locktype = "
      "'advisory' AND classid::bigint = {} AND objsubid = 2 AND granted AND database = "
      "(SELECT oid FROM pg_database WHERE datname = current_database())) "
      "SELECT run_id, state, "
      "CASE WHEN owner <> '' AND id IN (SELECT run FROM locks) THEN owner ELSE '' END, first_seq, "
      "CASE owner WHEN '' THEN last_seq ELSE coalesce((SELECT max(seq) FROM sluice.records "
      "WHERE run = runs.id), 0) END, bytes, plan, status, note, forked_from, started_ns, "
      "updated_ns, tasks_done, tasks_failed, doubts, waits, tokens, usd FROM sluice.runs {}",
      kPostgresLocks, where);
}

}  // namespace

Result<RecordPage> PostgresStore::read_page(std::string_view run_id, int run, JournalSeq next) {
  return look<RecordPage>([&](pqxx::read_transaction& work) -> Result<RecordPage> {
    const auto rows = work.exec(fmt::format(
        "SELECT seq, type, version, body, (SELECT first_seq FROM sluice.runs WHERE id = {0}) "
        "FROM sluice.records WHERE run = {0} AND seq >= greatest({1}, "
        "(SELECT first_seq FROM sluice.runs WHERE id = {0})) ORDER BY seq LIMIT {2}",
        run, next, kPageRecords));
    RecordPage page;
    page.end = rows.size() < static_cast<std::size_t>(kPageRecords);
    const std::uint64_t seed = checksum_seed(run_id);
    for (const auto& row : rows) {
      const auto seq = row[0].as<JournalSeq>();
      if (page.records.empty()) next = std::max(next, row[4].as<JournalSeq>());
      if (seq != next) {
        page.error = damaged_record(place_.name(), run_id, next, "is missing");
        return page;
      }
      ++next;
      JournalRecord record;
      record.type = static_cast<std::uint16_t>(row[1].as<int>());
      record.version = static_cast<std::uint16_t>(row[2].as<int>());
      record.body = bytes_of(row[3]);
      auto body = checked_body(record.body, seed, seq, record.type, record.version);
      if (!body) {
        page.error = damaged_record(place_.name(), run_id, seq, "is damaged");
        return page;
      }
      record.body.resize(body->size());
      page.records.push_back({seq, std::move(record)});
    }
    return page;
  });
}

Result<void> PostgresStore::read(std::string_view run_id, JournalSeq first,
                                 const Journal::Visit& visit) {
  auto run = look<int>([&](pqxx::read_transaction& work) -> Result<int> {
    auto row = run_row(work, run_id);
    if (!row) return std::unexpected(unknown_run(run_id, place_.name()));
    return row->id;
  });
  if (!run) return std::unexpected(run.error());
  return visit_pages(first, visit, [&](JournalSeq next) { return read_page(run_id, *run, next); });
}

JournaledRun PostgresStore::listed_run(const pqxx::row& row) {
  JournaledRun run;
  run.run_id = row[0].as<std::string>();
  run.state = row[1].as<int>() == static_cast<int>(JournaledRunState::kOpen)
                  ? JournaledRunState::kOpen
                  : JournaledRunState::kEnded;
  run.owner = row[2].as<std::string>();
  run.first_seq = row[3].as<JournalSeq>();
  run.last_seq = row[4].as<JournalSeq>();
  run.bytes = row[5].as<std::uint64_t>();
  run.card.plan = row[6].as<std::string>();
  run.card.status = row[7].as<std::string>();
  run.card.note = row[8].as<std::string>();
  run.card.forked_from = row[9].as<std::string>();
  run.card.started_ns = row[10].as<WallNs>();
  run.card.updated_ns = row[11].as<WallNs>();
  run.card.tasks_done = row[12].as<std::uint64_t>();
  run.card.tasks_failed = row[13].as<std::uint64_t>();
  run.card.doubts = row[14].as<std::uint64_t>();
  run.card.waits = row[15].as<std::uint64_t>();
  run.card.tokens = row[16].as<std::uint64_t>();
  run.card.usd = row[17].as<double>();
  return run;
}

Result<JournaledRun> PostgresStore::find_run(std::string_view run_id) {
  return look<JournaledRun>([&](pqxx::read_transaction& work) -> Result<JournaledRun> {
    const auto rows = work.exec_params(listed_runs("WHERE run_id = $1"), postgres_text(run_id));
    if (rows.empty()) return std::unexpected(unknown_run(run_id, place_.name()));
    return listed_run(rows[0]);
  });
}

Result<std::vector<JournaledRun>> PostgresStore::list_runs(const RunQuery& query) {
  using List = std::vector<JournaledRun>;
  return look<List>([&](pqxx::read_transaction& work) -> Result<List> {
    const auto rows = work.exec_params(
        listed_runs("WHERE state <> 2 AND ($1 = -1 OR state = $1) AND ($2 = '' OR status = $2) "
                    "AND ($3 = '' OR plan = $3) AND started_ns > $4 "
                    "ORDER BY started_ns DESC, id DESC LIMIT $5"),
        query.state ? static_cast<int>(*query.state) : -1, postgres_text(query.status),
        postgres_text(query.plan), query.started_after_ns == 0 ? INT64_MIN : query.started_after_ns,
        static_cast<std::int64_t>(std::min<std::size_t>(query.limit, INT64_MAX)));
    List list;
    list.reserve(rows.size());
    for (const auto& row : rows) list.push_back(listed_run(row));
    return list;
  });
}

Result<std::vector<InboxMessage>> PostgresStore::inbox(std::string_view run_id,
                                                       std::uint64_t after_id) {
  using List = std::vector<InboxMessage>;
  return look<List>([&](pqxx::read_transaction& work) -> Result<List> {
    const auto run = run_row(work, run_id);
    if (!run) return std::unexpected(unknown_run(run_id, place_.name()));
    List list;
    if (run->last_inbox <= after_id) return list;
    const auto rows = work.exec(
        fmt::format("SELECT id, kind, body, sent_ns FROM sluice.inbox WHERE run = {} AND id > {} "
                    "ORDER BY id",
                    run->id, after_id));
    for (const auto& row : rows) {
      list.push_back({row[0].as<std::uint64_t>(), row[1].as<std::string>(), bytes_of(row[2]),
                      row[3].as<WallNs>()});
    }
    return list;
  });
}

Result<std::string> PostgresStore::content(const Hash256& hash) {
  return look<std::string>([&](pqxx::read_transaction& work) -> Result<std::string> {
    const auto rows = work.exec_params("SELECT bytes FROM sluice.contents WHERE hash = $1",
                                       pqxx::binarystring(hash.bytes.data(), hash.bytes.size()));
    if (rows.empty()) {
      return fail(ErrorCode::kJournal,
                  fmt::format("the journal {} has no content {}", place_.name(), hash.hex()));
    }
    return decode_content(bytes_of(rows[0][0]), hash, place_.name());
  });
}

}  // namespace sluice
