#include "cost/wait_cost.h"

#include <algorithm>
#include <vector>

#include "plan/wait_time.h"

namespace sluice {
namespace {

constexpr std::size_t kTriedTasks = 64;  // of which the length is worked out

std::optional<double> length_of(const Value& for_or_until, bool until, WallNs now) {
  constexpr double kMsPerSecond = 1000;
  if (!until) {
    const auto ms = parse_wait_for(for_or_until);
    return ms ? std::optional(static_cast<double>(*ms) / kMsPerSecond) : std::nullopt;
  }
  const auto end = now > 0 ? parse_wait_until(for_or_until) : Result<WallNs>(0);
  if (!end || now <= 0) return std::nullopt;
  return static_cast<double>(std::max<WallNs>(*end - now, 0)) / kNsPerSecond;
}

}  // namespace

std::optional<Estimate> wait_length_s(const PhysicalStep& step, std::uint32_t index,
                                      KnownValues& known, WallNs now) {
  const Binding& wait = step.logical.wait;
  if (wait.find("signal") != nullptr) return std::nullopt;  // the rest says when it ends at last
  const bool until = wait.find("until") != nullptr;
  const std::vector<Value> times = known.member(index, until ? "until" : "for", kTriedTasks);
  if (times.empty()) return std::nullopt;
  Estimate all = Estimate::exact(0);
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto length = length_of(times[i], until, now);
    if (!length) return std::nullopt;
    all.middle += *length / static_cast<double>(times.size());
    all.low = i == 0 ? *length : std::min(all.low, *length);
    all.high = std::max(all.high, *length);
  }
  const Value* items = known.items(index);
  const bool of_each = times.size() == 1 || (items != nullptr && items->size() == times.size());
  if (!of_each) all.source = EstimateSource::kSample;
  return all;
}

}  // namespace sluice
