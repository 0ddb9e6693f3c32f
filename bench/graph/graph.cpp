// bench/graph: what a step costs in the runtime itself. Plans of steps that do nothing, with full
// run semantics (parse and lowering outside the clock; state machine, binding, values and trace
// inside), against oneTBB's flow graph and LangGraph, in turns, in one run. See README.md.

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "bench/graph/peers.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "runtime/run_loop.h"
#include "runtime/summary.h"
#include "verify/verify.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kSteps = 1000;
constexpr std::size_t kItems = 1'000'000;
constexpr int kRounds = 5;
constexpr int kRepeats = 20;  // of our own 1,000-step plans within one measurement

// Nothing leaves the process: plans of value steps perform nothing.
class IdleHost final : public Host {
 public:
  SteadyNs now() override { return system_clock().steady_ns(); }
  WallNs wall_now() override { return system_clock().wall_ns(); }
  void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  void run_posted() {
    while (!posted_.empty()) {
      auto work = std::move(posted_.front());
      posted_.pop_front();
      work();
    }
  }
  void set_timer(const SetTimer&) override {}
  void clear_timer(std::uint64_t) override {}
  void perform(const StartCall&) override { std::abort(); }
  void cancel(const CallRef&) override {}
  void resume(const CallRef&) override {}
  void admit(const AdmitPlan&) override { std::abort(); }
  void begin_wait(const BeginWait&) override { std::abort(); }
  Effect effect_of(const StartCall&) override { return Effect::kPure; }
  bool has_probe(const StartCall&) override { return false; }
  void probe(const StartCall&) override { std::abort(); }
  Result<PhysicalPlanPtr> adopt(const AdmitPlan&, const Value&) override { std::abort(); }

 private:
  std::deque<std::function<void()>> posted_;
};

PhysicalPlanPtr make_plan(const std::string& text) {
  ParsedPlan parsed = parse_plan(text, "bench.yaml");
  if (!parsed.plan || parsed.diagnostics.has_errors()) std::abort();
  auto catalog = catalog_of(*parsed.plan);
  Diagnostics findings;
  verify_plan({*parsed.plan, *catalog}, findings);
  Result<PhysicalPlanPtr> plan = lower_plan(parsed.plan, *catalog);
  if (findings.has_errors() || !plan) {
    for (const Diagnostic& d : findings.all()) fmt::print(stderr, "{}\n", d.message);
    std::abort();
  }
  return *plan;
}

std::string chain_text() {
  std::string text = "sluice: 1\nsteps:\n  n0: {value: 1}\n";
  for (std::size_t i = 1; i < kSteps; ++i) {
    text += fmt::format("  n{}: {{value: \"{{{{ steps.n{}.output }}}}\"}}\n", i, i - 1);
  }
  return text + fmt::format("result: \"{{{{ steps.n{}.output }}}}\"\n", kSteps - 1);
}

std::string wide_text() {
  std::string text = "sluice: 1\nparams: {p: {type: integer}}\nsteps:\n";
  for (std::size_t i = 0; i < kSteps; ++i) {
    text += fmt::format("  n{}: {{value: \"{{{{ params.p }}}}\"}}\n", i);
  }
  text += "  last: {value: 1, after: [";
  for (std::size_t i = 0; i < kSteps; ++i) text += fmt::format("{}n{}", i ? ", " : "", i);
  return text + "]}\nresult: \"{{ steps.last.output }}\"\n";
}

const char* kPipeline = R"(sluice: 1
params: {items: {type: array}}
steps:
  a: {for_each: "{{ params.items }}", value: "{{ item }}"}
  b: {for_each: "{{ steps.a.output }}", value: "{{ item }}"}
  c: {for_each: "{{ steps.b.output }}", value: "{{ item }}"}
)";

double run_seconds(const PhysicalPlanPtr& plan, const Value& params) {
  double start = seconds_now();
  IdleHost host;
  MemoryValueStore values;
  SummaryFold summary;
  bool good = false;
  RunLoop loop(plan, host, values, &summary,
               [&](RunOutcome outcome) { good = outcome.status == RunStatus::kSucceeded; });
  loop.start({"bench", params, 1});
  host.run_posted();
  double seconds = seconds_now() - start;
  if (!good) {
    fmt::print(stderr, "a benchmark's run did not succeed\n");
    std::exit(1);
  }
  return seconds;
}

struct Spread {
  double low, median, high;
};
Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

void print_row(const char* name, const std::vector<double>& ours, const std::vector<double>& theirs,
               const char* peer, double unit_ns, bool peer_over_ours) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size() && i < theirs.size(); ++i) {
    ratios.push_back(peer_over_ours ? theirs[i] / ours[i] : ours[i] / theirs[i]);
  }
  if (ratios.empty()) return;
  Spread mine = spread(ours), other = spread(theirs), ratio = spread(ratios);
  fmt::print("{:<28} {:>10.0f} ns {:<10} {:>10.0f} ns   {} {:8.2f}  ({:.2f} to {:.2f})\n", name,
             mine.median * unit_ns, peer, other.median * unit_ns,
             peer_over_ours ? "peer/ours" : "ours/peer", ratio.median, ratio.low, ratio.high);
}

// In a child of its own, so that the peak is this run's alone.
long pipeline_peak_kib() {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) return -1;
  std::fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    PhysicalPlanPtr plan = make_plan(kPipeline);
    std::vector<Value> items;
    for (std::size_t i = 0; i < kItems; ++i) items.push_back(Value::integer(static_cast<long>(i)));
    Value params = Value::object({{"items", Value::array(std::move(items))}});
    run_seconds(plan, params);
    struct rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    long kib = usage.ru_maxrss;
    bool written = write(pipe_ends[1], &kib, sizeof kib) == sizeof kib;
    _exit(written ? 0 : 1);
  }
  long kib = -1;
  if (read(pipe_ends[0], &kib, sizeof kib) != sizeof kib) kib = -1;
  waitpid(child, nullptr, 0);
  return kib;
}

int run() {
  long peak_kib = pipeline_peak_kib();
  const char* python = std::getenv("SLUICE_BENCH_PYTHON");
  std::string path = python ? python : "";
  if (!path.empty() && path.find("/bin/") == std::string::npos) path += "/bin/python";
  LangGraphPeer langgraph(path, std::string(SLUICE_BENCH_DIR) + "/langgraph_peer.py", kSteps);
  PhysicalPlanPtr chain = make_plan(chain_text());
  PhysicalPlanPtr wide = make_plan(wide_text());
  PhysicalPlanPtr pipeline = make_plan(kPipeline);
  Value param = Value::object({{"p", Value::integer(1)}});
  std::vector<Value> items;
  for (std::size_t i = 0; i < kItems; ++i) items.push_back(Value::integer(static_cast<long>(i)));
  Value rows = Value::object({{"items", Value::array(std::move(items))}});

  std::vector<double> our_chain, our_wide, our_items, tbb_chain, tbb_wide, tbb_items, lg_chain,
      lg_wide;
  auto repeated = [](const PhysicalPlanPtr& plan, const Value& params) {
    double total = 0;
    for (int i = 0; i < kRepeats; ++i) total += run_seconds(plan, params);
    return total / kRepeats;
  };
  for (int round = 0; round < kRounds; ++round) {
    fmt::print(stderr, "round {} of {}\n", round + 1, kRounds);
    our_chain.push_back(repeated(chain, Value::object({})) / kSteps);
    double tbb_total = 0;
    for (int i = 0; i < kRepeats; ++i) tbb_total += tbb_chain_seconds(kSteps);
    tbb_chain.push_back(tbb_total / kRepeats / kSteps);
    if (langgraph.running()) lg_chain.push_back(langgraph.seconds("chain") / kSteps);
    our_wide.push_back(repeated(wide, param) / kSteps);
    tbb_total = 0;
    for (int i = 0; i < kRepeats; ++i) tbb_total += tbb_wide_seconds(kSteps);
    tbb_wide.push_back(tbb_total / kRepeats / kSteps);
    if (langgraph.running()) lg_wide.push_back(langgraph.seconds("wide") / kSteps);
    our_items.push_back(run_seconds(pipeline, rows) / (3.0 * kItems));
    tbb_items.push_back(tbb_pipeline_seconds(kItems) / (3.0 * kItems));
  }
  fmt::print("\nper step, medians of {} rounds in turns; ratio: median (lowest to highest)\n",
             kRounds);
  fmt::print("{:<28} {:>13} {:<10} {:>13}\n", "case", "Sluice", "peer", "peer's");
  print_row("chain of 1,000", our_chain, lg_chain, "LangGraph", 1e9, true);
  print_row("wide, 1,000 steps", our_wide, lg_wide, "LangGraph", 1e9, true);
  print_row("chain of 1,000", our_chain, tbb_chain, "oneTBB", 1e9, false);
  print_row("wide, 1,000 steps", our_wide, tbb_wide, "oneTBB", 1e9, false);
  print_row("3 steps x 10^6 items", our_items, tbb_wide, "TBB wide", 1e9, false);
  print_row("3 steps x 10^6 items", our_items, tbb_items, "TBB pipe", 1e9, false);
  fmt::print("peak resident size of the run over 10^6 items: {} MiB\n", peak_kib / 1024);
  return 0;
}

// Only our side of one case, for a profiler: bench_graph --profile chain|wide|items
int profile(const std::string& name) {
  Value params = Value::object({{"p", Value::integer(1)}});
  std::string text = name == "chain" ? chain_text() : name == "wide" ? wide_text() : kPipeline;
  if (name == "items") {
    std::vector<Value> items(100'000, Value::integer(1));
    params = Value::object({{"items", Value::array(std::move(items))}});
  }
  PhysicalPlanPtr plan = make_plan(text);
  for (int i = 0; i < (name == "items" ? 1 : kRepeats); ++i) run_seconds(plan, params);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--profile") == 0) return sluice::bench::profile(argv[2]);
  return sluice::bench::run();
}
