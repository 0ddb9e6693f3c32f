// The tables of a SQLite store, their version, and what makes a file one of ours.
#pragma once

#include "journal/sqlite_database.h"

namespace sluice {

// The version of the tables, kept in `PRAGMA user_version`.
inline constexpr int kSqliteFormat = 1;

// A record's key: its run's number in the high bits, its sequence number in the low ones. So a run
// lies together and in order, and a record needs no second index.
inline constexpr int kSeqBits = 36;
inline std::int64_t record_key(std::int64_t run, JournalSeq seq) {
  return run << kSeqBits | static_cast<std::int64_t>(seq);
}
inline JournalSeq seq_of_key(std::int64_t key) {
  return static_cast<JournalSeq>(key & ((std::int64_t{1} << kSeqBits) - 1));
}

// State of a run's row beside JournaledRunState: deleted, its records not yet.
inline constexpr int kGoneState = 2;

// For the first connection of a store: looks whether the file is a journal, makes the tables in an
// empty one, sets the connection up. kJournal (another program's file, a newer format), kIo...
Result<void> prepare_sqlite_store(SqliteDatabase& database, const SqliteStoreOptions& options);
// For a further connection of the same store, which only reads.
Result<void> prepare_sqlite_reader(SqliteDatabase& database);

}  // namespace sluice
