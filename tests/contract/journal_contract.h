// The contract of every Journal. A journal's own test instantiates it with a factory:
//   INSTANTIATE_TEST_SUITE_P(Memory, JournalContract, testing::Values(&make_memory_journal));
// Threads: each test uses one, except where its name says otherwise.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "journal/journal.h"

namespace sluice::testing_contract {

using JournalFactory = std::function<std::unique_ptr<Journal>()>;

class JournalContract : public testing::TestWithParam<JournalFactory> {
 protected:
  std::unique_ptr<Journal> journal = GetParam()();

  static std::vector<JournalRecord> records(std::initializer_list<const char*> bodies) {
    std::vector<JournalRecord> list;
    for (const char* body : bodies) list.push_back({7, 2, body});
    return list;
  }

  RunLease open(std::string_view run) {
    auto lease = journal->open_run(run, 1000);
    EXPECT_TRUE(lease.has_value());
    return *lease;
  }

  // Appends and waits until it is durable; the number that was promised.
  JournalSeq append(const RunLease& lease, const std::vector<JournalRecord>& list) {
    std::mutex mutex;
    std::condition_variable woken;
    std::optional<Result<JournalSeq>> durable;
    auto promised = journal->append(lease, list, [&](Result<JournalSeq> seq) {
      std::lock_guard lock(mutex);
      durable = std::move(seq);
      woken.notify_one();
    });
    EXPECT_TRUE(promised.has_value());
    if (!promised) return 0;
    std::unique_lock lock(mutex);
    EXPECT_TRUE(woken.wait_for(lock, std::chrono::seconds(20), [&] { return durable.has_value(); }))
        << "on_durable never came";
    if (!durable) return 0;
    EXPECT_TRUE(durable->has_value());
    if (durable->has_value()) EXPECT_GE(**durable, *promised);
    return *promised;
  }

  std::vector<std::pair<JournalSeq, std::string>> read_all(std::string_view run,
                                                           JournalSeq first = 1) {
    std::vector<std::pair<JournalSeq, std::string>> list;
    auto read = journal->read(run, first, [&](JournalSeq seq, const JournalRecord& record) {
      list.emplace_back(seq, record.body);
      return true;
    });
    EXPECT_TRUE(read.has_value());
    return list;
  }
};

using Read = std::vector<std::pair<JournalSeq, std::string>>;

TEST_P(JournalContract, NumbersRecordsFromOneWithoutGaps) {
  auto lease = open("run_a");
  EXPECT_EQ(append(lease, records({"one", "two"})), 2u);
  EXPECT_EQ(append(lease, records({"three"})), 3u);
  EXPECT_EQ(read_all("run_a"), (Read{{1, "one"}, {2, "two"}, {3, "three"}}));
}

TEST_P(JournalContract, ReadsFromAPointOnAndStopsWhenTold) {
  auto lease = open("run_a");
  append(lease, records({"one", "two", "three", "four"}));
  EXPECT_EQ(read_all("run_a", 3), (Read{{3, "three"}, {4, "four"}}));
  EXPECT_TRUE(read_all("run_a", 5).empty());
  int seen = 0;
  ASSERT_TRUE(
      journal->read("run_a", 1, [&](JournalSeq, const JournalRecord&) { return ++seen < 2; }));
  EXPECT_EQ(seen, 2);
}

TEST_P(JournalContract, KeepsTypeVersionAndEveryByte) {
  auto lease = open("run_a");
  std::string body("\0\xff binary\n", 10);
  append(lease, {{513, 9, body}, {0, 0, ""}});
  std::vector<JournalRecord> read;
  ASSERT_TRUE(journal->read("run_a", 1, [&](JournalSeq, const JournalRecord& record) {
    read.push_back(record);
    return true;
  }));
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].type, 513);
  EXPECT_EQ(read[0].version, 9);
  EXPECT_EQ(read[0].body, body);
  EXPECT_EQ(read[1].body, "");
}

TEST_P(JournalContract, KeepsRunsApart) {
  auto a = open("run_a");
  auto b = open("run_b");
  append(a, records({"a1"}));
  append(b, records({"b1"}));
  append(a, records({"a2"}));
  EXPECT_EQ(read_all("run_a"), (Read{{1, "a1"}, {2, "a2"}}));
  EXPECT_EQ(read_all("run_b"), (Read{{1, "b1"}}));
}

TEST_P(JournalContract, AnOlderLeaseIsFencedOff) {
  auto old_owner = open("run_a");
  append(old_owner, records({"old"}));
  auto new_owner = open("run_a");
  EXPECT_GT(new_owner.epoch, old_owner.epoch);
  auto list = records({"too late"});
  auto refused = journal->append(old_owner, list, nullptr);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kJournal);
  EXPECT_FALSE(journal->end_run(old_owner).has_value());
  EXPECT_EQ(append(new_owner, records({"new"})), 2u);
  EXPECT_EQ(read_all("run_a"), (Read{{1, "old"}, {2, "new"}}));
}

TEST_P(JournalContract, ListsRunsWithTheirState) {
  auto a = open("run_a");
  auto b = open("run_b");
  append(a, records({"a1", "a2"}));
  append(b, records({"b1"}));
  ASSERT_TRUE(journal->end_run(a));
  auto runs = journal->list_runs();
  ASSERT_TRUE(runs.has_value());
  ASSERT_EQ(runs->size(), 2u);
  for (const auto& run : *runs) {
    bool is_a = run.run_id == "run_a";
    EXPECT_EQ(run.state, is_a ? JournaledRunState::kEnded : JournaledRunState::kOpen);
    EXPECT_EQ(run.last_seq, is_a ? 2u : 1u);
    EXPECT_EQ(run.started_ns, 1000);
  }
}

TEST_P(JournalContract, AnEndedRunTakesNoMoreRecords) {
  auto lease = open("run_a");
  append(lease, records({"one"}));
  ASSERT_TRUE(journal->end_run(lease));
  auto list = records({"two"});
  EXPECT_FALSE(journal->append(lease, list, nullptr).has_value());
  EXPECT_EQ(read_all("run_a").size(), 1u);
}

TEST_P(JournalContract, AnUnknownRunIsAnError) {
  auto read = journal->read("nobody", 1, [](JournalSeq, const JournalRecord&) { return true; });
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code(), ErrorCode::kJournal);
  auto list = records({"one"});
  EXPECT_FALSE(journal->append({"nobody", 1}, list, nullptr).has_value());
}

TEST_P(JournalContract, ContentIsFoundByItsHash) {
  std::string bytes(100'000, 'x');
  auto first = journal->put_content(bytes);
  auto again = journal->put_content(bytes);
  ASSERT_TRUE(first.has_value() && again.has_value());
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(*first, sha256(bytes));
  auto got = journal->get_content(*first);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(*got, bytes);
  EXPECT_FALSE(journal->get_content(sha256("never put")).has_value());
}

TEST_P(JournalContract, ManyThreadsAppendToTheirOwnRuns) {
  constexpr int kThreads = 4;
  constexpr int kRecords = 200;
  std::atomic<int> failures = 0;
  std::atomic<int> durable = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      auto lease = journal->open_run("run_" + std::to_string(t), t);
      for (int i = 0; lease && i < kRecords; ++i) {
        std::vector<JournalRecord> one{{1, 1, std::to_string(i)}};
        auto seq = journal->append(*lease, one, [&](Result<JournalSeq>) { ++durable; });
        if (!seq || *seq != static_cast<JournalSeq>(i + 1)) ++failures;
      }
      if (!lease || !journal->end_run(*lease)) ++failures;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  for (int wait = 0; wait < 2000 && durable < kThreads * kRecords; ++wait) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(durable, kThreads * kRecords);
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_EQ(read_all("run_" + std::to_string(t)).size(), static_cast<std::size_t>(kRecords));
  }
}

}  // namespace sluice::testing_contract
