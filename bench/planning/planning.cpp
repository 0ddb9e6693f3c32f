// bench/planning: what optimizing a plan of 1,000 steps takes, from the verified plan to the
// physical one, estimates and all passes included. Prints one JSON object. See README.md.

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "optimize/optimizer.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "verify/verify.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kSteps = 1000;
constexpr int kRepeats = 21;
constexpr int kFewestRepeats = 3;
constexpr double kLongestShapeS = 10;  // beyond, fewer repeats do

double seconds_now() { return static_cast<double>(system_clock().steady_ns()) / 1e9; }

struct Shape {
  std::string name;
  std::string text;
};

// Groups of five steps as in bench/batch/plans/triage.yaml: four questions, two of them conditions,
// and a filter written last. With `equal` all groups ask the same.
Shape triage_shape(bool equal) {
  std::string text = "sluice: 1\nparams: {entry: {type: string}, day: {type: string}}\nsteps:\n";
  for (std::size_t g = 0; g < kSteps / 5; ++g) {
    const std::size_t word = equal ? 0 : g;
    for (const char* question : {"fixes", "noticed", "summary", "advice"}) {
      const bool yes_or_no = question[0] == 'f' || question[0] == 'n';
      text += fmt::format(
          "  {0}{1}:\n    llm: default\n    with: {{max_tokens: 16, prompt: \"{0} {2}? "
          "{{{{ params.entry }}}}\"}}\n{3}",
          question, g, word,
          yes_or_no ? "    output: {type: string, enum: [\"yes\", \"no\"]}\n" : "");
    }
    text += fmt::format(
        "  report{0}:\n    when: \"{{{{ steps.fixes{0}.output == 'yes' and "
        "steps.noticed{0}.output == 'yes' and params.day >= '2022-10-01' }}}}\"\n"
        "    value: [\"{{{{ steps.summary{0}.output }}}}\", \"{{{{ steps.advice{0}.output "
        "}}}}\"]\n",
        g);
  }
  text += "result:\n";
  for (std::size_t g = 0; g < kSteps / 5; ++g) {
    text += fmt::format("  r{0}: \"{{{{ steps.report{0}.output }}}}\"\n", g);
  }
  return {equal ? "200 equal triages" : "200 triages", std::move(text)};
}

Shape chain_shape() {
  std::string text = "sluice: 1\nsteps:\n  n0: {llm: default, with: {prompt: begin}}\n";
  for (std::size_t i = 1; i < kSteps; ++i) {
    text += fmt::format(
        "  n{0}: {{llm: default, with: {{prompt: \"{0} {{{{ steps.n{1}.output }}}}\"}}}}\n", i,
        i - 1);
  }
  return {"chain", text + fmt::format("result: \"{{{{ steps.n{}.output }}}}\"\n", kSteps - 1)};
}

Shape wide_shape() {
  std::string text = "sluice: 1\nparams: {items: {type: array}}\nsteps:\n";
  std::string all;
  for (std::size_t i = 0; i + 1 < kSteps; ++i) {
    text += fmt::format(
        "  n{0}: {{for_each: \"{{{{ params.items }}}}\", llm: default, with: {{prompt: \"{0} "
        "{{{{ item }}}}\"}}}}\n",
        i);
    all += fmt::format("{}\"{{{{ steps.n{}.output }}}}\"", i == 0 ? "" : ", ", i);
  }
  return {"wide", text + "  last: {value: [" + all + "]}\nresult: \"{{ steps.last.output }}\"\n"};
}

// Each step has a condition of its own and reads the one before: conditions pile up.
Shape conditions_shape() {
  std::string text = "sluice: 1\nsteps:\n";
  for (std::size_t i = 0; i < kSteps; ++i) {
    text += fmt::format(
        "  n{0}: {{when: \"{{{{ run.id != 'a{0}' }}}}\", code: \"def main(x): return x\", with: "
        "{{x: "
        "{1}}}}}\n",
        i, i == 0 ? "1" : fmt::format("\"{{{{ steps.n{}.output }}}}\"", i - 1));
  }
  return {"chain of conditions",
          text + fmt::format("result: \"{{{{ steps.n{}.output }}}}\"\n", kSteps - 1)};
}

// Each step reads up to three of the twenty before it and has a condition on one of them.
Shape layers_shape() {
  std::string text = "sluice: 1\nsteps:\n  n0: {code: \"def main(**x): return 1\"}\n";
  std::uint64_t drawn = 1;
  for (std::size_t i = 1; i < kSteps; ++i) {
    std::set<std::size_t> reads;
    for (int k = 0; k < 3; ++k) {
      drawn = drawn * 6364136223846793005ULL + 1442695040888963407ULL;  // D. Knuth's MMIX
      reads.insert(i - 1 - (drawn >> 33) % std::min<std::size_t>(i, 20));
    }
    std::string joins, with;
    for (const std::size_t from : reads) {
      joins += fmt::format("{}n{}: {{skipped: skip}}", joins.empty() ? "" : ", ", from);
      with +=
          fmt::format("{0}x{1}: \"{{{{ steps.n{1}.output }}}}\"", with.empty() ? "" : ", ", from);
    }
    text += fmt::format(
        "  n{0}: {{when: \"{{{{ steps.n{1}.output != {0} }}}}\", join: {{{2}}}, code: \"def "
        "main(**x): return 1\", with: {{{3}}}}}\n",
        i, *reads.begin(), joins, with);
  }
  return {"layers", text + fmt::format("result: \"{{{{ steps.n{}.output }}}}\"\n", kSteps - 1)};
}

// One plan of three steps, called by many steps: a thousand steps once it is inlined.
Shape calls_shape() {
  const std::size_t calls = 3 * kSteps / 10;
  std::string text =
      "sluice: 1\n"
      "plans:\n"
      "  p:\n"
      "    params: {x: {}}\n"
      "    steps:\n"
      "      a: {code: \"def main(x): return x\", with: {x: \"{{ params.x }}\"}}\n"
      "      b: {code: \"def main(x): return x\", with: {x: \"{{ steps.a.output }}\"}}\n"
      "      c: {code: \"def main(x): return x\", with: {x: \"{{ steps.b.output }}\"}}\n"
      "    result: \"{{ steps.c.output }}\"\n"
      "steps:\n";
  std::string all;
  for (std::size_t i = 0; i < calls; ++i) {
    text += fmt::format("  n{0}: {{plan: p, with: {{x: {0}}}}}\n", i);
    all += fmt::format("{}\"{{{{ steps.n{}.output }}}}\"", i == 0 ? "" : ", ", i);
  }
  return {"300 calls of a plan",
          text + "  last: {value: [" + all + "]}\nresult: \"{{ steps.last.output }}\"\n"};
}

[[noreturn]] void give_up(const Shape& shape, const std::string& why) {
  fmt::print(stderr, "{}: {}\n", shape.name, why);
  std::exit(1);
}

Value measure(const Shape& shape) {
  ParsedPlan parsed = parse_plan(shape.text, "planning.yaml");
  if (!parsed.plan || parsed.diagnostics.has_errors()) {
    for (const Diagnostic& d : parsed.diagnostics.all()) give_up(shape, d.message);
    give_up(shape, "it does not parse");
  }
  auto catalog = catalog_of(*parsed.plan);
  Diagnostics findings;
  verify_plan({*parsed.plan, *catalog}, findings);
  if (findings.has_errors()) give_up(shape, findings.all().front().message);
  const CostInputs cost;
  std::vector<double> all_ms, off_ms;
  std::size_t notes = 0, steps = 0;
  const double begin = seconds_now();
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    if (repeat >= kFewestRepeats && seconds_now() - begin > kLongestShapeS) break;
    for (const bool off : {false, true}) {
      OptimizerInput input{.plan = parsed.plan, .tools = *catalog, .cost = cost, .settings = {}};
      input.settings.off = off;
      const double start = seconds_now();
      auto planned = optimize_plan(input);
      const double ms = (seconds_now() - start) * 1000;
      if (!planned) give_up(shape, planned.error().message());
      (off ? off_ms : all_ms).push_back(ms);
      if (!off) {
        notes = planned->notes.size();
        steps = planned->physical->steps.size();
      }
    }
  }
  std::ranges::sort(all_ms);
  std::ranges::sort(off_ms);
  return Value::object(
      {{"name", Value::string(shape.name)},
       {"repeats", Value::integer(static_cast<std::int64_t>(all_ms.size()))},
       {"steps", Value::integer(static_cast<std::int64_t>(parsed.plan->steps.size()))},
       {"steps_left", Value::integer(static_cast<std::int64_t>(steps))},
       {"notes", Value::integer(static_cast<std::int64_t>(notes))},
       {"median_ms", Value::number(all_ms[all_ms.size() / 2])},
       {"lowest_ms", Value::number(all_ms.front())},
       {"highest_ms", Value::number(all_ms.back())},
       {"without_passes_median_ms", Value::number(off_ms[off_ms.size() / 2])}});
}

}  // namespace

// `only`: a part of the names of the shapes that are measured.
int main_of_bench(std::string_view only) {
  std::vector<Value> shapes;
  for (const Shape& shape : {triage_shape(false), triage_shape(true), chain_shape(), wide_shape(),
                             conditions_shape(), layers_shape(), calls_shape()}) {
    if (shape.name.contains(only)) shapes.push_back(measure(shape));
  }
  const Value all = Value::object({{"shapes", Value::array(std::move(shapes))}});
  fmt::print("{}\n", to_json(all));
  return 0;
}

}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::main_of_bench(argc > 1 ? argv[1] : ""); }
