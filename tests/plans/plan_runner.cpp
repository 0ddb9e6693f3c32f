#include "tests/plans/plan_runner.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <memory>
#include <set>

#include "base/clock.h"
#include "fmt/format.h"
#include "host/calls/asio_host.h"
#include "host/files/read_file.h"
#include "host/files/spill_store.h"
#include "host/history/result_cache.h"
#include "host/resources/resources.h"
#include "host/runs/past_run.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "plan/tool_catalog.h"
#include "runtime/run_loop.h"
#include "tests/plans/scripted_model.h"
#include "tools/tool.h"
#include "verify/verify.h"

namespace sluice::plantest {
namespace {

constexpr const char* kRunId = "0000000000000001";
constexpr std::chrono::seconds kLongestRun{60};
// Nothing listens there; the instance behind it is replaced by the script before the run.
constexpr const char* kNowhere = "http://127.0.0.1:9/v1";

ParseOptions options_for(const std::filesystem::path& folder) {
  ParseOptions options;
  options.read_file = [folder](std::string_view name) { return read_plan_file(folder / name); };
  return options;
}

// What all runs of this process share: starting Python workers for each would take most of the
// time.
struct Machine {
  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  boost::asio::thread_pool blocking{2};
  std::unique_ptr<Tool> code;

  ToolEnvironment environment(const std::filesystem::path& folder) {
    return {.io = io.get_executor(),
            .blocking = blocking.get_executor(),
            .work_dir = folder,
            .temp_dir = std::filesystem::temp_directory_path(),
            .clock = &system_clock(),
            .isolate_code = probe_isolation().isolated};
  }
  Tool& code_runner() {
    if (!code) {
      code = open_code_runner({.workers = 2, .python = "python3"},
                              environment(std::filesystem::temp_directory_path()));
    }
    return *code;
  }
  template <class Condition>
  bool run_until(Condition done) {
    auto deadline = std::chrono::steady_clock::now() + kLongestRun;
    while (!done() && std::chrono::steady_clock::now() < deadline) {
      io.run_one_for(std::chrono::milliseconds(100));
    }
    return done();
  }
};

Machine& machine() {
  static Machine shared;
  return shared;
}

// What failed by itself: below "a step failed" and "an input failed".
const Error& root_of(const Error& error) {
  const Error* root = &error;
  while (root->cause() != nullptr &&
         (root->code() == ErrorCode::kStepFailed || root->code() == ErrorCode::kInputFailed)) {
    root = root->cause();
  }
  return *root;
}

std::vector<std::string> root_codes(const std::vector<Error>& errors) {
  std::set<std::string> codes;
  for (const Error& error : errors) codes.insert(std::string(root_of(error).name()));
  return {codes.begin(), codes.end()};
}

Result<void> open_resources(Resources& resources, const RunRequest& request) {
  if (auto opened = resources.open_tools(request.plan); !opened) return opened;
  if (auto opened = resources.open_models(); !opened) return opened;
  if (!request.model_script.empty()) {
    for (const auto& model : resources.models()) {
      auto scripted = make_scripted_model(request.model_script);
      if (!scripted) return std::unexpected(scripted.error());
      model->instance = std::move(*scripted);
    }
  }
  std::optional<Result<void>> discovered;
  resources.discover([&](Result<void> done) { discovered = std::move(done); });
  if (!machine().run_until([&] { return discovered.has_value(); })) {
    return fail(ErrorCode::kTimeout, "the tools did not say what they can do");
  }
  return *discovered;
}

// Verified, and as the optimizer leaves it.
Result<PhysicalPlanPtr> planned(const RunRequest& request, const Value& params,
                                const PlanScope& scope, RunReport& report) {
  Diagnostics findings;
  verify_plan({.plan = *request.plan, .tools = scope}, findings);
  if (findings.has_errors()) {
    findings.sort();
    for (const Diagnostic& finding : findings.all()) {
      if (finding.severity == Severity::kError) return fail(finding.code, finding.message);
    }
  }
  const CostInputs cost{.history = nullptr, .sample = nullptr, .models = {}, .params = &params};
  auto optimized = optimize_plan({.plan = request.plan,
                                  .tools = scope,
                                  .params = &params,
                                  .cost = cost,
                                  .settings = request.variation->optimizer});
  if (!optimized) return std::unexpected(optimized.error());
  report.rewritten = optimized->rewritten != request.plan;
  if (!request.variation->one_worker) return optimized->physical;
  auto narrow = std::make_shared<PhysicalPlan>(*optimized->physical);
  narrow->concurrency = 1;
  narrow->window = 1;
  for (PhysicalStep& step : narrow->steps) {
    if (!step.resource.empty()) step.resource_limit = 1;
  }
  return narrow;
}

// The run in a journal of its own, as the host would begin it.
Result<RunJournal> begin_journal(Journal& journal, const RunRequest& request,
                                 const PhysicalPlan& plan, const RunOptions& options,
                                 ValueStore& values) {
  RunHeader header;
  header.run_id = kRunId;
  header.program = SLUICE_VERSION;
  header.files.emplace_back("plan.yaml", request.text);
  ParseOptions recording = options_for(request.folder);
  recording.read_file = [&header, read = recording.read_file](std::string_view name) {
    auto text = read(name);
    if (text) header.files.emplace_back(std::string(name), *text);
    return text;
  };
  parse_plan(request.text, "plan.yaml", recording);
  header.physical = encode_physical(plan);
  header.settings = encode_surroundings({});
  header.wall_ns = system_clock().wall_ns();
  JournalBatch first = first_records(header, options, values);
  const JournalSeq begun = first.records.size();
  auto lease = journal.create_run(kRunId, {}, std::move(first));
  if (!lease) return std::unexpected(lease.error());
  RunJournal begun_in{journal, *lease, std::move(header), "the test", {}};
  begun_in.begun = begun;
  return begun_in;
}

// Decides the whole run once more from its journal: nothing may differ.
Result<void> decide_again(Journal& journal, const RunOutcome& outcome) {
  auto again = PastRun::read(journal, kRunId, {.check = true});
  if (!again) return std::unexpected(again.error());
  if (const auto& difference = (*again)->recovery().difference()) {
    return fail(ErrorCode::kReplayDiffers,
                fmt::format("before record {}: was {}, now {}", difference->seq, difference->was,
                            difference->now));
  }
  const bool open = outcome.status == RunStatus::kInDoubt;
  const auto& ended = (*again)->ended();
  if (ended.has_value() == open || (ended && ended->status != outcome.status)) {
    return fail(ErrorCode::kReplayDiffers, "the journal does not tell how the run ended");
  }
  if (open && (*again)->state().doubts().empty()) {
    return fail(ErrorCode::kReplayDiffers, "the journal does not tell what is in doubt");
  }
  return {};
}

void send_signals(RunLoop& loop, const std::vector<SignalMessage>& signals) {
  std::uint64_t id = 0;
  for (const SignalMessage& signal : signals) {
    auto [kind, body] = encode_message(signal);
    loop.take({++id, std::move(kind), std::move(body), 0});
  }
}

}  // namespace

const std::vector<Variation>& variations() {
  static const std::vector<Variation> all = [] {
    using Form = Variation::Form;
    std::vector<Variation> made = {
        {.name = "as_written", .optimizer = {}},
        {.name = "one_worker", .one_worker = true, .optimizer = {}},
        {.name = "through_yaml", .form = Form::kThroughYaml, .optimizer = {}},
        {.name = "through_json", .form = Form::kThroughJson, .optimizer = {}},
        {.name = "journaled", .journaled = true, .optimizer = {}},
        {.name = "unoptimized", .optimizer = {.off = true, .without = {}}},
    };
    for (const PassInfo& pass : optimizer_passes()) {
      Variation without{
          .name = fmt::format("without_{}", pass.name), .optimizer = {}, .pass = &pass};
      without.optimizer.without.insert(std::string(pass.name));
      made.push_back(std::move(without));
      Variation only{.name = fmt::format("only_{}", pass.name), .optimizer = {}, .pass = &pass};
      for (const PassInfo& other : optimizer_passes()) {
        if (other.name != pass.name) only.optimizer.without.insert(std::string(other.name));
      }
      made.push_back(std::move(only));
    }
    return made;
  }();
  return all;
}

const Variation& unoptimized() {
  for (const Variation& variation : variations()) {
    if (variation.optimizer.off) return variation;
  }
  return variations().front();
}

std::string vary(std::string_view text, const std::filesystem::path& folder, Variation::Form form) {
  if (form == Variation::Form::kAsWritten) return std::string(text);
  ParsedPlan parsed = parse_plan(text, "plan.yaml", options_for(folder));
  if (!parsed.plan || parsed.diagnostics.has_errors()) return "";
  return form == Variation::Form::kThroughYaml ? print_plan_yaml(*parsed.plan)
                                               : print_plan_json(*parsed.plan);
}

Checked check(std::string_view text, const std::filesystem::path& folder) {
  ParsedPlan parsed = parse_plan(text, "plan.yaml", options_for(folder));
  Checked checked{.plan = parsed.plan, .findings = std::move(parsed.diagnostics)};
  if (checked.plan) {
    auto catalog = catalog_of(*checked.plan);
    verify_plan({.plan = *checked.plan, .tools = *catalog}, checked.findings);
  }
  checked.findings.sort();
  return checked;
}

Result<RunReport> run(const RunRequest& request) {
  RunReport report;
  Value params = bind_params(*request.plan, request.params, report.param_findings);
  if (report.param_findings.has_errors()) return report;

  ResourceOptions options;
  options.models.location = kNowhere;
  Resources resources(options, machine().environment(request.folder));
  if (auto opened = open_resources(resources, request); !opened) {
    return std::unexpected(opened.error());
  }
  const PlanScope* scope = resources.scope(request.plan.get());
  if (scope == nullptr) return fail(ErrorCode::kInternal, "the plan has no scope");
  auto plan = planned(request, params, *scope, report);
  if (!plan) return std::unexpected(plan.error());

  ResultCache cache(request.folder / "result-cache.db", system_clock());
  SpillStore values({.large_bytes = 1024, .memory_bytes = 64 << 10, .directory = request.folder});
  SummaryFold fold;
  bool ended = false;
  AsioHost host(machine().io, {.resources = resources,
                               .code = machine().code_runner(),
                               .cache = cache,
                               .values = values,
                               .clock = system_clock(),
                               .run_id = kRunId,
                               .optimizer = request.variation->optimizer,
                               .blocking = machine().environment(request.folder).blocking});
  RunLoop loop(*plan, host, values, &fold, [&](RunOutcome outcome) {
    report.outcome = std::move(outcome);
    ended = true;
  });
  host.set_inbox(&loop);
  host.add_plan(*plan, *scope);
  const RunOptions begin{.run_id = kRunId, .params = params, .seed = 1};
  std::unique_ptr<Journal> journal;
  if (request.variation->journaled) {
    journal = make_memory_journal();
    auto recorded = begin_journal(*journal, request, **plan, begin, values);
    if (!recorded) return std::unexpected(recorded.error());
    loop.record_in(std::move(*recorded));
  }
  loop.start(begin);
  send_signals(loop, request.signals);
  if (!machine().run_until([&] { return ended; })) {
    return fail(ErrorCode::kTimeout, "the run did not end");
  }
  if (auto result = values.load(report.outcome.result)) report.outcome.result = *result;
  if (journal) {
    if (auto same = decide_again(*journal, report.outcome); !same) {
      return std::unexpected(same.error());
    }
  }
  report.summary = fold.summary();
  report.error_codes = root_codes(report.outcome.errors);
  return report;
}

}  // namespace sluice::plantest
