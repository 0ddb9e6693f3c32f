#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "schedule/engine_policy.h"
#include "tests/schedule/snapshots.h"

namespace sluice {
namespace {

// Snapshots that no engine would make, too: decisions stay within what is there and repeat.
class AnySnapshot {
 public:
  explicit AnySnapshot(std::uint64_t seed) : random_(seed) {}

  ScheduleSnapshot make() {
    out_.now_ns = number(1'000'000) * kNsPerMs;
    add_requests();
    add_kept();
    add_rest();
    return std::move(out_);
  }

 private:
  std::uint32_t number(std::uint64_t most) {
    return static_cast<std::uint32_t>(random_.below(4) == 0 ? random_.below(3)
                                                            : random_.below(most));
  }

  void add_requests() {
    for (std::uint32_t i = number(40); i > 0; --i) {
      RequestView view{.id = i, .phase = static_cast<RequestPhase>(random_.below(3))};
      view.prompt_tokens = 1 + number(3000);
      view.computed_tokens = view.phase == RequestPhase::kDecode ? view.prompt_tokens
                             : view.phase == RequestPhase::kPrefill
                                 ? static_cast<std::uint32_t>(random_.below(view.prompt_tokens))
                                 : 0;
      view.shared_tokens = static_cast<std::uint32_t>(random_.below(view.prompt_tokens));
      view.shared_idle_tokens = number(view.shared_tokens + 1);
      view.host_tokens = number(view.prompt_tokens - view.shared_tokens);
      view.soon_shared_tokens = number(view.prompt_tokens);
      if (random_.below(2) == 0) view.kept_run = number(30);
      view.own_cells = number(3000);
      view.next_tokens = number(20);
      view.generated_tokens = number(700);
      view.max_tokens = number(600);
      if (random_.below(3) == 0) view.expected_tokens = number(5000);
      view.program = "p" + std::to_string(number(8));
      view.tenant = "t" + std::to_string(number(4));
      view.priority = static_cast<std::int32_t>(number(3)) - 1;
      view.rank = number(9);
      if (random_.below(3) == 0) view.remaining_path_s = number(100);
      view.arrived_ns = number(1'000'000) * kNsPerMs;
      view.program_since_ns = number(1'000'000) * kNsPerMs;
      if (random_.below(3) == 0) view.deadline_ns = number(1'000'000) * kNsPerMs;
      view.preempted = number(9);
      view.deterministic = random_.below(30) == 0;
      view.prefetch = random_.below(9) == 0;
      view.prefix_group = number(5);
      const char* orders[] = {"", "program", "arrival", "deadline", "sharing", "nonsense"};
      view.policies.order = orders[random_.below(6)];
      out_.requests.push_back(view);
    }
  }

  void add_kept() {
    for (std::uint32_t i = 0, count = number(30); i < count; ++i) {
      KeptRunView run{.id = i, .start = number(3000), .cells = number(500)};
      if (i > 0 && random_.below(2) == 0) run.parent = number(i);
      run.in_host = random_.below(3) == 0;
      if (run.parent && *run.parent < i && out_.kept[*run.parent].in_host) run.in_host = true;
      run.used = number(5);
      run.used_ns = number(2'000'000) * kNsPerMs;
      run.program = "p" + std::to_string(number(8));
      if (random_.below(3) == 0) run.returns_at_ns = number(2'000'000) * kNsPerMs;
      run.returns = random_.below(2) == 0;
      if (!run.in_host) out_.pool.cached_cells += run.cells;
      out_.kept.push_back(run);
    }
  }

  void add_rest() {
    out_.pool.used_cells = number(9000);
    out_.pool.total_cells = out_.pool.used_cells + out_.pool.cached_cells + number(2000);
    out_.pool.sequences_free = number(20);
    out_.pool.host_budget_bytes = number(2000) * 23'040ULL;
    out_.pool.host_used_bytes = number(2000) * 23'040ULL;
    out_.batch_tokens = 1 + number(600);
    out_.max_running = number(20);
    for (std::uint32_t i = number(200); i > 0; --i) out_.output_history.push_back(number(600));
    for (int i = 0; i < 3; ++i) {
      out_.tenants.push_back({.name = "t" + std::to_string(i),
                              .weight = random_.unit() - 0.1,
                              .service = 100 * random_.unit()});
    }
    out_.settings.between_tokens_ms = static_cast<std::int64_t>(number(500));
    out_.settings.aged_ms = static_cast<std::int64_t>(number(50'000));
    out_.settings.fill = 2 * random_.unit() - 0.5;
    const char* lifetimes[] = {"cost", "recent", "drop", ""};
    out_.settings.names.lifetime = lifetimes[random_.below(4)];
    if (random_.below(3) == 0) out_.settings.names.batch = "fixed";
    if (random_.below(3) == 0) out_.settings.names.admission = "worst_case";
    if (random_.below(3) == 0) out_.settings.names.fairness = "none";
  }

  Random random_;
  ScheduleSnapshot out_;
};

void check_limits(const ScheduleSnapshot& snapshot, const ScheduleDecision& decision) {
  auto view = [&](std::uint64_t id) -> const RequestView& {
    return *std::ranges::find(snapshot.requests, id, &RequestView::id);
  };
  std::int64_t cells = std::int64_t{snapshot.pool.total_cells} - snapshot.pool.used_cells -
                       snapshot.pool.cached_cells;
  for (const KvMove& move : decision.moves) {
    const auto& run = *std::ranges::find(snapshot.kept, move.run, &KeptRunView::id);
    if (move.action == KvAction::kMoveToPool) cells -= run.cells;
    if (move.action != KvAction::kMoveToPool && !run.in_host) cells += run.cells;
    EXPECT_FALSE(move.action == KvAction::kMoveToHost && run.in_host);
  }
  std::uint32_t tokens = 0;
  for (std::uint64_t id : decision.decode) {
    EXPECT_EQ(view(id).phase, RequestPhase::kDecode);
    EXPECT_FALSE(has(decision.preempt, id));
    tokens += std::max(view(id).next_tokens, 1U);
  }
  for (const PrefillChunk& chunk : decision.prefill) {
    const RequestView& one = view(chunk.request);
    EXPECT_TRUE(one.phase == RequestPhase::kPrefill || has(decision.admit, one.id));
    EXPECT_FALSE(has(decision.preempt, one.id));
    EXPECT_GT(chunk.tokens, 0U);
    EXPECT_LE(chunk.tokens, one.prompt_tokens - one.computed_tokens);
    tokens += chunk.tokens;
  }
  for (std::uint64_t id : decision.admit) {
    EXPECT_EQ(view(id).phase, RequestPhase::kWaiting);
    cells -= view(id).host_tokens;
  }
  for (std::uint64_t id : decision.preempt) EXPECT_FALSE(view(id).deterministic);
  EXPECT_LE(tokens, snapshot.batch_tokens);
  if (tokens > 0) EXPECT_LE(tokens, cells);
  EXPECT_LE(decision.admit.size(), snapshot.pool.sequences_free + decision.moves.size());
}

TEST(EnginePolicyTest, AnySnapshotGivesADecisionWithinItsLimits) {
  for (std::uint64_t seed = 0; seed < 5'000; ++seed) {
    SCOPED_TRACE(seed);
    ScheduleSnapshot snapshot = AnySnapshot(seed).make();
    ScheduleDecision decision = decide(snapshot);
    check_limits(snapshot, decision);
    ScheduleDecision again = decide(snapshot);
    EXPECT_EQ(again.admit, decision.admit);
    EXPECT_EQ(again.decode, decision.decode);
    EXPECT_EQ(again.preempt, decision.preempt);
    EXPECT_EQ(again.moves.size(), decision.moves.size());
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace sluice
