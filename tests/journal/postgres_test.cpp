// What is PostgreSQL's own: addresses, connections that break, schemas of others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <barrier>
#include <thread>

#include "journal/postgres_connection.h"
#include "tests/journal/postgres_place.h"

namespace sluice::testing_contract {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PostgresJournal, OpensByItsUrl) {
  PostgresPlaceForTests place;
  auto journal = open_journal(postgres_url());
  ASSERT_TRUE(journal.has_value()) << journal.error().to_string();
  auto lease = (*journal)->create_run("run_a", {}, {});
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(append_durably(**journal, *lease, {records({"one"}), {}}), 1u);
}

TEST(PostgresJournal, NoServerIsAnErrorThatShowsNoPassword) {
  auto journal = open_journal("postgresql://ann:hunter2@/runs?host=/nonexistent&connect_timeout=2");
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code(), ErrorCode::kIo);
  EXPECT_THAT(journal.error().to_string(), HasSubstr("postgresql:///runs"));
  EXPECT_THAT(journal.error().to_string(), Not(HasSubstr("hunter2")));
}

TEST(PostgresJournal, AStoreFromTheFutureIsRefused) {
  PostgresPlaceForTests place;
  place.open();
  PostgresPlaceForTests::raw_sql("UPDATE sluice.format SET version = 99");
  auto journal = open_journal(postgres_url());
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code(), ErrorCode::kJournal);
  EXPECT_THAT(journal.error().message(), HasSubstr("newer Sluice (format 99"));
}

TEST(PostgresJournal, AnotherProgramsSchemaIsLeftAlone) {
  PostgresPlaceForTests place;
  PostgresPlaceForTests::raw_sql("CREATE SCHEMA sluice; CREATE TABLE sluice.mine(a int)");
  auto journal = open_journal(postgres_url());
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code(), ErrorCode::kJournal);
  EXPECT_THAT(journal.error().message(), HasSubstr("is no journal"));
}

TEST(PostgresJournal, GoesOnAfterItsConnectionsBroke) {
  PostgresPlaceForTests place;
  GroupCommitJournal journal(place.open());
  auto a = *journal.create_run("run_a", {}, {});
  auto b = *journal.create_run("run_b", {}, {});
  append_durably(journal, a, {records({"a1"}), {}});
  EXPECT_EQ(read_all(journal, "run_a").size(), 1u);
  place.cut_owners_off();
  EXPECT_EQ(read_all(journal, "run_a").size(), 1u) << "a reader opens a new connection";
  Answers answers;
  ASSERT_TRUE(journal.append(a, {records({"lost"}), {}}, answers.call()));
  auto failed = answers.wait_for(1)[0];
  EXPECT_EQ(code_of(failed), ErrorCode::kIo);
  EXPECT_THAT(failed.error().message(), HasSubstr("resume when the server can be reached"));
  EXPECT_EQ(journal.recover(a).value_or(99), 1u);
  EXPECT_EQ(append_durably(journal, a, {records({"a2"}), {}}), 2u);
  EXPECT_EQ(append_durably(journal, b, {records({"b1"}), {}}), 1u);
  GroupCommitJournal other(place.open());
  EXPECT_EQ(code_of(other.take_over("run_a")), ErrorCode::kRunBusy) << "the lock was taken again";
}

// While the connection was away another owner took the run and gave it back, just between what the
// store reads of it and its lock: here, as a part of taking the lock.
TEST(PostgresJournal, ARunThatOthersHadMeanwhileIsLost) {
  PostgresPlaceForTests place;
  PostgresPlaceForTests::raw_sql("DROP SCHEMA IF EXISTS gate CASCADE; CREATE SCHEMA gate");
  auto store = open_postgres_store(postgres_url() + "&options=-csearch_path%3Dgate,pg_catalog");
  ASSERT_TRUE(store.has_value()) << store.error().to_string();
  GroupCommitJournal journal(std::move(*store));
  auto lease = *journal.create_run("run_a", {}, {});
  append_durably(journal, lease, {records({"one"}), {}});
  place.cut_owners_off();
  PostgresPlaceForTests::raw_sql(
      "CREATE FUNCTION gate.pg_try_advisory_lock(key integer, run integer) RETURNS boolean "
      "LANGUAGE sql AS $$ UPDATE sluice.runs SET epoch = epoch + 1, owner = '' WHERE id = run; "
      "SELECT pg_catalog.pg_try_advisory_lock(key, run) $$");
  Answers answers;
  ASSERT_TRUE(journal.append(lease, {records({"late"}), {}}, answers.call()));
  EXPECT_EQ(code_of(answers.wait_for(1)[0]), ErrorCode::kIo);
  EXPECT_EQ(code_of(journal.recover(lease)), ErrorCode::kJournal);
  PostgresPlaceForTests::raw_sql("DROP SCHEMA gate CASCADE");
  GroupCommitJournal other(place.open());
  EXPECT_TRUE(other.take_over("run_a").has_value()) << "who lost it keeps no lock";
}

TEST(PostgresJournal, TwoThatCommitTheSameContentsInAnyOrderBothSucceed) {
  constexpr int kRounds = 4;
  constexpr int kContents = 150;
  PostgresPlaceForTests place;
  std::barrier together(2);
  std::array<std::thread, 2> threads;
  for (std::size_t t = 0; t < threads.size(); ++t) {
    threads[t] = std::thread([&, t] {
      // Two runs in each commit: the order of one run's contents alone is not enough.
      GroupCommitJournal journal(place.open(), GroupCommitJournal::Driver::kManual);
      std::array<RunLease, 2> leases;
      for (std::size_t r = 0; r < leases.size(); ++r) {
        leases[r] = *journal.create_run(fmt::format("run_{}_{}", t, r), {}, {});
      }
      for (int round = 0; round < kRounds; ++round) {
        std::array<JournalBatch, 2> batches = {JournalBatch{records({"r"}), {}},
                                               JournalBatch{records({"r"}), {}}};
        for (int i = 0; i < kContents; ++i) {
          const int which = t == 0 ? i : kContents - 1 - i;
          batches[static_cast<std::size_t>(i) * 2 / kContents].contents.push_back(
              content_of(fmt::format("content {} of round {}", which, round)));
        }
        Answers answers;
        std::size_t appended = 0;
        for (std::size_t r = 0; r < leases.size(); ++r) {
          if (journal.append(leases[r], std::move(batches[r]), answers.call())) ++appended;
        }
        EXPECT_EQ(appended, 2u);
        together.arrive_and_wait();
        journal.commit_once();
        for (const auto& one : answers.wait_for(appended)) {
          EXPECT_TRUE(one.has_value()) << one.error().to_string();
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(PostgresPlaceForTests::raw_sql("SELECT count(*) FROM sluice.contents"),
            kRounds * kContents);
}

// Another program's transaction that holds what a commit needs and then needs what the commit
// holds: one of the two is ended by the server, and that may be the commit.
// Another session has put the second of two contents and then wants the first, while what `put`
// does wants them the other way round: the server ends one of them.
struct ContentsInDeadlock {
  ContentsInDeadlock() {
    if (second.hash.hex() < first.hash.hex()) std::swap(first, second);
    work.exec("SET LOCAL deadlock_timeout = '10s'");  // the other one is the victim
    insert(second.hash);
  }
  void insert(const Hash256& hash) {
    work.exec(fmt::format("INSERT INTO sluice.contents VALUES('\\x{}', '')", hash.hex()));
  }
  void meet() {
    ASSERT_TRUE(within_seconds(30, [] {
      return PostgresPlaceForTests::raw_sql(
                 "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sluice' AND "
                 "wait_event_type = 'Lock'") == 1;
    }));
    try {
      insert(first.hash);                       // waits until the server has ended the other
    } catch (const pqxx::deadlock_detected&) {  // or, on a slow machine, this
    }
    work.abort();
  }
  JournalContent first = content_of("one"), second = content_of("two");
  pqxx::connection connection{postgres_url()};
  pqxx::work work{connection};
};

TEST(PostgresJournal, ACommitThatADeadlockEndedIsMadeAgain) {
  PostgresPlaceForTests place;
  GroupCommitJournal journal(place.open());
  auto lease = *journal.create_run("run_a", {}, {});
  ContentsInDeadlock deadlock;
  Answers answers;
  ASSERT_TRUE(
      journal.append(lease, {records({"one"}), {deadlock.first, deadlock.second}}, answers.call()));
  deadlock.meet();
  auto answer = answers.wait_for(1)[0];
  EXPECT_TRUE(answer.has_value()) << answer.error().to_string();
  EXPECT_EQ(journal.content(deadlock.second.hash).value_or(""), deadlock.second.bytes);
}

TEST(PostgresJournal, ANewRunThatADeadlockEndedIsMadeAgain) {
  PostgresPlaceForTests place;
  GroupCommitJournal journal(place.open());
  ContentsInDeadlock deadlock;
  Result<RunLease> lease = fail(ErrorCode::kInternal, "not made");
  std::thread maker([&] {
    lease = journal.create_run("run_a", {}, {records({"one"}), {deadlock.first, deadlock.second}});
  });
  deadlock.meet();
  maker.join();
  ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
  EXPECT_EQ(journal.content(deadlock.second.hash).value_or(""), deadlock.second.bytes);
  EXPECT_EQ(read_all(journal, "run_a"), (Read{{1, "one"}}));
  GroupCommitJournal other(place.open());
  EXPECT_EQ(code_of(other.take_over("run_a")), ErrorCode::kRunBusy);
  EXPECT_EQ(append_durably(journal, *lease, {records({"two"}), {}}), 2u);
}

TEST(PostgresJournal, TheServerIsToldToNoticeAnOwnerThatIsGone) {
  auto connection = PostgresPlace(postgres_url()).connect();
  ASSERT_TRUE(connection.has_value()) << connection.error().to_string();
  pqxx::read_transaction work(**connection);
  const auto row = work.exec1(
      "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN "
      "('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', "
      "'tcp_user_timeout')");
  EXPECT_EQ(row[0].as<int>(), 4);
}

TEST(PostgresJournal, TextThatIsNoUtf8IsKeptReadable) {
  PostgresPlaceForTests place;
  GroupCommitJournal journal(place.open());
  RunCard card = card_of("plan\xff" + std::string(1, '\0') + "x", 1);
  auto lease = journal.create_run("run_a", card, {});
  ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
  EXPECT_EQ(journal.find_run("run_a")->card.plan, "plan\xef\xbf\xbd\xef\xbf\xbdx");
  ASSERT_TRUE(journal.send("run_a", "signal", std::string("\xff\0", 2), 1));
  EXPECT_EQ(journal.inbox("run_a", 0)->front().body, std::string("\xff\0", 2));
}

}  // namespace
}  // namespace sluice::testing_contract
