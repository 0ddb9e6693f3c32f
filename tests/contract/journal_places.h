// What tests of journals share: places where a store lies, and short ways to append and read.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "journal/group_commit.h"

namespace sluice::testing_contract {

// Where a store lies: it can be opened. Gone with the object.
class JournalPlace {
 public:
  virtual ~JournalPlace() = default;
  virtual std::unique_ptr<JournalStore> open() = 0;
};
using PlaceFactory = std::function<std::unique_ptr<JournalPlace>()>;

using Read = std::vector<std::pair<JournalSeq, std::string>>;

inline std::vector<JournalRecord> records(std::initializer_list<const char*> bodies) {
  std::vector<JournalRecord> list;
  for (const char* body : bodies) list.push_back({7, 2, body});
  return list;
}

inline JournalContent content_of(std::string bytes) {
  auto hash = sha256(bytes);
  return {hash, std::move(bytes)};
}

inline RunCard card_of(std::string plan, WallNs started_ns, std::string status = "running") {
  RunCard card;
  card.plan = std::move(plan);
  card.status = std::move(status);
  card.started_ns = started_ns;
  return card;
}

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "expected an error";
  return result ? ErrorCode::kInternal : result.error().code();
}

// What came of appends, in the order of the callbacks.
class Answers {
 public:
  Journal::OnDurable call() {
    return [this](Result<JournalSeq> result) {
      std::lock_guard lock(mutex_);
      results_.push_back(std::move(result));
      woken_.notify_all();
    };
  }
  std::vector<Result<JournalSeq>> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(woken_.wait_for(lock, std::chrono::seconds(30), [&] {
      return results_.size() >= count;
    })) << "on_durable never came";
    return results_;
  }
  std::size_t size() {
    std::lock_guard lock(mutex_);
    return results_.size();
  }

 private:
  std::mutex mutex_;
  std::condition_variable woken_;
  std::vector<Result<JournalSeq>> results_;
};

inline JournalSeq append_durably(Journal& journal, const RunLease& lease, JournalBatch batch) {
  Answers answers;
  auto promised = journal.append(lease, std::move(batch), answers.call());
  EXPECT_TRUE(promised.has_value()) << promised.error().to_string();
  if (!promised) return 0;
  auto results = answers.wait_for(1);
  EXPECT_EQ(results.size(), 1u);
  EXPECT_TRUE(results[0].has_value()) << results[0].error().to_string();
  if (results[0]) EXPECT_EQ(*results[0], *promised);
  return *promised;
}

inline Read read_all(Journal& journal, std::string_view run, JournalSeq first = 1) {
  Read list;
  auto read = journal.read(run, first, [&](JournalSeq seq, const JournalRecord& record) {
    list.emplace_back(seq, record.body);
    return true;
  });
  EXPECT_TRUE(read.has_value()) << read.error().to_string();
  return list;
}

inline std::vector<JournalDamage> damages(Journal& journal) {
  std::vector<JournalDamage> list;
  auto checked = journal.check([&](const JournalDamage& one) { list.push_back(one); });
  EXPECT_TRUE(checked.has_value()) << checked.error().to_string();
  return list;
}

template <class Condition>
bool within_seconds(int seconds, const Condition& condition) {
  for (int tries = 0; tries < seconds * 200; ++tries) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

// It can be opened again and again, also at once, and there is a way beneath the store.
class DurablePlace : public JournalPlace {
 public:
  // As `open`, of an owner whose runs others can take while it believes in them.
  virtual std::unique_ptr<JournalStore> open_stealable() = 0;
  // What frees the runs of those owners without their knowledge: a machine that stood still, a
  // connection that was cut.
  virtual void cut_owners_off() = 0;
  virtual void flip_record_bit(std::string_view run_id, JournalSeq seq) = 0;
  virtual void remove_record(std::string_view run_id, JournalSeq seq) = 0;
  virtual void flip_content_bit(const Hash256& hash) = 0;
  virtual std::uint64_t stored_records() = 0;
};
using DurablePlaceFactory = std::function<std::unique_ptr<DurablePlace>()>;

}  // namespace sluice::testing_contract
