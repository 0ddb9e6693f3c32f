#include "serve/serve_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using MetricLabels = std::vector<ClientMetric::Label>;

constexpr MetricType kCounter = MetricType::Counter;
constexpr MetricType kGauge = MetricType::Gauge;

struct EngineFamily {
  std::string_view name;
  MetricType type;
  std::string_view help;
  double (*value)(const EngineStats& stats);
};

constexpr double kSecondsPerNs = 1e-9;

constexpr std::array kEngineFamilies{
    EngineFamily{"sluice_prefill_tokens_total", kCounter, "Prompt tokens that were computed.",
                 [](const EngineStats& s) { return static_cast<double>(s.prefill_tokens); }},
    EngineFamily{"sluice_shared_tokens_total", kCounter,
                 "Prompt tokens taken from a prefix in the pool.",
                 [](const EngineStats& s) { return static_cast<double>(s.shared_tokens); }},
    EngineFamily{"sluice_copied_back_tokens_total", kCounter,
                 "Prompt tokens taken from host memory.",
                 [](const EngineStats& s) { return static_cast<double>(s.copied_back_tokens); }},
    EngineFamily{"sluice_moved_to_host_tokens_total", kCounter, "Tokens moved to host memory.",
                 [](const EngineStats& s) { return static_cast<double>(s.moved_to_host_tokens); }},
    EngineFamily{"sluice_dropped_tokens_total", kCounter, "Kept tokens that were dropped.",
                 [](const EngineStats& s) { return static_cast<double>(s.dropped_tokens); }},
    EngineFamily{"sluice_decode_tokens_total", kCounter, "Tokens sampled.",
                 [](const EngineStats& s) { return static_cast<double>(s.decode_tokens); }},
    EngineFamily{"sluice_forced_tokens_total", kCounter,
                 "Tokens that a grammar forced, not sampled.",
                 [](const EngineStats& s) { return static_cast<double>(s.forced_tokens); }},
    EngineFamily{"sluice_batches_total", kCounter, "Batches computed.",
                 [](const EngineStats& s) { return static_cast<double>(s.batches); }},
    EngineFamily{"sluice_aborted_batches_total", kCounter,
                 "Prefill batches given up for something more urgent.",
                 [](const EngineStats& s) { return static_cast<double>(s.aborted_batches); }},
    EngineFamily{"sluice_preemptions_total", kCounter, "Running requests that had to wait again.",
                 [](const EngineStats& s) { return static_cast<double>(s.preemptions); }},
    EngineFamily{
        "sluice_busy_seconds_total", kCounter, "Time spent computing.",
        [](const EngineStats& s) { return static_cast<double>(s.busy_ns) * kSecondsPerNs; }},
    EngineFamily{
        "sluice_choice_seconds_total", kCounter,
        "Processor time spent choosing tokens, grammars included.",
        [](const EngineStats& s) { return static_cast<double>(s.choice_ns) * kSecondsPerNs; }},
    EngineFamily{
        "sluice_mask_seconds_total", kCounter,
        "Processor time spent filling masks of the tokens that a grammar allows.",
        [](const EngineStats& s) { return static_cast<double>(s.mask_ns) * kSecondsPerNs; }},
    EngineFamily{"sluice_masks_total", kCounter, "Masks filled; most tokens are chosen without.",
                 [](const EngineStats& s) { return static_cast<double>(s.masks); }},
    EngineFamily{"sluice_requests_running", kGauge, "Requests that compute.",
                 [](const EngineStats& s) { return static_cast<double>(s.running); }},
    EngineFamily{"sluice_requests_waiting", kGauge, "Requests that wait for room.",
                 [](const EngineStats& s) { return static_cast<double>(s.waiting); }},
    EngineFamily{"sluice_pool_cells", kGauge, "Cells of the KV pool; a cell holds one token.",
                 [](const EngineStats& s) { return static_cast<double>(s.pool_cells); }},
    EngineFamily{"sluice_pool_used_cells", kGauge, "Cells that running requests hold.",
                 [](const EngineStats& s) { return static_cast<double>(s.used_cells); }},
    EngineFamily{"sluice_pool_kept_cells", kGauge, "Cells kept for requests to come.",
                 [](const EngineStats& s) { return static_cast<double>(s.kept_cells); }},
    EngineFamily{"sluice_host_cache_bytes", kGauge, "Host memory that holds prefixes.",
                 [](const EngineStats& s) { return static_cast<double>(s.host_bytes); }},
};

MetricFamily family_of(std::string_view name, MetricType type, std::string_view help) {
  return {std::string(name), std::string(help), type, {}};
}

MetricFamily counts_by(std::string_view name, std::string_view label, std::string_view help,
                       const std::map<std::string, std::uint64_t>& counts) {
  MetricFamily family = family_of(name, kCounter, help);
  for (const auto& [value, count] : counts) {
    add_counter(family, {{std::string(label), value}}, static_cast<double>(count));
  }
  return family;
}

MetricFamily tokens_by_model(std::string_view name, std::string_view help,
                             const ServeMetrics& metrics, std::uint64_t TokenCounts::* count) {
  MetricFamily family = family_of(name, kCounter, help);
  for (const auto& [model, counts] : metrics.tokens) {
    add_counter(family, {{"model", model}}, static_cast<double>(counts.*count));
  }
  return family;
}

}  // namespace

void SecondsHistogram::add(double seconds) {
  const auto bucket = std::ranges::lower_bound(kSecondsBuckets, seconds);
  counts_[static_cast<std::size_t>(bucket - kSecondsBuckets.begin())] += 1;
  sum_ += seconds;
  count_ += 1;
}

void add_counter(MetricFamily& family, MetricLabels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.counter.value = value;
}

void add_gauge(MetricFamily& family, MetricLabels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.gauge.value = value;
}

void add_histogram(MetricFamily& family, MetricLabels labels, const SecondsHistogram& seconds) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  metric.histogram.sample_count = seconds.count();
  metric.histogram.sample_sum = seconds.sum();
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= kSecondsBuckets.size(); ++i) {
    below += seconds.counts()[i];
    const double bound =
        i < kSecondsBuckets.size() ? kSecondsBuckets[i] : std::numeric_limits<double>::infinity();
    metric.histogram.bucket.push_back({below, bound});
  }
}

void add_server_families(const ServeMetrics& metrics, MetricFamilies& into) {
  MetricFamily replies =
      family_of("sluice_http_replies_total", kCounter, "Replies by route and status.");
  for (const auto& [key, count] : metrics.replies) {
    add_counter(replies, {{"route", key.first}, {"status", fmt::to_string(key.second)}},
                static_cast<double>(count));
  }
  into.push_back(std::move(replies));
  MetricFamily whole = family_of("sluice_request_seconds", MetricType::Histogram,
                                 "From a request's header to its last byte.");
  for (const auto& [route, seconds] : metrics.seconds) {
    add_histogram(whole, {{"route", route}}, seconds);
  }
  into.push_back(std::move(whole));
  MetricFamily first = family_of("sluice_time_to_first_token_seconds", MetricType::Histogram,
                                 "From a request's header to the first text of its answer.");
  add_histogram(first, {}, metrics.first_token);
  into.push_back(std::move(first));
  into.push_back(counts_by("sluice_turned_away_total", "why", "Requests answered with 429.",
                           metrics.turned_away));
  into.push_back(counts_by("sluice_clients_gone_total", "while",
                           "Clients that left before their answer ended.", metrics.clients_gone));
  into.push_back(tokens_by_model("sluice_prompt_tokens_total",
                                 "Prompt tokens of answered requests.", metrics,
                                 &TokenCounts::prompt));
  into.push_back(tokens_by_model("sluice_cached_tokens_total", "Of them: not computed again.",
                                 metrics, &TokenCounts::cached));
  into.push_back(tokens_by_model("sluice_completion_tokens_total", "Tokens of answers.", metrics,
                                 &TokenCounts::completion));
}

void add_engine_families(const std::map<std::string, EngineStats>& engines, MetricFamilies& into) {
  for (const EngineFamily& described : kEngineFamilies) {
    MetricFamily family = family_of(described.name, described.type, described.help);
    for (const auto& [model, stats] : engines) {
      const auto add = described.type == kCounter ? &add_counter : &add_gauge;
      add(family, {{"model", model}}, described.value(stats));
    }
    into.push_back(std::move(family));
  }
}

}  // namespace sluice
