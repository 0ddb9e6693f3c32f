// The contract of every journal store, through GroupCommitJournal. A store's own test instantiates
// it with its place (one that outlives its process also durable_journal_contract.h):
//   INSTANTIATE_TEST_SUITE_P(Memory, JournalContract, testing::Values(&make_memory_place));
// Threads: each test uses one, except where its name says otherwise.
#pragma once

#include <atomic>

#include "tests/contract/failing_store.h"
#include "tests/contract/journal_places.h"

namespace sluice::testing_contract {

class JournalContract : public testing::TestWithParam<PlaceFactory> {
 protected:
  std::unique_ptr<JournalPlace> place = GetParam()();
  std::shared_ptr<StoreTrouble> trouble = std::make_shared<StoreTrouble>();
  std::unique_ptr<Journal> journal = open();

  std::unique_ptr<Journal> open() {
    return std::make_unique<GroupCommitJournal>(
        std::make_unique<FailingStore>(place->open(), trouble));
  }
  RunLease create(std::string_view run, const RunCard& card = card_of("plan", 1000)) {
    auto lease = journal->create_run(run, card, {});
    EXPECT_TRUE(lease.has_value()) << lease.error().to_string();
    return lease ? *lease : RunLease{std::string(run), 0};
  }
  JournalSeq append(const RunLease& lease, std::vector<JournalRecord> list) {
    return append_durably(*journal, lease, {std::move(list), {}});
  }
  void fail_commits(std::optional<Error> error) {
    std::lock_guard lock(trouble->mutex);
    trouble->commits_fail = std::move(error);
  }
};

TEST_P(JournalContract, NumbersRecordsFromOneWithoutGaps) {
  auto lease = create("run_a");
  EXPECT_EQ(append(lease, records({"one", "two"})), 2u);
  EXPECT_EQ(append(lease, records({"three"})), 3u);
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "one"}, {2, "two"}, {3, "three"}}));
}

TEST_P(JournalContract, ReadsFromAPointOnAndStopsWhenTold) {
  auto lease = create("run_a");
  append(lease, records({"one", "two", "three", "four"}));
  EXPECT_EQ(read_all(*journal, "run_a", 3), (Read{{3, "three"}, {4, "four"}}));
  EXPECT_TRUE(read_all(*journal, "run_a", 5).empty());
  EXPECT_EQ(read_all(*journal, "run_a", 0).size(), 4u);
  int seen = 0;
  ASSERT_TRUE(
      journal->read("run_a", 1, [&](JournalSeq, const JournalRecord&) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_P(JournalContract, ReadsALongRunInOrder) {
  constexpr int kCount = 6'000;
  auto lease = create("run_a");
  std::vector<JournalRecord> list;
  for (int i = 1; i <= kCount; ++i) {
    list.push_back({1, 1, std::to_string(i) + std::string(static_cast<std::size_t>(i % 700), 'x')});
  }
  append(lease, list);
  auto all = read_all(*journal, "run_a");
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kCount));
  for (std::size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(all[i].first, i + 1);
    ASSERT_EQ(all[i].second, list[i].body);
  }
}

TEST_P(JournalContract, AVisitorMayCallTheJournal) {
  auto lease = create("run_a");
  auto content = content_of("large");
  append_durably(*journal, lease, {records({"one", "two"}), {content}});
  int visited = 0;
  auto read = journal->read("run_a", 1, [&](JournalSeq, const JournalRecord&) {
    EXPECT_EQ(journal->content(content.hash).value_or(""), "large");
    EXPECT_EQ(read_all(*journal, "run_a").front(), (std::pair<JournalSeq, std::string>(1, "one")));
    append(lease, records({"more"}));
    return ++visited < 2;
  });
  EXPECT_TRUE(read.has_value());
  EXPECT_EQ(visited, 2);
}

TEST_P(JournalContract, KeepsTypeVersionAndEveryByte) {
  auto lease = create("run_a");
  std::string body("\0\xff binary\n\\", 11);
  append(lease, {{513, 9, body}, {0, 0, ""}, {65535, 65535, std::string(300'000, '\x80')}});
  std::vector<JournalRecord> read;
  ASSERT_TRUE(journal->read("run_a", 1, [&](JournalSeq, const JournalRecord& record) {
    read.push_back(record);
    return true;
  }));
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].type, 513);
  EXPECT_EQ(read[0].version, 9);
  EXPECT_EQ(read[0].body, body);
  EXPECT_EQ(read[1].body, "");
  EXPECT_EQ(read[2].type, 65535);
  EXPECT_EQ(read[2].version, 65535);
  EXPECT_EQ(read[2].body, std::string(300'000, '\x80'));
}

TEST_P(JournalContract, KeepsRunsApart) {
  auto a = create("run_a");
  auto b = create("run_b");
  append(a, records({"a1"}));
  append(b, records({"b1"}));
  append(a, records({"a2"}));
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "a1"}, {2, "a2"}}));
  EXPECT_EQ(read_all(*journal, "run_b"), (Read{{1, "b1"}}));
}

TEST_P(JournalContract, ARunIdIsTakenOnce) {
  create("run_a");
  EXPECT_EQ(code_of(journal->create_run("run_a", card_of("plan", 1), {})), ErrorCode::kJournal);
}

TEST_P(JournalContract, ARunIsThereWithItsFirstRecords) {
  auto content = content_of(std::string(10'000, 'c'));
  JournalBatch first{records({"header", "start"}), {content}};
  auto lease = journal->create_run("run_a", card_of("plan", 1000), first);
  ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "header"}, {2, "start"}}));
  EXPECT_EQ(journal->content(content.hash).value_or(""), content.bytes);
  auto run = journal->find_run("run_a");
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->last_seq, 2u);
  EXPECT_GT(run->bytes, 0u);
  EXPECT_EQ(run->card.plan, "plan");
  EXPECT_EQ(*journal->recover(*lease), 2u);
  EXPECT_EQ(append(*lease, records({"three"})), 3u);
  // One that is not made leaves nothing, neither of its own nor in the run that has the id.
  auto other = content_of(std::string(10'000, 'd'));
  JournalBatch second{records({"another header"}), {other}};
  EXPECT_EQ(code_of(journal->create_run("run_a", card_of("plan", 1), second)), ErrorCode::kJournal);
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "header"}, {2, "start"}, {3, "three"}}));
  EXPECT_FALSE(journal->content(other.hash).has_value());
}

TEST_P(JournalContract, ManyAppendsOfOneRunAreOneCommitAndAnswerInOrder) {
  auto lease = create("run_a");
  auto other = create("run_b");
  Answers answers;
  int before = 0;
  {
    std::lock_guard hold(trouble->gate);
    ASSERT_TRUE(journal->append(lease, {records({"first"}), {}}, answers.call()));
    // So that the first commit waits at the gate by now.
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    for (int i = 0; i < 50; ++i) {
      auto seq = journal->append(lease, {records({"more"}), {}}, answers.call());
      EXPECT_EQ(seq.value_or(0), static_cast<JournalSeq>(i + 2));
      ASSERT_TRUE(journal->append(other, {records({"other"}), {}}, nullptr));
    }
    before = trouble->commits;
  }
  auto results = answers.wait_for(51);
  for (std::size_t i = 0; i < results.size(); ++i) {
    ASSERT_TRUE(results[i].has_value());
    EXPECT_EQ(*results[i], i + 1);
  }
  EXPECT_LE(trouble->commits - before, 2);
  EXPECT_EQ(read_all(*journal, "run_a").size(), 51u);
  EXPECT_EQ(read_all(*journal, "run_b").size(), 50u);
}

TEST_P(JournalContract, ACallbackMayAppend) {
  auto lease = create("run_a");
  Answers answers;
  ASSERT_TRUE(journal->append(lease, {records({"one"}), {}}, [&](Result<JournalSeq>) {
    EXPECT_TRUE(journal->append(lease, {records({"two"}), {}}, answers.call()));
  }));
  EXPECT_EQ(answers.wait_for(1)[0].value_or(0), 2u);
}

TEST_P(JournalContract, TheLastAppendsSurviveTheJournalsEnd) {
  auto lease = create("run_a");
  Answers answers;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(journal->append(lease, {records({"x"}), {}}, answers.call()));
  }
  journal.reset();
  EXPECT_EQ(answers.size(), 20u);
}

TEST_P(JournalContract, ContentIsFoundByItsHash) {
  auto lease = create("run_a");
  auto text = content_of(std::string(100'000, 'x'));
  auto empty = content_of("");
  std::string noise;
  for (unsigned i = 0; i < 5'000; ++i) noise += static_cast<char>(i * i * 2654435761u >> 13);
  auto random = content_of(noise);
  append_durably(*journal, lease, {records({"one"}), {text, empty, random, text}});
  append_durably(*journal, lease, {records({"again"}), {text}});
  for (const auto& one : {text, empty, random}) {
    auto got = journal->content(one.hash);
    ASSERT_TRUE(got.has_value()) << got.error().to_string();
    EXPECT_EQ(*got, one.bytes);
  }
  EXPECT_EQ(code_of(journal->content(sha256("never put"))), ErrorCode::kJournal);
}

TEST_P(JournalContract, ListsTheNewestFirstAndFilters) {
  auto a = create("run_a", card_of("alpha", 1000));
  auto b = create("run_b", card_of("beta", 3000, "waiting"));
  auto c = create("run_c", card_of("alpha", 2000));
  append(a, records({"a1", "a2"}));
  RunCard done = card_of("alpha", 1000, "succeeded");
  done.note = "all well";
  done.tasks_done = 12;
  done.tokens = 3'000'000'000;
  done.usd = 0.25;
  done.updated_ns = 5000;
  ASSERT_TRUE(journal->close_run(a, done, JournaledRunState::kEnded));
  const auto ids = [&](const RunQuery& query) {
    std::vector<std::string> list;
    auto runs = journal->list_runs(query);
    EXPECT_TRUE(runs.has_value()) << runs.error().to_string();
    if (runs) {
      for (const auto& run : *runs) list.push_back(run.run_id);
    }
    return list;
  };
  using Ids = std::vector<std::string>;
  EXPECT_EQ(ids({}), (Ids{"run_b", "run_c", "run_a"}));
  EXPECT_EQ(ids({.state = JournaledRunState::kOpen}), (Ids{"run_b", "run_c"}));
  EXPECT_EQ(ids({.state = JournaledRunState::kEnded}), (Ids{"run_a"}));
  EXPECT_EQ(ids({.status = "waiting"}), (Ids{"run_b"}));
  EXPECT_EQ(ids({.plan = "alpha"}), (Ids{"run_c", "run_a"}));
  EXPECT_EQ(ids({.started_after_ns = 1000}), (Ids{"run_b", "run_c"}));
  EXPECT_EQ(ids({.limit = 1}), (Ids{"run_b"}));
  EXPECT_EQ(ids({.status = "nothing"}), Ids{});
  auto found = journal->find_run("run_a");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->state, JournaledRunState::kEnded);
  EXPECT_EQ(found->last_seq, 2u);
  EXPECT_EQ(found->first_seq, 1u);
  EXPECT_EQ(found->owner, "");
  EXPECT_EQ(found->card.note, "all well");
  EXPECT_EQ(found->card.tasks_done, 12u);
  EXPECT_EQ(found->card.tokens, 3'000'000'000u);
  EXPECT_EQ(found->card.usd, 0.25);
  EXPECT_EQ(found->card.updated_ns, 5000);
  EXPECT_GE(found->bytes, 4u);
  auto live = journal->find_run("run_b");
  ASSERT_TRUE(live.has_value());
  EXPECT_NE(live->owner, "");
  EXPECT_EQ(live->last_seq, 0u);
}

TEST_P(JournalContract, ACardIsWrittenWithoutACommitOfRecords) {
  auto lease = create("run_a");
  RunCard card = card_of("plan", 1000, "waiting");
  card.waits = 3;
  journal->set_card(lease, card);
  EXPECT_TRUE(within_seconds(10, [&] { return journal->find_run("run_a")->card.waits == 3; }));
  EXPECT_EQ(journal->find_run("run_a")->card.status, "waiting");
  card.status = "running";
  journal->set_card(lease, card);
  append(lease, records({"one"}));
  EXPECT_EQ(journal->find_run("run_a")->card.status, "running");
}

TEST_P(JournalContract, AnEndedRunTakesNoMore) {
  auto lease = create("run_a");
  append(lease, records({"one"}));
  ASSERT_TRUE(journal->close_run(lease, card_of("p", 1, "succeeded"), JournaledRunState::kEnded));
  EXPECT_EQ(code_of(journal->append(lease, {records({"two"}), {}}, nullptr)), ErrorCode::kJournal);
  EXPECT_EQ(code_of(journal->take_over("run_a")), ErrorCode::kRunEnded);
  EXPECT_EQ(code_of(journal->send("run_a", "signal", "{}", 1)), ErrorCode::kRunEnded);
  EXPECT_EQ(code_of(journal->close_run(lease, {}, JournaledRunState::kOpen)), ErrorCode::kJournal);
  EXPECT_EQ(read_all(*journal, "run_a").size(), 1u);
}

TEST_P(JournalContract, AClosedRunIsTakenOverAndGoesOn) {
  auto lease = create("run_a");
  append(lease, records({"one"}));
  EXPECT_EQ(code_of(journal->take_over("run_a")), ErrorCode::kRunBusy);
  ASSERT_TRUE(journal->close_run(lease, card_of("p", 1, "interrupted"), JournaledRunState::kOpen));
  EXPECT_EQ(journal->find_run("run_a")->owner, "");
  EXPECT_EQ(journal->find_run("run_a")->card.status, "interrupted");
  EXPECT_EQ(code_of(journal->append(lease, {records({"late"}), {}}, nullptr)), ErrorCode::kJournal);
  auto again = journal->take_over("run_a");
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_GT(again->epoch, lease.epoch);
  EXPECT_EQ(code_of(journal->append(lease, {records({"late"}), {}}, nullptr)), ErrorCode::kJournal);
  EXPECT_EQ(append(*again, records({"two"})), 2u);
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "one"}, {2, "two"}}));
}

TEST_P(JournalContract, CloseIsBehindTheAppendsBeforeIt) {
  auto lease = create("run_a");
  Answers answers;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(journal->append(lease, {records({"x"}), {}}, answers.call()));
  }
  ASSERT_TRUE(journal->close_run(lease, card_of("p", 1), JournaledRunState::kEnded));
  EXPECT_EQ(answers.wait_for(10).size(), 10u);
  EXPECT_EQ(journal->find_run("run_a")->last_seq, 10u);
}

TEST_P(JournalContract, AnUnknownRunIsAnError) {
  const auto all = [](JournalSeq, const JournalRecord&) { return true; };
  EXPECT_EQ(code_of(journal->read("nobody", 1, all)), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->find_run("nobody")), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->take_over("nobody")), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->delete_run("nobody")), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->send("nobody", "signal", "{}", 1)), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->inbox("nobody", 0)), ErrorCode::kRunUnknown);
  EXPECT_EQ(code_of(journal->append({"nobody", 1}, {records({"one"}), {}}, nullptr)),
            ErrorCode::kJournal);
}

TEST_P(JournalContract, AFailedCommitFailsWhatWaitsUntilRecover) {
  auto lease = create("run_a");
  append(lease, records({"one"}));
  fail_commits(Error(ErrorCode::kDiskFull, "no room"));
  Answers answers;
  ASSERT_TRUE(journal->append(lease, {records({"lost"}), {}}, answers.call()));
  EXPECT_EQ(code_of(answers.wait_for(1)[0]), ErrorCode::kDiskFull);
  EXPECT_EQ(code_of(journal->append(lease, {records({"refused"}), {}}, answers.call())),
            ErrorCode::kDiskFull);
  fail_commits(std::nullopt);
  EXPECT_EQ(code_of(journal->append(lease, {records({"refused"}), {}}, nullptr)),
            ErrorCode::kDiskFull);
  auto last = journal->recover(lease);
  ASSERT_TRUE(last.has_value()) << last.error().to_string();
  EXPECT_EQ(*last, 1u);
  EXPECT_EQ(append(lease, records({"two"})), 2u);
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "one"}, {2, "two"}}));
  EXPECT_EQ(answers.size(), 1u) << "a refused append calls nobody";
}

TEST_P(JournalContract, AppendsBehindAFailingOneFailToo) {
  auto lease = create("run_a");
  Answers answers;
  fail_commits(Error(ErrorCode::kIo, "unplugged"));
  {
    std::lock_guard hold(trouble->gate);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(journal->append(lease, {records({"x"}), {}}, answers.call()));
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  for (const auto& result : answers.wait_for(10)) EXPECT_EQ(code_of(result), ErrorCode::kIo);
  fail_commits(std::nullopt);
  EXPECT_EQ(journal->recover(lease).value_or(99), 0u);
  EXPECT_TRUE(read_all(*journal, "run_a").empty());
}

TEST_P(JournalContract, RecoverTellsOfACommitWhoseAnswerWasLost) {
  auto lease = create("run_a");
  {
    std::lock_guard lock(trouble->mutex);
    trouble->after_commit = Error(ErrorCode::kIo, "the answer was lost");
  }
  Answers answers;
  ASSERT_TRUE(journal->append(lease, {records({"one", "two"}), {}}, answers.call()));
  EXPECT_EQ(code_of(answers.wait_for(1)[0]), ErrorCode::kIo);
  {
    std::lock_guard lock(trouble->mutex);
    trouble->after_commit.reset();
  }
  EXPECT_EQ(journal->recover(lease).value_or(99), 2u);
  EXPECT_EQ(append(lease, records({"three"})), 3u);
  EXPECT_EQ(read_all(*journal, "run_a").size(), 3u);
}

TEST_P(JournalContract, RecoverWithoutAFailureChangesNothing) {
  auto lease = create("run_a");
  append(lease, records({"one"}));
  EXPECT_EQ(journal->recover(lease).value_or(99), 1u);
  EXPECT_EQ(append(lease, records({"two"})), 2u);
}

TEST_P(JournalContract, AFencedRunFailsForGoodAndOthersGoOn) {
  auto lost = create("run_a");
  auto other = create("run_b");
  append(lost, records({"one"}));
  Answers of_lost;
  Answers of_other;
  {
    std::lock_guard hold(trouble->gate);
    for (int i = 0; i < 5; ++i) {
      ASSERT_TRUE(journal->append(lost, {records({"x"}), {}}, of_lost.call()));
      ASSERT_TRUE(journal->append(other, {records({"y"}), {}}, of_other.call()));
    }
    std::lock_guard lock(trouble->mutex);
    trouble->fenced.insert("run_a");
  }
  for (const auto& result : of_lost.wait_for(5)) EXPECT_EQ(code_of(result), ErrorCode::kJournal);
  for (const auto& result : of_other.wait_for(5)) EXPECT_TRUE(result.has_value());
  EXPECT_EQ(code_of(journal->recover(lost)), ErrorCode::kJournal);
  EXPECT_EQ(code_of(journal->append(lost, {records({"z"}), {}}, nullptr)), ErrorCode::kJournal);
  EXPECT_EQ(code_of(journal->close_run(lost, {}, JournaledRunState::kOpen)), ErrorCode::kJournal);
  EXPECT_EQ(append(other, records({"y"})), 6u);
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "one"}}));
}

TEST_P(JournalContract, AnOpenRunIsGivenBackAfterAFailedCommitButDoesNotEnd) {
  auto lease = create("run_a");
  append(lease, records({"one"}));
  fail_commits(Error(ErrorCode::kDiskFull, "no room"));
  Answers answers;
  ASSERT_TRUE(journal->append(lease, {records({"lost"}), {}}, answers.call()));
  answers.wait_for(1);
  EXPECT_EQ(code_of(journal->close_run(lease, {}, JournaledRunState::kOpen)), ErrorCode::kDiskFull);
  fail_commits(std::nullopt);
  EXPECT_EQ(code_of(journal->close_run(lease, {}, JournaledRunState::kEnded)),
            ErrorCode::kDiskFull);
  EXPECT_TRUE(journal->close_run(lease, card_of("p", 1), JournaledRunState::kOpen));
  auto again = journal->take_over("run_a");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(append(*again, records({"two"})), 2u);
}

TEST_P(JournalContract, TheInboxKeepsMessagesInOrderUntilTheyAreAcknowledged) {
  auto lease = create("run_a");
  auto other = create("run_b");
  EXPECT_TRUE(journal->inbox("run_a", 0)->empty());
  auto first = journal->send("run_a", "signal", R"({"name":"go"})", 77);
  auto second = journal->send("run_a", "cancel", "", 78);
  ASSERT_TRUE(first && second);
  EXPECT_GT(*first, 0u);
  EXPECT_GT(*second, *first);
  ASSERT_TRUE(journal->send("run_b", "signal", "{}", 79));
  auto all = journal->inbox("run_a", 0);
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].id, *first);
  EXPECT_EQ((*all)[0].kind, "signal");
  EXPECT_EQ((*all)[0].body, R"({"name":"go"})");
  EXPECT_EQ((*all)[0].sent_ns, 77);
  EXPECT_EQ((*all)[1].kind, "cancel");
  EXPECT_EQ(journal->inbox("run_a", *first)->size(), 1u);
  ASSERT_TRUE(journal->acknowledge(lease, *first));
  EXPECT_EQ(journal->inbox("run_a", 0)->size(), 1u);
  ASSERT_TRUE(journal->acknowledge(lease, *second));
  EXPECT_TRUE(journal->inbox("run_a", 0)->empty());
  EXPECT_GT(journal->send("run_a", "signal", "{}", 80).value_or(0), *second)
      << "an id is never used again";
  EXPECT_EQ(journal->inbox("run_b", 0)->size(), 1u);
}

TEST_P(JournalContract, CompactionPutsASnapshotInPlaceOfWhatItStandsFor) {
  auto lease = create("run_a");
  for (int i = 1; i <= 10; ++i) {
    ASSERT_TRUE(journal->append(lease, {records({"old"}), {}}, nullptr));
  }
  auto done = journal->compact(lease, 8, {99, 1, "snapshot"});
  ASSERT_TRUE(done.has_value()) << done.error().to_string();
  const Read expected{{8, "snapshot"}, {9, "old"}, {10, "old"}};
  EXPECT_EQ(read_all(*journal, "run_a"), expected);
  EXPECT_EQ(read_all(*journal, "run_a", 5), expected);
  EXPECT_EQ(read_all(*journal, "run_a", 9).size(), 2u);
  EXPECT_EQ(journal->find_run("run_a")->first_seq, 8u);
  EXPECT_EQ(journal->find_run("run_a")->last_seq, 10u);
  EXPECT_EQ(append(lease, records({"new"})), 11u);
  ASSERT_TRUE(journal->compact(lease, 11, {99, 1, "second"}));
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{11, "second"}}));
  EXPECT_FALSE(journal->compact(lease, 12, {99, 1, "too far"}));
  ASSERT_TRUE(journal->close_run(lease, card_of("p", 1), JournaledRunState::kOpen));
  auto again = journal->take_over("run_a");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(append(*again, records({"newer"})), 12u);
  EXPECT_TRUE(damages(*journal).empty());
}

TEST_P(JournalContract, ADeletedRunLeavesTheContentsOfOthers) {
  auto a = create("run_a");
  auto b = create("run_b");
  auto shared = content_of("shared by both");
  auto own = content_of("only of a");
  append_durably(*journal, a, {records({"a1"}), {shared, own}});
  append_durably(*journal, b, {records({"b1"}), {shared}});
  ASSERT_TRUE(journal->send("run_a", "signal", "{}", 1));
  EXPECT_EQ(code_of(journal->delete_run("run_a")), ErrorCode::kRunBusy);
  ASSERT_TRUE(journal->close_run(a, card_of("p", 1), JournaledRunState::kOpen));
  auto deleted = journal->delete_run("run_a");
  ASSERT_TRUE(deleted.has_value()) << deleted.error().to_string();
  EXPECT_EQ(code_of(journal->find_run("run_a")), ErrorCode::kRunUnknown);
  EXPECT_EQ(journal->list_runs({})->size(), 1u);
  EXPECT_EQ(journal->content(shared.hash).value_or(""), "shared by both");
  EXPECT_EQ(code_of(journal->content(own.hash)), ErrorCode::kJournal);
  EXPECT_EQ(read_all(*journal, "run_b"), (Read{{1, "b1"}}));
  auto anew = create("run_a");
  EXPECT_EQ(append(anew, records({"anew"})), 1u);
  EXPECT_TRUE(damages(*journal).empty());
}

TEST_P(JournalContract, ManyThreadsAppendToTheirOwnRuns) {
  constexpr int kThreads = 8;
  constexpr int kRecords = 200;
  std::atomic<int> failures = 0;
  std::atomic<int> durable = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto lease = journal->create_run("run_" + std::to_string(t), card_of("p", t), {});
      std::atomic<JournalSeq> last_answer = 0;
      for (int i = 0; lease && i < kRecords; ++i) {
        auto seq = journal->append(*lease, {{{1, 1, std::to_string(i)}}, {}},
                                   [&, i](Result<JournalSeq> result) {
                                     if (!result || *result != last_answer + 1) ++failures;
                                     last_answer = static_cast<JournalSeq>(i + 1);
                                     ++durable;
                                   });
        if (!seq || *seq != static_cast<JournalSeq>(i + 1)) ++failures;
        if (i % 50 == 0 && lease) journal->set_card(*lease, card_of("p", t));
        if (i % 64 == 0 && !journal->list_runs({})) ++failures;
      }
      if (!lease || !journal->close_run(*lease, card_of("p", t), JournaledRunState::kEnded)) {
        ++failures;
      }
      // last_answer is on this stack.
      within_seconds(30, [&] { return last_answer == kRecords; });
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(durable, kThreads * kRecords);
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_EQ(read_all(*journal, "run_" + std::to_string(t)).size(),
              static_cast<std::size_t>(kRecords));
  }
}

}  // namespace sluice::testing_contract
