// A PostgreSQL store of its own on the test program's server, and what happens to it beneath the
// program.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "tests/contract/journal_places.h"
#include "tests/journal/postgres_server.h"

namespace sluice::testing_contract {

class PostgresPlaceForTests final : public DurablePlace {
 public:
  PostgresPlaceForTests() { raw_sql("DROP SCHEMA IF EXISTS sluice CASCADE"); }

  // Runs SQL as another program would; the first number of the answer.
  static std::int64_t raw_sql(const std::string& sql) {
    try {
      pqxx::connection connection(postgres_url());
      pqxx::work work(connection);
      work.exec("SET client_min_messages = warning");
      const auto rows = work.exec(sql);
      work.commit();
      return rows.empty() ? 0 : rows[0][0].as<std::int64_t>(0);
    } catch (const std::exception& thrown) {
      ADD_FAILURE() << thrown.what();
      return 0;
    }
  }

  std::unique_ptr<JournalStore> open() override {
    auto store = open_postgres_store(postgres_url());
    EXPECT_TRUE(store.has_value()) << store.error().to_string();
    return store ? std::move(*store) : nullptr;
  }
  std::unique_ptr<JournalStore> open_stealable() override { return open(); }
  void cut_owners_off() override {
    raw_sql(
        "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity "
        "WHERE application_name = 'sluice'");
  }
  void flip_record_bit(std::string_view run_id, JournalSeq seq) override {
    raw_sql(
        fmt::format("UPDATE sluice.records SET body = set_byte(body, 2, get_byte(body, 2) # 1) "
                    "WHERE {}",
                    key(run_id, seq)));
  }
  void remove_record(std::string_view run_id, JournalSeq seq) override {
    raw_sql("DELETE FROM sluice.records WHERE " + key(run_id, seq));
  }
  void flip_content_bit(const Hash256& hash) override {
    raw_sql(
        fmt::format("UPDATE sluice.contents SET bytes = set_byte(bytes, 5, "
                    "get_byte(bytes, 5) # 1) WHERE hash = '\\x{}'",
                    hash.hex()));
  }
  std::uint64_t stored_records() override {
    return static_cast<std::uint64_t>(raw_sql("SELECT count(*) FROM sluice.records"));
  }

 private:
  static std::string key(std::string_view run_id, JournalSeq seq) {
    return fmt::format("run = (SELECT id FROM sluice.runs WHERE run_id = '{}') AND seq = {}",
                       run_id, seq);
  }
};

}  // namespace sluice::testing_contract
