// Speed of expressions on a reused context, beside Python's Jinja2 where it is installed. Both run
// in turns in one run on one machine; what counts is the ratio and its spread.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/expr.h"
#include "data/json.h"

namespace sluice {
namespace {

struct Line {
  const char* name;
  const char* text;
  double bar_ns;  // 0: none
};
constexpr Line kLines[] = {
    {"member", "{{ item.a.b }}", 500},
    {"comparison with a filter", "{{ item.cves | length > 0 }}", 1000},
    {"arithmetic", "{{ item.n * 2 + 1 }}", 0},
    {"join", "{{ item.cves | join(' ') }}", 0},
    {"text", "{{ item.package }} {{ item.day }}: {{ item.cves | length }}", 0},
    {"sort 100 by attribute", "{{ item.rows | sort(attribute='n') | length }}", 0},
};

constexpr int kRounds = 5;

NameClaim names(std::string_view, std::span<const std::string>, bool) { return {}; }

Value item() {
  std::string rows;
  for (int i = 0; i < 100; ++i) {
    rows += (i == 0 ? "" : ",") + std::string("{\"n\": ") + std::to_string(i * 37 % 100) + "}";
  }
  return *parse_json(R"({"a": {"b": 5}, "n": 20, "package": "curl", "day": "2023-10-11",
      "cves": ["CVE-2023-38545", "CVE-2023-38546"], "rows": [)" +
                     rows + "]}");
}

Expr compiled(const char* text) {
  auto expr = Expr::compile(text, names);
  if (!expr) {
    std::fprintf(stderr, "%s: %s\n", text, expr.error()[0].message.c_str());
    std::exit(1);
  }
  return *expr;
}

void evaluate(benchmark::State& state, const char* text) {
  Expr expr = compiled(text);
  std::vector<Value> inputs{item()};
  EvalContext context;
  for (auto _ : state) {
    auto value = expr.evaluate(inputs, context);
    benchmark::DoNotOptimize(value);
  }
}

void compile(benchmark::State& state, const char* text) {
  for (auto _ : state) {
    auto expr = Expr::compile(text, names);
    benchmark::DoNotOptimize(expr);
  }
}

double our_ns(const Expr& expr, const std::vector<Value>& inputs) {
  EvalContext context;
  constexpr int kCount = 20'000;
  SteadyNs start = system_clock().steady_ns();
  for (int i = 0; i < kCount; ++i) {
    auto value = expr.evaluate(inputs, context);
    benchmark::DoNotOptimize(value);
  }
  return static_cast<double>(system_clock().steady_ns() - start) / kCount;
}

// Python times one expression as we do: compiled once, evaluated often. Below 0: no Jinja2.
double jinja_ns(const char* text, const std::string& data_json) {
  std::string template_text = text;
  bool single = template_text.starts_with("{{") && template_text.find("{{", 2) == std::string::npos;
  std::string program =
      "import json, time, jinja2\n"
      "data = {'item': json.loads(r'''" +
      data_json +
      "''')}\n"
      "env = jinja2.Environment(undefined=jinja2.StrictUndefined)\n" +
      (single ? "f = env.compile_expression(r'''" +
                    template_text.substr(2, template_text.size() - 4) + "''')\n"
              : "f = env.from_string(r'''" + template_text + "''').render\n") +
      "n = 5000\n"
      "for i in range(500): f(**data)\n"
      "t = time.perf_counter_ns()\n"
      "for i in range(n): f(**data)\n"
      "print((time.perf_counter_ns() - t) / n)\n";
  std::string command =
      "python3 - 2>/dev/null <<'SLUICE_BENCH_END'\n" + program + "SLUICE_BENCH_END\n";
  FILE* pipe = popen(command.c_str(), "r");
  double ns = -1;
  if (pipe == nullptr) return ns;
  if (std::fscanf(pipe, "%lf", &ns) != 1) ns = -1;
  pclose(pipe);
  return ns;
}

double median(std::array<double, kRounds> values) {
  std::ranges::sort(values);
  return values[kRounds / 2];
}

void compare_with_jinja() {
  std::vector<Value> inputs{item()};
  std::string data = to_json(inputs[0]);
  std::printf("\n%-26s %10s %10s %8s  %s\n", "medians of 5 rounds", "sluice ns", "jinja2 ns",
              "ratio", "ratio, least to most");
  for (const Line& line : kLines) {
    Expr expr = compiled(line.text);
    std::array<double, kRounds> ours{};
    std::array<double, kRounds> theirs{};
    std::array<double, kRounds> ratio{};
    for (int round = 0; round < kRounds; ++round) {
      auto at = static_cast<std::size_t>(round);
      ours[at] = our_ns(expr, inputs);
      theirs[at] = jinja_ns(line.text, data);
      ratio[at] = theirs[at] / ours[at];
      if (theirs[at] < 0) break;
    }
    std::string bar;
    if (line.bar_ns > 0) bar = median(ours) <= line.bar_ns ? "  within its bar" : "  OVER ITS BAR";
    if (theirs[0] < 0) {
      std::printf("%-26s %10.1f %10s%s\n", line.name, ours[0], "no jinja2", bar.c_str());
      continue;
    }
    std::printf("%-26s %10.1f %10.1f %7.1fx  %.1f to %.1f%s\n", line.name, median(ours),
                median(theirs), median(ratio), *std::ranges::min_element(ratio),
                *std::ranges::max_element(ratio), bar.c_str());
  }
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  for (const auto& line : sluice::kLines) {
    benchmark::RegisterBenchmark(("evaluate/" + std::string(line.name)).c_str(), sluice::evaluate,
                                 line.text);
    benchmark::RegisterBenchmark(("compile/" + std::string(line.name)).c_str(), sluice::compile,
                                 line.text);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  sluice::compare_with_jinja();
  return 0;
}
