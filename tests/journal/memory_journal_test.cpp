#include "tests/contract/journal_places.h"

namespace sluice::testing_contract {
namespace {

TEST(MemoryJournal, AnswersBeforeAppendReturns) {
  auto journal = make_memory_journal();
  auto lease = journal->create_run("run", {}, {});
  ASSERT_TRUE(lease.has_value());
  JournalSeq durable = 0;
  ASSERT_TRUE(journal->append(*lease, {records({"one", "two"}), {}},
                              [&](Result<JournalSeq> seq) { durable = seq.value_or(0); }));
  EXPECT_EQ(durable, 2u);
}

}  // namespace
}  // namespace sluice::testing_contract
