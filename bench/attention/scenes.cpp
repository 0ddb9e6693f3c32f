#include "bench/attention/scenes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

#include "bench/attention/models.h"
#include "bench/attention/op_alone.h"
#include "bench/attention/pool.h"
#include "engine/attention/attention.h"

namespace sluice::bench {
namespace {

constexpr int kPrefill = 256;

// Filling is not measured: with our kernel where that saves time.
void fill(const Settings& settings, Pool& pool, bool flash, int depth) {
  const AttentionScope scope(settings.takes(kOurs) && flash);
  pool.fill_to(depth);
}

// Whether a context without flash attention (or with it) is used at all.
bool needs(const Settings& settings, bool flash) {
  return flash ? settings.takes(kOn) || settings.takes(kOurs) : settings.takes(kOff);
}

// `pool` is null only where the side is not measured.
Side decoding(std::string_view name, Pool* pool, int sequences, int steps) {
  return {name, [=] { return pool->decode(sequences, steps); }};
}

struct Depth {
  int tokens;
  int prefills;  // in a turn, which should last about half a second
  int steps;     // decoded in a turn
  Bars decode;
  Bars prefill;
};

// What the fastest kernel could reach: all that a token costs beside attention, as measured at
// depth 0, and the time in which its KV can be read.
void add_bound(Bench& bench, RowResult& result, int depth) {
  const double kv_bytes = bench.machine.kv_bytes * depth;
  const auto rest = std::ranges::find(bench.results, "decode-0",
                                      [](const RowResult& other) { return other.row.name; });
  if (depth == 0 || rest == bench.results.end()) return;
  result.facts.emplace_back("MB of KV a token", kv_bytes / 1e6);
  double fastest = 0;
  for (const SideResult& side : rest->sides) fastest = std::max(fastest, median(side.rounds));
  const double bound = 1 / (1 / fastest + kv_bytes / bench.machine.bytes_a_second);
  result.facts.emplace_back("tokens/s that memory and the rest allow", bound);
  for (const SideResult& side : result.sides) {
    result.facts.emplace_back("share " + side.name, median(side.rounds) / bound);
  }
}

void measure_depth(Bench& bench, llama_model* model, const std::string& prefix, const Depth& depth,
                   std::array<std::unique_ptr<Pool>, 2>& pools) {
  const Settings& settings = bench.settings;
  const Row decode{fmt::format("{}decode-{}", prefix, depth.tokens),
                   fmt::format("decode, 1 sequence, depth {}", depth.tokens), "tokens/s",
                   depth.decode};
  const Row prefill{fmt::format("{}prefill-{}", prefix, depth.tokens),
                    fmt::format("prefill of {} at depth {}", kPrefill, depth.tokens), "tokens/s",
                    depth.prefill};
  const bool decodes = depth.steps > 0 && settings.wanted(decode.name);
  if (!decodes && !settings.wanted(prefill.name)) return;
  for (std::size_t i = 0; i < pools.size(); ++i) {
    const PoolOptions options{
        .tokens = 4096 + 2 * kPrefill, .flash = i == 0, .threads = settings.threads};
    if (!needs(settings, options.flash)) continue;
    if (!pools[i]) pools[i] = std::make_unique<Pool>(model, options);
    fill(settings, *pools[i], options.flash, depth.tokens);
  }
  auto sides = [&](auto turn) {
    return std::vector<Side>{{kOn, [&pools, turn] { return turn(*pools[0]); }},
                             {kOff, [&pools, turn] { return turn(*pools[1]); }},
                             {kOurs, [&pools, turn] { return turn(*pools[0]); }}};
  };
  if (settings.wanted(prefill.name)) {
    bench.results.push_back(measure(settings, prefill, sides([&](Pool& pool) {
                                      return pool.prefill(kPrefill, depth.prefills);
                                    })));
  }
  if (!decodes) return;
  bench.results.push_back(
      measure(settings, decode, sides([&](Pool& pool) { return pool.decode(1, depth.steps); })));
  if (prefix.empty()) add_bound(bench, bench.results.back(), depth.tokens);
}

struct Separate {
  int depth;
  int steps;
  double bar;
};

constexpr int kSeparate = 16;

using SplitPools = std::array<std::unique_ptr<Pool>, 2>;

std::vector<Side> separate_sides(const SplitPools& split, Pool& pool, int steps) {
  return {decoding(kOn, split[0].get(), kSeparate, steps),
          decoding(kOff, split[1].get(), kSeparate, steps),
          decoding(kPool, &pool, kSeparate, steps), decoding(kOurs, &pool, kSeparate, steps)};
}

// All sequences of a split context, filled with the KV of its first one.
std::unique_ptr<Pool> split_pool(const Settings& settings, llama_model* model, const Separate& now,
                                 bool flash) {
  const int room = (now.depth + now.steps + 255) / 256 * 256;
  auto pool = std::make_unique<Pool>(model, PoolOptions{.sequences = kSeparate,
                                                        .tokens = kSeparate * room,
                                                        .flash = flash,
                                                        .unified = false,
                                                        .threads = settings.threads});
  fill(settings, *pool, flash, now.depth);
  const Blob blob = pool->save();
  pool->copy_to_all(blob, kSeparate, now.depth);
  return pool;
}

void measure_separate_at(Bench& bench, llama_model* model, const Separate& now) {
  const Settings& settings = bench.settings;
  const std::string name = fmt::format("separate-{}", now.depth);
  const Row apart{name,
                  fmt::format("decode, 16 sequences, depth {}, one after the other", now.depth),
                  "tokens/s",
                  {.on = 0, .better = now.bar}};
  const Row mixed{name + "-interleaved",
                  fmt::format("decode, 16 sequences, depth {}, cells interleaved", now.depth),
                  "tokens/s",
                  {.on = 0, .better = now.bar}};
  if (!settings.wanted(apart.name) && !settings.wanted(mixed.name)) return;
  SplitPools split;
  if (settings.takes(kOn)) split[0] = split_pool(settings, model, now, true);
  if (settings.takes(kOff)) split[1] = split_pool(settings, model, now, false);
  Pool source(model, {.sequences = 2, .tokens = now.depth + 256, .threads = settings.threads});
  fill(settings, source, true, now.depth);
  const PoolOptions options{.sequences = kSeparate + 1,
                            .tokens = kSeparate * (now.depth + now.steps) + 256,
                            .threads = settings.threads};
  if (settings.wanted(apart.name)) {
    Pool pool(model, options);
    pool.copy_to_all(source.save(), kSeparate, now.depth);
    bench.results.push_back(measure(settings, apart, separate_sides(split, pool, now.steps)));
  }
  if (settings.wanted(mixed.name)) {
    Pool pool(model, options);
    pool.interleave(source.save_cells(), kSeparate);
    bench.results.push_back(measure(settings, mixed, separate_sides(split, pool, now.steps)));
  }
}

}  // namespace

double kv_bytes_a_token(const llama_model* model) {
  const int head = llama_model_n_embd(model) / llama_model_n_head(model);
  return 2.0 * sizeof(ggml_fp16_t) * llama_model_n_layer(model) * llama_model_n_head_kv(model) *
         head;
}

void measure_depths(Bench& bench, llama_model* model) {
  constexpr Depth kDepths[] = {
      {0, 2, 48, {}, {.on = 1.0, .better = 1.0}},
      {1024, 1, 32, {}, {.on = 1.2, .better = 1.1}},
      {2048, 1, 24, {.on = 1.9, .better = 1.2}, {.on = 1.4, .better = 1.15}},
      {4096, 1, 16, {.on = 2.2, .better = 1.5}, {.on = 1.4, .better = 1.3}},
  };
  std::array<std::unique_ptr<Pool>, 2> pools;
  for (const Depth& depth : kDepths) measure_depth(bench, model, "", depth, pools);
}

void measure_other(Bench& bench) {
  constexpr Depth kDepths[] = {
      {0, 4, 0, {}, {.on = 0, .better = 1.0}},
      {256, 3, 96, {.on = 0, .better = 1.0}, {.on = 0, .better = 1.0}},
      {2048, 2, 64, {.on = 0, .better = 1.0}, {.on = 0, .better = 1.0}},
  };
  if (!bench.settings.wanted("other-")) {
    const auto& rows = bench.settings.rows;
    if (std::ranges::none_of(rows, [](const auto& name) { return name.starts_with("other"); })) {
      return;
    }
  }
  const ModelHandle model = random_model();
  std::array<std::unique_ptr<Pool>, 2> pools;
  for (const Depth& depth : kDepths) measure_depth(bench, model.get(), "other-", depth, pools);
}

void measure_shared(Bench& bench, llama_model* model) {
  constexpr int kPrefix = 1536;
  constexpr int kSteps = 12;
  struct Shared {
    int sequences;
    Bars bars;
  };
  constexpr Shared kRows[] = {{8, {.on = 1.9, .better = 1.05}}, {16, {.on = 2.0, .better = 1.3}}};
  std::array<std::unique_ptr<Pool>, 2> pools;
  for (const Shared& shared : kRows) {
    const Row row{
        fmt::format("shared-{}", shared.sequences),
        fmt::format("decode, {} sequences that share {} tokens", shared.sequences, kPrefix),
        "tokens/s", shared.bars};
    if (!bench.settings.wanted(row.name)) continue;
    for (std::size_t i = 0; i < pools.size(); ++i) {
      if (pools[i] || !needs(bench.settings, i == 0)) continue;
      pools[i] = std::make_unique<Pool>(model, PoolOptions{.sequences = 16,
                                                           .tokens = kPrefix + 512,
                                                           .flash = i == 0,
                                                           .threads = bench.settings.threads});
      fill(bench.settings, *pools[i], i == 0, kPrefix);
      pools[i]->share(16);
    }
    auto side = [&](std::string_view name, Pool* pool) {
      return decoding(name, pool, shared.sequences, kSteps);
    };
    bench.results.push_back(measure(
        bench.settings, row,
        {side(kOn, pools[0].get()), side(kOff, pools[1].get()), side(kOurs, pools[0].get())}));
  }
}

void measure_separate(Bench& bench, llama_model* model) {
  constexpr Separate kRows[] = {{256, 12, 1.0}, {1024, 6, 1.3}};
  for (const Separate& now : kRows) measure_separate_at(bench, model, now);
}

void measure_op(Bench& bench) {
  for (const int cells : {2048, 4096}) {
    const Row row{fmt::format("op-{}", cells),
                  fmt::format("the op alone, decode at {} cells", cells),
                  "ops/s",
                  {.on = 3.5, .better = 1.8}};
    if (!bench.settings.wanted(row.name)) continue;
    OpAlone flash(cells, true, bench.settings.threads);
    OpAlone plain(cells, false, bench.settings.threads);
    RowResult result = measure(bench.settings, row,
                               {{kOn, [&] { return flash.run(); }},
                                {kOff, [&] { return plain.run(); }},
                                {kOurs, [&] { return flash.run(); }}});
    const double bound = bench.machine.bytes_a_second / OpAlone::kv_bytes(cells);
    result.facts.emplace_back("us that memory allows", 1e6 / bound);
    for (const SideResult& side : result.sides) {
      result.facts.emplace_back("us " + side.name, 1e6 / median(side.rounds));
      result.facts.emplace_back("share " + side.name, median(side.rounds) / bound);
    }
    bench.results.push_back(std::move(result));
  }
}

}  // namespace sluice::bench
