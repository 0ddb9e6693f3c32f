// sluice quality: how often a plan's results stay the same with the passes that it allows, measured
// on rows of a table without doing all of them.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "cli/batch/batch_quality.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/optimizer_options.h"
#include "cli/params.h"
#include "cli/plan_file.h"
#include "cli/quality_text.h"
#include "cli/run_end.h"
#include "cli/run_options.h"
#include "cli/run_watcher.h"
#include "data/json.h"
#include "host/runs/quality_run.h"
#include "host/runs/run_input.h"
#include "tools/table/table_reader.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

struct QualityArguments {
  std::string plan;
  std::string input, input_format, query;
  ParamArguments params;
  OptimizerOptions optimizer;
  MachineOptions machine;
  OutputOptions output;
  std::uint64_t sample = 20;
  std::uint32_t concurrency = 0;
  double least = 0;
};

constexpr std::string_view kFooter =
    "Passes that a plan names in `allow` may change results. This runs the plan for a sample of "
    "rows,\n"
    "spread over the table, once exactly and once as allowed, and says how many rows have equal\n"
    "results. `0.80 or more` is the lower bound that holds with 95 % confidence (Wilson). What is\n"
    "measured is kept: explain shows it, and a batch does not measure again for 30 days.\n"
    "\n"
    "Examples:\n"
    "  sluice quality triage.yaml --input rows.csv\n"
    "  sluice quality triage.yaml --input rows.csv --sample 100 --without ask_together\n"
    "  sluice quality triage.yaml --input rows.csv --least-agreement 0.95 --json\n";

Result<std::uint64_t> read_input(const QualityArguments& arguments, BatchSpec& spec) {
  auto format = table_format_of(arguments.input, arguments.input_format);
  if (!format) return std::unexpected(format.error());
  if (!arguments.query.empty() && *format != TableFormat::kSqlite) {
    return fail(ErrorCode::kUsage, "--query is for an SQLite input");
  }
  std::error_code ignored;
  spec.input = {fs::absolute(arguments.input, ignored).lexically_normal(), *format, arguments.query,
                ""};
  auto scan = scan_table(spec.input);
  if (!scan) return std::unexpected(scan.error());
  spec.columns = std::move(scan->columns);
  return scan->rows;
}

int tell(const QualityArguments& arguments, const QualityOutcome& outcome,
         const RunWatcher& watcher) {
  if (arguments.output.json) {
    (void)write_out(watcher.clean(to_json(quality_event(outcome))) + "\n");
  }
  if (outcome.interrupted) return kInterrupted;
  if (!outcome.measured) {
    if (!arguments.output.json) {
      write_err(watcher.clean(fmt::format("nothing was measured: {}\n", outcome.why_not)));
    }
    return outcome.unchanged ? kGood : kRunFailed;
  }
  if (!arguments.output.json) (void)write_out(watcher.clean(quality_report(*outcome.measured)));
  const double share = outcome.measured->agreement.share();
  if (share >= arguments.least) return kGood;
  write_err(fmt::format("agreement {:.2f} is below {:.2f} (--least-agreement)\n", share,
                        arguments.least));
  return kRunFailed;
}

void keep(const QualityOutcome& outcome, const CheckedPlan& checked, const RunSettings& settings,
          const std::string& rows) {
  const auto& told = outcome.measured ? outcome.measured : outcome.unchanged;
  if (!told) return;
  const std::string problem = keep_quality(checked.plan, settings, rows, *told);
  if (!problem.empty()) write_err(fmt::format("note: {}\n", problem));
}

int quality_command(const QualityArguments& arguments) {
  auto optimizer = optimizer_settings(arguments.optimizer);
  if (!optimizer) return end_with(optimizer.error());
  auto checked = require_plan(arguments.plan, !arguments.output.quiet && !arguments.output.json);
  if (!checked) return checked.error();
  RunWatcher watcher(arguments.output, terminal_of(2));
  QualityOutcome never;  // known before anything is opened
  never.why_not = why_not_measured(*checked->plan, *optimizer);
  if (!never.why_not.empty()) return tell(arguments, never, watcher);
  BatchSpec spec;
  auto rows = read_input(arguments, spec);
  if (!rows) return end_with(rows.error());
  auto looked_at = look_at_input(spec.input.file);
  if (!looked_at) return end_with(looked_at.error());
  auto fixed = collect_params(*checked->plan, arguments.params);
  if (!fixed) return end_with(fixed.error());
  spec.plan = checked->plan.get();
  spec.texts = checked->texts;
  spec.fixed = std::move(*fixed);
  if (arguments.concurrency > 0) spec.concurrency = arguments.concurrency;
  RunSettings settings = settings_of(arguments.machine, checked->folder);
  settings.handle_signals = true;
  settings.optimizer = std::move(*optimizer);
  if (!arguments.output.quiet && !arguments.output.json) {
    write_err(fmt::format("{} of {} rows, exactly and as allowed\n",
                          count_text(std::min(arguments.sample, *rows)), count_text(*rows)));
  }
  auto outcome = measure_quality({spec, *rows, arguments.sample}, settings, watcher);
  watcher.finish();
  if (!outcome) {
    ReportContext context{
        .plan_file = checked->file, .files = checked->files, .terminal = terminal_of(2)};
    return finish_run(std::unexpected(std::move(outcome.error())), arguments.output,
                      std::move(context), checked->sources, watcher);
  }
  keep(*outcome, *checked, settings, identity_of_rows(spec, looked_at->sha256, *rows));
  return tell(arguments, *outcome, watcher);
}

}  // namespace

void add_quality(CLI::App& app, int& status) {
  auto arguments = std::make_shared<QualityArguments>();
  const auto formats = CLI::IsMember({"jsonl", "csv", "tsv", "sqlite"});
  app.add_option("PLAN", arguments->plan, "The plan, YAML or JSON; - reads standard input")
      ->required();
  app.add_option("-i,--input", arguments->input, "The table whose rows are the sample")
      ->required()
      ->type_name("FILE");
  app.add_option("--query", arguments->query, "Of an SQLite input: the SELECT that gives the rows")
      ->type_name("SQL");
  app.add_option("--input-format", arguments->input_format, "jsonl, csv, tsv or sqlite")
      ->check(formats);
  app.add_option("--sample", arguments->sample, "So many rows (default: 20)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{10'000}))
      ->type_name("N");
  app.add_option("--least-agreement", arguments->least,
                 "Ends with 1 when fewer rows than this share of them are equal")
      ->check(CLI::Range(0.0, 1.0))
      ->type_name("SHARE");
  app.add_option("-p,--param", arguments->params.values,
                 "A parameter that is the same for all rows, as NAME=VALUE or NAME=@FILE")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--params", arguments->params.files, "Such parameters from a YAML or JSON map")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--concurrency", arguments->concurrency, "Rows at once")
      ->check(CLI::Range(1U, 100'000U))
      ->type_name("N");
  app.add_flag("--json", arguments->output.json, "What was measured as one JSON object");
  app.add_flag("-q,--quiet", arguments->output.quiet, "No progress");
  add_optimizer_options(app, arguments->optimizer);
  add_machine_options(app, arguments->machine);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = quality_command(*arguments); });
}

}  // namespace sluice::cli
