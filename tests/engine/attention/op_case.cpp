#include "tests/engine/attention/op_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice::attention_test {
namespace {

template <typename T, std::size_t N>
T pick(Random& random, const std::array<T, N>& from) {
  return from[random.below(N)];
}

std::uint32_t draw(Random& random, std::uint32_t least, std::uint32_t most) {
  return least + static_cast<std::uint32_t>(random.below(std::uint64_t{most} - least + 1));
}

std::uint32_t some_size(Random& random) {
  std::uint64_t what = random.below(100);
  if (what < 55) return pick(random, std::array{32U, 64U, 64U, 64U, 80U, 96U, 128U, 128U, 256U});
  if (what < 96) return 16 * draw(random, 1, 16);
  return pick(random, std::array{40U, 72U});
}

void draw_sizes(OpCase& out, Random& random) {
  out.key_size = some_size(random);
  out.value_size = random.below(4) == 0 ? some_size(random) : out.key_size;
  if (random.below(40) == 0) {
    out.key_size = 576;
    out.value_size = 512;
  }
  out.group = random.below(2) == 0 ? draw(random, 1, 4) : draw(random, 1, 16);
  out.kv_heads = draw(random, 1, 6);
  out.queries = pick(random, std::array{1U, draw(random, 1, 8), draw(random, 1, 64),
                                        draw(random, 1, 200), draw(random, 60, 600)});
  out.cells = pick(random, std::array{draw(random, 1, 70), draw(random, 1, 600),
                                      draw(random, 1, 3000), 64 * draw(random, 1, 40)});
  out.streams = random.below(5) == 0 ? draw(random, 2, 3) : 1;
}

// Many small cases find more than a few large ones.
void limit_work(OpCase& out, Random& random) {
  const double limit = std::exp2(12 + random.unit() * 13);
  auto work = [&] {
    return static_cast<double>(out.streams) * out.queries * out.heads() * out.cells *
           (out.key_size + out.value_size);
  };
  while (work() > limit && out.heads() + out.queries + out.cells > 3) {
    std::uint32_t* reduced =
        pick(random, std::array{&out.queries, &out.cells, &out.group, &out.kv_heads});
    *reduced = std::max(1U, *reduced - *reduced / 3 - 1);
  }
}

void draw_types(OpCase& out, Random& random) {
  std::uint64_t what = random.below(100);
  auto any = [&] { return pick(random, std::array{GGML_TYPE_F16, GGML_TYPE_Q8_0}); };
  if (what < 30) {
    out.key_type = out.value_type = GGML_TYPE_Q8_0;
  } else if (what < 42) {
    out.key_type = any();
    out.value_type = any();
  } else if (what < 48) {
    out.key_type = out.value_type =
        pick(random, std::array{GGML_TYPE_F32, GGML_TYPE_BF16, GGML_TYPE_Q4_0});
  }
  if (out.key_size % ggml_blck_size(out.key_type) != 0) out.key_type = GGML_TYPE_F16;
  if (out.value_size % ggml_blck_size(out.value_type) != 0) out.value_type = GGML_TYPE_F16;
}

const char* layout_name(KvLayout layout) {
  static constexpr std::array kNames = {"pool", "pool with gaps", "heads", "values in keys"};
  return kNames[static_cast<std::size_t>(layout)];
}

bool known_size(std::uint32_t size) { return size % 16 == 0; }
bool known_type(ggml_type type) { return type == GGML_TYPE_F16 || type == GGML_TYPE_Q8_0; }

}  // namespace

OpCase some_case(std::uint64_t seed) {
  Random random(seed);
  OpCase out{.seed = seed};
  draw_sizes(out, random);
  limit_work(out, random);
  draw_types(out, random);
  out.layout = static_cast<KvLayout>(random.below(3));
  if (out.key_type == out.value_type && out.value_size <= out.key_size && random.below(12) == 0) {
    out.layout = KvLayout::kValuesInKeys;
  }
  out.queries_of_a_head_together = random.below(4) == 0;
  out.mask = some_mask(random);
  bool masked = out.mask.kind != MaskKind::kNone;
  out.mask_for_all_streams = random.below(4) == 0;
  out.mask_per_head = masked && random.below(40) == 0;
  if (masked && random.below(10) == 0) out.mask_padding = draw(random, 1, 40);
  out.scale = pick(random, std::array{1.0F, 1.0F, 1.0F, 4.0F, 0.1F}) /
              std::sqrt(static_cast<float>(out.key_size));
  if (random.below(7) == 0) out.soft_cap = pick(random, std::array{2.0F, 10.0F, 30.0F, 50.0F});
  if (masked && random.below(7) == 0) out.max_bias = pick(random, std::array{4.0F, 8.0F});
  out.sinks = random.below(7) == 0;
  if (random.below(4) == 0) out.outliers = 0.05;
  if (random.below(4) == 0) out.value_offset = pick(random, std::array{1.0, -5.0, 100.0});
  out.threads = pick(random, std::array{1U, 1U, 1U, 2U, 2U, 2U, draw(random, 3, 5)});
  out.guard_behind = random.below(4) != 0;
  return out;
}

std::string describe(const OpCase& c) {
  return fmt::format(
      "seed {}: sizes {}/{} types {}/{} heads {} kv heads {} queries {} cells {} streams {} "
      "threads "
      "{}; kv {}{}; {}{}{} padded by {}; scale {:.4f} soft cap {} max bias {}{} outliers {} offset "
      "{}; guard {}",
      c.seed, c.key_size, c.value_size, ggml_type_name(c.key_type), ggml_type_name(c.value_type),
      c.heads(), c.kv_heads, c.queries, c.cells, c.streams, c.threads, layout_name(c.layout),
      c.queries_of_a_head_together ? ", queries of a head together" : "", describe(c.mask),
      c.mask_for_all_streams ? " for all streams" : "", c.mask_per_head ? " per head" : "",
      c.mask_padding, c.scale, c.soft_cap, c.max_bias, c.sinks ? " sinks" : "", c.outliers,
      c.value_offset, c.guard_behind ? "behind" : "before");
}

bool is_ours(const OpCase& c) {
  return known_size(c.key_size) && known_size(c.value_size) && known_type(c.key_type) &&
         known_type(c.value_type) && !(c.mask_per_head && c.heads() > 1);
}

}  // namespace sluice::attention_test
