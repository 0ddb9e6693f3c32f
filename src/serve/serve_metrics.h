// What the server counts, as families of prometheus-cpp, whose serializer writes them as text. The
// I/O thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "prometheus/metric_family.h"

namespace sluice {

// Upper bounds in seconds; one more bucket takes what is above.
inline constexpr std::array<double, 14> kSecondsBuckets{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                        1,     2.5,  5,     10,   30,  60,   120};

class SecondsHistogram {
 public:
  void add(double seconds);
  const std::array<std::uint64_t, kSecondsBuckets.size() + 1>& counts() const { return counts_; }
  double sum() const { return sum_; }
  std::uint64_t count() const { return count_; }

 private:
  std::array<std::uint64_t, kSecondsBuckets.size() + 1> counts_{};
  double sum_ = 0;
  std::uint64_t count_ = 0;
};

struct TokenCounts {
  std::uint64_t prompt = 0;
  std::uint64_t cached = 0;
  std::uint64_t completion = 0;
};

struct ServeMetrics {
  std::map<std::pair<std::string, int>, std::uint64_t> replies;  // route, status
  std::map<std::string, SecondsHistogram> seconds;               // route
  SecondsHistogram first_token;
  std::map<std::string, std::uint64_t> turned_away;   // why
  std::map<std::string, std::uint64_t> clients_gone;  // while: waiting, answering
  std::map<std::string, TokenCounts> tokens;          // model
};

using MetricFamilies = std::vector<prometheus::MetricFamily>;

// `labels`: names and values.
void add_counter(prometheus::MetricFamily& family,
                 std::vector<prometheus::ClientMetric::Label> labels, double value);
void add_gauge(prometheus::MetricFamily& family,
               std::vector<prometheus::ClientMetric::Label> labels, double value);
void add_histogram(prometheus::MetricFamily& family,
                   std::vector<prometheus::ClientMetric::Label> labels,
                   const SecondsHistogram& seconds);

void add_server_families(const ServeMetrics& metrics, MetricFamilies& into);
void add_engine_families(const std::map<std::string, EngineStats>& engines, MetricFamilies& into);

}  // namespace sluice
