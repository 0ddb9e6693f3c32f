#include "schedule/batch_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"

namespace sluice {
namespace {

RequestView waiting(std::uint64_t id, std::uint32_t prompt, std::uint32_t max_tokens) {
  return {.id = id,
          .prompt_tokens = prompt,
          .max_tokens = max_tokens,
          .arrived_ns = static_cast<SteadyNs>(id)};
}

RequestView decoding(std::uint64_t id, std::uint32_t prompt, std::uint32_t generated,
                     std::uint32_t max_tokens) {
  RequestView view = waiting(id, prompt, max_tokens);
  view.phase = RequestPhase::kDecode;
  view.computed_tokens = prompt;
  view.generated_tokens = generated;
  return view;
}

ScheduleSnapshot world(std::vector<RequestView> requests) {
  ScheduleSnapshot out;
  out.requests = std::move(requests);
  out.pool = {.total_cells = 1000, .used_cells = 0, .cached_cells = 0, .sequences_free = 8};
  out.batch_tokens = 100;
  out.max_running = 8;
  return out;
}

using Ids = std::vector<std::uint64_t>;

TEST(BatchPolicyTest, DecodesFirstThenFillsTheBudgetWithPrefill) {
  auto snapshot = world({decoding(1, 10, 1, 20), decoding(2, 10, 1, 20), waiting(3, 300, 10)});
  snapshot.pool.used_cells = 22;
  auto decision = form_batch(snapshot);
  EXPECT_EQ(decision.decode, (Ids{1, 2}));
  EXPECT_EQ(decision.admit, (Ids{3}));
  ASSERT_EQ(decision.prefill.size(), 1U);
  EXPECT_EQ(decision.prefill[0].tokens, 98U);
}

TEST(BatchPolicyTest, ComputesOnlyWhatIsNotShared) {
  auto request = waiting(1, 60, 10);
  request.shared_tokens = 50;
  auto decision = form_batch(world({request}));
  ASSERT_EQ(decision.prefill.size(), 1U);
  EXPECT_EQ(decision.prefill[0].tokens, 10U);
}

TEST(BatchPolicyTest, AdmitsOnlyWhatFitsAtWorst) {
  auto snapshot = world({decoding(1, 100, 50, 400), waiting(2, 100, 400), waiting(3, 10, 40)});
  snapshot.pool.used_cells = 150;                   // 350 more are promised: 500 are free
  EXPECT_EQ(form_batch(snapshot).admit, (Ids{2}));  // exactly 500; none is left for 3
  snapshot.requests[1].max_tokens = 401;
  EXPECT_EQ(form_batch(snapshot).admit, Ids{}) << "nobody overtakes the one that does not fit";
}

TEST(BatchPolicyTest, SharedCellsCountOnce) {
  auto request = waiting(2, 300, 500);
  request.shared_tokens = 250;
  auto snapshot = world({decoding(1, 300, 0, 150), request});
  snapshot.pool.used_cells = 300;  // free: 700 - 150 = 550 = 50 + 500
  EXPECT_EQ(form_batch(snapshot).admit, (Ids{2}));
  request.shared_idle_tokens = 250;  // idle cells become used: they take room
  snapshot = world({decoding(1, 300, 0, 150), request});
  snapshot.pool.used_cells = 300;
  snapshot.pool.cached_cells = 250;
  EXPECT_EQ(form_batch(snapshot).admit, Ids{});
}

TEST(BatchPolicyTest, EvictsIdleCellsOnlyAsNeeded) {
  auto snapshot = world({waiting(1, 90, 10)});
  snapshot.pool.cached_cells = 900;
  EXPECT_EQ(form_batch(snapshot).evict_cells, 0U);
  snapshot.pool.cached_cells = 930;
  EXPECT_EQ(form_batch(snapshot).evict_cells, 20U);
}

TEST(BatchPolicyTest, OrderOfAdmission) {
  auto low = waiting(1, 10, 10);
  auto ranked = waiting(2, 10, 10);
  ranked.rank = 5;
  auto urgent = waiting(3, 10, 10);
  urgent.priority = 1;
  auto plain = waiting(4, 10, 10);
  EXPECT_EQ(form_batch(world({low, ranked, urgent, plain})).admit, (Ids{3, 2, 1, 4}));
  auto snapshot = world({low, ranked, urgent, plain});
  snapshot.now_ns = kAgedNs + 1;  // request 1 has waited too long for rank to count
  EXPECT_EQ(form_batch(snapshot).admit, (Ids{3, 1, 2, 4}));
}

TEST(BatchPolicyTest, WaitsForAPrefixThatIsBeingComputed) {
  auto leader = waiting(1, 200, 10);
  leader.phase = RequestPhase::kPrefill;
  leader.computed_tokens = 100;
  auto follower = waiting(2, 200, 10);
  follower.shared_tokens = 100;
  follower.soon_shared_tokens = 190;
  auto snapshot = world({leader, follower, waiting(3, 10, 10)});
  snapshot.pool.used_cells = 100;
  EXPECT_EQ(form_batch(snapshot).admit, (Ids{3}));
  snapshot.requests[1].soon_shared_tokens = 120;  // not worth it
  EXPECT_EQ(form_batch(snapshot).admit, (Ids{2, 3}));
}

TEST(BatchPolicyTest, DeterministicRequestsAreAlone) {
  auto alone = waiting(1, 150, 10);
  alone.deterministic = true;
  auto decision = form_batch(world({alone, waiting(2, 10, 10)}));
  EXPECT_EQ(decision.admit, (Ids{1}));
  ASSERT_EQ(decision.prefill.size(), 1U);
  EXPECT_EQ(decision.prefill[0].tokens, 100U);
  alone.phase = RequestPhase::kPrefill;
  alone.computed_tokens = 100;
  decision = form_batch(world({alone, waiting(2, 10, 10), decoding(3, 5, 1, 9)}));
  EXPECT_EQ(decision.admit, Ids{});
  EXPECT_EQ(decision.decode, Ids{});
  ASSERT_EQ(decision.prefill.size(), 1U);
  EXPECT_EQ(decision.prefill[0].tokens, 50U);
  alone.phase = RequestPhase::kWaiting;
  alone.computed_tokens = 0;
  decision = form_batch(world({decoding(3, 5, 1, 9), alone, waiting(4, 10, 10)}));
  EXPECT_EQ(decision.admit, Ids{}) << "what runs ends first, and nothing slips in before";
  EXPECT_EQ(decision.decode, (Ids{3}));
}

// A small world that carries decisions out and checks them: the pool never overflows, limits hold,
// every request ends.
class PolicyWorld {
 public:
  explicit PolicyWorld(std::uint64_t seed) : random_(seed) {
    snapshot_.batch_tokens = 8 + static_cast<std::uint32_t>(random_.below(100));
    snapshot_.max_running = 1 + static_cast<std::uint32_t>(random_.below(8));
    snapshot_.batch_tokens = std::max(snapshot_.batch_tokens, snapshot_.max_running);
    snapshot_.pool.total_cells = 200 + static_cast<std::uint32_t>(random_.below(300));
    free_sequences_ = snapshot_.max_running;
    to_come_ = 20 + random_.below(20);
  }

  void run() {
    for (int step = 0; step < 20'000; ++step) {
      arrive();
      if (snapshot_.requests.empty() && to_come_ == 0) return;
      snapshot_.now_ns += 100 * kNsPerMs;
      snapshot_.pool.used_cells = used_cells();
      snapshot_.pool.cached_cells = idle_cells_;
      snapshot_.pool.sequences_free = free_sequences_;
      carry_out(form_batch(snapshot_));
      if (testing::Test::HasFailure()) return;
    }
    FAIL() << snapshot_.requests.size() << " requests never ended";
  }

 private:
  void arrive() {
    if (to_come_ == 0 || random_.below(3) != 0) return;
    --to_come_;
    auto prompt = 1 + static_cast<std::uint32_t>(random_.below(120));
    auto request = waiting(++last_id_, prompt, 1 + static_cast<std::uint32_t>(random_.below(80)));
    request.arrived_ns = snapshot_.now_ns;
    request.rank = static_cast<std::uint32_t>(random_.below(4));
    request.deterministic = random_.below(10) == 0;
    snapshot_.requests.push_back(request);
  }

  std::uint32_t used_cells() const {
    std::uint32_t used = 0;
    for (const auto& [id, cells] : cells_) used += cells;
    return used;
  }

  RequestView& view(std::uint64_t id) {
    return *std::ranges::find(snapshot_.requests, id, &RequestView::id);
  }

  void carry_out(const ScheduleDecision& decision) {
    for (std::uint64_t id : decision.admit) {
      ASSERT_EQ(view(id).phase, RequestPhase::kWaiting);
      ASSERT_GT(free_sequences_--, 0U);
      view(id).phase = RequestPhase::kPrefill;
      cells_[id] = 0;
    }
    ASSERT_LE(cells_.size(), snapshot_.max_running);
    ASSERT_LE(decision.evict_cells, idle_cells_);
    idle_cells_ -= decision.evict_cells;
    std::uint32_t tokens = 0;
    bool alone = false;
    std::set<std::uint64_t> busy;
    for (const PrefillChunk& chunk : decision.prefill) {
      RequestView& request = view(chunk.request);
      alone |= request.deterministic;
      ASSERT_TRUE(busy.insert(request.id).second);
      ASSERT_EQ(request.phase, RequestPhase::kPrefill);
      ASSERT_GT(chunk.tokens, 0U);
      request.computed_tokens += chunk.tokens;
      ASSERT_LE(request.computed_tokens, request.prompt_tokens);
      cells_[request.id] += chunk.tokens;
      tokens += chunk.tokens;
      if (request.computed_tokens < request.prompt_tokens) continue;
      request.phase = RequestPhase::kDecode;
      request.generated_tokens = 1;
    }
    for (std::uint64_t id : decision.decode) {
      alone |= view(id).deterministic;
      ASSERT_TRUE(busy.insert(id).second);
      view(id).generated_tokens += 1;
      cells_[id] += 1;
      tokens += 1;
    }
    ASSERT_LE(tokens, snapshot_.batch_tokens);
    ASSERT_LE(used_cells() + idle_cells_, snapshot_.pool.total_cells);
    if (alone) ASSERT_EQ(busy.size(), 1U);
    ASSERT_TRUE(tokens > 0 || cells_.empty()) << "running requests that nobody computes";
    retire();
  }

  void retire() {
    std::erase_if(snapshot_.requests, [&](const RequestView& request) {
      if (request.phase != RequestPhase::kDecode) return false;
      bool ends = request.generated_tokens >= request.max_tokens || random_.below(30) == 0;
      if (!ends) return false;
      if (random_.below(2) == 0) idle_cells_ += cells_[request.id];  // kept for later
      cells_.erase(request.id);
      ++free_sequences_;
      return true;
    });
  }

  Random random_;
  ScheduleSnapshot snapshot_;
  std::map<std::uint64_t, std::uint32_t> cells_;
  std::uint32_t idle_cells_ = 0;
  std::uint32_t free_sequences_ = 0;
  std::uint64_t to_come_ = 0;
  std::uint64_t last_id_ = 0;
};

TEST(BatchPolicyTest, HoldsItsLimitsAndEndsEveryRequestInRandomWorlds) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    PolicyWorld(seed).run();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
