#include "tests/contract/journal_contract.h"

namespace sluice::testing_contract {

INSTANTIATE_TEST_SUITE_P(Memory, JournalContract,
                         testing::Values(JournalFactory(&make_memory_journal)));

}  // namespace sluice::testing_contract
