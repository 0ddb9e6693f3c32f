// A SQLite store in a temporary folder, and what happens to it beneath the program.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>
#include <string>

#include "tests/contract/journal_places.h"

namespace sluice::testing_contract {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-journal-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Runs SQL on the file as another program would; the first number of the answer.
inline std::int64_t raw_sql(const std::string& path, const std::string& sql) {
  sqlite3* database = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  sqlite3_busy_timeout(database, 5000);
  std::int64_t number = 0;
  char* error = nullptr;
  sqlite3_exec(
      database, sql.c_str(),
      [](void* out, int, char** values, char**) {
        if (values[0] != nullptr) *static_cast<std::int64_t*>(out) = std::atoll(values[0]);
        return 0;
      },
      &number, &error);
  EXPECT_EQ(error, nullptr) << error;
  sqlite3_free(error);
  sqlite3_close(database);
  return number;
}

class SqlitePlace final : public DurablePlace {
 public:
  std::string path() const { return (folder_.path() / "sub" / "runs.db").string(); }
  std::unique_ptr<JournalStore> open_with(SqliteStoreOptions options) {
    options.path = path();
    auto store = open_sqlite_store(options);
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    return store ? std::move(*store) : nullptr;
  }
  std::unique_ptr<JournalStore> open() override { return open_with({}); }
  std::unique_ptr<JournalStore> open_stealable() override {
    return open_with({.lock_files = false});
  }
  void cut_owners_off() override {}
  void flip_record_bit(std::string_view run_id, JournalSeq seq) override {
    const auto where = key(run_id, seq);
    const auto byte = raw_sql(
        path(), "SELECT unicode(substr(CAST(body AS TEXT), 3, 1)) FROM records WHERE " + where);
    raw_sql(path(), fmt::format("UPDATE records SET body = CAST(substr(body, 1, 2) || x'{:02x}' || "
                                "substr(body, 4) AS BLOB) WHERE {}",
                                byte ^ 1, where));
  }
  void remove_record(std::string_view run_id, JournalSeq seq) override {
    raw_sql(path(), "DELETE FROM records WHERE " + key(run_id, seq));
  }
  void flip_content_bit(const Hash256& hash) override {
    raw_sql(path(), fmt::format("UPDATE contents SET bytes = CAST(substr(bytes, 1, 5) || x'00' || "
                                "substr(bytes, 7) AS BLOB) WHERE hash = x'{}'",
                                hash.hex()));
  }
  std::uint64_t stored_records() override {
    return static_cast<std::uint64_t>(raw_sql(path(), "SELECT count(*) FROM records"));
  }

 private:
  static std::string key(std::string_view run_id, JournalSeq seq) {
    return fmt::format("key = (SELECT id FROM runs WHERE run_id = '{}') << 36 | {}", run_id, seq);
  }

  TemporaryFolder folder_;
};

}  // namespace sluice::testing_contract
