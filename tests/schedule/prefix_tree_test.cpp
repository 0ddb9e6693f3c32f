#include "schedule/prefix_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/random.h"

namespace sluice {
namespace {

using Tokens = std::vector<Token>;

KeptFor coming(std::string program, std::optional<SteadyNs> at = {}, std::string tool = {}) {
  return {.program = std::move(program),
          .returns_at_ns = at,
          .returns = true,
          .next_tool = std::move(tool)};
}

const KeptRunView& at(const std::vector<KeptRunView>& runs, std::uint32_t start) {
  auto found = std::ranges::find(runs, start, &KeptRunView::start);
  EXPECT_NE(found, runs.end()) << "no kept run begins at " << start;
  return found == runs.end() ? runs.front() : *found;
}

TEST(PrefixTreeTest, SharedCellsCountOnce) {
  PrefixTree tree;
  tree.open(0);
  tree.append(0, Tokens{1, 2, 3, 4, 5});
  auto match = tree.match(Tokens{1, 2, 3, 9});
  EXPECT_EQ(match.sequence, 0);
  EXPECT_EQ(match.tokens, 3U);
  EXPECT_EQ(match.idle_tokens, 0U);
  EXPECT_FALSE(match.kept_run);
  tree.open(1, 0, 3);
  tree.append(1, Tokens{9, 9});
  EXPECT_EQ(tree.active_cells(), 7U);
  EXPECT_EQ(tree.own_cells(0), 2U);
  EXPECT_EQ(tree.own_cells(1), 2U);
  tree.close(0);
  EXPECT_EQ(tree.active_cells(), 5U);
  EXPECT_EQ(tree.own_cells(1), 5U);
  EXPECT_EQ(tree.match(Tokens{1, 2, 3, 4}).tokens, 3U);
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, IdleCellsAreThoseThatNobodyActiveHolds) {
  PrefixTree tree;
  tree.open(0);
  tree.append(0, Tokens{1, 2, 3, 4});
  tree.make_idle(0);
  EXPECT_EQ(tree.active_cells(), 0U);
  EXPECT_EQ(tree.idle_cells(), 4U);
  EXPECT_EQ(tree.match(Tokens{1, 2}).idle_tokens, 2U);
  EXPECT_EQ(tree.match(Tokens{1, 2}).kept_run, tree.kept_runs().front().id);
  tree.open(1, 0, 2);
  EXPECT_EQ(tree.active_cells(), 2U);
  EXPECT_EQ(tree.idle_cells(), 2U);
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, TruncateInTheMiddleOfWhatOthersShare) {
  PrefixTree tree;
  tree.open(0);
  tree.append(0, Tokens{1, 2, 3, 4, 5, 6});
  tree.open(1, 0, 6);
  tree.truncate(0, 3);
  EXPECT_EQ(tree.active_cells(), 6U);
  tree.append(0, Tokens{9});
  EXPECT_EQ(tree.active_cells(), 7U);
  tree.close(1);
  EXPECT_EQ(tree.active_cells(), 4U);
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, TheOldestLeafLeavesFirstAndWhatIsSharedLast) {
  PrefixTree tree;
  tree.open(0);
  tree.append(0, Tokens{1, 2, 3, 4});
  tree.open(1, 0, 2);
  tree.append(1, Tokens{7, 8});
  tree.make_idle(0);
  tree.make_idle(1);
  auto oldest = tree.oldest_in_pool();
  ASSERT_TRUE(oldest);
  EXPECT_EQ(tree.run(*oldest)->ends, std::vector<SequenceId>{0});
  tree.drop(*oldest);
  EXPECT_EQ(tree.idle_cells(), 4U);
  EXPECT_EQ(tree.spare_sequences(), std::vector<SequenceId>{0}) << "its cells are those of 1";
  tree.close(0);
  EXPECT_EQ(tree.run(*tree.oldest_in_pool())->start, 2U);
  tree.drop(*tree.oldest_in_pool());
  EXPECT_EQ(tree.run(*tree.oldest_in_pool())->start, 0U);
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, ARunInHostMemoryIsFoundAndComesBack) {
  PrefixTree tree;
  tree.open(0, -1, 0, "a", 10);
  tree.append(0, Tokens{1, 2, 3});
  tree.open(1, 0, 3, "b", 20);
  tree.append(1, Tokens{4, 5, 6, 7});
  tree.make_idle(1, coming("b"), 30);
  RunId tail = at(tree.kept_runs(), 3).id;
  tree.move_to_host(tail, 77, 4000);
  EXPECT_EQ(tree.host_cells(), 4U);
  EXPECT_EQ(tree.host_bytes(), 4000U);
  EXPECT_EQ(tree.active_cells(), 3U);
  EXPECT_EQ(tree.idle_cells(), 0U);
  EXPECT_EQ(tree.spare_sequences(), std::vector<SequenceId>{1});
  tree.close(1);

  auto match = tree.match(Tokens{1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(match.tokens, 3U);
  EXPECT_EQ(match.host_tokens, 4U);
  EXPECT_EQ(match.kept_run, tail);
  ASSERT_EQ(match.host.size(), 1U);
  EXPECT_EQ(match.host[0].tokens, 4U);
  EXPECT_EQ(tree.match(Tokens{1, 2, 3, 4, 5}).host_tokens, 2U) << "half of the run";
  EXPECT_EQ(tree.match(Tokens{1, 2, 3, 4}).host_tokens, 0U) << "less is computed again";

  auto kept = tree.kept_runs();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_TRUE(kept[0].in_host);
  EXPECT_FALSE(kept[0].parent) << "a running request holds it";
  EXPECT_EQ(kept[0].program, "b");

  tree.open(2, match.sequence, match.tokens, "b", 40);
  tree.move_to_pool(match.host[0].run, 2);
  EXPECT_EQ(tree.take_free_blobs(), std::vector<BlobId>{77});
  EXPECT_EQ(tree.length(2), 7U);
  EXPECT_EQ(tree.active_cells(), 7U);
  EXPECT_EQ(tree.host_bytes(), 0U);
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, WhatHasLostItsPrefixIsForgotten) {
  PrefixTree tree;
  tree.open(0);
  tree.append(0, Tokens{1, 2, 3});
  tree.make_idle(0);
  tree.open(1, 0, 3);
  tree.append(1, Tokens{4, 5});
  tree.make_idle(1);
  tree.move_to_host(at(tree.kept_runs(), 3).id, 5, 50);
  tree.close(1);
  tree.close(0);
  EXPECT_EQ(tree.take_free_blobs(), std::vector<BlobId>{5});
  EXPECT_EQ(tree.host_bytes(), 0U);
  EXPECT_TRUE(tree.kept_runs().empty());
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, TheViewSaysWhoIsExpectedFirst) {
  PrefixTree tree;
  tree.open(0, -1, 0, "a", 1);
  tree.append(0, Tokens{1, 2});
  for (SequenceId id : {1, 2, 3}) {
    tree.open(id, 0, 2, "p" + std::to_string(id), id);
    tree.append(id, Tokens{id + 10});
  }
  tree.make_idle(1, coming("p1", 900, "search"), 10);
  tree.make_idle(2, coming("p2", 500, "shell"), 11);
  tree.make_idle(3, {.program = "p3"}, 12);
  tree.make_idle(0, {.program = "a"}, 13);
  auto runs = tree.kept_runs();
  ASSERT_EQ(runs.size(), 4U);
  EXPECT_EQ(runs[0].start, 0U) << "parents before children";
  EXPECT_EQ(runs[0].program, "p2");
  EXPECT_EQ(runs[0].next_tool, "shell");
  EXPECT_EQ(runs[0].returns_at_ns, 500);
  EXPECT_EQ(runs[0].used, 3U);
  for (const KeptRunView& run : runs) {
    if (run.start == 2) EXPECT_EQ(run.parent, runs[0].id);
  }

  // It comes back: nobody waits for it any more, and the prefix is used.
  tree.open(4, 2, 3, "p2", 20);
  tree.make_idle(4, {.program = "p2"}, 21);
  runs = tree.kept_runs();
  EXPECT_EQ(runs[0].program, "p1");
  EXPECT_EQ(runs[0].used_ns, 21);

  // What is known stays with what is left.
  auto tail = std::ranges::find(runs, "search",
                                [](auto& run) { return run.start == 2 ? run.next_tool : ""; });
  ASSERT_NE(tail, runs.end());
  tree.drop(tail->id);
  EXPECT_EQ(tree.kept_runs()[0].program, "p1");
  EXPECT_TRUE(tree.consistent());
}

TEST(PrefixTreeTest, AProgramThatGoesOnInAnotherWayIsNotExpectedWithTheOldOne) {
  struct Case {
    std::uint32_t shared;
    std::string program;
    bool still;
  };
  for (const Case& test :
       {Case{4, "a", false}, Case{3, "a", false}, Case{2, "a", true}, Case{3, "b", true}}) {
    for (bool in_host : {false, true}) {
      PrefixTree tree;
      tree.open(0, -1, 0, "x", 1);
      tree.append(0, Tokens{1, 2, 3});
      tree.open(1, 0, 3, "a", 2);
      tree.append(1, Tokens{4, 5, 6});
      KeptFor kept = coming("a");
      kept.prompt = 3;
      tree.make_idle(1, kept, 3);
      if (in_host) tree.move_to_host(at(tree.kept_runs(), 3).id, 1, 10);
      if (in_host && test.shared > 3) continue;
      tree.open(2, in_host ? 0 : 1, test.shared, test.program, 4);
      auto runs = tree.kept_runs();
      ASSERT_FALSE(runs.empty());
      EXPECT_EQ(std::ranges::any_of(runs, &KeptRunView::returns), test.still)
          << test.shared << test.program << in_host;
    }
  }
}

TEST(PrefixTreeTest, ReleaseFindsWhatOnlyThatProgramHasUsed) {
  PrefixTree tree;
  tree.open(0, -1, 0, "a", 1);
  tree.append(0, Tokens{1, 2, 3, 4});
  tree.make_idle(0, coming("a"), 2);
  EXPECT_EQ(tree.runs_of("a").size(), 1U);
  tree.open(1, 0, 2, "b", 3);
  tree.append(1, Tokens{8});
  tree.make_idle(1, coming("b"), 4);
  auto runs = tree.runs_of("a");
  ASSERT_EQ(runs.size(), 1U) << "the first two tokens are of both";
  EXPECT_EQ(tree.run(runs[0])->start, 2U);
  tree.drop(runs[0]);
  tree.close(0);
  EXPECT_TRUE(tree.runs_of("a").empty());
  EXPECT_EQ(tree.runs_of("b").size(), 1U);
  EXPECT_TRUE(tree.consistent());
}

// The pool as libllama has it, every cell with the sequences that hold it, and host memory as a
// list of texts: whole prefixes of which the last part is copied.
struct NaiveMemory {
  struct Cell {
    std::uint32_t position;
    Token token;
    std::set<SequenceId> holders;
  };
  struct Copy {
    Tokens prefix;  // up to its end
    std::uint32_t start;
  };
  std::vector<Cell> cells;
  std::map<BlobId, Copy> copies;

  Tokens text(SequenceId id) const {
    std::map<std::uint32_t, Token> found;
    for (const Cell& cell : cells) {
      if (cell.holders.contains(id)) found[cell.position] = cell.token;
    }
    Tokens out;
    for (auto [position, token] : found) {
      EXPECT_EQ(position, out.size()) << "a gap in sequence " << id;
      out.push_back(token);
    }
    return out;
  }
  void add(SequenceId id, std::uint32_t position, Token token) {
    cells.push_back({position, token, {id}});
  }
  void copy(SequenceId from, SequenceId to, std::uint32_t length) {
    for (Cell& cell : cells) {
      if (cell.position < length && cell.holders.contains(from)) cell.holders.insert(to);
    }
  }
  void remove(SequenceId id, std::uint32_t from) {
    for (Cell& cell : cells) {
      if (cell.position >= from) cell.holders.erase(id);
    }
    std::erase_if(cells, [](const Cell& cell) { return cell.holders.empty(); });
  }
  // The longest prefix of `prompt` that a sequence holds.
  std::uint32_t longest(const Tokens& prompt, const std::set<SequenceId>& sequences) const {
    std::size_t best = 0;
    for (SequenceId id : sequences) {
      Tokens mine = text(id);
      auto same = std::ranges::mismatch(mine, prompt).in1 - mine.begin();
      best = std::max(best, static_cast<std::size_t>(same));
    }
    return static_cast<std::uint32_t>(best);
  }
};

class TreeBesideMemory {
 public:
  explicit TreeBesideMemory(std::uint64_t seed) : random_(seed) {}

  void step() {
    auto id = static_cast<SequenceId>(random_.below(8));
    if (!tree_.contains(id)) return open(id);
    switch (random_.below(9)) {
      case 0:
      case 1:
        return append(id);
      case 2:
        return truncate(id);
      case 3:
        if (!tree_.idle(id)) tree_.make_idle(id, {.program = program()}, now());
        return;
      case 4:
        return close(id);
      case 5:
      case 6:
        return to_host();
      case 7:
        return to_pool();
      default:
        return drop();
    }
  }

  void check() {
    ASSERT_TRUE(tree_.consistent());
    std::uint32_t idle = 0;
    for (const NaiveMemory::Cell& cell : memory_.cells) {
      idle += std::ranges::all_of(cell.holders, [&](auto id) { return tree_.idle(id); }) ? 1 : 0;
    }
    ASSERT_EQ(tree_.idle_cells(), idle);
    ASSERT_EQ(tree_.active_cells() + tree_.idle_cells(), memory_.cells.size());
    std::uint32_t host = 0;
    std::uint64_t bytes = 0;
    for (const auto& [blob, copy] : memory_.copies) {
      host += static_cast<std::uint32_t>(copy.prefix.size()) - copy.start;
      bytes += blob * 10;
    }
    ASSERT_EQ(tree_.host_cells(), host);
    ASSERT_EQ(tree_.host_bytes(), bytes);
    check_views();
    check_own_cells();
  }

 private:
  SteadyNs now() { return ++now_; }
  std::string program() { return std::string(1, static_cast<char>('a' + random_.below(3))); }
  Tokens some_tokens() {
    Tokens out(1 + random_.below(12));
    for (Token& token : out) token = static_cast<Token>(random_.below(2));
    return out;
  }

  void check_views() {
    std::uint32_t idle = 0;
    std::set<RunId> seen;
    for (const KeptRunView& view : tree_.kept_runs()) {
      if (view.parent) {
        ASSERT_TRUE(seen.contains(*view.parent)) << "parents before children";
      }
      seen.insert(view.id);
      auto run = tree_.run(view.id);
      ASSERT_TRUE(run);
      ASSERT_EQ(run->cells, view.cells);
      ASSERT_EQ(run->in_host, view.in_host);
      ASSERT_EQ(tree_.holder(view.id) < 0, view.in_host);
      if (!view.in_host) idle += view.cells;
      if (view.in_host) {
        ASSERT_EQ(memory_.copies.at(run->blob).start, view.start);
      }
    }
    ASSERT_EQ(idle, tree_.idle_cells());
  }

  void check_own_cells() {
    for (SequenceId id = 0; id < 8; ++id) {
      if (!tree_.contains(id)) continue;
      auto own = std::ranges::count_if(memory_.cells, [&](const NaiveMemory::Cell& cell) {
        return cell.holders == std::set<SequenceId>{id};
      });
      ASSERT_EQ(tree_.own_cells(id), own);
      ASSERT_EQ(tree_.redundant(id), own == 0);
    }
  }

  void check_match(const Tokens& prompt, const PrefixTree::Match& match) {
    std::set<SequenceId> resident;
    for (SequenceId id = 0; id < 8; ++id) {
      if (tree_.contains(id)) resident.insert(id);
    }
    std::uint32_t pool = memory_.longest(prompt, resident);
    ASSERT_GE(match.tokens + match.host_tokens, pool);
    ASSERT_LE(match.tokens, pool);
    if (match.tokens > 0) {
      ASSERT_GE(memory_.longest(prompt, {match.sequence}), match.tokens);
    }
    std::uint32_t end = match.tokens;
    for (const PrefixTree::HostPart& part : match.host) {
      auto run = tree_.run(part.run);
      ASSERT_TRUE(run && run->in_host);
      ASSERT_EQ(run->start, end);
      const Tokens& text = memory_.copies.at(run->blob).prefix;
      ASSERT_TRUE(
          std::equal(text.begin(), text.begin() + run->start + part.tokens, prompt.begin()));
      end += part.tokens;
    }
    ASSERT_EQ(end, match.tokens + match.host_tokens);
  }

  void open(SequenceId id) {
    Tokens prompt = some_tokens();
    auto match = tree_.match(prompt);
    ASSERT_NO_FATAL_FAILURE(check_match(prompt, match));
    tree_.open(id, match.sequence, match.tokens, program(), now());
    memory_.copy(match.sequence, id, match.tokens);
    for (const PrefixTree::HostPart& part : match.host) {
      if (random_.below(4) == 0) return;  // no room
      bring_back(id, part, prompt);
    }
  }
  void bring_back(SequenceId id, const PrefixTree::HostPart& part, const Tokens& prompt) {
    auto run = *tree_.run(part.run);
    for (std::uint32_t i = 0; i < part.tokens; ++i) {
      memory_.add(id, run.start + i, prompt[run.start + i]);
    }
    if (part.tokens == run.cells) {
      tree_.move_to_pool(part.run, id);
    } else {
      tree_.append(id, std::span(prompt).subspan(run.start, part.tokens));
    }
    forget_blobs();
  }
  void append(SequenceId id) {
    if (tree_.idle(id)) return;
    Tokens tokens = some_tokens();
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      memory_.add(id, tree_.length(id) + static_cast<std::uint32_t>(i), tokens[i]);
    }
    tree_.append(id, tokens);
  }
  void truncate(SequenceId id) {
    auto length = static_cast<std::uint32_t>(random_.below(tree_.length(id) + 1));
    tree_.truncate(id, length);
    memory_.remove(id, length);
    forget_blobs();
  }
  void close(SequenceId id) {
    tree_.close(id);
    memory_.remove(id, 0);
    forget_blobs();
  }
  std::optional<PrefixTree::Run> some_run(bool in_host, RunId& id) {
    auto runs = tree_.kept_runs();
    std::erase_if(runs, [&](const KeptRunView& view) { return view.in_host != in_host; });
    if (runs.empty()) return std::nullopt;
    id = runs[random_.below(runs.size())].id;
    return tree_.run(id);
  }
  void to_host() {
    RunId id = 0;
    auto run = some_run(false, id);
    if (!run || !run->pool_leaf) return;
    Tokens text = memory_.text(run->ends.front());
    ASSERT_EQ(text.size(), run->start + run->cells);
    BlobId blob = ++blobs_;
    memory_.copies[blob] = {text, run->start};
    for (SequenceId holder : run->ends) memory_.remove(holder, run->start);
    tree_.move_to_host(id, blob, blob * 10);
  }
  void to_pool() {
    RunId id = 0;
    auto run = some_run(true, id);
    SequenceId sequence = 0;
    while (sequence < 8 && tree_.contains(sequence)) ++sequence;
    if (!run || sequence == 8) return;
    if (run->parent && tree_.run(*run->parent)->in_host) return;
    SequenceId source = run->parent ? tree_.holder(*run->parent) : -1;
    tree_.open_idle(sequence, source, run->start);
    memory_.copy(source, sequence, run->start);
    Tokens text = memory_.copies.at(run->blob).prefix;
    bring_back(sequence, {id, run->cells}, text);
  }
  void drop() {
    RunId id = 0;
    auto run = some_run(random_.below(2) == 0, id);
    if (!run || !(run->in_host || run->pool_leaf)) return;
    for (SequenceId holder : run->ends) memory_.remove(holder, run->start);
    tree_.drop(id);
    forget_blobs();
  }
  void forget_blobs() {
    for (BlobId blob : tree_.take_free_blobs()) {
      ASSERT_EQ(memory_.copies.erase(blob), 1U) << "a blob is freed once";
    }
  }

  Random random_;
  PrefixTree tree_;
  NaiveMemory memory_;
  BlobId blobs_ = 0;
  SteadyNs now_ = 0;
};

TEST(PrefixTreeTest, CountsWhatAPoolOfCellsHoldsInAnyOrderOfCalls) {
  bool longer = std::getenv("SLUICE_TEST_LONG") != nullptr;
  for (std::uint64_t seed = 0; seed < (longer ? 100'000U : 2'000U); ++seed) {
    SCOPED_TRACE(seed);
    TreeBesideMemory both(seed);
    for (int i = 0; i < 120; ++i) {
      both.step();
      if (!HasFatalFailure()) both.check();
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace sluice
