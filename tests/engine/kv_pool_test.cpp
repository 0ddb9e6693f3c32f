// The pool on a real llama context: what the account says is what the context holds, and what comes
// back from host memory is what went there, bit for bit.
#include "engine/kv_pool.h"

#include <gtest/gtest.h>
#include <llama.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "base/failpoint.h"
#include "base/random.h"
#include "engine/decode_batch.h"
#include "engine/model_file.h"
#include "tests/engine/tiny_model.h"

namespace sluice {
namespace {

using Tokens = std::vector<Token>;

llama_model* tiny_model() {
  static ModelHandle model = [] {
    auto loaded = load_model(test::tiny_model_file());
    if (!loaded) throw std::runtime_error(loaded.error().to_string());
    return std::move(*loaded);
  }();
  return model.get();
}

Tokens text(std::uint32_t tokens, Token first) {
  Tokens out(tokens);
  std::iota(out.begin(), out.end(), first);
  return out;
}

class KvPoolTest : public testing::Test {
 protected:
  explicit KvPoolTest(std::uint32_t cells = 512) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = cells;
    params.n_batch = params.n_ubatch = 256;
    params.n_seq_max = params.n_outputs_max = kSequences;
    params.n_threads = params.n_threads_batch = 1;
    params.kv_unified = true;
    context_.reset(llama_init_from_model(tiny_model(), params));
  }

  KvPool make(std::uint64_t host_bytes = 1 << 24) {
    return {context_.get(),
            {.sequences = kSequences, .running = 3, .share = true, .host_bytes = host_bytes},
            counters_};
  }

  // Computes `tokens` at the end of the sequence; the logits of the last one.
  std::vector<float> compute(KvPool& pool, SequenceId id, std::span<const Token> tokens) {
    BatchPart part{
        .id = 1, .sequence = id, .position = pool.length(id), .tokens = tokens, .output = true};
    DecodeBatch batch({&part, 1});
    EXPECT_EQ(batch.compute(context_.get()), 0);
    pool.append(id, tokens);
    const float* logits = batch.logits(context_.get(), 0);
    return {logits, logits + llama_vocab_n_tokens(llama_model_get_vocab(tiny_model()))};
  }

  // A sequence that holds `tokens`; how much of it was there.
  KvPool::Opened fill(KvPool& pool, const Tokens& tokens, std::string_view program = "p") {
    auto opened = pool.open(tokens, program, ++now_);
    auto rest = std::span(tokens).subspan(opened.shared);
    if (!rest.empty()) compute(pool, opened.sequence, rest);
    return opened;
  }
  void keep(KvPool& pool, SequenceId id, std::string program = "p") {
    pool.keep(id, pool.length(id), {.program = std::move(program)}, ++now_);
  }

  static constexpr std::uint32_t kSequences = 12;
  EngineCounters counters_;
  ContextHandle context_;
  SteadyNs now_ = 0;
};

TEST_F(KvPoolTest, WhatComesBackFromHostMemoryGivesTheSameLogits) {
  KvPool pool = make();
  Tokens prompt = text(90, 1000);
  Token next[] = {77};
  auto first = fill(pool, prompt);
  std::vector<float> expected = compute(pool, first.sequence, next);
  pool.keep(first.sequence, 90, {.program = "p"}, 1);
  auto kept = pool.kept_runs();
  ASSERT_EQ(kept.size(), 1U);
  ASSERT_TRUE(pool.move({kept[0].id, KvAction::kMoveToHost}));
  EXPECT_EQ(pool.free_cells(), pool.total_cells());
  EXPECT_GT(pool.view().host_used_bytes, 90U * 2 * 2 * 2 * 32) << "keys and values of two layers";
  EXPECT_TRUE(pool.consistent());

  auto again = pool.open(prompt, "p", 2);
  EXPECT_EQ(again.shared, 90U);
  EXPECT_EQ(again.copied_back, 90U);
  EXPECT_EQ(pool.view().host_used_bytes, 0U);
  EXPECT_TRUE(pool.consistent());
  std::vector<float> found = compute(pool, again.sequence, next);
  EXPECT_EQ(std::memcmp(found.data(), expected.data(), found.size() * sizeof(float)), 0);
  EXPECT_EQ(counters_.copied_back_tokens, 90U);
  EXPECT_EQ(counters_.moved_to_host_tokens, 90U);
}

TEST_F(KvPoolTest, ATailComesBackBehindAPrefixThatStayed) {
  KvPool pool = make();
  Tokens prompt = text(60, 1000);
  auto first = fill(pool, prompt);
  keep(pool, first.sequence);
  Tokens longer = prompt;
  for (Token token : text(40, 3000)) longer.push_back(token);
  auto second = fill(pool, longer);
  EXPECT_EQ(second.shared, 60U);
  Token next[] = {5};
  std::vector<float> expected = compute(pool, second.sequence, next);
  pool.keep(second.sequence, 100, {.program = "p"}, 5);
  auto kept = pool.kept_runs();
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_FALSE(pool.move({kept[0].id, KvAction::kMoveToHost})) << "what continues it leaves first";
  EXPECT_TRUE(pool.move({kept[1].id, KvAction::kMoveToHost}));
  EXPECT_TRUE(pool.consistent());
  // Half of the tail is worth a copy, and the tail stays where it is.
  Tokens part(longer.begin(), longer.begin() + 85);
  auto third = pool.open(part, "q", 6);
  EXPECT_EQ(third.shared, 85U);
  EXPECT_TRUE(pool.consistent());
  pool.close(third.sequence);
  EXPECT_TRUE(pool.move({kept[1].id, KvAction::kMoveToPool}));
  EXPECT_FALSE(pool.move({kept[1].id, KvAction::kMoveToPool})) << "it is there";
  EXPECT_EQ(pool.view().cached_cells, 100U);
  auto fourth = pool.open(longer, "p", 7);
  EXPECT_EQ(fourth.shared, 100U);
  std::vector<float> found = compute(pool, fourth.sequence, next);
  float worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    worst = std::max(worst, std::abs(found[i] - expected[i]));
  }
  EXPECT_LT(worst, 1e-3F) << "the same but for the order of sums";
  EXPECT_TRUE(pool.consistent());
}

TEST_F(KvPoolTest, RoomIsMadeByTheLeastRecentlyUsed) {
  KvPool pool = make();
  for (int i = 0; i < 5; ++i) keep(pool, fill(pool, text(100, 1000 * (i + 1))).sequence);
  EXPECT_EQ(pool.view().cached_cells, 500U);
  ASSERT_TRUE(pool.make_room(200));
  EXPECT_EQ(pool.view().cached_cells, 300U);
  EXPECT_EQ(pool.match(text(100, 1000)).host_tokens, 100U);
  EXPECT_EQ(pool.match(text(100, 5000)).tokens, 100U);
  auto held = fill(pool, text(100, 9000));
  EXPECT_FALSE(pool.make_room(500)) << "what runs stays";
  EXPECT_EQ(pool.free_cells(), 412U);
  pool.close(held.sequence);
  EXPECT_TRUE(pool.consistent());
}

TEST_F(KvPoolTest, TheBudgetOfHostMemoryHolds) {
  KvPool probe = make();
  keep(probe, fill(probe, text(100, 1000)).sequence);
  probe.move({probe.kept_runs()[0].id, KvAction::kMoveToHost});
  std::uint64_t bytes = probe.view().host_used_bytes;
  llama_memory_clear(llama_get_memory(context_.get()), false);

  KvPool pool = make(bytes * 5 / 2);
  for (int i = 0; i < 6; ++i) {
    keep(pool, fill(pool, text(100, 1000 * (i + 1))).sequence);
    ASSERT_TRUE(pool.make_room(512));
    ASSERT_LE(pool.view().host_used_bytes, bytes * 5 / 2);
    ASSERT_TRUE(pool.consistent());
  }
  EXPECT_EQ(pool.view().host_used_bytes, bytes * 2);
  EXPECT_EQ(pool.match(text(100, 1000)).host_tokens, 0U) << "the oldest was dropped";
  EXPECT_EQ(pool.match(text(100, 6000)).host_tokens, 100U);

  KvPool none = make(0);
  llama_memory_clear(llama_get_memory(context_.get()), false);
  keep(none, fill(none, text(100, 1000)).sequence);
  EXPECT_TRUE(none.make_room(512));
  EXPECT_TRUE(none.kept_runs().empty());
}

TEST_F(KvPoolTest, ACopyThatFailsLosesOnlyThatPrefix) {
  KvPool pool = make();
  keep(pool, fill(pool, text(50, 1000)).sequence);
  {
    FailpointScope scope(Failpoint::kKvNotSaved);
    EXPECT_FALSE(pool.move({pool.kept_runs()[0].id, KvAction::kMoveToHost}));
    EXPECT_EQ(pool.view().cached_cells, 50U) << "nothing has changed";
  }
  ASSERT_TRUE(pool.move({pool.kept_runs()[0].id, KvAction::kMoveToHost}));
  {
    FailpointScope scope(Failpoint::kKvNotRestored);
    auto opened = pool.open(text(50, 1000), "p", 1);
    EXPECT_EQ(opened.shared, 0U);
    pool.close(opened.sequence);
  }
  EXPECT_TRUE(pool.kept_runs().empty());
  EXPECT_EQ(pool.view().host_used_bytes, 0U);
  EXPECT_TRUE(pool.consistent());
}

TEST_F(KvPoolTest, ReleaseFreesBothPlaces) {
  KvPool pool = make();
  keep(pool, fill(pool, text(50, 1000), "a").sequence, "a");
  keep(pool, fill(pool, text(50, 2000), "a").sequence, "a");
  keep(pool, fill(pool, text(50, 3000), "b").sequence, "b");
  pool.move({pool.kept_runs()[0].id, KvAction::kMoveToHost});
  pool.release("a");
  EXPECT_EQ(pool.match(text(50, 1000)).host_tokens + pool.match(text(50, 2000)).tokens, 0U);
  pool.release("b");
  EXPECT_TRUE(pool.keeps_nothing());
  EXPECT_TRUE(pool.consistent());
}

TEST_F(KvPoolTest, MorePrefixesThanSequenceIdsAreKept) {
  KvPool pool = make();
  for (int i = 0; i < 40; ++i) keep(pool, fill(pool, text(10, 200 * (i + 1))).sequence);
  EXPECT_TRUE(pool.consistent());
  std::uint32_t found = 0;
  for (int i = 0; i < 40; ++i) {
    auto match = pool.match(text(10, 200 * (i + 1)));
    found += match.tokens + match.host_tokens == 10 ? 1 : 0;
  }
  EXPECT_EQ(found, 40U) << "those without an id lie in host memory";
}

// Everything at random, and after each step the account, the context and host memory agree, and
// what a sequence holds computes what it should.
TEST_F(KvPoolTest, AnyOrderOfCallsLeavesItConsistent) {
  KvPool pool = make(200'000);
  Random random(3);
  std::vector<SequenceId> open;
  auto prompt = [&] {
    Tokens out = text(20 + static_cast<std::uint32_t>(random.below(3)) * 15, 100);
    for (std::size_t i = 10; i < out.size(); ++i) out[i] += static_cast<Token>(random.below(2));
    return out;
  };
  for (int i = 0; i < 1500; ++i) {
    auto runs = pool.kept_runs();
    std::uint64_t what = random.below(6);
    if (what < 2 && open.size() < 3) {
      Tokens tokens = prompt();
      auto opened = pool.open(tokens, "p" + std::to_string(random.below(3)), ++now_);
      open.push_back(opened.sequence);
      auto rest = std::span(tokens).subspan(opened.shared);
      if (!rest.empty() && pool.make_room(static_cast<std::uint32_t>(rest.size()))) {
        compute(pool, opened.sequence, rest);
      }
    } else if (what < 4 && !open.empty()) {
      std::size_t at = random.below(open.size());
      if (random.below(4) == 0) {
        pool.close(open[at]);
      } else {
        auto length = static_cast<std::uint32_t>(random.below(pool.length(open[at]) + 1));
        pool.keep(open[at], length, {.program = "p1", .returns = true}, ++now_);
      }
      open.erase(open.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (what == 4 && !runs.empty()) {
      auto action = static_cast<KvAction>(random.below(3));
      pool.move({runs[random.below(runs.size())].id, action});
    } else if (what == 5 && random.below(8) == 0) {
      pool.release("p" + std::to_string(random.below(3)));
    }
    ASSERT_TRUE(pool.consistent()) << i;
  }
  for (SequenceId id : open) pool.close(id);
  ASSERT_TRUE(pool.make_room(pool.total_cells()));
  EXPECT_TRUE(pool.consistent());
}

}  // namespace
}  // namespace sluice
