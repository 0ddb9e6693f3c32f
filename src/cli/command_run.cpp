// sluice run: one run of a plan, watched by a person or a program.
#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/params.h"
#include "cli/plan_file.h"
#include "cli/progress.h"
#include "cli/result_output.h"
#include "cli/run_options.h"
#include "cli/run_report.h"
#include "cli/trace_json.h"
#include "data/json.h"
#include "host/run_service.h"
#include "verify/verify.h"

namespace sluice::cli {
namespace {

struct RunArguments {
  std::string plan;
  ParamArguments params;
  MachineOptions machine;
  std::string memory = "256M";
  std::string output;
  bool json = false;
  bool quiet = false;
  bool no_optimize = false;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice run plan.yaml\n"
    "  sluice run plan.yaml --param count=10 --param name=curl --param text=@notes.txt\n"
    "  sluice run plan.yaml --input rows.csv --input-param rows -o report.md\n"
    "  sluice run plan.yaml --model ~/models/other.gguf\n"
    "  sluice run plan.yaml --model http://127.0.0.1:8080/v1#my-model\n"
    "  sluice run plan.yaml --json | jq 'select(.event == \"task_failed\")'\n"
    "\n"
    "The result goes to standard output (text as it is, all else as JSON), progress and the "
    "report\n"
    "to standard error. Ctrl-C once lets running tasks end, twice cuts them off.\n";

// Shows what goes on, each text without secrets.
class Watcher final : public RunObserver {
 public:
  Watcher(const RunArguments& arguments, const Terminal& terminal)
      : arguments_(arguments), progress_(terminal, system_clock()) {}

  void use_redactor(const Redactor* redactor) override {
    if (redactor != nullptr) {
      redactor_ = redactor;
    } else if (redactor_ != nullptr) {
      kept_ = *redactor_;  // the report is written after the run's own is gone
      redactor_ = &kept_;
    }
  }
  std::string clean(std::string_view text) const {
    return redactor_ == nullptr ? std::string(text) : redactor_->clean(text);
  }

  void on_trace(const TraceEvent& event) override {
    if (!arguments_.json) return;
    if (start_ns_ == 0) start_ns_ = event.at;
    lines_ += clean(trace_line(event, start_ns_));
    lines_ += '\n';
    constexpr std::size_t kFlushBytes = 1 << 14;
    if (lines_.size() > kFlushBytes) flush();
  }
  void on_notice(std::string_view text) override {
    if (!arguments_.quiet) progress_.say(fmt::format("note: {}", clean(text)));
  }
  void on_opened(const std::vector<ModelInfo>& models) override {
    if (arguments_.quiet || arguments_.json) return;
    for (const ModelInfo& model : models) {
      progress_.say(fmt::format("model {}: {}", model.id, clean(model.description)));
    }
  }
  void on_interrupt(int times) override {
    progress_.say(times == 1 ? "interrupted: nothing new starts, what runs may end; Ctrl-C again "
                               "cuts it off"
                             : "cutting off what runs; Ctrl-C again leaves at once");
  }
  void on_tick(const RunSummary& so_far, const EngineStats& engines) override {
    flush();
    if (!arguments_.quiet && !arguments_.json) progress_.show(so_far, engines);
  }

  void flush() {
    if (auto written = write_out(lines_); !written && !failure_) failure_ = written.error();
    lines_.clear();
  }
  void finish() {
    flush();
    progress_.clear();
  }
  const std::optional<Error>& failure() const { return failure_; }

 private:
  const RunArguments& arguments_;
  Progress progress_;
  const Redactor* redactor_ = nullptr;
  Redactor kept_;
  std::string lines_;
  SteadyNs start_ns_ = 0;
  std::optional<Error> failure_;
};

int refused(const RunRefused& why, CheckedPlan& checked, const Watcher& watcher) {
  const Terminal terminal = terminal_of(2);
  if (why.error) {
    write_err(watcher.clean(error_text(*why.error, checked.files, terminal)));
    write_err(painted(terminal, Ink::kDim,
                      fmt::format("read more: docs/errors/{}.md", why.error->name())) +
              "\n");
    return exit_code_of(*why.error);
  }
  write_err(
      watcher.clean(diagnostics_text(why.findings, checked.files, checked.sources, terminal)));
  write_err(fmt::format("{} in {}; nothing was run\n", counts_text(why.findings), checked.file));
  return kPlanWrong;
}

// The result to where it belongs; an error is the caller's to report.
Result<void> give_result(const RunArguments& arguments, const RunReport& report,
                         const Watcher& watcher) {
  if (arguments.json) {
    auto written = write_out(watcher.clean(result_line(report)) + "\n");
    if (!written || arguments.output.empty()) return written;
  }
  if (report.outcome.status != RunStatus::kSucceeded && report.outcome.result.is_null()) return {};
  const std::string text = watcher.clean(result_text(report.outcome.result));
  if (!arguments.output.empty()) return write_file(arguments.output, text);
  return report.outcome.result.is_null() ? Result<void>() : write_out(text);
}

int report_run(const RunArguments& arguments, const CheckedPlan& checked, const RunReport& report,
               const Watcher& watcher) {
  const bool good = report.outcome.status == RunStatus::kSucceeded;
  if (!good || (!arguments.quiet && !arguments.json)) {
    write_err(
        watcher.clean(run_report_text(report, {checked.file, checked.files, terminal_of(2)})));
  }
  int status = exit_code_of(report.outcome.status);
  auto given = give_result(arguments, report, watcher);
  std::optional<Error> failure = watcher.failure();
  if (!given) failure = given.error();
  if (!failure) return status;
  print_error(*failure);
  return status == kGood ? static_cast<int>(kRunFailed) : status;
}

int run_command(const RunArguments& arguments) {
  auto memory = parse_bytes(arguments.memory);
  if (!memory) {
    print_error(memory.error());
    return kUsageWrong;
  }
  if (!arguments.output.empty()) {
    if (auto writable = check_writable(arguments.output); !writable) {
      print_error(writable.error());
      return exit_code_of(writable.error());
    }
  }
  auto checked = require_plan(arguments.plan, !arguments.quiet && !arguments.json);
  if (!checked) return checked.error();
  auto given = collect_params(*checked->plan, arguments.params);
  if (!given) {
    print_error(given.error());
    return exit_code_of(given.error());
  }
  Diagnostics findings;
  Value params = bind_params(*checked->plan, *given, findings);
  const Terminal terminal = terminal_of(2);
  if (findings.has_errors()) {
    write_err(diagnostics_text(findings, checked->files, checked->sources, terminal));
    return kPlanWrong;
  }
  RunSettings settings = settings_of(arguments.machine, checked->folder);
  settings.memory_bytes = *memory;
  settings.handle_signals = true;
  Watcher watcher(arguments, terminal);
  auto report = run_plan({checked->plan, std::move(params)}, settings, watcher);
  watcher.finish();
  if (!report) return refused(report.error(), *checked, watcher);
  return report_run(arguments, *checked, *report, watcher);
}

}  // namespace

void add_run(CLI::App& app, int& status) {
  auto arguments = std::make_shared<RunArguments>();
  app.add_option("PLAN", arguments->plan, "The plan, YAML or JSON; - reads standard input")
      ->required();
  app.add_option("-p,--param", arguments->params.values,
                 "A parameter as NAME=VALUE; NAME=@FILE takes the file's text")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--params", arguments->params.files, "Parameters from a YAML or JSON map")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--input", arguments->params.input,
                 "Rows from .jsonl, .csv, .tsv or .json, as one list")
      ->type_name("FILE");
  app.add_option("--input-param", arguments->params.input_param,
                 "The parameter that the rows are (default: the only one that takes a list)")
      ->type_name("NAME");
  add_machine_options(app, arguments->machine);
  app.add_option("-o,--output", arguments->output, "Write the result to this file")
      ->type_name("FILE");
  app.add_option("--memory", arguments->memory,
                 "Large values held in memory; more go to disk (default: 256M)")
      ->type_name("BYTES");
  app.add_flag("--json", arguments->json,
               "One trace event a line on standard output, the result last");
  app.add_flag("-q,--quiet", arguments->quiet,
               "No progress and no report unless something is wrong");
  app.add_flag("--no-optimize", arguments->no_optimize, "Run the plan as it is written");
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = run_command(*arguments); });
}

}  // namespace sluice::cli
