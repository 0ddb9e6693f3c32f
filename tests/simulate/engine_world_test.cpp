// Laws of the policies, in virtual time: what must hold whatever the workload is, and by how much
// the defaults are better than a server with slots. No timing of this machine is in here.
#include "simulate/engine_world.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace sluice {
namespace {

// Settings of all kinds, and a machine of any size.
EngineWorldOptions random_options(std::uint64_t seed) {
  Random random(seed * 7919 + 13);
  auto one_of = [&](auto... names) {
    const char* all[] = {names...};
    return std::string(all[random.below(sizeof...(names))]);
  };
  EngineWorldOptions out;
  out.policies.names = {
      .order = one_of("program", "arrival", "deadline", "sharing"),
      .batch = one_of("cost", "fixed"),
      .admission = one_of("expected", "worst_case"),
      .lifetime = one_of("cost", "cost", "recent", "drop"),
      .fairness = one_of("service", "none"),
  };
  out.policies.fill = 0.5 + 0.5 * random.unit();
  out.policies.between_tokens_ms = 1 + static_cast<std::int64_t>(random.below(400));
  out.policies.aged_ms = static_cast<std::int64_t>(random.below(5'000));
  out.policies.tenant_weights["t1"] = 0.5 + 3 * random.unit();
  out.host_bytes = random.below(4) * 3'000'000;
  out.batch_tokens = 16 + static_cast<std::uint32_t>(random.below(200));
  out.sequences = 12 + static_cast<std::uint32_t>(random.below(20));
  out.window = 2 + static_cast<std::uint32_t>(random.below(20));
  out.seed = seed;
  return out;
}

// The world itself checks that the pool, sequences, host memory and batches are never exceeded.
TEST(EngineWorldTest, RandomWorldsEndAndRepeat) {
  std::uint64_t worlds = std::getenv("SLUICE_TEST_LONG") ? 50'000 : 2'500;
  std::uint64_t preemptions = 0;
  std::uint64_t moved = 0;
  for (std::uint64_t seed = 0; seed < worlds; ++seed) {
    SCOPED_TRACE(seed);
    Workload workload = random_workload(seed);
    EngineWorldOptions options = random_options(seed);
    EngineWorldReport report = run_engine_world(workload, options);
    ASSERT_TRUE(report.all_ended);
    for (const RequestRecord& record : report.requests) ASSERT_FALSE(record.failed);
    preemptions += report.preemptions;
    moved += report.moved_tokens;
    if (seed % 10 == 0) {
      ASSERT_EQ(run_engine_world(workload, options).digest, report.digest);
    }
  }
  EXPECT_GT(preemptions, worlds / 50) << "the worlds are too easy";
  EXPECT_GT(moved, worlds);
}

// A pool that fits one request, 40 programs: each gets its turn.
TEST(EngineWorldTest, APoolForOneServesAll) {
  Workload workload = agents_workload(1, 40, Telling::kReturns);
  workload.pool_cells = 3800;
  EngineWorldOptions options;
  options.longest_s = 1e5;
  for (std::uint64_t host : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    options.host_bytes = host;
    EXPECT_TRUE(run_engine_world(workload, options).all_ended);
  }
}

// Wrong expectations cost time, not answers: every plan says 1 token and it becomes many.
TEST(EngineWorldTest, WrongExpectationsArePreemptedAndEnd) {
  Workload workload{.name = "wrong", .pool_cells = 1200, .max_running = 16};
  for (int i = 0; i < 16; ++i) {
    WorldTurn turn{.adds = std::vector<Token>(100, i), .output = 400};
    workload.programs.push_back({.name = "p" + std::to_string(i),
                                 .kind = "any",
                                 .max_tokens = 400,
                                 .telling = Telling::kProgram,
                                 .turns = {turn}});
  }
  EngineWorldOptions options;
  options.policies.fill = 1;
  for (std::uint64_t host : {std::uint64_t{0}, std::uint64_t{1} << 30}) {
    options.host_bytes = host;
    EngineWorldReport report = run_engine_world(workload, options);
    EXPECT_TRUE(report.all_ended);
    for (const RequestRecord& record : report.requests) EXPECT_FALSE(record.failed);
  }
}

// Nobody starves: a long prompt in a stream of short ones that fills the machine.
TEST(EngineWorldTest, ALongPromptEndsInAStreamOfShortOnes) {
  Random random(5);
  auto text = [&](std::size_t tokens) {
    std::vector<Token> out(tokens);
    for (Token& token : out) token = static_cast<Token>(random.below(40'000));
    return out;
  };
  Workload workload{.name = "stream", .pool_cells = 8192, .max_running = 8};
  workload.programs.push_back({.kind = "long",
                               .arrives_s = 5,
                               .max_tokens = 16,
                               .telling = Telling::kNothing,
                               .turns = {{.adds = text(4000), .output = 8}}});
  for (int i = 0; i < 1200; ++i) {  // each about 0.15 s of work, seven a second
    workload.programs.push_back({.kind = "short",
                                 .arrives_s = i / 7.0,
                                 .max_tokens = 16,
                                 .telling = Telling::kNothing,
                                 .turns = {{.adds = text(60), .output = 8}}});
  }
  EngineWorldReport report = run_engine_world(workload, {});
  ASSERT_TRUE(report.all_ended);
  EXPECT_LT(report.job_mean_s("long"), 90);
}

// docs: 24 documents, 6 questions each, question by question.
TEST(EngineWorldTest, DocsComputeEachTokenOnceAndStayNearTheBound) {
  Workload workload = docs_workload(1);
  EngineWorldReport ours = run_engine_world(workload, {});
  std::uint64_t unique = 0;
  std::size_t documents = 24;
  double bound_s = 0;
  InstanceCost cost = InstanceCost::defaults();
  for (std::size_t i = 0; i < workload.programs.size(); ++i) {
    const WorldTurn& turn = workload.programs[i].turns[0];
    std::uint64_t tokens = i < documents ? turn.adds.size() : 30;
    unique += tokens;
    bound_s += i < documents ? cost.prefill_s(0, tokens) : 0.03;
    bound_s += cost.decode_s(turn.adds.size(), turn.output, 15) / 16;
  }
  EXPECT_LE(ours.computed_tokens(), unique + unique / 20);
  EXPECT_LT(bound_s / ours.wall_s, 1.02) << "nothing is faster than the bound";
  EXPECT_GT(bound_s / ours.wall_s, 0.85);
  EngineWorldOptions without;
  without.host_bytes = 0;
  workload.pool_cells = 12'000;
  EngineWorldReport cost_rule = run_engine_world(workload, without);
  without.policies.names.lifetime = "recent";
  EngineWorldReport lru = run_engine_world(workload, without);
  EXPECT_LT(cost_rule.computed_tokens(), 0.92 * static_cast<double>(lru.computed_tokens()))
      << "of a set that does not fit a part stays";
}

// agents: sessions that grow to 3,000 tokens, a pool for half of them.
TEST(EngineWorldTest, AgentsEndSoonerThanWithSlots) {
  double ours = 0;
  double planned = 0;
  double plain = 0;
  double slots = 0;
  double without_host = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Workload workload = agents_workload(seed, 16, Telling::kReturns);
    EngineWorldReport report = run_engine_world(workload, {});
    ASSERT_TRUE(report.all_ended);
    ours += report.job_mean_s();
    planned += run_engine_world(agents_workload(seed, 16, Telling::kPlan), {}).job_mean_s();
    plain += run_engine_world(agents_workload(seed, 16, Telling::kNothing), {}).job_mean_s();
    EngineWorldOptions no_host;
    no_host.host_bytes = 0;
    without_host += run_engine_world(workload, no_host).job_mean_s();
    double best = 1e9;
    for (std::uint32_t count : {4, 8}) {
      Workload large = workload;
      large.pool_cells = count * 3600;  // or it fails
      EngineWorldReport theirs = run_slot_server(large, {.slots = count});
      for (const RequestRecord& record : theirs.requests) ASSERT_FALSE(record.failed);
      best = std::min(best, theirs.job_mean_s());
    }
    slots += best;
  }
  EXPECT_GT(slots / ours, 1.25);
  EXPECT_GT(slots / planned, 1.3);
  EXPECT_LT(plain / slots, 1.05) << "and never slower, also when nobody tells anything";
  EXPECT_LT(without_host / ours, 1.1) << "programs are paused, not thrashed";
}

// Many more sessions than the pool and host memory hold: the first ones end instead of all of them
// driving each other out.
TEST(EngineWorldTest, ManySessionsDoNotThrash) {
  Workload workload = agents_workload(1, 120, Telling::kReturns);
  workload.pool_cells = 30'000;
  EngineWorldOptions options;
  options.longest_s = 1e5;
  EngineWorldReport ours = run_engine_world(workload, options);
  workload.pool_cells = 8 * 3600;
  EngineWorldReport theirs = run_slot_server(workload, {.slots = 8, .longest_s = 1e5});
  ASSERT_TRUE(ours.all_ended && theirs.all_ended);
  EXPECT_GT(theirs.job_mean_s() / ours.job_mean_s(), 1.5);
  EXPECT_LT(ours.computed_tokens(), 1.3 * 120 * 5 * 525);
}

// mixed: a short request each second beside two clients with prompts of 2,800 tokens.
TEST(EngineWorldTest, ShortRequestsPassLongPrompts) {
  Workload workload = mixed_workload(3, 60, true, true);
  EngineWorldReport ours = run_engine_world(workload, {});
  Workload large = workload;
  large.pool_cells = 8 * 4096;
  EngineWorldReport theirs = run_slot_server(large, {.slots = 8});
  ASSERT_TRUE(ours.all_ended && theirs.all_ended);
  EXPECT_GT(theirs.first_quantile_s("short", 0.99) / ours.first_quantile_s("short", 0.99), 10);
  EXPECT_GT(ours.tokens_per_s("long") / theirs.tokens_per_s("long"), 0.95);
}

// fair: a tenant floods with ten times the other's load.
TEST(EngineWorldTest, AFloodDoesNotSlowDownTheOtherTenant) {
  for (std::uint64_t seed = 4; seed <= 6; ++seed) {
    EngineWorldReport alone = run_engine_world(fair_workload(seed, 120, false), {});
    EngineWorldReport flooded = run_engine_world(fair_workload(seed, 120, true), {});
    ASSERT_TRUE(alone.all_ended && flooded.all_ended);
    double ratio =
        flooded.whole_quantile_s("modest", 0.95) / alone.whole_quantile_s("modest", 0.95);
    EXPECT_LT(ratio, 1.3) << seed;
    EngineWorldOptions unfair;
    unfair.policies.names.fairness = "none";
    EngineWorldReport none = run_engine_world(fair_workload(seed, 120, true), unfair);
    EXPECT_GT(none.whole_quantile_s("modest", 0.95), 5 * flooded.whole_quantile_s("modest", 0.95));
  }
}

// VTC's bound: between two tenants that always have work the service differs by a constant, however
// long it goes on (in VTC: twice the larger of a prompt and what the pool holds).
TEST(EngineWorldTest, ServiceOfBackloggedTenantsStaysTogether) {
  Random random(11);
  Workload workload{.name = "backlog", .pool_cells = 8192, .max_running = 12};
  double largest_s = 0;
  for (const char* tenant : {"small", "large"}) {
    bool large = tenant == std::string("large");
    for (int i = 0; i < (large ? 100 : 500); ++i) {
      WorldTurn turn{.adds = {}, .output = large ? 100U : 20U};
      for (int k = 0; k < (large ? 800 : 150); ++k) {
        turn.adds.push_back(static_cast<Token>(random.below(40'000)));
      }
      InstanceCost cost = InstanceCost::defaults();
      largest_s = std::max(largest_s, cost.prefill_s(0, turn.adds.size()) +
                                          cost.decode_s(turn.adds.size(), turn.output));
      workload.programs.push_back({.tenant = tenant,
                                   .kind = tenant,
                                   .max_tokens = 100,
                                   .telling = Telling::kNothing,
                                   .turns = {std::move(turn)}});
    }
  }
  EngineWorldOptions options;
  options.longest_s = 60;  // both still have work then
  EngineWorldReport fair = run_engine_world(workload, options);
  EXPECT_FALSE(fair.all_ended);
  EXPECT_LT(fair.service_gap_s, 2 * largest_s + 4);
  options.policies.names.fairness = "none";
  EngineWorldReport unfair = run_engine_world(workload, options);
  EXPECT_GT(unfair.service_gap_s, 3 * fair.service_gap_s);
}

}  // namespace
}  // namespace sluice
