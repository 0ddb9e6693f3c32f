// bench/durable, our side: runs of steps that do nothing but must be durable one by one, as
// `sluice run` makes them (run_plan of host/, the SQLite journal), many in one process on one
// journal.
//   bench_durable FOLDER                 speaks the lines of peer_protocol.py
//   bench_durable --make-runs N STORE    a store of N ended runs
//   bench_durable --list STORE           seconds that listing all of them takes
// See README.md.

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "bench/durable/counted_sync.h"
#include "data/json.h"
#include "host/runs/run_service.h"
#include "journal/group_commit.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "verify/verify.h"

namespace sluice::bench {
namespace {

// `concurrency: 1` is one after the other; what is declared idempotent may be repeated with the
// same key, and so waits until everything before it is durable.
constexpr const char* kPlan = R"(sluice: 1
params: {items: {type: array}}
tools: {db: {kind: sql, functions: {query: {effect: idempotent}}}}
steps:
  each:
    for_each: "{{ params.items }}"
    concurrency: 1
    tool: db.query
    with: {sql: "select 1"}
)";

[[noreturn]] void fail(std::string_view what) {
  fmt::print(stderr, "bench_durable: {}\n", what);
  std::exit(1);
}

template <class T>
T require(Result<T> result, std::string_view what) {
  if (!result) fail(fmt::format("{}: {}", what, result.error().message()));
  return std::move(*result);
}

double seconds_now() {
  return static_cast<double>(system_clock().steady_ns()) / static_cast<double>(kNsPerSecond);
}

std::unique_ptr<JournalStore> open_store(const std::string& path) {
  SqliteStoreOptions options;
  options.path = path;
  return require(open_sqlite_store(options), "the journal");
}

RunRequest make_request(std::int64_t steps) {
  ParsedPlan parsed = parse_plan(kPlan, "bench.yaml");
  if (!parsed.plan || parsed.diagnostics.has_errors()) fail("the plan cannot be read");
  std::vector<Value> items;
  for (std::int64_t i = 0; i < steps; ++i) items.push_back(Value::integer(i));
  return {parsed.plan,
          Value::object({{"items", Value::array(std::move(items))}}),
          {{"bench.yaml", kPlan}},
          std::nullopt};
}

// When each step's end was known to the run.
class StepWatch final : public RunObserver {
 public:
  void on_trace(const TraceEvent& event) override {
    if (event.kind == TraceKind::kRunStarted) ends_.push_back(seconds_now());
    if (event.kind == TraceKind::kTaskDone) ends_.push_back(seconds_now());
  }
  std::string step_ms() const {
    std::string text;
    for (std::size_t i = 1; i < ends_.size(); ++i) {
      text += fmt::format("{}{:.4f}", i > 1 ? "," : "", (ends_[i] - ends_[i - 1]) * 1000);
    }
    return text;
  }

 private:
  std::vector<double> ends_;
};

void run_one(Journal& journal, const RunRequest& request, StepWatch& watch) {
  RunSettings settings;
  settings.work_dir = ".";
  settings.journal = &journal;
  settings.tick_ms = 0;
  auto report = run_plan(request, settings, watch);
  if (!report) {
    fail(report.error().error ? report.error().error->message() : "the plan was refused");
  }
  if (report->outcome.status != RunStatus::kSucceeded) fail("a run did not succeed");
}

void measure(GroupCommitJournal& journal, std::int64_t runs, std::int64_t steps) {
  const RunRequest request = make_request(steps);
  std::vector<StepWatch> watches(static_cast<std::size_t>(runs));
  const std::uint64_t syncs = syncs_so_far();
  const std::uint64_t commits = journal.commits();
  const double start = seconds_now();
  std::vector<std::thread> threads;
  for (StepWatch& watch : watches) {
    threads.emplace_back([&] { run_one(journal, request, watch); });
  }
  for (std::thread& thread : threads) thread.join();
  fmt::print("{{\"seconds\":{:.6f},\"syncs\":{},\"commits\":{},\"step_ms\":[{}]}}\n",
             seconds_now() - start, syncs_so_far() - syncs, journal.commits() - commits,
             watches[0].step_ms());
  std::fflush(stdout);
}

int serve(const std::string& folder) {
  GroupCommitJournal journal(open_store(folder + "/journal.db"));
  fmt::print("{{\"ready\":true}}\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const Value wanted = require(parse_json(line), "a request");
    measure(journal, wanted.find("runs")->as_int(), wanted.find("steps")->as_int());
  }
  return 0;
}

// Runs as lists see them: created, one record, closed, by as many threads as one commit can take.
int make_runs(std::int64_t count, const std::string& path) {
  constexpr std::int64_t kThreads = 32;
  GroupCommitJournal journal(open_store(path));
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (std::int64_t i = t; i < count; i += kThreads) {
        RunCard card;
        card.plan = fmt::format("plan{}.yaml", i % 50);
        card.status = "running";
        card.started_ns = card.updated_ns = (1'700'000'000 + i) * kNsPerSecond;
        const JournalBatch first{{{1, 1, "a record"}}, {}};
        const RunLease lease =
            require(journal.create_run(fmt::format("bench-{:07}", i), card, first), "a new run");
        card.status = "succeeded";
        card.tasks_done = 10;
        if (auto closed = journal.close_run(lease, card, JournaledRunState::kEnded); !closed) {
          fail(closed.error().message());
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}

int list_all(const std::string& path) {
  GroupCommitJournal journal(open_store(path));
  const double start = seconds_now();
  const auto runs = require(journal.list_runs({}), "the list");
  fmt::print("{:.6f} {}\n", seconds_now() - start, runs.size());
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.size() == 3 && words[0] == "--make-runs") {
    return sluice::bench::make_runs(std::atoll(words[1].c_str()), words[2]);
  }
  if (words.size() == 2 && words[0] == "--list") return sluice::bench::list_all(words[1]);
  if (words.size() != 1) sluice::bench::fail("usage: bench_durable FOLDER");
  return sluice::bench::serve(words[0]);
}
