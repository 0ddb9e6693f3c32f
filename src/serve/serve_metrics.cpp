#include "serve/serve_metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

struct EngineFamily {
  std::string_view name;
  std::string_view type;
  std::string_view help;
  double (*value)(const EngineStats& stats);
};

constexpr double kSecondsPerNs = 1e-9;

constexpr std::array kEngineFamilies{
    EngineFamily{"sluice_prefill_tokens_total", "counter", "Prompt tokens that were computed.",
                 [](const EngineStats& s) { return static_cast<double>(s.prefill_tokens); }},
    EngineFamily{"sluice_shared_tokens_total", "counter",
                 "Prompt tokens taken from a prefix in the pool.",
                 [](const EngineStats& s) { return static_cast<double>(s.shared_tokens); }},
    EngineFamily{"sluice_copied_back_tokens_total", "counter",
                 "Prompt tokens taken from host memory.",
                 [](const EngineStats& s) { return static_cast<double>(s.copied_back_tokens); }},
    EngineFamily{"sluice_moved_to_host_tokens_total", "counter", "Tokens moved to host memory.",
                 [](const EngineStats& s) { return static_cast<double>(s.moved_to_host_tokens); }},
    EngineFamily{"sluice_dropped_tokens_total", "counter", "Kept tokens that were dropped.",
                 [](const EngineStats& s) { return static_cast<double>(s.dropped_tokens); }},
    EngineFamily{"sluice_decode_tokens_total", "counter", "Tokens sampled.",
                 [](const EngineStats& s) { return static_cast<double>(s.decode_tokens); }},
    EngineFamily{"sluice_forced_tokens_total", "counter",
                 "Tokens that a grammar forced, not sampled.",
                 [](const EngineStats& s) { return static_cast<double>(s.forced_tokens); }},
    EngineFamily{"sluice_batches_total", "counter", "Batches computed.",
                 [](const EngineStats& s) { return static_cast<double>(s.batches); }},
    EngineFamily{"sluice_aborted_batches_total", "counter",
                 "Prefill batches given up for something more urgent.",
                 [](const EngineStats& s) { return static_cast<double>(s.aborted_batches); }},
    EngineFamily{"sluice_preemptions_total", "counter", "Running requests that had to wait again.",
                 [](const EngineStats& s) { return static_cast<double>(s.preemptions); }},
    EngineFamily{
        "sluice_busy_seconds_total", "counter", "Time spent computing.",
        [](const EngineStats& s) { return static_cast<double>(s.busy_ns) * kSecondsPerNs; }},
    EngineFamily{"sluice_requests_running", "gauge", "Requests that compute.",
                 [](const EngineStats& s) { return static_cast<double>(s.running); }},
    EngineFamily{"sluice_requests_waiting", "gauge", "Requests that wait for room.",
                 [](const EngineStats& s) { return static_cast<double>(s.waiting); }},
    EngineFamily{"sluice_pool_cells", "gauge", "Cells of the KV pool; a cell holds one token.",
                 [](const EngineStats& s) { return static_cast<double>(s.pool_cells); }},
    EngineFamily{"sluice_pool_used_cells", "gauge", "Cells that running requests hold.",
                 [](const EngineStats& s) { return static_cast<double>(s.used_cells); }},
    EngineFamily{"sluice_pool_kept_cells", "gauge", "Cells kept for requests to come.",
                 [](const EngineStats& s) { return static_cast<double>(s.kept_cells); }},
    EngineFamily{"sluice_host_cache_bytes", "gauge", "Host memory that holds prefixes.",
                 [](const EngineStats& s) { return static_cast<double>(s.host_bytes); }},
};

}  // namespace

void SecondsHistogram::add(double seconds) {
  const auto bucket = std::ranges::lower_bound(kSecondsBuckets, seconds);
  counts_[static_cast<std::size_t>(bucket - kSecondsBuckets.begin())] += 1;
  sum_ += seconds;
  count_ += 1;
}

std::string metric_label(std::string_view name, std::string_view value) {
  std::string out(name);
  out += "=\"";
  for (char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

void MetricsText::sample(std::string_view name, std::string_view labels, double value) {
  text_ += labels.empty() ? fmt::format("{} {}\n", name, value)
                          : fmt::format("{}{{{}}} {}\n", name, labels, value);
}

void MetricsText::histogram(std::string_view name, std::string_view labels,
                            const SecondsHistogram& seconds) {
  const std::string before = labels.empty() ? "" : fmt::format("{},", labels);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= kSecondsBuckets.size(); ++i) {
    below += seconds.counts()[i];
    const std::string bound =
        i < kSecondsBuckets.size() ? fmt::to_string(kSecondsBuckets[i]) : "+Inf";
    sample(fmt::format("{}_bucket", name), fmt::format("{}le=\"{}\"", before, bound),
           static_cast<double>(below));
  }
  sample(fmt::format("{}_sum", name), labels, seconds.sum());
  sample(fmt::format("{}_count", name), labels, static_cast<double>(seconds.count()));
}

void write_metrics(MetricsText& text, const ServeMetrics& metrics) {
  text.family("sluice_http_replies_total", "counter", "Replies by route and status.");
  for (const auto& [key, count] : metrics.replies) {
    text.sample(
        "sluice_http_replies_total",
        metric_label("route", key.first) + "," + metric_label("status", fmt::to_string(key.second)),
        static_cast<double>(count));
  }
  text.family("sluice_request_seconds", "histogram", "From a request's header to its last byte.");
  for (const auto& [route, seconds] : metrics.seconds) {
    text.histogram("sluice_request_seconds", metric_label("route", route), seconds);
  }
  text.family("sluice_time_to_first_token_seconds", "histogram",
              "From a request's header to the first text of its answer.");
  text.histogram("sluice_time_to_first_token_seconds", "", metrics.first_token);
  auto counters = [&](std::string_view name, std::string_view label, std::string_view help,
                      const std::map<std::string, std::uint64_t>& counts) {
    text.family(name, "counter", help);
    for (const auto& [value, count] : counts) {
      text.sample(name, metric_label(label, value), static_cast<double>(count));
    }
  };
  counters("sluice_turned_away_total", "why", "Requests answered with 429.", metrics.turned_away);
  counters("sluice_clients_gone_total", "while", "Clients that left before their answer ended.",
           metrics.clients_gone);
  auto tokens = [&](std::string_view name, std::string_view help,
                    std::uint64_t TokenCounts::* count) {
    text.family(name, "counter", help);
    for (const auto& [model, counts] : metrics.tokens) {
      text.sample(name, metric_label("model", model), static_cast<double>(counts.*count));
    }
  };
  tokens("sluice_prompt_tokens_total", "Prompt tokens of answered requests.", &TokenCounts::prompt);
  tokens("sluice_cached_tokens_total", "Of them: not computed again.", &TokenCounts::cached);
  tokens("sluice_completion_tokens_total", "Tokens of answers.", &TokenCounts::completion);
}

void write_engine_metrics(MetricsText& text, const std::map<std::string, EngineStats>& engines) {
  for (const EngineFamily& family : kEngineFamilies) {
    text.family(family.name, family.type, family.help);
    for (const auto& [model, stats] : engines) {
      text.sample(family.name, metric_label("model", model), family.value(stats));
    }
  }
}

}  // namespace sluice
