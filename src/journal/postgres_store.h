// PostgresStore: a journal store in a PostgreSQL database. A run's owner is the session that holds
// the run's advisory lock: it goes when the owner dies, and, because the same session commits, an
// owner that lost it cannot commit any more. The parts of the class are split over
// postgres_store.cpp (runs and commits), postgres_read.cpp and postgres_tidy.cpp.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "journal/journal_store.h"
#include "journal/postgres_connection.h"
#include "journal/record_page.h"

namespace sluice {

class PostgresStore final : public JournalStore {
 public:
  PostgresStore(PostgresPlace place, std::unique_ptr<pqxx::connection> writer);

  Result<RunLease> create_run(std::string_view run_id, const RunCard& card,
                              const JournalBatch& first) override;
  Result<Taken> take_over(std::string_view run_id) override;
  Result<void> commit(std::span<RunCommit> commits) override;
  Result<JournalSeq> last_seq(const RunLease& lease) override;
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override;
  Result<std::uint64_t> send(std::string_view run_id, std::string_view kind, std::string_view body,
                             WallNs now) override;
  Result<void> delete_run(std::string_view run_id) override;
  Result<bool> tidy_up() override;

  Result<void> read(std::string_view run_id, JournalSeq first,
                    const Journal::Visit& visit) override;
  Result<JournaledRun> find_run(std::string_view run_id) override;
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override;
  Result<std::vector<InboxMessage>> inbox(std::string_view run_id, std::uint64_t after_id) override;
  Result<std::string> content(const Hash256& hash) override;
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override;

 private:
  using Found = std::function<void(const JournalDamage&)>;
  // A run whose lease this store gave out.
  struct Held {
    int id = 0;
    std::uint64_t epoch = 0;
    std::uint64_t session = 0;  // the connection that holds its lock, by number
    JournalSeq last_seq = 0;
    std::uint64_t bytes = 0;
  };
  struct RunRow {
    int id = 0;
    int state = 0;
    std::uint64_t epoch = 0;
    std::string owner;
    std::uint64_t last_inbox = 0;
    std::uint64_t bytes = 0;
    JournalSeq first_seq = 1;
  };

  // A transaction on the writing connection, which is opened anew when it broke. What it throws or
  // returns as an error rolls back. With more than one try it is made again when the server ended
  // it, unlike the connection, in favour of another one's: a deadlock.
  template <class Body>
  Result<void> write(const Body& body, int tries = 1);
  // Statements on a reading connection of their own.
  template <class T, class Body>
  Result<T> look(const Body& body);

  std::optional<RunRow> run_row(pqxx::transaction_base& work, std::string_view run_id);
  bool lock_run(pqxx::transaction_base& work, int run);
  void unlock_run(int run);
  // The run's row. kJournal when the lease no longer owns it.
  Result<RunRow> leased_row(pqxx::transaction_base& work, const RunLease& lease);
  // The run as this session owns it; locks it again after the connection broke.
  Result<Held> owned(pqxx::transaction_base& work, const RunLease& lease);
  JournalSeq highest_seq(pqxx::transaction_base& work, int run);
  // Of all runs, in an order that every session keeps to. Those that are not owned are left out.
  void write_contents(pqxx::transaction_base& work, std::span<const RunCommit> commits,
                      std::span<Held> held);
  void write_run(pqxx::transaction_base& work, const RunCommit& commit, Held& held,
                 std::string& records);
  void write_card(pqxx::transaction_base& work, const RunCommit& commit, const Held& held);
  Result<RecordPage> read_page(std::string_view run_id, int run, JournalSeq next);
  JournaledRun listed_run(const pqxx::row& row);
  void check_run(const JournaledRun& run, const Found& found);
  Result<void> check_contents(const Found& found);
  Result<bool> trim_compacted();
  Result<bool> remove_gone();

  // Of what may be ended in favour of another session's.
  static constexpr int kTries = 5;
  static constexpr std::chrono::milliseconds kBetweenTries{50};

  const PostgresPlace place_;
  const std::string owner_;  // "pid 412 on host"

  // Of who writes.
  std::unique_ptr<pqxx::connection> writer_;  // null after it broke
  std::uint64_t session_ = 1;
  std::map<std::string, Held, std::less<>> held_;
  std::map<int, JournalSeq> compacted_;  // run -> first number that stays
  bool look_for_gone_ = true;

  std::mutex readers_mutex_;
  std::vector<std::unique_ptr<pqxx::connection>> readers_;  // not in use
};

template <class Body>
Result<void> PostgresStore::write(const Body& body, int tries) {
  if (!writer_) {
    auto opened = place_.connect();
    if (!opened) return std::unexpected(opened.error());
    writer_ = std::move(*opened);
    ++session_;
  }
  bool broken = false;
  bool again = false;
  auto done = place_.attempt(&broken, [&]() -> Result<void> {
    try {
      pqxx::work work(*writer_);
      Result<void> result = body(work);
      if (result) work.commit();
      return result;
    } catch (const pqxx::deadlock_detected&) {
      again = true;
      throw;
    } catch (const pqxx::serialization_failure&) {
      again = true;
      throw;
    }
  });
  if (broken) writer_.reset();
  if (!again || tries <= 1) return done;
  // The other one first: its session may take a while to wake up and have what we gave free.
  std::this_thread::sleep_for(kBetweenTries);
  return write(body, tries - 1);
}

template <class T, class Body>
Result<T> PostgresStore::look(const Body& body) {
  std::unique_ptr<pqxx::connection> reader;
  {
    std::lock_guard lock(readers_mutex_);
    if (!readers_.empty()) {
      reader = std::move(readers_.back());
      readers_.pop_back();
    }
  }
  // An idle connection may have been cut meanwhile: then once more, with a new one.
  for (bool old = reader != nullptr;; old = false) {
    if (!reader) {
      auto opened = place_.connect();
      if (!opened) return std::unexpected(opened.error());
      reader = std::move(*opened);
    }
    bool broken = false;
    auto result = place_.attempt(&broken, [&]() -> Result<T> {
      pqxx::read_transaction work(*reader);
      return body(work);
    });
    if (broken) {
      reader.reset();
      if (old) continue;
      return result;
    }
    std::lock_guard lock(readers_mutex_);
    if (readers_.size() < 4) readers_.push_back(std::move(reader));
    return result;
  }
}

}  // namespace sluice
