// Stores of every format there ever was open with this program, and say what they said.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/journal/sqlite_place.h"

namespace sluice::testing_contract {
namespace {

std::string golden_sql(int format) {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  std::ifstream file(std::filesystem::path(root == nullptr ? "." : root) /
                     fmt::format("tests/journal/golden/format_{}.sql", format));
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(GoldenStores, Format1) {
  TemporaryFolder folder;
  const std::string path = (folder.path() / "journal.db").string();
  const std::string sql = golden_sql(1);
  ASSERT_FALSE(sql.empty());
  raw_sql(path, sql);
  auto opened = open_journal(path);
  ASSERT_TRUE(opened.has_value()) << opened.error().to_string();
  Journal& journal = **opened;
  EXPECT_TRUE(damages(journal).empty());
  EXPECT_EQ(read_all(journal, "run_a"), (Read{{2, "snapshot"}, {3, ""}, {4, "four"}}));
  EXPECT_EQ(read_all(journal, "run_b"), (Read{{1, "end"}}));
  EXPECT_EQ(journal.content(sha256("raw")).value_or(""), "raw");
  EXPECT_EQ(journal.content(sha256(std::string(1000, 'z'))).value_or(""), std::string(1000, 'z'));
  EXPECT_EQ(journal.inbox("run_a", 0)->front().body, R"({"name":"go"})");
  auto run = journal.find_run("run_a");
  ASSERT_TRUE(run.has_value());
  EXPECT_EQ(run->card.plan, "golden");
  EXPECT_EQ(run->card.forked_from, "run_0");
  EXPECT_EQ(run->card.tokens, 77u);
  EXPECT_EQ(run->card.usd, 0.5);
  EXPECT_EQ(run->card.waits, 2u);
  EXPECT_EQ(run->first_seq, 2u);
  EXPECT_EQ(run->last_seq, 4u);
  auto lease = journal.take_over("run_a");
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(append_durably(journal, *lease, {records({"five"}), {}}), 5u);
  EXPECT_EQ(journal.find_run("run_b")->state, JournaledRunState::kEnded);
}

}  // namespace
}  // namespace sluice::testing_contract
