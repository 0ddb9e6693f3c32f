// One connection to a PostgreSQL server that keeps journals, and its errors in words for people.
// libpqxx throws; `attempt` is where that ends. One thread at a time.
#pragma once

#include <memory>
#include <pqxx/pqxx>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// The first key of all our advisory locks; the second is a run's number, or one of these.
inline constexpr int kPostgresLocks = 0x736c6a31;  // "slj1"
inline constexpr int kContentsLock = 0;
inline constexpr int kSchemaLock = -1;

class PostgresPlace {
 public:
  explicit PostgresPlace(std::string url);
  // For messages: without user and password.
  const std::string& name() const { return name_; }
  // A connection that never opens itself anew behind our back: that would lose its locks unseen.
  Result<std::unique_ptr<pqxx::connection>> connect() const;
  // Makes the tables when there are none. kJournal (a newer format, another program's schema).
  Result<void> prepare(pqxx::connection& connection) const;

  // What `body` returns, a Result, with exceptions as errors. When the connection broke, *broken.
  template <class Body>
  auto attempt(bool* broken, const Body& body) const -> decltype(body()) {
    try {
      return body();
    } catch (const std::exception& thrown) {
      return std::unexpected(error(thrown, broken));
    }
  }

 private:
  Error error(const std::exception& thrown, bool* broken) const;

  std::string url_;
  std::string name_;
};

// Text that a UTF-8 database takes: other bytes, and NUL, become U+FFFD.
std::string postgres_text(std::string_view text);
inline pqxx::binarystring postgres_bytes(std::string_view bytes) {
  return {bytes.data(), bytes.size()};
}
// A bytea column.
std::string bytes_of(const pqxx::field& field);

}  // namespace sluice
