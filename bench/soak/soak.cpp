// The long simulation: SLUICE_SOAK_SEEDS histories (1,000,000) over all cores, with progress and
// the expected time; with --bugs, the search for the seed that finds each injected bug, whose table
// goes to the two files named behind it.

#include <fmt/format.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "simulate/injected.h"
#include "tests/sim/sim_seeds.h"

namespace sluice::testing {
namespace {

struct Soak {
  std::uint64_t seeds = number_from("SLUICE_SOAK_SEEDS", 1'000'000);
  std::uint64_t first = number_from("SLUICE_SOAK_FIRST", 1);
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> done{0}, failed{0}, crashes{0}, happened{0}, twice{0};
  std::mutex telling;

  void work() {
    while (failed < 10) {
      const std::uint64_t number = next++;
      if (number >= seeds) return;
      const std::uint64_t seed = first + number;
      const Scenario scenario = make_scenario(seed);
      const WorldReport report = run_world(scenario);
      crashes += report.crashes;
      happened += report.happened;
      bool same = true;
      if (seed % 20 == 0) {
        ++twice;
        same = run_world(scenario).fingerprint == report.fingerprint;
      }
      if (!same || !report.violations.empty()) tell(scenario, report, same);
      ++done;
    }
  }

  void tell(const Scenario& scenario, const WorldReport& report, bool same) {
    ++failed;
    const std::string text =
        report.violations.empty() ? describe(scenario) : told_small(scenario, report);
    std::lock_guard lock(telling);
    fmt::print("seed {} fails{}\n{}\n", scenario.seed, same ? "" : ": it is not deterministic",
               text);
    std::fflush(stdout);
  }
};

int soak() {
  Soak all;
  const unsigned threads = std::max(1U, std::thread::hardware_concurrency());
  const SteadyNs begun = system_clock().steady_ns();
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < threads; ++i) workers.emplace_back([&] { all.work(); });
  auto seconds = [&] {
    return static_cast<double>(system_clock().steady_ns() - begun) / kNsPerSecond;
  };
  std::jthread teller([&](const std::stop_token& stop) {
    for (std::uint64_t tick = 1; !stop.stop_requested(); ++tick) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (tick % 25 != 0 || all.done == 0) continue;
      const double rate = static_cast<double>(all.done) / seconds();
      fmt::print(stderr, "soak: {} of {} seeds, {:.0f}/s, {:.0f} s to go, {} failed\n",
                 all.done.load(), all.seeds, rate, static_cast<double>(all.seeds - all.done) / rate,
                 all.failed.load());
    }
  });
  for (std::jthread& worker : workers) worker.join();
  teller.request_stop();
  teller.join();
  const double took = seconds();
  fmt::print(
      "sluice {}, commit {}: {} seeds in {:.0f} s on {} threads ({:.0f}/s), {} run twice, {} "
      "crashes, "
      "{} events, {} failed\n",
      SLUICE_VERSION, commit_of_sources(), all.done.load(), took, threads,
      static_cast<double>(all.done) / took, all.twice.load(), all.crashes.load(),
      all.happened.load(), all.failed.load());
  return all.failed == 0 ? 0 : 1;
}

constexpr const char* kDocument =
    "# Injected bugs\n\n"
    "Each row is a mistake that can be switched on in the running program "
    "(`src/base/failpoints.def`), "
    "the\nfirst seed whose simulated history notices it, and the check that does. `make test` "
    "makes "
    "every mistake\nagain with its seed; `make soak-bugs` looks for the seeds and writes this page "
    "and\n"
    "`tests/sim/injected_bugs.def`. What a seed is, and what the checks are, is in\n"
    "[simulation.md](architecture/simulation.md).\n\n"
    "| mistake | what is wrong | seed | found by |\n|-|-|-|-|\n";

int bugs(const char* table_path, const char* page_path) {
  constexpr std::uint64_t kMost = 10'000;
  std::string table =
      "// Which seed finds which injected bug, and by which check. Written by `make soak-bugs`.\n"
      "// SLUICE_INJECTED_BUG(enumerator, seed, \"check\")\n";
  std::string page = kDocument;
  int missed = 0;
  for (const FailpointInfo& info : failpoints()) {
    const auto found = find_bug(info.point, kMost);
    fmt::print("{:24} {}\n", info.name,
               found ? fmt::format("seed {:5} {}: {}", found->seed, found->check, found->what)
                     : std::string("NOT FOUND"));
    std::fflush(stdout);
    missed += !found;
    if (!found) continue;
    table += fmt::format("SLUICE_INJECTED_BUG({}, {}, \"{}\")\n", info.enumerator, found->seed,
                         found->check);
    page +=
        fmt::format("| {} | {} | {} | {} |\n", info.name, info.mistake, found->seed, found->check);
  }
  if (table_path != nullptr) std::ofstream(table_path) << table;
  if (page_path != nullptr) std::ofstream(page_path) << page;
  return missed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::testing

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "--bugs") {
    return sluice::testing::bugs(argc > 2 ? argv[2] : nullptr, argc > 3 ? argv[3] : nullptr);
  }
  return sluice::testing::soak();
}
