#include "journal/postgres_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/failpoint.h"
#include "journal/content_codec.h"
#include "journal/record_checksum.h"
#include "journal/run_owner.h"

namespace sluice {
namespace {

// Records go to the server in statements of about this many bytes.
constexpr std::size_t kStatementBytes = 4 << 20;

pqxx::binarystring bytes_of_hash(const Hash256& hash) {
  return {hash.bytes.data(), hash.bytes.size()};
}

void append_hex(std::string& out, std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

void insert_records(pqxx::transaction_base& work, std::string& rows) {
  if (rows.empty()) return;
  work.exec("INSERT INTO sluice.records VALUES " + rows);
  rows.clear();
}

std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

Result<std::unique_ptr<JournalStore>> open_postgres_store(const std::string& url) {
  PostgresPlace place(url);
  auto connection = place.connect();
  if (!connection) return std::unexpected(connection.error());
  if (auto ready = place.prepare(**connection); !ready) return std::unexpected(ready.error());
  return std::make_unique<PostgresStore>(std::move(place), std::move(*connection));
}

PostgresStore::PostgresStore(PostgresPlace place, std::unique_ptr<pqxx::connection> writer)
    : place_(std::move(place)), owner_(name_of_this_process()), writer_(std::move(writer)) {}

std::optional<PostgresStore::RunRow> PostgresStore::run_row(pqxx::transaction_base& work,
                                                            std::string_view run_id) {
  const auto rows = work.exec_params(
      "SELECT id, state, epoch, owner, last_inbox, bytes, first_seq FROM sluice.runs "
      "WHERE run_id = $1",
      postgres_text(run_id));
  if (rows.empty()) return std::nullopt;
  const auto row = rows[0];
  return RunRow{.id = row[0].as<int>(),
                .state = row[1].as<int>(),
                .epoch = row[2].as<std::uint64_t>(),
                .owner = row[3].as<std::string>(),
                .last_inbox = row[4].as<std::uint64_t>(),
                .bytes = row[5].as<std::uint64_t>(),
                .first_seq = row[6].as<JournalSeq>()};
}

bool PostgresStore::lock_run(pqxx::transaction_base& work, int run) {
  return work.exec1(fmt::format("SELECT pg_try_advisory_lock({}, {})", kPostgresLocks, run))[0]
      .as<bool>();
}

void PostgresStore::unlock_run(int run) {
  if (!writer_ || run == 0) return;
  bool broken = false;
  (void)place_.attempt(&broken, [&]() -> Result<void> {
    pqxx::nontransaction work(*writer_);
    work.exec(fmt::format("SELECT pg_advisory_unlock({}, {})", kPostgresLocks, run));
    return {};
  });
  if (broken) writer_.reset();  // the server frees its locks
}

JournalSeq PostgresStore::highest_seq(pqxx::transaction_base& work, int run) {
  return work
      .exec1(fmt::format("SELECT coalesce(max(seq), 0) FROM sluice.records WHERE run = {}", run))[0]
      .as<JournalSeq>();
}

Result<PostgresStore::RunRow> PostgresStore::leased_row(pqxx::transaction_base& work,
                                                        const RunLease& lease) {
  auto row = run_row(work, lease.run_id);
  if (!row) {
    return std::unexpected(deleted_run(lease.run_id, place_.name()));
  }
  if (row->epoch != lease.epoch && !failpoint(Failpoint::kStaleEpochAccepted)) {
    return std::unexpected(fenced_run(lease.run_id));
  }
  if (row->state != static_cast<int>(JournaledRunState::kOpen)) {
    return std::unexpected(closed_run(lease.run_id));
  }
  return *std::move(row);
}

Result<PostgresStore::Held> PostgresStore::owned(pqxx::transaction_base& work,
                                                 const RunLease& lease) {
  auto found = held_.find(lease.run_id);
  const bool stale_is_fine = failpoint(Failpoint::kStaleEpochAccepted);
  if (found != held_.end() && found->second.session == session_ &&
      (found->second.epoch == lease.epoch || stale_is_fine)) {
    return found->second;
  }
  auto row = leased_row(work, lease);
  if (!row) return std::unexpected(row.error());
  if (found == held_.end()) return std::unexpected(fenced_run(lease.run_id));
  // The epoch is still ours, so a lock in the way is what is left of our own broken connection, or
  // a new owner's, whose epoch is there when we try again.
  if (!lock_run(work, row->id) && !stale_is_fine) {
    return fail(ErrorCode::kIo, fmt::format("the server of the journal {} still holds run {} for "
                                            "the connection that broke; try again",
                                            place_.name(), lease.run_id));
  }
  // Before we had the lock, another may have had it, and given it back.
  const int run = row->id;
  row = leased_row(work, lease);
  if (!row) {
    work.exec(fmt::format("SELECT pg_advisory_unlock({}, {})", kPostgresLocks, run));
    return std::unexpected(row.error());
  }
  Held held{.id = row->id, .epoch = lease.epoch, .session = session_, .bytes = row->bytes};
  held.last_seq = highest_seq(work, row->id);
  found->second = held;
  return held;
}

Result<RunLease> PostgresStore::create_run(std::string_view run_id, const RunCard& card,
                                           const JournalBatch& first) {
  if (run_id.empty()) return fail(ErrorCode::kJournal, "a run needs an id");
  const RunCommit commit{.lease = {std::string(run_id), 1},
                         .first_seq = 1,
                         .records = first.records,
                         .contents = first.contents,
                         .card = card};
  Held held{.epoch = 1};
  const auto body = [&](pqxx::work& work) -> Result<void> {
    if (held.id != 0) {  // of a try that the server ended
      work.exec(fmt::format("SELECT pg_advisory_unlock({}, {})", kPostgresLocks, held.id));
      held = {.epoch = 1};
    }
    const auto rows = work.exec_params(
        "INSERT INTO sluice.runs(run_id, owner, plan, status, note, forked_from, started_ns, "
        "updated_ns, tasks_done, tasks_failed, doubts, waits, tokens, usd, state, epoch, "
        "first_seq, last_seq, bytes, last_inbox) VALUES($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11, $12, $13, $14, 0, 1, 1, 0, 0, 0) ON CONFLICT(run_id) DO NOTHING RETURNING id",
        postgres_text(run_id), postgres_text(owner_), postgres_text(card.plan),
        postgres_text(card.status), postgres_text(card.note), postgres_text(card.forked_from),
        card.started_ns, card.updated_ns, number(card.tasks_done), number(card.tasks_failed),
        number(card.doubts), number(card.waits), number(card.tokens), card.usd);
    if (rows.empty()) {
      return fail(ErrorCode::kJournal,
                  fmt::format("the journal {} already has a run {}", place_.name(), run_id));
    }
    held.id = rows[0][0].as<int>();
    if (!lock_run(work, held.id)) {
      return fail(ErrorCode::kIo, fmt::format("a lock of the journal {} is held by another program",
                                              place_.name()));
    }
    write_contents(work, {&commit, 1}, {&held, 1});
    std::string records;
    write_run(work, commit, held, records);
    insert_records(work, records);
    return {};
  };
  if (auto done = write(body, kTries); !done) {
    unlock_run(held.id);
    return std::unexpected(done.error());
  }
  held.session = session_;
  held_[std::string(run_id)] = held;
  return commit.lease;
}

Result<JournalStore::Taken> PostgresStore::take_over(std::string_view run_id) {
  Held held;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    const auto seen = run_row(work, run_id);
    if (!seen) return std::unexpected(unknown_run(run_id, place_.name()));
    if (seen->state != static_cast<int>(JournaledRunState::kOpen)) {
      return std::unexpected(ended_run(run_id));
    }
    auto own = held_.find(run_id);
    const bool mine = own != held_.end() && own->second.session == session_;
    if (mine || !lock_run(work, seen->id)) {
      return std::unexpected(busy_run(run_id, seen->owner));
    }
    held.id = seen->id;
    const auto row = run_row(work, run_id);  // as its last owner left it
    if (!row || row->state != static_cast<int>(JournaledRunState::kOpen)) {
      return fail(ErrorCode::kRunEnded, fmt::format("run {} has ended just now", run_id));
    }
    // The last owner may have died before what it compacted was removed.
    if (row->first_seq > 1) compacted_[held.id] = row->first_seq;
    held.epoch = row->epoch + 1;
    held.bytes = row->bytes;
    held.last_seq = highest_seq(work, held.id);
    work.exec_params("UPDATE sluice.runs SET epoch = $1, owner = $2 WHERE id = $3",
                     number(held.epoch), postgres_text(owner_), held.id);
    return {};
  });
  if (!done) {
    unlock_run(held.id);
    return std::unexpected(done.error());
  }
  held.session = session_;
  held_[std::string(run_id)] = held;
  return Taken{{std::string(run_id), held.epoch}, held.last_seq};
}

Result<void> PostgresStore::commit(std::span<RunCommit> commits) {
  std::vector<Held> after;
  const auto body = [&](pqxx::work& work) -> Result<void> {
    if (failpoint(Failpoint::kSkipSync)) work.exec("SET LOCAL synchronous_commit = off");
    after.assign(commits.size(), Held{});
    for (std::size_t i = 0; i < commits.size(); ++i) {
      auto held = owned(work, commits[i].lease);
      commits[i].outcome = held ? Result<void>() : std::unexpected(held.error());
      if (held) after[i] = *held;
    }
    write_contents(work, commits, after);
    std::string records;
    for (std::size_t i = 0; i < commits.size(); ++i) {
      if (commits[i].outcome) write_run(work, commits[i], after[i], records);
    }
    insert_records(work, records);
    return {};
  };
  if (auto done = write(body, kTries); !done) return done;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    auto held = held_.find(commits[i].lease.run_id);
    if (!commits[i].outcome || held == held_.end()) continue;
    held->second = after[i];
    if (!commits[i].close) continue;
    unlock_run(after[i].id);
    held_.erase(held);
  }
  return {};
}

void PostgresStore::write_run(pqxx::transaction_base& work, const RunCommit& commit, Held& held,
                              std::string& records) {
  const std::uint64_t seed = checksum_seed(commit.lease.run_id);
  JournalSeq seq = commit.first_seq;
  std::string body;
  for (const auto& record : commit.records) {
    body.clear();
    append_checked(body, seed, seq, record);
    fmt::format_to(std::back_inserter(records), "{}({},{},{},{},'\\x", records.empty() ? "" : ",",
                   held.id, seq, record.type, record.version);
    append_hex(records, body);
    records += "')";
    held.bytes += body.size();
    held.last_seq = seq++;
    if (records.size() >= kStatementBytes) insert_records(work, records);
  }
  if (commit.acknowledged != 0) {
    work.exec_params("DELETE FROM sluice.inbox WHERE run = $1 AND id <= $2", held.id,
                     number(commit.acknowledged));
  }
  if (commit.card || commit.close) write_card(work, commit, held);
}

void PostgresStore::write_contents(pqxx::transaction_base& work, std::span<const RunCommit> commits,
                                   std::span<Held> held) {
  struct Put {
    const JournalContent* content;
    Held* run;
  };
  std::vector<Put> puts;
  for (std::size_t i = 0; i < commits.size(); ++i) {
    if (!commits[i].outcome) continue;
    for (const auto& content : commits[i].contents) puts.push_back({&content, &held[i]});
  }
  if (puts.empty()) return;
  // A session that inserts what another one has inserted waits for its end: in one order, nobody
  // waits for who waits for him.
  std::ranges::sort(puts, {}, [](const Put& put) { return put.content->hash; });
  // Not while another session looks which contents nobody uses.
  work.exec(
      fmt::format("SELECT pg_advisory_xact_lock_shared({}, {})", kPostgresLocks, kContentsLock));
  for (const auto& put : puts) {
    const std::string stored = encode_content(put.content->bytes);
    const auto hash = bytes_of_hash(put.content->hash);
    work.exec_params(
        "INSERT INTO sluice.contents(hash, bytes) VALUES($1, $2) ON CONFLICT(hash) DO NOTHING",
        hash, postgres_bytes(stored));
    const auto used = work.exec_params(
        "INSERT INTO sluice.content_uses(run, hash) VALUES($1, $2) ON CONFLICT DO NOTHING",
        put.run->id, hash);
    if (used.affected_rows() > 0) put.run->bytes += stored.size();
  }
}

void PostgresStore::write_card(pqxx::transaction_base& work, const RunCommit& commit,
                               const Held& held) {
  if (commit.card) {
    const RunCard& card = *commit.card;
    work.exec_params(
        "UPDATE sluice.runs SET plan = $1, status = $2, note = $3, forked_from = $4, "
        "started_ns = $5, updated_ns = $6, tasks_done = $7, tasks_failed = $8, doubts = $9, "
        "waits = $10, tokens = $11, usd = $12, last_seq = $13, bytes = $14 WHERE id = $15",
        postgres_text(card.plan), postgres_text(card.status), postgres_text(card.note),
        postgres_text(card.forked_from), card.started_ns, card.updated_ns, number(card.tasks_done),
        number(card.tasks_failed), number(card.doubts), number(card.waits), number(card.tokens),
        card.usd, number(held.last_seq), number(held.bytes), held.id);
  }
  if (commit.close) {
    work.exec_params(
        "UPDATE sluice.runs SET state = $1, owner = '', last_seq = $2, bytes = $3 WHERE id = $4",
        static_cast<int>(*commit.close), number(held.last_seq), number(held.bytes), held.id);
  }
}

Result<JournalSeq> PostgresStore::last_seq(const RunLease& lease) {
  JournalSeq last = 0;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    auto held = owned(work, lease);
    if (!held) return std::unexpected(held.error());
    last = highest_seq(work, held->id);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return last;
}

Result<void> PostgresStore::compact(const RunLease& lease, JournalSeq upto,
                                    const JournalRecord& snapshot) {
  int run = 0;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    auto held = owned(work, lease);
    if (!held) return std::unexpected(held.error());
    run = held->id;
    std::string body;
    append_checked(body, checksum_seed(lease.run_id), upto, snapshot);
    work.exec_params(
        "INSERT INTO sluice.records(run, seq, type, version, body) VALUES($1, $2, $3, $4, $5) "
        "ON CONFLICT(run, seq) DO UPDATE SET type = $3, version = $4, body = $5",
        run, number(upto), int{snapshot.type}, int{snapshot.version}, postgres_bytes(body));
    work.exec_params("UPDATE sluice.runs SET first_seq = greatest(first_seq, $1) WHERE id = $2",
                     number(upto), run);
    return {};
  });
  if (done) compacted_[run] = upto;
  return done;
}

Result<std::uint64_t> PostgresStore::send(std::string_view run_id, std::string_view kind,
                                          std::string_view body, WallNs now) {
  std::uint64_t id = 0;
  auto done = write([&](pqxx::work& work) -> Result<void> {
    if (failpoint(Failpoint::kInboxNotDurable)) work.exec("SET LOCAL synchronous_commit = off");
    const auto rows = work.exec_params(
        "UPDATE sluice.runs SET last_inbox = last_inbox + 1 WHERE run_id = $1 AND state = 0 "
        "RETURNING id, last_inbox",
        postgres_text(run_id));
    if (rows.empty()) {
      if (!run_row(work, run_id)) return std::unexpected(unknown_run(run_id, place_.name()));
      return std::unexpected(deaf_run(run_id));
    }
    id = rows[0][1].as<std::uint64_t>();
    work.exec_params(
        "INSERT INTO sluice.inbox(run, id, kind, body, sent_ns) VALUES($1, $2, $3, "
        "$4, $5)",
        rows[0][0].as<int>(), number(id), postgres_text(kind), postgres_bytes(body), now);
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return id;
}

}  // namespace sluice
