// Every store against the journals' contract.
#include "tests/contract/durable_journal_contract.h"
#include "tests/contract/journal_contract.h"
#include "tests/journal/postgres_place.h"
#include "tests/journal/sqlite_place.h"

namespace sluice::testing_contract {
namespace {

class MemoryPlace final : public JournalPlace {
 public:
  std::unique_ptr<JournalStore> open() override { return make_memory_store(); }
};

template <class Place>
std::unique_ptr<Place> make_place() {
  return std::make_unique<Place>();
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Memory, JournalContract,
                         testing::Values(PlaceFactory(&make_place<MemoryPlace>)));
INSTANTIATE_TEST_SUITE_P(Sqlite, JournalContract,
                         testing::Values(PlaceFactory(&make_place<SqlitePlace>)));
INSTANTIATE_TEST_SUITE_P(Sqlite, DurableJournalContract,
                         testing::Values(DurablePlaceFactory(&make_place<SqlitePlace>)));
INSTANTIATE_TEST_SUITE_P(Postgres, JournalContract,
                         testing::Values(PlaceFactory(&make_place<PostgresPlaceForTests>)));
INSTANTIATE_TEST_SUITE_P(Postgres, DurableJournalContract,
                         testing::Values(DurablePlaceFactory(&make_place<PostgresPlaceForTests>)));

}  // namespace sluice::testing_contract
