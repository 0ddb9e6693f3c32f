// What the server counts, as the text format of Prometheus. The I/O thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"

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

// One family of numbers in the text format.
class MetricsText {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help);
  // `labels` as `model="x",route="y"`; "" for none.
  void sample(std::string_view name, std::string_view labels, double value);
  void histogram(std::string_view name, std::string_view labels, const SecondsHistogram& seconds);
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};
// name="value" with what the format wants escaped.
std::string metric_label(std::string_view name, std::string_view value);

void write_metrics(MetricsText& text, const ServeMetrics& metrics);
void write_engine_metrics(MetricsText& text, const std::map<std::string, EngineStats>& engines);

}  // namespace sluice
