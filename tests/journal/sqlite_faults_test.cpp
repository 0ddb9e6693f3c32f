// A SQLite store on a disk that fails, in a file that is not what it should be, and among
// processes that die.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>

#include "base/failpoint.h"
#include "base/random.h"
#include "tests/journal/sqlite_place.h"
#include "tests/journal/watched_vfs.h"

namespace sluice::testing_contract {
namespace {

using testing::HasSubstr;

std::unique_ptr<Journal> journal_of(SqlitePlace& place, SqliteStoreOptions options = {}) {
  return std::make_unique<GroupCommitJournal>(place.open_with(std::move(options)));
}

// The error of opening, whose message must name the file.
Error open_error(const std::string& path) {
  auto opened = open_sqlite_store({.path = path});
  EXPECT_FALSE(opened.has_value());
  Error error = opened ? Error(ErrorCode::kInternal, "it opened") : opened.error();
  EXPECT_THAT(error.message(), HasSubstr(path));
  return error;
}

void write_some(SqlitePlace& place, int count) {
  auto journal = journal_of(place);
  auto lease = journal->create_run("run_a", card_of("plan", 1), {});
  ASSERT_TRUE(lease.has_value());
  std::vector<JournalRecord> list;
  for (int i = 1; i <= count; ++i) list.push_back({1, 1, "body of record " + std::to_string(i)});
  append_durably(*journal, *lease, {list, {content_of(std::string(9000, 'c'))}});
  ASSERT_TRUE(journal->close_run(*lease, card_of("plan", 1), JournaledRunState::kOpen));
}

TEST(SqliteFaults, TheFileIsItsOwnersOnlyAndItsFolderIsMade) {
  SqlitePlace place;
  auto store = place.open();
  struct stat found = {};
  ASSERT_EQ(stat(place.path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
  ASSERT_EQ(stat((place.path() + "-wal").c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0600u);
}

TEST(SqliteFaults, AStoreFromTheFutureIsRefused) {
  SqlitePlace place;
  write_some(place, 3);
  raw_sql(place.path(), "PRAGMA user_version = 99");
  auto error = open_error(place.path());
  EXPECT_EQ(error.code(), ErrorCode::kJournal);
  EXPECT_THAT(error.message(), HasSubstr("newer Sluice (format 99"));
  EXPECT_EQ(raw_sql(place.path(), "PRAGMA user_version"), 99);
}

TEST(SqliteFaults, AnotherProgramsDatabaseIsRefusedAndLeftAlone) {
  TemporaryFolder folder;
  const std::string path = (folder.path() / "other.db").string();
  raw_sql(path, "CREATE TABLE runs(a); INSERT INTO runs VALUES(1)");
  auto error = open_error(path);
  EXPECT_EQ(error.code(), ErrorCode::kJournal);
  EXPECT_THAT(error.message(), HasSubstr("another program"));
  EXPECT_EQ(raw_sql(path, "SELECT count(*) FROM sqlite_schema"), 1);
}

TEST(SqliteFaults, AFileThatIsNoDatabaseIsRefusedAndLeftAlone) {
  TemporaryFolder folder;
  const std::string path = (folder.path() / "notes.txt").string();
  const std::string text(5000, 'n');
  std::ofstream(path) << text;
  auto error = open_error(path);
  EXPECT_EQ(error.code(), ErrorCode::kJournal);
  EXPECT_THAT(error.message(), HasSubstr("no Sluice journal"));
  std::ifstream file(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), text);
}

TEST(SqliteFaults, APlaceThatCannotBeIsAnError) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "x";
  EXPECT_EQ(open_error(folder.path().string()).code(), ErrorCode::kIo);
  auto below = open_sqlite_store({.path = (folder.path() / "file" / "runs.db").string()});
  ASSERT_FALSE(below.has_value());
  EXPECT_EQ(below.error().code(), ErrorCode::kIo);
}

TEST(SqliteFaults, ATruncatedFileIsNoticed) {
  SqlitePlace place;
  write_some(place, 3000);
  const auto whole = std::filesystem::file_size(place.path());
  for (const std::uintmax_t size : {whole - 4096, whole / 2, std::uintmax_t{5000}}) {
    std::filesystem::resize_file(place.path(), size);
    auto store = open_sqlite_store({.path = place.path()});
    if (!store) {
      EXPECT_EQ(store.error().code(), ErrorCode::kJournalDamaged);
      EXPECT_THAT(store.error().message(), HasSubstr(place.path()));
      continue;
    }
    GroupCommitJournal journal(std::move(*store));
    EXPECT_FALSE(damages(journal).empty()) << size;
  }
}

// A lock file that cannot be asked says nothing about who lives.
TEST(SqliteFaults, WithoutItsLocksNobodyCountsAsDead) {
  SqlitePlace place;
  auto owner = journal_of(place);
  auto lease = *owner->create_run("run_a", card_of("plan", 1), {});
  append_durably(*owner, lease, {records({"one"}), {}});
  const std::string locks = place.path() + ".lock";
  std::filesystem::rename(locks, locks + ".away");
  std::filesystem::create_directory(locks);
  auto other = journal_of(place);
  auto deleted = other->delete_run("run_a");
  ASSERT_FALSE(deleted.has_value()) << "the run of a live owner was deleted";
  EXPECT_EQ(deleted.error().code(), ErrorCode::kIo);
  EXPECT_THAT(deleted.error().message(), HasSubstr(locks));
  EXPECT_EQ(code_of(other->find_run("run_a")), ErrorCode::kIo);
  EXPECT_EQ(code_of(other->list_runs({})), ErrorCode::kIo);
  EXPECT_EQ(code_of(other->take_over("run_a")), ErrorCode::kIo);
  EXPECT_EQ(read_all(*other, "run_a"), (Read{{1, "one"}}));
  std::filesystem::remove(locks);
  std::filesystem::rename(locks + ".away", locks);
  EXPECT_EQ(code_of(other->delete_run("run_a")), ErrorCode::kRunBusy);
}

// A run's number in the tables is used again after its deletion; what another process still has to
// remove of the old run is none of the new one's.
TEST(SqliteFaults, ALateTidyingLeavesTheNextRunOfTheSameNumberAlone) {
  SqlitePlace place;
  auto slow = place.open();
  std::vector<RunCommit> commits(1);
  commits[0] = {.lease = *slow->create_run("run_old", card_of("plan", 1), {}),
                .first_seq = 1,
                .records = records({"1", "2", "3"})};
  ASSERT_TRUE(slow->commit(commits));
  ASSERT_TRUE(slow->compact(commits[0].lease, 3, {1, 1, "snapshot"}));
  commits[0] = {.lease = commits[0].lease, .close = JournaledRunState::kEnded};
  ASSERT_TRUE(slow->commit(commits));
  const auto number = raw_sql(place.path(), "SELECT id FROM runs");
  auto journal = journal_of(place);
  ASSERT_TRUE(journal->delete_run("run_old"));
  auto lease = *journal->create_run("run_new", card_of("plan", 2), {});
  ASSERT_EQ(raw_sql(place.path(), "SELECT id FROM runs"), number);
  append_durably(*journal, lease, {records({"a", "b", "c"}), {}});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(slow->tidy_up());
  EXPECT_EQ(read_all(*journal, "run_new"), (Read{{1, "a"}, {2, "b"}, {3, "c"}}));
}

// Every page in turn is overwritten. Whatever is read is right, or an error; nothing crashes, and
// `check` finds something.
TEST(SqliteFaults, NoDamagedPageGivesWrongRecords) {
  SqlitePlace place;
  write_some(place, 400);
  std::ifstream in(place.path(), std::ios::binary);
  const std::string whole(std::istreambuf_iterator<char>(in), {});
  Random random(7);
  const std::size_t pages = whole.size() / 4096;
  ASSERT_GT(pages, 10u);
  for (std::size_t page = 0; page < pages; ++page) {
    std::string broken = whole;
    const std::size_t begin = page * 4096 + random.below(4000);
    for (std::size_t i = begin; i < begin + 96; ++i) {
      broken[i] = static_cast<char>(random.below(256));
    }
    std::ofstream(place.path(), std::ios::binary) << broken;
    auto store = open_sqlite_store({.path = place.path()});
    if (!store) {
      EXPECT_THAT(store.error().message(), HasSubstr(place.path()));
      continue;
    }
    GroupCommitJournal journal(std::move(*store));
    JournalSeq next = 1;
    auto read = journal.read("run_a", 1, [&](JournalSeq seq, const JournalRecord& record) {
      EXPECT_EQ(seq, next++);
      EXPECT_EQ(record.body, "body of record " + std::to_string(seq));
      return true;
    });
    (void)journal.list_runs({});
    (void)damages(journal);
    if (auto lease = journal.take_over("run_a")) {
      (void)journal.close_run(*lease, {}, JournaledRunState::kOpen);
    }
  }
}

TEST(SqliteFaults, AFileThatCannotBeWrittenIsAnError) {
  SqlitePlace place;
  write_some(place, 3);
  ASSERT_EQ(chmod(place.path().c_str(), 0444), 0);
  const pid_t child = fork();
  if (child == 0) {
    // Root may write anything.
    const passwd* user = getpwnam("nobody");
    if (geteuid() == 0) {
      const auto folder = std::filesystem::path(place.path()).parent_path();
      if (chmod(folder.c_str(), 0755) != 0 || chmod(folder.parent_path().c_str(), 0755) != 0 ||
          user == nullptr || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0) {
        _exit(3);
      }
    }
    auto opened = open_sqlite_store({.path = place.path()});
    if (opened) _exit(1);
    const bool named = opened.error().message().find(place.path()) != std::string::npos &&
                       opened.error().message().find("rights") != std::string::npos;
    _exit(opened.error().code() == ErrorCode::kIo && named ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(SqliteExclusive, NeedsNoSharedMemory) {
  SqlitePlace place;
  {
    auto journal = journal_of(place, {.lock_files = false, .exclusive = true});
    auto lease = *journal->create_run("run_a", {}, {});
    append_durably(*journal, lease, {records({"one", "two"}), {content_of("c")}});
    EXPECT_FALSE(std::filesystem::exists(place.path() + "-shm"));
    EXPECT_TRUE(journal->read("run_a", 1, [&](JournalSeq seq, const JournalRecord&) {
      EXPECT_EQ(append_durably(*journal, lease, {records({"more"}), {}}), seq + 2);
      return seq < 2;
    }));
    EXPECT_EQ(journal->list_runs({})->size(), 1u);
    EXPECT_TRUE(damages(*journal).empty());
  }
  auto journal = journal_of(place, {.lock_files = false, .exclusive = true});
  auto lease = journal->take_over("run_a");
  ASSERT_TRUE(lease.has_value());
  EXPECT_EQ(append_durably(*journal, *lease, {records({"last"}), {}}), 5u);
}

class WatchedDisk : public testing::Test {
 protected:
  void SetUp() override { disk_trouble().reset(); }
  void TearDown() override { disk_trouble().reset(); }
  std::unique_ptr<GroupCommitJournal> open(
      GroupCommitJournal::Driver driver = GroupCommitJournal::Driver::kThread) {
    return std::make_unique<GroupCommitJournal>(place.open_with({.vfs = watched_vfs()}), driver);
  }
  SqlitePlace place;
};

TEST_F(WatchedDisk, ACommitIsOneSync) {
  std::filesystem::create_directories(std::filesystem::path(place.path()).parent_path());
  auto journal = open(GroupCommitJournal::Driver::kManual);
  auto lease = *journal->create_run("run_a", {}, {});
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(journal->append(lease, {records({"one", "two"}), {}}, nullptr));
    disk_trouble().syncs = 0;
    journal->commit_once();
    EXPECT_EQ(disk_trouble().syncs, 1) << i;
  }
  disk_trouble().syncs = 0;
  ASSERT_TRUE(journal->send("run_a", "signal", "{}", 1));
  EXPECT_EQ(disk_trouble().syncs, 1);
  disk_trouble().syncs = 0;
  ASSERT_TRUE(journal->compact(lease, 100, {1, 1, "snapshot"}));
  const long compacting = disk_trouble().syncs;

  FailpointScope skip(Failpoint::kSkipSync);
  ASSERT_TRUE(journal->append(lease, {records({"one"}), {}}, nullptr));
  disk_trouble().syncs = 0;
  journal->commit_once();
  EXPECT_EQ(disk_trouble().syncs, 0) << "skip_sync does nothing";
  FailpointScope inbox(Failpoint::kInboxNotDurable);
  ASSERT_TRUE(journal->send("run_a", "signal", "{}", 1));
  EXPECT_EQ(disk_trouble().syncs, 0) << "inbox_not_durable does nothing";
  EXPECT_GE(compacting, 1);
}

TEST_F(WatchedDisk, CompactionDeletesNothingBeforeItsSnapshotIsThere) {
  std::filesystem::create_directories(std::filesystem::path(place.path()).parent_path());
  const auto survivors = [&](bool with_bug) {
    SqlitePlace fresh;
    std::filesystem::create_directories(std::filesystem::path(fresh.path()).parent_path());
    GroupCommitJournal journal(fresh.open_with({.vfs = watched_vfs()}),
                               GroupCommitJournal::Driver::kManual);
    auto lease = *journal.create_run("run_a", {}, {});
    EXPECT_TRUE(journal.append(lease, {records({"one", "two"}), {}}, nullptr));
    journal.commit_once();
    std::optional<FailpointScope> bug;
    if (with_bug) bug.emplace(Failpoint::kCompactDeletesFirst);
    // The first transaction gets through, the second does not.
    disk_trouble().writes_until_it = with_bug ? 6 : 0;
    disk_trouble().write_fails = SQLITE_FULL;
    EXPECT_FALSE(journal.compact(lease, 2, {1, 1, std::string(100'000, 's')}));
    disk_trouble().reset();
    std::size_t count = 0;
    (void)journal.read("run_a", 1, [&](JournalSeq, const JournalRecord&) { return ++count > 0; });
    return count;
  };
  EXPECT_EQ(survivors(false), 2u);
  EXPECT_EQ(survivors(true), 0u) << "compact_deletes_first does nothing";
}

TEST_F(WatchedDisk, AFullOrFailingDiskLosesNothingThatWasAcknowledged) {
  struct Case {
    const char* what;
    int write_fails;
    int sync_fails;
    ErrorCode expected;
  };
  const Case cases[] = {
      {"full", SQLITE_FULL, 0, ErrorCode::kDiskFull},
      {"write error", SQLITE_IOERR_WRITE, 0, ErrorCode::kIo},
      {"sync error", 0, SQLITE_IOERR_FSYNC, ErrorCode::kIo},
  };
  std::filesystem::create_directories(std::filesystem::path(place.path()).parent_path());
  std::size_t acknowledged = 0;
  int number = 0;
  for (const Case& one : cases) {
    for (long writes = 0; writes < 8; ++writes) {
      SCOPED_TRACE(std::string(one.what) + " after " + std::to_string(writes));
      const std::string run = "run_" + std::to_string(++number);
      {
        auto journal = open();
        auto lease = *journal->create_run(run, {}, {});
        acknowledged = append_durably(*journal, lease, {records({"one", "two"}), {}});
        disk_trouble().writes_until_it = writes;
        disk_trouble().write_fails = one.write_fails;
        disk_trouble().sync_fails = one.sync_fails;
        Answers answers;
        std::vector<JournalRecord> large(20, {1, 1, std::string(1000, 'x')});
        ASSERT_TRUE(journal->append(lease, {large, {}}, answers.call()));
        EXPECT_EQ(code_of(answers.wait_for(1)[0]), one.expected);
        EXPECT_EQ(read_all(*journal, run).size(), acknowledged) << "reading still works";
        disk_trouble().reset();
        auto last = journal->recover(lease);
        ASSERT_TRUE(last.has_value());
        EXPECT_EQ(*last, acknowledged);
        EXPECT_EQ(append_durably(*journal, lease, {records({"three"}), {}}), 3u);
        disk_trouble().write_fails = one.write_fails;
        disk_trouble().sync_fails = one.sync_fails;
      }
      disk_trouble().reset();
      auto journal = open();
      EXPECT_EQ(read_all(*journal, run), (Read{{1, "one"}, {2, "two"}, {3, "three"}}));
      EXPECT_TRUE(damages(*journal).empty());
    }
  }
}

TEST_F(WatchedDisk, TheLogStaysSmall) {
  std::filesystem::create_directories(std::filesystem::path(place.path()).parent_path());
  FailpointScope fast(Failpoint::kSkipSync);
  auto journal = open(GroupCommitJournal::Driver::kManual);
  auto lease = *journal->create_run("run_a", {}, {});
  for (int i = 0; i < 6000; ++i) {
    ASSERT_TRUE(journal->append(lease, {{{1, 1, std::string(200, 'b')}}, {}}, nullptr));
    journal->commit_once();
  }
  EXPECT_LT(std::filesystem::file_size(place.path() + "-wal"), 8u << 20);
}

// What a record costs on disk beside its body, when `runs` of them grow side by side.
double overhead_bytes(std::size_t runs) {
  constexpr std::size_t kCount = 40'000;
  constexpr std::size_t kBody = 120;
  SqlitePlace place;
  {
    // Which records share a commit decides where pages are split.
    GroupCommitJournal journal(place.open_with({}), GroupCommitJournal::Driver::kManual);
    std::vector<RunLease> leases;
    for (std::size_t r = 0; r < runs; ++r) {
      leases.push_back(*journal.create_run("r" + std::to_string(r), {}, {}));
    }
    for (std::size_t i = 0; i < kCount / runs / 50; ++i) {
      for (const auto& lease : leases) {
        std::vector<JournalRecord> list(50, {3, 1, std::string(kBody, 'b')});
        EXPECT_TRUE(journal.append(lease, {list, {}}, nullptr));
      }
      journal.commit_once();
    }
  }
  const auto size = static_cast<double>(std::filesystem::file_size(place.path()));
  return size / double{kCount} - double{kBody};
}

TEST(SqliteSize, ARecordCostsFewBytesBesideItsBody) {
  EXPECT_LT(overhead_bytes(1), 30.0);
  EXPECT_LT(overhead_bytes(8), 40.0);  // pages are split in the middle then
}

TEST(SqliteSize, DeletionMakesTheFileSmaller) {
  SqlitePlace place;
  {
    auto journal = journal_of(place);
    for (const char* run : {"run_a", "run_b"}) {
      auto lease = *journal->create_run(run, {}, {});
      std::vector<JournalRecord> list(20'000, {3, 1, std::string(300, 'b')});
      append_durably(*journal, lease, {list, {content_of(run)}});
      ASSERT_TRUE(journal->close_run(lease, {}, JournaledRunState::kEnded));
    }
    EXPECT_GT(journal->find_run("run_a")->bytes, 6'000'000u);
    ASSERT_TRUE(journal->delete_run("run_a"));
    ASSERT_TRUE(journal->delete_run("run_b"));
  }
  EXPECT_LT(std::filesystem::file_size(place.path()), 5u << 20);
}

// A child process that owns a run, tells each durable number through a pipe, and is killed.
TEST(SqliteProcesses, AKilledOwnersRunIsTakenOverWithAllThatWasAcknowledged) {
  SqlitePlace place;
  {
    auto made = place.open();
  }
  for (int round = 0; round < 5; ++round) {
    const std::string run = "run_" + std::to_string(round);
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      auto journal = open_journal(place.path());
      auto lease = (*journal)->create_run(run, card_of("plan", 1), {});
      for (;;) {
        (void)(*journal)->append(*lease, {records({"x"}), {}}, [&](Result<JournalSeq> seq) {
          const std::uint64_t number = seq.value_or(0);
          if (write(ends[1], &number, sizeof number) < 0) _exit(1);
        });
        usleep(300);
      }
    }
    close(ends[1]);
    std::uint64_t acknowledged = 0;
    for (int i = 0; i < 20 + round * 7; ++i) {
      ASSERT_EQ(read(ends[0], &acknowledged, sizeof acknowledged),
                static_cast<ssize_t>(sizeof acknowledged));
    }
    auto journal = journal_of(place);
    EXPECT_EQ(code_of(journal->take_over(run)), ErrorCode::kRunBusy);
    EXPECT_THAT(journal->find_run(run)->owner, HasSubstr("pid " + std::to_string(child)));
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    while (read(ends[0], &acknowledged, sizeof acknowledged) > 0) {
    }
    close(ends[0]);
    EXPECT_EQ(journal->find_run(run)->owner, "");
    auto lease = journal->take_over(run);
    ASSERT_TRUE(lease.has_value()) << lease.error().to_string();
    EXPECT_GE(read_all(*journal, run).size(), acknowledged);
    EXPECT_TRUE(damages(*journal).empty());
    ASSERT_TRUE(journal->close_run(*lease, {}, JournaledRunState::kEnded));
  }
}

TEST(SqliteProcesses, ManyProcessesWriteToOneStore) {
  constexpr int kProcesses = 4;
  constexpr int kRecords = 60;
  SqlitePlace place;  // all make it at once
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = fork();
    if (child == 0) {
      auto journal = open_journal(place.path());
      if (!journal) _exit(2);
      auto lease = (*journal)->create_run("run_" + std::to_string(p), card_of("plan", p), {});
      if (!lease) _exit(3);
      for (int i = 0; i < kRecords; ++i) {
        std::atomic<int> done = 0;
        (void)(*journal)->append(*lease, {records({"x"}), {}},
                                 [&](Result<JournalSeq> seq) { done = seq ? 1 : 2; });
        while (done == 0) usleep(50);
        if (done == 2) _exit(4);
      }
      const bool closed =
          (*journal)->close_run(*lease, card_of("plan", p), JournaledRunState::kEnded).has_value();
      journal->reset();
      _exit(closed ? 0 : 5);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0);
  }
  auto journal = journal_of(place);
  EXPECT_EQ(journal->list_runs({.state = JournaledRunState::kEnded})->size(),
            static_cast<std::size_t>(kProcesses));
  for (int p = 0; p < kProcesses; ++p) {
    EXPECT_EQ(read_all(*journal, "run_" + std::to_string(p)).size(),
              static_cast<std::size_t>(kRecords));
  }
  EXPECT_TRUE(damages(*journal).empty());
}

}  // namespace
}  // namespace sluice::testing_contract
