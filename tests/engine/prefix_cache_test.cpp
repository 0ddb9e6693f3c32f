#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/random.h"

namespace sluice {
namespace {

using Tokens = std::vector<Token>;

TEST(PrefixCacheTest, SharedCellsCountOnce) {
  PrefixCache cache;
  cache.open(0);
  cache.append(0, Tokens{1, 2, 3, 4, 5});
  auto match = cache.match(Tokens{1, 2, 3, 9});
  EXPECT_EQ(match.sequence, 0);
  EXPECT_EQ(match.tokens, 3U);
  EXPECT_EQ(match.idle_tokens, 0U);
  cache.open(1, 0, 3);
  cache.append(1, Tokens{9, 9});
  EXPECT_EQ(cache.active_cells(), 7U);
  cache.close(0);
  EXPECT_EQ(cache.active_cells(), 5U);
  EXPECT_EQ(cache.match(Tokens{1, 2, 3, 4}).tokens, 3U);
  EXPECT_TRUE(cache.consistent());
}

TEST(PrefixCacheTest, IdleCellsAreThoseThatNobodyActiveHolds) {
  PrefixCache cache;
  cache.open(0);
  cache.append(0, Tokens{1, 2, 3, 4});
  cache.make_idle(0);
  EXPECT_EQ(cache.active_cells(), 0U);
  EXPECT_EQ(cache.idle_cells(), 4U);
  EXPECT_EQ(cache.match(Tokens{1, 2}).idle_tokens, 2U);
  cache.open(1, 0, 2);
  EXPECT_EQ(cache.active_cells(), 2U);
  EXPECT_EQ(cache.idle_cells(), 2U);
  EXPECT_TRUE(cache.consistent());
}

TEST(PrefixCacheTest, EvictsTheOldestTailAndKeepsWhatIsShared) {
  PrefixCache cache;
  cache.open(0);
  cache.append(0, Tokens{1, 2, 3, 4});
  cache.open(1, 0, 2);
  cache.append(1, Tokens{7, 8});
  cache.make_idle(0);
  cache.make_idle(1);
  auto eviction = cache.oldest_idle();
  ASSERT_TRUE(eviction);
  EXPECT_EQ(eviction->sequence, 0);
  EXPECT_EQ(eviction->keep, 2U);
  cache.truncate(0, 2);
  EXPECT_EQ(cache.idle_cells(), 4U);
  EXPECT_TRUE(cache.redundant(0));
  EXPECT_EQ(cache.oldest_idle()->sequence, 0) << "its id is free without losing a cell";
  cache.close(0);
  EXPECT_EQ(cache.oldest_idle()->keep, 2U);
  EXPECT_TRUE(cache.consistent());
}

TEST(PrefixCacheTest, TruncateInTheMiddleOfWhatOthersShare) {
  PrefixCache cache;
  cache.open(0);
  cache.append(0, Tokens{1, 2, 3, 4, 5, 6});
  cache.open(1, 0, 6);
  cache.truncate(0, 3);
  EXPECT_EQ(cache.active_cells(), 6U);
  cache.append(0, Tokens{9});
  EXPECT_EQ(cache.active_cells(), 7U);
  cache.close(1);
  EXPECT_EQ(cache.active_cells(), 4U);
  EXPECT_TRUE(cache.consistent());
}

// The pool as libllama has it: every cell with the set of sequences that hold it.
struct Pool {
  struct Cell {
    std::uint32_t position;
    Token token;
    std::vector<SequenceId> holders;
  };
  std::vector<Cell> cells;

  void add(SequenceId id, std::uint32_t position, Token token) {
    cells.push_back({position, token, {id}});
  }
  void copy(SequenceId from, SequenceId to, std::uint32_t length) {
    for (Cell& cell : cells) {
      if (cell.position < length && std::ranges::count(cell.holders, from) > 0) {
        cell.holders.push_back(to);
      }
    }
  }
  void remove(SequenceId id, std::uint32_t from) {
    for (Cell& cell : cells) {
      if (cell.position >= from) std::erase(cell.holders, id);
    }
    std::erase_if(cells, [](const Cell& cell) { return cell.holders.empty(); });
  }
};

class CacheBesidePool {
 public:
  explicit CacheBesidePool(std::uint64_t seed) : random_(seed) {}

  void step() {
    auto id = static_cast<SequenceId>(random_.below(8));
    if (!cache_.contains(id)) {
      open(id);
      return;
    }
    switch (random_.below(5)) {
      case 0:
      case 1:
        append(id);
        break;
      case 2:
        truncate(id, static_cast<std::uint32_t>(random_.below(cache_.length(id) + 1)));
        break;
      case 3:
        if (random_.below(2) == 0)
          cache_.make_idle(id);
        else
          close(id);
        break;
      default:
        evict();
        break;
    }
  }

  void check() {
    ASSERT_TRUE(cache_.consistent());
    std::uint32_t idle = 0;
    for (const Pool::Cell& cell : pool_.cells) {
      idle += std::ranges::all_of(cell.holders, [&](auto id) { return cache_.idle(id); }) ? 1 : 0;
    }
    ASSERT_EQ(cache_.idle_cells(), idle);
    ASSERT_EQ(cache_.active_cells() + cache_.idle_cells(), pool_.cells.size());
  }

 private:
  Tokens some_tokens() {
    Tokens out(1 + random_.below(12));
    for (Token& token : out) token = static_cast<Token>(random_.below(2));
    return out;
  }
  void open(SequenceId id) {
    Tokens prompt = some_tokens();
    auto match = cache_.match(prompt);
    ASSERT_LE(match.tokens, prompt.size());
    if (match.tokens > 0) {
      std::uint32_t held = 0;
      for (const Pool::Cell& cell : pool_.cells) {
        if (cell.position >= match.tokens) continue;
        if (std::ranges::count(cell.holders, match.sequence) == 0) continue;
        ASSERT_EQ(cell.token, prompt[cell.position]);
        ++held;
      }
      ASSERT_EQ(held, match.tokens);
    }
    cache_.open(id, match.sequence, match.tokens);
    pool_.copy(match.sequence, id, match.tokens);
  }
  void append(SequenceId id) {
    if (cache_.idle(id)) return;
    Tokens tokens = some_tokens();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      pool_.add(id, cache_.length(id) + static_cast<std::uint32_t>(i), tokens[i]);
    }
    cache_.append(id, tokens);
  }
  void truncate(SequenceId id, std::uint32_t length) {
    cache_.truncate(id, length);
    pool_.remove(id, length);
  }
  void close(SequenceId id) {
    cache_.close(id);
    pool_.remove(id, 0);
  }
  void evict() {
    auto eviction = cache_.oldest_idle();
    if (!eviction) return;
    ASSERT_TRUE(cache_.idle(eviction->sequence));
    eviction->keep == 0 ? close(eviction->sequence) : truncate(eviction->sequence, eviction->keep);
  }

  Random random_;
  PrefixCache cache_;
  Pool pool_;
};

TEST(PrefixCacheTest, CountsWhatAPoolOfCellsHoldsInAnyOrderOfCalls) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    CacheBesidePool both(seed);
    for (int i = 0; i < 300; ++i) {
      both.step();
      if (!HasFatalFailure()) both.check();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice
