// Shapes that fill no vector, block or tile, with every tensor at the edge of a page that nobody
// may touch: the process dies of one read or write beyond an end, and says in which case.
#include <gtest/gtest.h>

#include "engine/attention/attention.h"
#include "tests/engine/attention/op_case.h"
#include "tests/engine/attention/reference.h"

namespace sluice::attention_test {
namespace {

struct Shape {
  std::uint32_t key_size, value_size, kv_heads, group, queries, cells, streams;
};

constexpr Shape kShapes[] = {
    {16, 16, 1, 1, 1, 1, 1},    {16, 32, 1, 1, 1, 63, 1},   {32, 16, 1, 3, 2, 65, 1},
    {64, 64, 3, 3, 1, 129, 1},  {64, 64, 3, 3, 5, 130, 1},  {64, 64, 1, 1, 193, 67, 1},
    {48, 80, 2, 5, 3, 127, 2},  {112, 96, 1, 7, 9, 191, 1}, {240, 176, 2, 2, 17, 33, 3},
    {64, 64, 3, 3, 67, 513, 1}, {128, 128, 1, 16, 13, 7, 1}};

void run_shape(const Shape& shape, OpCase op_case) {
  op_case.key_size = shape.key_size;
  op_case.value_size = shape.value_size;
  op_case.kv_heads = shape.kv_heads;
  op_case.group = shape.group;
  op_case.queries = shape.queries;
  op_case.cells = shape.cells;
  op_case.streams = shape.streams;
  op_case.scale = 0.125F;
  op_case.sinks = shape.group % 2 == 0;
  if (shape.key_size % 32 != 0) op_case.key_type = GGML_TYPE_F16;
  if (shape.value_size % 32 != 0) op_case.value_type = GGML_TYPE_F16;
  SCOPED_TRACE(describe(op_case));
  ASSERT_TRUE(is_ours(op_case));
  OpRun run(op_case);
  const std::uint64_t before = attention_stats().ops;
  const std::vector<float> output = run.compute(true);
  EXPECT_EQ(attention_stats().ops, before + 1);
  const Exact exact = exact_attention(run.op());
  EXPECT_LE(distance(output, exact).greatest, rounding_of(exact).greatest);
}

void run_all(bool guard_behind) {
  install_attention();
  for (const Shape& shape : kShapes) {
    for (ggml_type type : {GGML_TYPE_F16, GGML_TYPE_Q8_0}) {
      for (KvLayout layout : {KvLayout::kPool, KvLayout::kHeads}) {
        for (MaskKind kind : {MaskKind::kNone, MaskKind::kCausal, MaskKind::kInterleaved,
                              MaskKind::kOneCell, MaskKind::kAllClosed}) {
          OpCase op_case{.seed = 1, .key_type = type, .value_type = type, .layout = layout};
          op_case.mask.kind = kind;
          op_case.mask.sequences = kind == MaskKind::kInterleaved ? 3 : 1;
          op_case.threads = layout == KvLayout::kPool ? 2 : 1;
          op_case.guard_behind = guard_behind;
          run_shape(shape, op_case);
        }
      }
    }
  }
}

TEST(AttentionGuardPages, NothingIsTouchedBehindATensor) { run_all(true); }
TEST(AttentionGuardPages, NothingIsTouchedBeforeATensor) { run_all(false); }

TEST(AttentionGuardPagesDeathTest, TheGuardsBite) {
  for (bool behind : {true, false}) {
    GuardedMemory memory(10, behind);
    volatile std::byte* data = memory.data();
    for (int i = 0; i < 10; ++i) data[i] = std::byte{1};
    EXPECT_DEATH(data[behind ? 10 : -1] = std::byte{1}, "");
  }
}

}  // namespace
}  // namespace sluice::attention_test
