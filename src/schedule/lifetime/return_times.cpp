#include "schedule/lifetime/return_times.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

constexpr std::size_t kKept = 200;     // samples of a tool
constexpr std::size_t kTools = 1'000;  // beyond: counted with all tools only
constexpr std::size_t kEnough = 5;     // samples with which a tool speaks for itself
constexpr double kPriorWeight = 2;     // the prior counts as so many samples
constexpr double kPriorReturns = 0.9;  // it says: nine of ten come back ...
constexpr double kPriorMedian_s = 5;   // ... half of these within 5 s, and the longer somebody is
                                       // away, the longer it stays away
constexpr double kLongest_s = 24 * 3600;

double prior(double away_s, double within_s) {
  return kPriorReturns * within_s / (kPriorMedian_s + away_s + within_s);
}

void insert_sorted(std::vector<double>& into, double value) {
  into.insert(std::ranges::upper_bound(into, value), value);
}

std::size_t more_than(const std::vector<double>& sorted, double seconds) {
  return static_cast<std::size_t>(sorted.end() - std::ranges::upper_bound(sorted, seconds));
}

}  // namespace

void ReturnTimes::History::add(Sample sample) {
  if (latest.size() >= kKept) {
    Sample oldest = latest.front();
    latest.pop_front();
    auto& sorted = oldest.lost ? lost : returned;
    sorted.erase(std::ranges::lower_bound(sorted, oldest.seconds));
  }
  latest.push_back(sample);
  insert_sorted(sample.lost ? lost : returned, sample.seconds);
}

void ReturnTimes::add(std::string_view tool, Sample sample) {
  if (!std::isfinite(sample.seconds)) return;
  sample.seconds = std::clamp(sample.seconds, 0.0, kLongest_s);
  all_.add(sample);
  auto found = tools_.find(tool);
  if (found == tools_.end()) {
    if (tools_.size() >= kTools) return;
    found = tools_.emplace(std::string(tool), History{}).first;
  }
  found->second.add(sample);
}

void ReturnTimes::record(std::string_view tool, double seconds) {
  add(tool, {.seconds = seconds, .lost = false});
}

void ReturnTimes::record_lost(std::string_view tool, double seconds) {
  add(tool, {.seconds = seconds, .lost = true});
}

const ReturnTimes::History& ReturnTimes::history(std::string_view tool) const {
  auto found = tools_.find(tool);
  bool enough = found != tools_.end() && found->second.latest.size() >= kEnough;
  return enough ? found->second : all_;
}

// Of those samples that were still away after `away_s`: the part that came back within the time. A
// lost one stays away for good.
double ReturnTimes::returns_within(std::string_view tool, double away_s, double within_s) const {
  away_s = std::max(away_s, 0.0);
  within_s = std::max(within_s, 0.0);
  const History& known = history(tool);
  std::size_t away = more_than(known.returned, away_s);
  std::size_t later = more_than(known.returned, away_s + within_s);
  std::size_t at_risk = away + more_than(known.lost, away_s);
  double hits = static_cast<double>(away - later) + kPriorWeight * prior(away_s, within_s);
  return hits / (static_cast<double>(at_risk) + kPriorWeight);
}

double ReturnTimes::median_wait_s(std::string_view tool, double away_s) const {
  if (returns_within(tool, away_s, kLongest_s) < 0.5)
    return std::numeric_limits<double>::infinity();
  double low = 0;
  double high = kLongest_s;
  for (int step = 0; step < 40; ++step) {
    double middle = (low + high) / 2;
    (returns_within(tool, away_s, middle) < 0.5 ? low : high) = middle;
  }
  return high;
}

std::size_t ReturnTimes::samples(std::string_view tool) const {
  auto found = tools_.find(tool);
  return found == tools_.end() ? 0 : found->second.latest.size();
}

}  // namespace sluice
