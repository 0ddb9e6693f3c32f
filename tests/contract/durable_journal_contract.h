// The part of the journals' contract that is about outliving a process, sharing a store and
// noticing damage. Instantiated beside journal_contract.h:
//   INSTANTIATE_TEST_SUITE_P(Sqlite, DurableJournalContract, testing::Values(&make_sqlite_place));
#pragma once

#include <unistd.h>

#include <atomic>
#include <set>

#include "base/failpoint.h"
#include "tests/contract/journal_places.h"

namespace sluice::testing_contract {

class DurableJournalContract : public testing::TestWithParam<DurablePlaceFactory> {
 protected:
  std::unique_ptr<DurablePlace> place = GetParam()();

  std::unique_ptr<Journal> open() { return std::make_unique<GroupCommitJournal>(place->open()); }
  std::unique_ptr<Journal> open_stealable() {
    return std::make_unique<GroupCommitJournal>(place->open_stealable());
  }
  static RunLease create(Journal& journal, std::string_view run) {
    auto lease = journal.create_run(run, card_of("plan", 1000), {});
    EXPECT_TRUE(lease.has_value()) << lease.error().to_string();
    return lease ? *lease : RunLease{std::string(run), 0};
  }
  static JournalSeq append(Journal& journal, const RunLease& lease,
                           std::vector<JournalRecord> list) {
    return append_durably(journal, lease, {std::move(list), {}});
  }
};

TEST_P(DurableJournalContract, EverythingIsThereInTheNextProcess) {
  auto content = content_of(std::string(10'000, 'c'));
  {
    auto journal = open();
    auto lease = create(*journal, "run_a");
    append_durably(*journal, lease, {records({"one", "two"}), {content}});
    ASSERT_TRUE(journal->send("run_a", "signal", "{}", 5));
    RunCard card = card_of("plan", 1000, "waiting");
    journal->set_card(lease, card);
  }
  auto journal = open();
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "one"}, {2, "two"}}));
  EXPECT_EQ(journal->content(content.hash).value_or(""), content.bytes);
  EXPECT_EQ(journal->inbox("run_a", 0)->size(), 1u);
  auto run = journal->find_run("run_a");
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->card.status, "waiting") << "a card is written at the journal's end";
  EXPECT_EQ(run->owner, "") << "its owner is gone";
  EXPECT_EQ(run->last_seq, 2u);
  auto lease = journal->take_over("run_a");
  ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
  EXPECT_EQ(append(*journal, *lease, records({"three"})), 3u);
  EXPECT_TRUE(damages(*journal).empty());
}

TEST_P(DurableJournalContract, ARunThatWasMadeIsThereWithItsFirstRecords) {
  auto content = content_of(std::string(10'000, 'c'));
  auto owner = open();
  auto lease =
      owner->create_run("run_a", card_of("plan", 1000), {records({"header", "start"}), {content}});
  ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
  // Nothing was closed and nothing committed since: as another process would find it after a kill.
  auto journal = open_stealable();
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{1, "header"}, {2, "start"}}));
  EXPECT_EQ(journal->content(content.hash).value_or(""), content.bytes);
  EXPECT_EQ(journal->find_run("run_a")->last_seq, 2u);
  EXPECT_TRUE(damages(*journal).empty());
}

TEST_P(DurableJournalContract, ALiveOwnerIsNamedAndNotTakenOver) {
  auto owner = open();
  auto other = open();
  auto lease = create(*owner, "run_a");
  auto run = other->find_run("run_a");
  ASSERT_TRUE(run.has_value());
  EXPECT_NE(run->owner.find("pid " + std::to_string(getpid())), std::string::npos) << run->owner;
  auto busy = other->take_over("run_a");
  ASSERT_FALSE(busy.has_value());
  EXPECT_EQ(busy.error().code(), ErrorCode::kRunBusy);
  EXPECT_NE(busy.error().message().find("pid " + std::to_string(getpid())), std::string::npos)
      << busy.error().message();
  EXPECT_EQ(code_of(other->delete_run("run_a")), ErrorCode::kRunBusy);
  ASSERT_TRUE(owner->close_run(lease, card_of("p", 1), JournaledRunState::kOpen));
  auto taken = other->take_over("run_a");
  ASSERT_TRUE(taken.has_value()) << taken.error().to_string();
  EXPECT_EQ(code_of(owner->take_over("run_a")), ErrorCode::kRunBusy);
  EXPECT_EQ(append(*other, *taken, records({"one"})), 1u);
}

TEST_P(DurableJournalContract, AnOwnerWhoseRunWasTakenIsFencedOff) {
  auto old_owner = open_stealable();
  auto old_lease = create(*old_owner, "run_a");
  auto kept = create(*old_owner, "run_b");
  append(*old_owner, old_lease, records({"old"}));
  place->cut_owners_off();
  auto new_owner = open_stealable();
  auto new_lease = new_owner->take_over("run_a");
  ASSERT_TRUE(new_lease.has_value()) << new_lease.error().to_string();
  EXPECT_GT(new_lease->epoch, old_lease.epoch);
  EXPECT_EQ(append(*new_owner, *new_lease, records({"new"})), 2u);
  Answers answers;
  auto late = old_owner->append(old_lease, {records({"late"}), {}}, answers.call());
  if (late) EXPECT_FALSE(answers.wait_for(1)[0].has_value());
  EXPECT_EQ(code_of(old_owner->recover(old_lease)), ErrorCode::kJournal);
  EXPECT_EQ(code_of(old_owner->compact(old_lease, 1, {1, 1, "x"})), ErrorCode::kJournal);
  EXPECT_EQ(code_of(old_owner->close_run(old_lease, {}, JournaledRunState::kEnded)),
            ErrorCode::kJournal);
  EXPECT_EQ(read_all(*new_owner, "run_a"), (Read{{1, "old"}, {2, "new"}}));
  // What nobody took is still the old owner's, once it has looked.
  ASSERT_TRUE(old_owner->recover(kept).has_value());
  EXPECT_EQ(append(*old_owner, kept, records({"mine"})), 1u);
}

TEST_P(DurableJournalContract, TheStaleEpochBugIsSeen) {
  FailpointScope bug(Failpoint::kStaleEpochAccepted);
  auto old_owner = open_stealable();
  auto old_lease = create(*old_owner, "run_a");
  append(*old_owner, old_lease, records({"old"}));
  place->cut_owners_off();
  auto new_owner = open_stealable();
  ASSERT_TRUE(new_owner->take_over("run_a"));
  Answers first;
  if (old_owner->append(old_lease, {records({"late"}), {}}, first.call())) first.wait_for(1);
  (void)old_owner->recover(old_lease);
  Answers second;
  if (old_owner->append(old_lease, {records({"late"}), {}}, second.call())) second.wait_for(1);
  EXPECT_GE(read_all(*new_owner, "run_a").size(), 2u) << "the failpoint does nothing";
}

TEST_P(DurableJournalContract, ADamagedRecordIsNoticedAndWhatIsBeforeItIsRead) {
  {
    auto journal = open();
    auto lease = create(*journal, "run_a");
    append(*journal, lease, records({"first body", "second body", "third body"}));
    append(*journal, create(*journal, "run_b"), records({"whole"}));
  }
  place->flip_record_bit("run_a", 2);
  auto journal = open();
  Read before;
  auto read = journal->read("run_a", 1, [&](JournalSeq seq, const JournalRecord& record) {
    before.emplace_back(seq, record.body);
    return true;
  });
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kJournalDamaged);
  EXPECT_NE(read.error().message().find("record 2 of run run_a"), std::string::npos)
      << read.error().message();
  EXPECT_EQ(before, (Read{{1, "first body"}}));
  EXPECT_EQ(read_all(*journal, "run_b").size(), 1u);
  auto found = damages(*journal);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].run_id, "run_a");
  EXPECT_EQ(found[0].seq, 2u);
  FailpointScope bug(Failpoint::kChecksumIgnored);
  EXPECT_EQ(read_all(*journal, "run_a").size(), 3u) << "the failpoint does nothing";
}

TEST_P(DurableJournalContract, AMissingRecordIsNoticed) {
  {
    auto journal = open();
    auto lease = create(*journal, "run_a");
    append(*journal, lease, records({"1", "2", "3", "4"}));
    ASSERT_TRUE(journal->close_run(lease, card_of("p", 1), JournaledRunState::kOpen));
  }
  place->remove_record("run_a", 2);
  place->remove_record("run_a", 4);
  auto journal = open();
  const auto all = [](JournalSeq, const JournalRecord&) { return true; };
  EXPECT_EQ(code_of(journal->read("run_a", 1, all)), ErrorCode::kJournalDamaged);
  std::set<JournalSeq> missing;
  for (const auto& one : damages(*journal)) missing.insert(one.seq);
  EXPECT_EQ(missing, (std::set<JournalSeq>{2, 4}));
}

TEST_P(DurableJournalContract, ADamagedContentIsNoticed) {
  auto plain = content_of("a short one");
  auto packed = content_of(std::string(5'000, 'p'));
  {
    auto journal = open();
    append_durably(*journal, create(*journal, "run_a"), {records({"one"}), {plain, packed}});
  }
  place->flip_content_bit(plain.hash);
  place->flip_content_bit(packed.hash);
  auto journal = open();
  EXPECT_EQ(code_of(journal->content(plain.hash)), ErrorCode::kJournalDamaged);
  EXPECT_EQ(code_of(journal->content(packed.hash)), ErrorCode::kJournalDamaged);
  EXPECT_EQ(damages(*journal).size(), 2u);
}

TEST_P(DurableJournalContract, DeletionAndCompactionFreeTheirRoom) {
  auto journal = open();
  auto lease = create(*journal, "run_a");
  std::vector<JournalRecord> many(9'000, JournalRecord{1, 1, "a body of some length"});
  append(*journal, lease, many);
  auto other = create(*journal, "run_b");
  append(*journal, other, records({"b"}));
  ASSERT_TRUE(journal->compact(lease, 8'990, {2, 1, "snapshot"}));
  EXPECT_TRUE(within_seconds(30, [&] { return place->stored_records() == 12; }));
  ASSERT_TRUE(journal->close_run(lease, card_of("p", 1), JournaledRunState::kEnded));
  ASSERT_TRUE(journal->delete_run("run_a"));
  EXPECT_EQ(place->stored_records(), 1u);
  EXPECT_TRUE(damages(*journal).empty());
}

TEST_P(DurableJournalContract, ANewOwnerRemovesWhatADeadOneCompacted) {
  {
    // Its store is not asked to tidy up after the compaction.
    auto store = place->open();
    auto lease = store->create_run("run_a", card_of("p", 1), {});
    ASSERT_TRUE(lease.has_value());
    std::vector<RunCommit> commits(1);
    commits[0] = {.lease = *lease, .first_seq = 1, .records = records({"1", "2", "3"})};
    ASSERT_TRUE(store->commit(commits));
    ASSERT_TRUE(store->compact(*lease, 3, {1, 1, "snapshot"}));
    EXPECT_EQ(place->stored_records(), 3u);
  }
  auto journal = open();
  auto lease = journal->take_over("run_a");
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(append(*journal, *lease, records({"4"})), 4u);
  EXPECT_TRUE(within_seconds(30, [&] { return place->stored_records() == 2; }));
  EXPECT_EQ(read_all(*journal, "run_a"), (Read{{3, "snapshot"}, {4, "4"}}));
}

TEST_P(DurableJournalContract, TwoJournalsWriteAtOnce) {
  constexpr int kRecords = 150;
  std::vector<std::unique_ptr<Journal>> journals;
  journals.push_back(open());
  journals.push_back(open());
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (std::size_t j = 0; j < journals.size(); ++j) {
    threads.emplace_back([&, j] {
      auto lease = journals[j]->create_run("run_" + std::to_string(j), card_of("p", 1), {});
      for (int i = 0; lease && i < kRecords; ++i) {
        Answers answers;
        auto seq = journals[j]->append(*lease, {records({"x"}), {}}, answers.call());
        if (!seq || !answers.wait_for(1)[0]) ++failures;
        if (i % 10 == 0 && !journals[1 - j]->list_runs({})) ++failures;
        if (i % 10 == 5 && !journals[1 - j]->send("run_" + std::to_string(j), "s", "{}", i)) {
          ++failures;
        }
      }
      if (!lease) ++failures;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  for (const auto* run : {"run_0", "run_1"}) {
    EXPECT_EQ(read_all(*journals[0], run).size(), static_cast<std::size_t>(kRecords));
    EXPECT_EQ(journals[0]->inbox(run, 0)->size(), 15u);
  }
  EXPECT_TRUE(damages(*journals[1]).empty());
}

}  // namespace sluice::testing_contract
