#include "bench/attention/measure.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "engine/attention/attention.h"

namespace sluice::bench {
namespace {

// How far ours may be from stock, as a multiple of what stock's two ways are from each other: the
// differences of their roundings, which a model's quantized products spread.
constexpr double kSuspicious = 4.0;

// A turn in which our threads had less than this of the cores is taken again, so many times at
// most: they wait for each other actively, so what they did not get something else has used.
constexpr double kQuiet = 0.9;
constexpr int kTries = 3;

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

// Share of the cores that our threads had while `work` ran.
double share_of_cores(int threads, const std::function<void()>& work) {
  const double start = seconds_now();
  const double used = processor_seconds();
  work();
  return (processor_seconds() - used) / ((seconds_now() - start) * threads);
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!std::isfinite(difference)) return INFINITY;
    most = std::max(most, difference);
  }
  return most;
}

void compare_outputs(RowResult& result, const std::vector<Turn>& warm) {
  for (std::size_t i = 0; i < warm.size(); ++i) {
    result.sides[i].difference = largest_difference(warm[i].output, warm[0].output);
  }
  const SideResult* ours = result.side(kOurs);
  const SideResult* off = result.side(kOff);
  if (ours == nullptr || off == nullptr) return;
  if (!(ours->difference <= kSuspicious * off->difference)) {
    progress(
        fmt::format("{}: what ours computes differs from stock by {:.3g}, where stock's two "
                    "ways differ by {:.3g}: look at this first",
                    result.row.name, ours->difference, off->difference));
  }
}

}  // namespace

const SideResult* RowResult::side(std::string_view name) const {
  auto found = std::ranges::find(sides, name, &SideResult::name);
  return found == sides.end() ? nullptr : &*found;
}

const SideResult* RowResult::better() const {
  const SideResult* on = side(kOn);
  const SideResult* off = side(kOff);
  if (on == nullptr || off == nullptr) return on == nullptr ? off : on;
  return median(on->rounds) >= median(off->rounds) ? on : off;
}

bool Settings::wanted(std::string_view row) const {
  return rows.empty() ||
         std::ranges::any_of(rows, [&](const auto& name) { return row.starts_with(name); });
}

bool Settings::takes(std::string_view side) const {
  return sides.empty() || std::ranges::find(sides, side) != sides.end();
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

Ratio ratio(const SideResult& ours, const SideResult& other) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(ours.rounds.size(), other.rounds.size()); ++i) {
    ratios.push_back(ours.rounds[i] / other.rounds[i]);
  }
  if (ratios.empty()) return {};
  return {median(ratios), std::ranges::min(ratios), std::ranges::max(ratios)};
}

double seconds_now() {
  return static_cast<double>(system_clock().steady_ns()) / static_cast<double>(kNsPerSecond);
}

void fail(std::string_view what) {
  fmt::print(stderr, "bench_attention: {}\n", what);
  std::exit(1);
}

void progress(std::string_view what) { fmt::print(stderr, "attention: {}\n", what); }

void with_kernel(bool ours, std::string_view where, const std::function<void()>& work) {
  const AttentionStats before = attention_stats();
  {
    const AttentionScope scope(ours);
    work();
  }
  const AttentionStats after = attention_stats();
  if (!ours && after.ops != before.ops) {
    fail(fmt::format("{}: our kernel computed {} ops of the stock side: nothing was compared",
                     where, after.ops - before.ops));
  }
  if (ours && (after.ops == before.ops || after.declined != before.declined)) {
    fail(
        fmt::format("{}: our kernel computed {} attention ops and declined {}: this would measure "
                    "ggml against itself (--sides on,off measures ggml alone)",
                    where, after.ops - before.ops, after.declined - before.declined));
  }
}

RowResult measure(const Settings& settings, const Row& row, const std::vector<Side>& sides) {
  RowResult result{.row = row, .sides = {}, .cores = 1, .disturbed = false, .facts = {}};
  std::vector<Side> taking;
  for (const Side& side : sides) {
    if (!settings.takes(side.name)) continue;
    taking.push_back(side);
    result.sides.push_back({.name = std::string(side.name), .rounds = {}, .difference = 0});
  }
  double least = 1;  // share of the cores
  auto take = [&](std::size_t i) {
    Turn turn;
    double share = 0;
    for (int tried = 0; tried < kTries && share < kQuiet; ++tried) {
      share = share_of_cores(settings.threads, [&] {
        with_kernel(taking[i].name == kOurs, row.name, [&] { turn = taking[i].turn(); });
      });
    }
    least = std::min(least, share);
    return turn;
  };
  if (taking.empty()) fail(fmt::format("{} has no such side", row.name));
  std::vector<Turn> warm;
  for (std::size_t i = 0; i < taking.size(); ++i) warm.push_back(take(i));
  least = 1;
  compare_outputs(result, warm);
  for (int round = 0; round < settings.rounds; ++round) {
    for (std::size_t i = 0; i < taking.size(); ++i) {
      const std::size_t at = (i + static_cast<std::size_t>(round)) % taking.size();
      result.sides[at].rounds.push_back(take(at).speed);
    }
  }
  std::string line = row.name + ":";
  for (const SideResult& side : result.sides) {
    line += fmt::format(" {} {:.1f}", side.name, median(side.rounds));
  }
  progress(line + " " + row.unit);
  result.cores = least;
  result.disturbed = least < kQuiet;
  if (result.disturbed) {
    progress(fmt::format("{}: something else used the cores: a turn had {:.0f} % of them", row.name,
                         least * 100));
  }
  return result;
}

}  // namespace sluice::bench
