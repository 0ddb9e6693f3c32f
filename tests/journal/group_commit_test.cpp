// GroupCommitJournal driven by hand: when it commits, in what order it answers, and that its
// injected bugs do what they say.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "base/failpoint.h"
#include "base/random.h"
#include "tests/contract/failing_store.h"
#include "tests/contract/journal_places.h"
#include "tests/journal/sqlite_place.h"

namespace sluice::testing_contract {
namespace {

class ByHand : public testing::Test {
 protected:
  std::shared_ptr<StoreTrouble> trouble = std::make_shared<StoreTrouble>();
  GroupCommitJournal journal{std::make_unique<FailingStore>(make_memory_store(), trouble),
                             GroupCommitJournal::Driver::kManual};
  RunLease lease = *journal.create_run("run_a", {}, {});

  // The bodies that are in the store.
  std::vector<std::string> stored() {
    std::vector<std::string> list;
    EXPECT_TRUE(journal.read("run_a", 1, [&](JournalSeq, const JournalRecord& record) {
      list.push_back(record.body);
      return true;
    }));
    return list;
  }
  void append(std::initializer_list<const char*> bodies, Journal::OnDurable call = nullptr) {
    EXPECT_TRUE(journal.append(lease, {records(bodies), {}}, std::move(call)));
  }
};
using Bodies = std::vector<std::string>;

TEST_F(ByHand, NothingHappensUntilACommit) {
  int told = 0;
  journal.on_work([&] { ++told; });
  int answers = 0;
  append({"one"}, [&](Result<JournalSeq>) { ++answers; });
  append({"two"}, [&](Result<JournalSeq>) { ++answers; });
  EXPECT_EQ(told, 1);
  EXPECT_EQ(answers, 0);
  EXPECT_TRUE(stored().empty());
  EXPECT_TRUE(journal.commit_once());
  EXPECT_EQ(answers, 2);
  EXPECT_EQ(stored(), (Bodies{"one", "two"}));
  EXPECT_FALSE(journal.commit_once());
  EXPECT_EQ(trouble->commits, 1);
  append({"three"});
  EXPECT_EQ(told, 2);
}

TEST_F(ByHand, ACommitThatCannotWriteACardDoesNotGoOnForEver) {
  journal.set_card(lease, card_of("p", 1));
  trouble->commits_fail = Error(ErrorCode::kDiskFull, "no room");
  EXPECT_TRUE(journal.commit_once());
  EXPECT_FALSE(journal.commit_once());
  trouble->commits_fail.reset();
  append({"one"});
  EXPECT_TRUE(journal.commit_once());
  EXPECT_EQ(journal.find_run("run_a")->card.plan, "p");
}

TEST_F(ByHand, AnAppendWithoutRecordsAnswersWhenWhatIsBeforeItIsDurable) {
  append({"one"});
  JournalSeq answered = 0;
  EXPECT_EQ(journal.append(lease, {}, [&](Result<JournalSeq> seq) { answered = *seq; }).value_or(9),
            1u);
  journal.commit_once();
  EXPECT_EQ(answered, 1u);
}

TEST_F(ByHand, TheLastRecordIsLost) {
  FailpointScope bug(Failpoint::kLoseLastRecord);
  append({"one", "two"});
  journal.commit_once();
  EXPECT_EQ(stored(), (Bodies{"one"}));
}

TEST_F(ByHand, TheBatchIsReordered) {
  FailpointScope bug(Failpoint::kReorderBatch);
  append({"one", "two"});
  journal.commit_once();
  EXPECT_EQ(stored(), (Bodies{"two", "one"}));
}

TEST_F(ByHand, TheAnswerComesBeforeTheCommit) {
  FailpointScope bug(Failpoint::kAckBeforeCommit);
  bool there = true;
  append({"one"}, [&](Result<JournalSeq>) { there = !stored().empty(); });
  journal.commit_once();
  EXPECT_FALSE(there);
}

TEST_F(ByHand, TheBatchIsTorn) {
  FailpointScope bug(Failpoint::kTornBatch);
  append({"one", "two", "three", "four"});
  journal.commit_once();
  EXPECT_EQ(trouble->commits, 2);
  EXPECT_EQ(stored(), (Bodies{"one", "two", "three", "four"}));
}

TEST_F(ByHand, TheContentComesAfterItsRecord) {
  FailpointScope bug(Failpoint::kContentAfterRecord);
  auto content = content_of("large");
  EXPECT_TRUE(journal.append(lease, {records({"one"}), {content}}, nullptr));
  journal.commit_once();
  EXPECT_EQ(trouble->commits, 2);
  EXPECT_EQ(journal.content(content.hash).value_or(""), "large");
}

TEST_F(ByHand, AFailureIsForgotten) {
  append({"one"});
  trouble->commits_fail = Error(ErrorCode::kIo, "unplugged");
  journal.commit_once();
  trouble->commits_fail.reset();
  EXPECT_FALSE(journal.append(lease, {records({"two"}), {}}, nullptr));
  {
    FailpointScope bug(Failpoint::kAppendAfterFailure);
    EXPECT_EQ(journal.append(lease, {records({"two"}), {}}, nullptr).value_or(0), 2u);
  }
  FailpointScope bug(Failpoint::kRecoverGuesses);
  EXPECT_EQ(journal.recover(lease).value_or(99), 2u) << "the truth is 0";
}

// An owner asks what is durable, and hears that its run was taken, only after `release`.
class SlowToRecover final : public FailingStore {
 public:
  using FailingStore::FailingStore;
  Result<JournalSeq> last_seq(const RunLease&) override {
    asked.set_value();
    release.get_future().wait();
    return fail(ErrorCode::kJournal, "taken");
  }
  std::promise<void> asked, release;
};

TEST(GroupCommit, ALostRunMayBeClosedWhileACommitHoldsIt) {
  auto trouble = std::make_shared<StoreTrouble>();
  auto given = std::make_unique<SlowToRecover>(make_memory_store(), trouble);
  SlowToRecover& store = *given;
  GroupCommitJournal journal(std::move(given), GroupCommitJournal::Driver::kManual);
  auto lease = *journal.create_run("run_a", {}, {});
  trouble->commits_fail = Error(ErrorCode::kIo, "unplugged");
  ASSERT_TRUE(journal.append(lease, {records({"one"}), {}}, nullptr));
  journal.commit_once();
  trouble->commits_fail.reset();
  journal.set_card(lease, card_of("p", 1));
  std::thread owner([&] {
    EXPECT_EQ(code_of(journal.recover(lease)), ErrorCode::kJournal);
    EXPECT_EQ(code_of(journal.close_run(lease, {}, JournaledRunState::kOpen)), ErrorCode::kJournal);
  });
  store.asked.get_future().wait();
  // It takes the card, then waits for the store, which the owner has.
  std::atomic<bool> committed = false;
  std::thread committer([&] {
    journal.commit_once();
    committed = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(committed) << "the store has one writer at a time";
  std::unique_lock slow(trouble->gate);  // so that the owner is gone before the commit ends
  {
    std::lock_guard lock(trouble->mutex);
    trouble->fenced.insert("run_a");
  }
  store.release.set_value();
  owner.join();
  EXPECT_EQ(code_of(journal.append(lease, {records({"two"}), {}}, nullptr)), ErrorCode::kJournal);
  slow.unlock();
  committer.join();
  EXPECT_EQ(code_of(journal.recover(lease)), ErrorCode::kJournal) << "it is owned no more";
  EXPECT_FALSE(journal.commit_once()) << "nothing of it waits";
}

// Any order of appends, failures, recoveries, compactions and new owners: what was acknowledged is
// there, in order, and nothing is there that was not appended.
class AnyHistory : public testing::TestWithParam<bool> {};

struct ModelRun {
  RunLease lease;
  std::map<JournalSeq, std::string> appended;  // the newest body of each number
  JournalSeq acknowledged = 0;
  JournalSeq first = 1;
  bool broken = false;
  bool open = true;
};

class History {
 public:
  History(bool sqlite, std::uint64_t seed)
      : random_(seed),
        journal_(
            std::make_unique<FailingStore>(sqlite ? place_.open() : make_memory_store(), trouble_),
            GroupCommitJournal::Driver::kManual) {
    for (std::size_t r = 0; r < runs_.size(); ++r) {
      runs_[r].lease = *journal_.create_run(name(r), {}, {});
    }
  }

  void play(int steps) {
    for (int step = 0; step < steps; ++step) {
      const std::size_t r = random_.below(runs_.size());
      act(r);
      if (random_.below(8) == 0) check(r);
    }
    while (journal_.commit_once()) {
    }
    for (std::size_t r = 0; r < runs_.size(); ++r) check(r);
    EXPECT_TRUE(damages(journal_).empty());
  }

 private:
  static std::string name(std::size_t r) { return "run_" + std::to_string(r); }

  void act(std::size_t r) {
    ModelRun& run = runs_[r];
    switch (random_.below(12)) {
      default:
        return append(run);
      case 5:
      case 6:
      case 7:
        journal_.commit_once();
        return;
      case 8:
        return fail_some();
      case 9:
        return recover(run);
      case 10:
        return compact(run);
      case 11:
        return change_owner(r);
    }
  }

  void append(ModelRun& run) {
    JournalBatch batch;
    const std::uint64_t count = random_.below(4);
    for (std::uint64_t i = 0; i < count; ++i) {
      batch.records.push_back({1, 1, "body " + std::to_string(++bodies_)});
    }
    auto last = journal_.append(run.lease, batch, [&run](Result<JournalSeq> seq) {
      if (seq) {
        EXPECT_GE(*seq, run.acknowledged);
        run.acknowledged = *seq;
      } else {
        run.broken = true;
      }
    });
    EXPECT_EQ(last.has_value(), run.open && !run.broken);
    if (!last) return;
    for (std::uint64_t i = 0; i < count; ++i) {
      run.appended[*last - count + 1 + i] = batch.records[i].body;
    }
  }

  void fail_some() {
    const bool lost_answer = random_.below(2) == 0;
    auto& knob = lost_answer ? trouble_->after_commit : trouble_->commits_fail;
    knob = Error(ErrorCode::kIo, "unplugged");
    journal_.commit_once();
    knob.reset();
  }

  void recover(ModelRun& run) {
    if (!run.open) return;
    if (!run.broken) journal_.commit_once();
    auto last = journal_.recover(run.lease);
    ASSERT_TRUE(last.has_value()) << last.error().to_string();
    EXPECT_GE(*last, run.acknowledged);
    run.acknowledged = *last;
    run.appended.erase(run.appended.upper_bound(*last), run.appended.end());
    run.broken = false;
  }

  void compact(ModelRun& run) {
    if (!run.open || run.broken || run.acknowledged < run.first) return;
    const JournalSeq upto = run.first + random_.below(run.acknowledged - run.first + 1);
    const std::string body = "snapshot " + std::to_string(++bodies_);
    ASSERT_TRUE(journal_.compact(run.lease, upto, {2, 1, body}));
    run.first = upto;
    run.appended[upto] = body;
  }

  void change_owner(std::size_t r) {
    ModelRun& run = runs_[r];
    if (run.open) {
      auto closed = journal_.close_run(run.lease, {}, JournaledRunState::kOpen);
      ASSERT_TRUE(closed.has_value()) << closed.error().to_string();
      run.open = false;
    } else {
      auto lease = journal_.take_over(name(r));
      ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
      run.lease = *lease;
      run.open = true;
      run.broken = true;  // so that the model asks what is there
      const auto last = journal_.find_run(name(r))->last_seq;
      EXPECT_GE(last, run.acknowledged);
      run.acknowledged = last;
      run.appended.erase(run.appended.upper_bound(last), run.appended.end());
      run.broken = false;
    }
  }

  void check(std::size_t r) {
    const ModelRun& run = runs_[r];
    JournalSeq next = run.first;
    auto read = journal_.read(name(r), 1, [&](JournalSeq seq, const JournalRecord& record) {
      EXPECT_EQ(seq, next++);
      auto expected = run.appended.find(seq);
      EXPECT_TRUE(expected != run.appended.end() && expected->second == record.body) << seq;
      return true;
    });
    EXPECT_TRUE(read.has_value());
    EXPECT_GT(next, run.acknowledged);
  }

  Random random_;
  SqlitePlace place_;
  std::shared_ptr<StoreTrouble> trouble_ = std::make_shared<StoreTrouble>();
  std::array<ModelRun, 3> runs_;  // outlive the journal, which calls back
  GroupCommitJournal journal_;
  int bodies_ = 0;
};

TEST_P(AnyHistory, KeepsWhatWasAcknowledged) {
  const bool sqlite = GetParam();
  for (std::uint64_t seed = 0; seed < (sqlite ? 6u : 200u); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(sqlite, seed);
    history.play(sqlite ? 120 : 300);
    if (HasFailure()) return;
  }
}
INSTANTIATE_TEST_SUITE_P(Stores, AnyHistory, testing::Values(false, true));

}  // namespace
}  // namespace sluice::testing_contract
