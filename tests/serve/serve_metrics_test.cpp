// The text that Prometheus reads.
#include "serve/serve_metrics.h"

#include <gtest/gtest.h>

#include "prometheus/text_serializer.h"
#include "serve/served_models.h"

namespace sluice {
namespace {

std::string text_of(const MetricFamilies& families) {
  return prometheus::TextSerializer().Serialize(families);
}

TEST(ServeMetrics, HistogramsCountWhatIsBelowEachBound) {
  SecondsHistogram seconds;
  for (double one : {0.001, 0.005, 0.3, 500.0}) seconds.add(one);
  prometheus::MetricFamily family{"t", "", prometheus::MetricType::Histogram, {}};
  add_histogram(family, {}, seconds);
  const std::string shown = text_of({family});
  EXPECT_NE(shown.find("t_bucket{le=\"0.005\"} 2\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("t_bucket{le=\"0.25\"} 2\n"), std::string::npos);
  EXPECT_NE(shown.find("t_bucket{le=\"0.5\"} 3\n"), std::string::npos);
  EXPECT_NE(shown.find("t_bucket{le=\"120\"} 3\n"), std::string::npos);
  EXPECT_NE(shown.find("t_bucket{le=\"+Inf\"} 4\n"), std::string::npos);
  EXPECT_NE(shown.find("t_count 4\n"), std::string::npos);
}

TEST(ServeMetrics, LabelsAreEscaped) {
  prometheus::MetricFamily family{"t", "", prometheus::MetricType::Counter, {}};
  add_counter(family, {{"a", "x\"y\\z\n"}}, 1);
  const std::string shown = text_of({family});
  EXPECT_NE(shown.find("t{a=\"x\\\"y\\\\z\\n\"} 1\n"), std::string::npos) << shown;
}

TEST(ServeMetrics, EveryFamilyHasItsTypeOnce) {
  ServeMetrics metrics;
  metrics.replies[{"/health", 200}] = 2;
  metrics.seconds["/health"].add(1);
  metrics.tokens["m"] = {.prompt = 5, .cached = 2, .completion = 3};
  MetricFamilies families;
  add_server_families(metrics, families);
  add_engine_families({{"m", EngineStats{.prefill_tokens = 1'234'567'890}}}, families);
  const std::string shown = text_of(families);
  EXPECT_NE(shown.find("sluice_http_replies_total{route=\"/health\",status=\"200\"} 2\n"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("sluice_cached_tokens_total{model=\"m\"} 2\n"), std::string::npos);
  EXPECT_NE(shown.find("sluice_prefill_tokens_total{model=\"m\"} 1234567890\n"), std::string::npos)
      << shown;
  std::size_t types = 0;
  std::size_t helps = 0;
  for (auto at = shown.find("# TYPE"); at != std::string::npos; at = shown.find("# TYPE", at + 1)) {
    ++types;
  }
  for (auto at = shown.find("# HELP"); at != std::string::npos; at = shown.find("# HELP", at + 1)) {
    ++helps;
  }
  EXPECT_EQ(types, helps);
}

TEST(ServedModels, ArgumentsWithAndWithoutAnId) {
  EXPECT_EQ(parse_model_argument("a=b.gguf").id, "a");
  EXPECT_EQ(parse_model_argument("a=b.gguf").location, "b.gguf");
  EXPECT_EQ(parse_model_argument("/x/a=b.gguf").id, "");
  EXPECT_EQ(parse_model_argument("/x/a=b.gguf").location, "/x/a=b.gguf");
  EXPECT_EQ(parse_model_argument("http://h/v1?x=y").id, "");
  EXPECT_EQ(parse_model_argument("big=http://h/v1#m").location, "http://h/v1#m");
}

}  // namespace
}  // namespace sluice
