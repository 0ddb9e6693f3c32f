#include "journal/postgres_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "data/value.h"

namespace sluice {
namespace {

constexpr int kFormat = 1;

constexpr const char* kTables = R"sql(
CREATE SCHEMA sluice;
CREATE TABLE sluice.format(version integer NOT NULL);
CREATE TABLE sluice.runs(
  id serial PRIMARY KEY,
  run_id text UNIQUE,
  state smallint NOT NULL,
  epoch bigint NOT NULL,
  owner text NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  bytes bigint NOT NULL,
  last_inbox bigint NOT NULL,
  plan text NOT NULL,
  status text NOT NULL,
  note text NOT NULL,
  forked_from text NOT NULL,
  started_ns bigint NOT NULL,
  updated_ns bigint NOT NULL,
  tasks_done bigint NOT NULL,
  tasks_failed bigint NOT NULL,
  doubts bigint NOT NULL,
  waits bigint NOT NULL,
  tokens bigint NOT NULL,
  usd double precision NOT NULL
);
CREATE INDEX runs_by_start ON sluice.runs(started_ns);
CREATE INDEX runs_gone ON sluice.runs(id) WHERE state = 2;
CREATE TABLE sluice.records(
  run integer NOT NULL,
  seq bigint NOT NULL,
  type integer NOT NULL,
  version integer NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY(run, seq)
);
CREATE TABLE sluice.contents(hash bytea PRIMARY KEY, bytes bytea NOT NULL);
CREATE TABLE sluice.content_uses(
  run integer NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY(run, hash)
);
CREATE INDEX content_uses_by_hash ON sluice.content_uses(hash);
CREATE TABLE sluice.inbox(
  run integer NOT NULL,
  id bigint NOT NULL,
  kind text NOT NULL,
  body bytea NOT NULL,
  sent_ns bigint NOT NULL,
  PRIMARY KEY(run, id)
);
)sql";

// "postgresql://ann:secret@host/runs?x=y" -> "postgresql://host/runs"
std::string without_secrets(std::string_view url) {
  url = url.substr(0, url.find('?'));
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return "the PostgreSQL journal";
  const auto host = scheme + 3;
  const auto path = url.find('/', host);
  const auto at = url.substr(0, path).rfind('@');
  if (at == std::string_view::npos || at < host) return std::string(url);
  return std::string(url.substr(0, host)) + std::string(url.substr(at + 1));
}

// A server that says nothing is an error after a while, not a wait without end.
std::string with_timeouts(std::string url) {
  const auto add = [&url](std::string_view name, std::string_view value) {
    if (url.find(std::string(name) + "=") != std::string::npos) return;
    url += url.find('?') == std::string::npos ? '?' : '&';
    url += fmt::format("{}={}", name, value);
  };
  add("connect_timeout", "10");
  add("tcp_user_timeout", "30000");
  add("keepalives_idle", "10");
  add("keepalives_interval", "5");
  add("keepalives_count", "3");
  add("application_name", "sluice");
  return url;
}

std::string one_line(std::string_view words) {
  std::string line;
  for (const char c : words) {
    if (c != '\n') {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

PostgresPlace::PostgresPlace(std::string url)
    : url_(with_timeouts(std::move(url))), name_(without_secrets(url_)) {}

Result<std::unique_ptr<pqxx::connection>> PostgresPlace::connect() const {
  return attempt(nullptr, [&]() -> Result<std::unique_ptr<pqxx::connection>> {
    auto opened = std::make_unique<pqxx::connection>(url_);
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
    opened->inhibit_reactivation(true);
#pragma clang diagnostic pop
    pqxx::nontransaction work(*opened);
    work.exec("SET client_encoding = 'UTF8'");
    work.exec("SET client_min_messages = warning");
    // What is acknowledged is on the server's disk. A stricter setting of the server stays.
    work.exec(
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') = 'off'");
    // And the server notices soon that we are gone, though nobody told it: until then it holds our
    // locks, and nobody can take our runs. Not every version has all of these.
    work.exec(
        "SELECT set_config(name, value, false) FROM (VALUES ('tcp_keepalives_idle', '10'), "
        "('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), "
        "('tcp_user_timeout', '30000')) AS wanted(key, value) JOIN pg_settings ON name = key");
    work.commit();
    return opened;
  });
}

Result<void> PostgresPlace::prepare(pqxx::connection& connection) const {
  return attempt(nullptr, [&]() -> Result<void> {
    pqxx::work work(connection);
    const auto encoding = work.exec1("SHOW server_encoding")[0].as<std::string>();
    if (encoding != "UTF8") {
      return fail(ErrorCode::kJournal,
                  fmt::format("the database of {} has the encoding {}; make one with UTF8", name_,
                              encoding));
    }
    work.exec(fmt::format("SELECT pg_advisory_xact_lock({}, {})", kPostgresLocks, kSchemaLock));
    const auto there = work.exec1(
        "SELECT to_regnamespace('sluice') IS NOT NULL, to_regclass('sluice.format') IS NOT NULL");
    if (there[0].as<bool>() && !there[1].as<bool>()) {
      return fail(
          ErrorCode::kJournal,
          fmt::format("{} has a schema sluice that is no journal; name another database", name_));
    }
    if (!there[0].as<bool>()) {
      work.exec(kTables);
      work.exec(fmt::format("INSERT INTO sluice.format VALUES({})", kFormat));
    }
    const int format = work.exec1("SELECT max(version) FROM sluice.format")[0].as<int>(0);
    if (format > kFormat) {
      return fail(ErrorCode::kJournal,
                  fmt::format("the journal {} was written by a newer Sluice (format {}, and this "
                              "program knows formats up to {}); use the newer program",
                              name_, format, kFormat));
    }
    work.commit();
    return {};
  });
}

Error PostgresPlace::error(const std::exception& thrown, bool* broken) const {
  const std::string words = one_line(thrown.what());
  const auto lost = [&](std::string_view what) {
    if (broken != nullptr) *broken = true;
    return Error(ErrorCode::kIo, fmt::format("{} {}: {}; resume when the server can be reached",
                                             what, name_, words));
  };
  if (dynamic_cast<const pqxx::in_doubt_error*>(&thrown) != nullptr ||
      dynamic_cast<const pqxx::broken_connection*>(&thrown) != nullptr) {
    return lost("there is no connection to the journal");
  }
  if (dynamic_cast<const pqxx::transaction_rollback*>(&thrown) != nullptr &&
      dynamic_cast<const pqxx::statement_completion_unknown*>(&thrown) == nullptr) {
    return Error(ErrorCode::kIo, fmt::format("the journal {} ended a transaction that stood in the "
                                             "way of another: {}; resume to try again",
                                             name_, words));
  }
  const auto* sql = dynamic_cast<const pqxx::sql_error*>(&thrown);
  if (sql == nullptr) {
    if (broken != nullptr) *broken = true;
    return Error(ErrorCode::kIo, fmt::format("the journal {} failed: {}", name_, words));
  }
  const std::string& state = sql->sqlstate();
  if (state.empty() || state.starts_with("08") || state.starts_with("57P")) {
    return lost("the server ended the connection to the journal");
  }
  if (state == "53100") {
    return Error(ErrorCode::kDiskFull,
                 fmt::format("the server of the journal {} has no space left; make room, then "
                             "resume",
                             name_));
  }
  if (state == "XX001" || state == "XX002") {
    return Error(ErrorCode::kJournalDamaged,
                 fmt::format("the server of the journal {} found damage "
                             "in its files: {}",
                             name_, words));
  }
  return Error(ErrorCode::kIo, fmt::format("the journal {} failed: {}", name_, words));
}

std::string postgres_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t good = std::min(utf8_valid_prefix(text), text.find('\0'));
    out += text.substr(0, good);
    if (good == text.size()) break;
    out += "\xef\xbf\xbd";
    text.remove_prefix(good + 1);
  }
  return out;
}

std::string bytes_of(const pqxx::field& field) {
  const pqxx::binarystring bytes(field);
  return {bytes.get(), bytes.size()};
}

}  // namespace sluice
