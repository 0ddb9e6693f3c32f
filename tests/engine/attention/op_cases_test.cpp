// Our kernel beside ggml's on random cases, both against a double-precision reference.
//
// What is asked of each case: our greatest error and our RMS error over the output are no larger
// than
//   - 1.1 times ggml's own on the same tensors, or
//   - what rounding alone may do to a computation in F32 (reference.cpp says how much that is),
// whichever is larger. ggml's errors span three orders of magnitude: it sums F16 values in F16 and
// rounds the queries to Q8_0 where the keys are Q8_0, but computes 64 queries and more of F16
// values in F32. Where both are at the level of rounding, chance decides which is nearer; the
// second bound is for that, and it is checked to be far below ggml's F16 error.
//
// SLUICE_ATTENTION_SEED=N runs one case; SLUICE_ATTENTION_CASES=N so many.
#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "engine/attention/attention.h"
#include "engine/attention/kernel.h"
#include "tests/engine/attention/how_much.h"
#include "tests/engine/attention/op_case.h"
#include "tests/engine/attention/reference.h"

namespace sluice::attention_test {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::strtoull(text, nullptr, 10);
}

// Lets the kernel use one kind of vector instructions only, or what is best (0).
void use_target(std::int64_t target) {
  hwy::SetSupportedTargetsForTest(target);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

// Those that this machine has and the kernel was compiled for, the best first.
std::vector<std::int64_t> kernel_targets() {
  std::vector<std::int64_t> out;
  for (std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    use_target(target);
    bool used = std::strcmp(attention_target(), hwy::TargetName(target)) == 0;
    if (used && attention_lanes() > 0) out.push_back(target);
  }
  use_target(0);
  return out;
}

struct Tally {
  std::size_t ours = 0, declined = 0, spoiled = 0;
  double worst_of_ggml = 0;      // our error over ggml's, where ours is above rounding
  double worst_of_rounding = 0;  // our error over the bound of rounding
  std::map<std::string, std::size_t> by_target;
};

class OpCases : public ::testing::Test {
 protected:
  void SetUp() override {
    install_attention();
    targets_ = kernel_targets();
    ASSERT_FALSE(targets_.empty()) << attention_target();
  }
  void TearDown() override { use_target(0); }

  // The best target always, and one other in turn.
  std::vector<std::int64_t> targets_of(std::uint64_t seed) const {
    std::vector<std::int64_t> out = {targets_.front()};
    if (targets_.size() > 1) out.push_back(targets_[1 + seed % (targets_.size() - 1)]);
    return out;
  }

  static bool within(double error, double of_ggml, double of_rounding) {
    return error <= std::max(1.1 * of_ggml, of_rounding);
  }

  void judge(const Distance& our, const Distance& ggml, const Distance& rounding) {
    EXPECT_TRUE(within(our.greatest, ggml.greatest, rounding.greatest))
        << "greatest error " << our.greatest << ", ggml's " << ggml.greatest << ", of rounding "
        << rounding.greatest;
    EXPECT_TRUE(within(our.rms, ggml.rms, rounding.rms))
        << "RMS error " << our.rms << ", ggml's " << ggml.rms << ", of rounding " << rounding.rms;
    if (rounding.rms > 0) {
      tally_.worst_of_rounding = std::max(tally_.worst_of_rounding, our.rms / rounding.rms);
    }
    if (our.rms > rounding.rms) {
      tally_.worst_of_ggml = std::max(tally_.worst_of_ggml, our.rms / ggml.rms);
    }
  }

  void run(const OpCase& op_case) {
    SCOPED_TRACE(describe(op_case));
    OpRun run(op_case);
    std::vector<float> by_ggml = run.compute(false);
    if (!is_ours(op_case)) return expect_declined(run, by_ggml);
    const Exact exact = exact_attention(run.op());
    const Distance ggml = distance(by_ggml, exact);
    const Distance rounding = rounding_of(exact);
    ++tally_.ours;
    std::vector<std::int64_t> targets = targets_of(op_case.seed);
    std::vector<std::vector<float>> outputs;
    for (std::int64_t target : targets) {
      outputs.push_back(compute_ours(run, target));
      judge(distance(outputs.back(), exact), ggml, rounding);
    }
    if (!run.spoil_closed_cells(op_case.seed)) return;
    ++tally_.spoiled;
    for (std::size_t i = 0; i < targets.size(); ++i) {
      SCOPED_TRACE("with garbage in the closed cells");
      EXPECT_TRUE(same_bits(compute_ours(run, targets[i]), outputs[i]));
    }
  }

  std::vector<float> compute_ours(OpRun& run, std::int64_t target) {
    SCOPED_TRACE(hwy::TargetName(target));
    use_target(target);
    ++tally_.by_target[attention_target()];
    const AttentionStats before = attention_stats();
    std::vector<float> out = run.compute(true);
    EXPECT_EQ(attention_stats().ops, before.ops + 1) << "it was not computed by our kernel";
    use_target(0);
    return out;
  }

  void expect_declined(OpRun& run, const std::vector<float>& by_ggml) {
    ++tally_.declined;
    const AttentionStats before = attention_stats();
    EXPECT_TRUE(same_bits(run.compute(true), by_ggml));
    EXPECT_EQ(attention_stats().ops, before.ops) << "it is not a case for our kernel";
  }

  static bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  std::vector<std::int64_t> targets_;
  Tally tally_;
};

TEST_F(OpCases, OurErrorIsNoLargerThanGgmls) {
  std::uint64_t first = 0;
  std::uint64_t count = number_from("SLUICE_ATTENTION_CASES", how_much(150, 500, 12'000));
  if (const char* seed = std::getenv("SLUICE_ATTENTION_SEED")) {
    first = std::strtoull(seed, nullptr, 10);
    count = 1;
  }
  const auto& result = *::testing::UnitTest::GetInstance()->current_test_info()->result();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    run(some_case(seed));
    if (result.total_part_count() > 20) break;
  }
  std::string targets;
  for (const auto& [name, runs] : tally_.by_target) {
    targets += " " + name + " " + std::to_string(runs);
  }
  std::printf(
      "attention: %zu cases ours, %zu left to ggml, %zu with garbage in closed cells; "
      "greatest error %.3g of the rounding bound, and %.3g of ggml's where above that;%s\n",
      tally_.ours, tally_.declined, tally_.spoiled, tally_.worst_of_rounding, tally_.worst_of_ggml,
      targets.c_str());
  if (count > 100) {
    EXPECT_GT(tally_.ours, count / 2);
    EXPECT_GT(tally_.declined, count / 50);
    EXPECT_GT(tally_.spoiled, count / 10);
  }
}

// The yardstick itself: ggml in F32 (its tiled form) lies within the rounding bound, ggml with F16
// sums or with queries rounded to Q8_0 lies far above it.
TEST_F(OpCases, TheRoundingBoundTellsF32FromLess) {
  struct Row {
    ggml_type type;
    std::uint32_t queries;
    bool f32;
  };
  for (Row row : {Row{GGML_TYPE_F16, 128, true}, Row{GGML_TYPE_F16, 7, false},
                  Row{GGML_TYPE_Q8_0, 7, false}, Row{GGML_TYPE_F32, 128, true}}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      OpCase op_case{.seed = seed, .group = 3, .queries = row.queries, .cells = 700};
      op_case.key_type = op_case.value_type = row.type;
      op_case.scale = 0.125F;
      op_case.mask.kind = MaskKind::kCausal;
      SCOPED_TRACE(describe(op_case));
      OpRun run(op_case);
      const Exact exact = exact_attention(run.op());
      const Distance ggml = distance(run.compute(false), exact);
      const Distance rounding = rounding_of(exact);
      if (row.f32) {
        EXPECT_LE(ggml.greatest, rounding.greatest);
        EXPECT_LE(ggml.rms, rounding.rms);
      } else {
        EXPECT_GT(ggml.rms, 10 * rounding.rms);
      }
    }
  }
}

}  // namespace
}  // namespace sluice::attention_test
