// sluice batch: a plan over the rows of a table, as one run.
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>
#include <memory>
#include <system_error>
#include <utility>

#include "cli/batch/batch_end.h"
#include "cli/batch/batch_options.h"
#include "cli/batch/batch_quality.h"
#include "cli/batch/batch_report.h"
#include "cli/batch/batch_watcher.h"
#include "cli/batch/output_place.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/result_output.h"
#include "data/json.h"
#include "host/files/journal_place.h"
#include "host/runs/adaptive_rows.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_input.h"
#include "tools/table/table_reader.h"
#include "tools/table/table_writer.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLongInputBytes = 32 << 20;  // reading it takes a moment: say so

template <class T>
using Step = std::expected<T, int>;  // or what the process ends with, once all is said

std::unexpected<int> end(const Error& error) {
  return std::unexpected(static_cast<int>(end_with(error)));
}

bool person_answers() { return ::isatty(0) == 1 && terminal_of(2).interactive; }

bool ask(std::string_view question) {
  write_err(fmt::format("{} [y/N] ", question));
  std::string answer;
  if (!std::getline(std::cin, answer)) return false;
  return answer == "y" || answer == "Y" || answer == "yes";
}

// What names like /dev/stdin stand for now, and not what they stand for when the run resumes.
fs::path absolute(const std::string& file) {
  std::error_code failed;
  fs::path real = fs::canonical(file, failed);
  return failed ? fs::absolute(file, failed).lexically_normal() : real;
}

Result<TableFormat> format_of(const std::string& file, const std::string& stated,
                              std::string_view option) {
  auto format = table_format_of(file, stated);
  if (format || !stated.empty()) return format;
  return fail(format.error().code(), fmt::format("{} with {}", format.error().message(), option));
}

// One batch from its command line to its end.
class Batch {
 public:
  explicit Batch(const BatchArguments& arguments) : arguments_(arguments) {}

  int run() {
    if (auto ready = prepare(); !ready) return ready.error();
    if (auto chosen = choose_passes(); !chosen) return chosen.error();
    if (auto cleared = clear_earlier_results(earlier_results()); !cleared) {
      return end_with(cleared.error());
    }
    if (auto code = run_rows()) return *code;
    do_exactly();
    return run_rows().value_or(kRunFailed);
  }

 private:
  // nullopt: nothing has begun, because passes would change more than was measured.
  std::optional<int> run_rows() {
    const Terminal terminal = terminal_of(2);
    RunWatcher watcher(arguments_.live.output, terminal);
    const bool sampling = arguments_.sample > 0 && arguments_.sample < rows_;
    watcher.expect_rows(sampling ? arguments_.sample : rows_);
    BatchWatcher batch(
        watcher,
        {.sample = sampling ? arguments_.sample : 0, .budget = keeper_, .measured = measured_});
    settings_.hold_rows_after = sampling ? arguments_.sample : 0;
    const RunRequest request{.plan = made_.plan,
                             .params = made_.params,
                             .texts = made_.texts,
                             .forked = std::nullopt,
                             .inputs = {input_},
                             .batch = BatchExtent{rows_, budget_left()},
                             .drawn_rows = drawn_rows()};
    auto report = run_plan(request, settings_, batch);
    watcher.finish();
    if (report && batch.stopped() == BatchWatcher::Stop::kUnmeasured) return std::nullopt;
    const bool sampled = report && !report->ended && batch.stopped() == BatchWatcher::Stop::kSample;
    if (!sampled) return conclude(report, watcher, batch);
    write_err(watcher.clean(batch_stop_text(*report, batch, context())));
    if (arguments_.live.output.json) tell_forecast(*report, batch);
    const std::uint64_t left = rows_ - std::min(rows_, batch.rows_done());
    const bool on = !arguments_.estimate && person_answers() &&
                    ask(fmt::format("Go on with the other {} rows?", count_text(left)));
    if (on) return go_on(report->run_id);
    write_err(to_go_on(*report, left, context()));
    return arguments_.estimate ? kGood : kResumable;
  }

  void do_exactly() {
    settings_.optimizer = with_equal_results(std::move(settings_.optimizer));
    measured_.reset();
    quality_remark_ =
        "note: done exactly: in all rows passes would change more than in the measured sample\n";
    if (!arguments_.live.output.json) write_err(quality_remark_);
  }

  Step<void> prepare() {
    auto memory = parse_bytes(arguments_.live.memory);
    if (!memory) return end(memory.error());
    auto budget = parse_batch_budget(arguments_.budget);
    if (!budget) return end(budget.error());
    budget_ = *budget;
    keeper_ = BudgetKeeper(budget_);
    if (auto good = check_usage(); !good) return end(good.error());
    auto optimizer = optimizer_settings(arguments_.optimizer, {kAdaptName});
    if (!optimizer) return end(optimizer.error());
    adapts_ = !optimizer->off && !optimizer->without.contains(kAdaptName);
    const bool chatty = !arguments_.live.output.quiet && !arguments_.live.output.json;
    auto checked = require_plan(arguments_.plan, chatty);
    if (!checked) return std::unexpected(static_cast<int>(checked.error()));
    checked_ = std::move(*checked);
    for (auto step :
         {&Batch::read_input, &Batch::make_plan, &Batch::open_journal, &Batch::make_room}) {
      if (auto done = (this->*step)(); !done) return done;
    }
    settings_ = live_settings(arguments_.live, checked_.folder, *memory, journal_.get());
    settings_.optimizer = std::move(*optimizer);
    return {};
  }

  // Passes that may change results run where they were measured to change few.
  Step<void> choose_passes() {
    QualityDecision chosen = decide_quality({.batch = spec_,
                                             .plan = checked_.plan,
                                             .input_sha256 = input_.sha256,
                                             .rows = rows_,
                                             .options = arguments_.quality,
                                             .settings = settings_,
                                             .output = arguments_.live.output,
                                             .budget = keeper_});
    if (chosen.interrupted) {
      return std::unexpected(static_cast<int>(chosen.spent ? kResumable : kInterrupted));
    }
    settings_.optimizer = std::move(chosen.optimizer);
    measured_ = std::move(chosen.measured);
    quality_remark_ = std::move(chosen.remark);
    return {};
  }

  // For who resumes the run, and does not know what was measured before it.
  BatchBudget budget_left() const {
    BatchBudget left = budget_;
    auto spend = [](std::optional<double>& bound, double spent) {
      if (bound) bound = std::max(*bound - spent, 1e-9);
    };
    spend(left.tokens, keeper_.measured_tokens());
    spend(left.usd, keeper_.measured_usd());
    spend(left.seconds, keeper_.measured_seconds());
    return left;
  }

  Result<void> check_usage() const {
    if (arguments_.estimate && arguments_.sample == 0) {
      return fail(ErrorCode::kUsage, "--estimate needs --sample N: it tells what N rows took");
    }
    if (arguments_.sample > 0 && arguments_.live.journal.without) {
      return fail(ErrorCode::kUsage,
                  "--sample stops a run that goes on later, for which it must be recorded: leave "
                  "--no-journal away");
    }
    return {};
  }

  // All of the input, so that what is wrong with it is known before anything is spent.
  Step<void> read_input() {
    auto format = format_of(arguments_.input, arguments_.input_format, "--input-format");
    if (!format) return end(format.error());
    if (!arguments_.query.empty() && *format != TableFormat::kSqlite) {
      return end(Error(ErrorCode::kUsage, "--query is for an SQLite input"));
    }
    spec_.input = {absolute(arguments_.input), *format, arguments_.query, ""};
    auto input = look_at_input(spec_.input.file);
    if (!input) return end(input.error());
    input_ = std::move(*input);
    const bool said = input_.bytes >= kLongInputBytes && !arguments_.live.output.quiet;
    if (said) {
      write_err(fmt::format("reading {} ({})\n", arguments_.input, bytes_text(input_.bytes)));
    }
    auto scan = scan_table(spec_.input, arguments_.limit);
    if (!scan) return end(scan.error());
    spec_.columns = std::move(scan->columns);
    rows_ = arguments_.limit > 0 ? std::min(arguments_.limit, scan->rows) : scan->rows;
    if (rows_ == 0 && !arguments_.live.output.quiet) {
      write_err(fmt::format("note: {} has no rows\n", arguments_.input));
    }
    return {};
  }

  Step<void> make_plan() {
    auto fixed = collect_params(*checked_.plan, arguments_.params);
    if (!fixed) return end(fixed.error());
    auto format = format_of(arguments_.output, arguments_.output_format, "--output-format");
    if (!format) return end(format.error());
    if (!arguments_.table.empty() && *format != TableFormat::kSqlite) {
      return end(Error(ErrorCode::kUsage, "--table is for an SQLite output"));
    }
    spec_.plan = checked_.plan.get();
    spec_.texts = checked_.texts;
    auto output = output_place(arguments_.output);
    if (!output) return end(output.error());
    spec_.output = {*output, *format, arguments_.table};
    auto can_be = check_target(spec_.output, arguments_.with_input ? spec_.columns.size() : 0);
    if (!can_be) return end(can_be.error());
    spec_.fixed = std::move(*fixed);
    spec_.limit = arguments_.limit;
    if (adapts_) spec_.concurrency = rows_at_once(*checked_.plan);
    if (arguments_.concurrency > 0) spec_.concurrency = arguments_.concurrency;
    spec_.with_input = arguments_.with_input;
    spec_.keep_null = arguments_.keep_null;
    spec_.unordered = arguments_.unordered;
    // No row and no column to look at: nothing is missing.
    if (rows_ == 0 && spec_.columns.empty()) spec_.columns = missing_columns(spec_);
    auto made = make_batch_plan(spec_);
    if (!made) return end(made.error());
    made_ = std::move(*made);
    say_unused();
    return {};
  }

  void say_unused() const {
    const auto unused = unused_columns(spec_);
    if (unused.empty() || spec_.with_input || arguments_.live.output.quiet) return;
    std::string names;
    for (std::size_t i = 0; i < unused.size() && i < 8; ++i) {
      names += (i == 0 ? "" : ", ") + unused[i];
    }
    write_err(fmt::format("note: the plan does not use the column{} {}{}\n",
                          unused.size() == 1 ? "" : "s", harmless(names),
                          unused.size() > 8 ? ", ..." : ""));
    for (const auto& [param, column] : misspelt_columns(spec_)) {
      write_err(
          fmt::format("note: no column is called {0}, so all rows have its default; is '{1}' "
                      "meant?\n",
                      param, harmless(column)));
    }
  }

  // What is known of all rows before the run; reading a long table once more takes its time.
  std::vector<Value> drawn_rows() const {
    const bool wanted = arguments_.sample > 0 || input_.bytes < kLongInputBytes;
    if (!wanted || settings_.optimizer.off) return {};
    return draw_rows(spec_, rows_, input_.bytes);
  }

  Step<void> open_journal() {
    if (arguments_.live.journal.without) return {};
    auto journal = open_run_journal(journal_place(arguments_.live.journal.place));
    if (!journal) return end(journal.error());
    journal_ = std::move(*journal);
    return {};
  }

  // Whatever lies where results or the output go.
  Step<void> make_room() {
    const fs::path& output = spec_.output.file;
    std::error_code ignored;
    if (fs::equivalent(output, spec_.input.file, ignored)) {
      return end(Error(ErrorCode::kUsage, "the output is the input; write to another file"));
    }
    if (auto writable = check_writable(output.string()); !writable) return end(writable.error());
    if (fs::exists(output, ignored) && !fs::is_regular_file(output, ignored)) {
      return end(
          Error(ErrorCode::kUsage,
                fmt::format("{} is no regular file; a table is written as a whole and put in "
                            "its place",
                            arguments_.output)));
    }
    if (auto free = check_earlier_results(earlier_results()); !free) return end(free.error());
    auto there = output_exists(spec_.output);
    if (!there) return end(there.error());
    if (!*there || arguments_.force) return {};
    const std::string what = output_name();
    if (person_answers() && ask(fmt::format("{} is there already; replace it?", what))) return {};
    return end(Error(ErrorCode::kUsage,
                     fmt::format("{} is there already; name another output, or replace it with "
                                 "--force",
                                 what)));
  }

  std::string output_name() const {
    if (spec_.output.format != TableFormat::kSqlite) return arguments_.output;
    return fmt::format("the table {} of {}",
                       spec_.output.table.empty() ? "result" : spec_.output.table,
                       arguments_.output);
  }

  EarlierResults earlier_results() const {
    return {spec_.output.file, arguments_.force, journal_.get(), arguments_.live.journal};
  }

  BatchReportContext context() const {
    return {terminal_of(2), journal_argument(arguments_.live.journal), rows_};
  }

  // The sample was good: the same run, in the same process.
  int go_on(const std::string& run_id) {
    RunWatcher watcher(arguments_.live.output, terminal_of(2));
    watcher.expect_rows(rows_);
    BatchWatcher batch(watcher, {.sample = 0, .budget = keeper_, .measured = measured_});
    settings_.hold_rows_after = 0;
    auto report = resume_run(resume_request(arguments_.live, run_id), settings_, batch);
    watcher.finish();
    return conclude(report, watcher, batch);
  }

  void tell_forecast(const RunReport& report, const BatchWatcher& batch) const {
    const Value line =
        Value::object({{"event", Value::string("estimate")},
                       {"sample", Value::integer(static_cast<std::int64_t>(batch.rows_done()))},
                       {"failed", Value::integer(static_cast<std::int64_t>(batch.rows_failed()))},
                       {"rows", Value::integer(static_cast<std::int64_t>(rows_))},
                       {"all", forecast_value(forecast(batch.sample(), rows_, report.forecast))}});
    (void)write_out(to_json(line) + "\n");
  }

  int conclude(const std::expected<RunReport, RunRefused>& report, const RunWatcher& watcher,
               const BatchWatcher& batch) {
    ReportContext told{.plan_file = checked_.file,
                       .files = made_.plan->files,
                       .terminal = terminal_of(2),
                       .journal = journal_argument(arguments_.live.journal)};
    for (const auto& [name, text] : made_.texts) checked_.sources.add(name, text);
    const int code = conclude_batch(
        report, watcher, batch, {arguments_.live, context(), std::move(told), checked_.sources});
    const OutputOptions& output = arguments_.live.output;
    if (code == kGood && !output.quiet && !output.json) write_err(quality_remark_);
    return code;
  }

  const BatchArguments& arguments_;
  CheckedPlan checked_;
  BatchSpec spec_;
  BatchPlan made_;
  BatchBudget budget_;
  BudgetKeeper keeper_{BatchBudget()};                // of it: knows what measuring took
  std::optional<std::vector<std::string>> measured_;  // what passes may change
  std::string quality_remark_;                        // a line, or ""
  RunInput input_;
  RunSettings settings_;
  std::unique_ptr<Journal> journal_;
  std::uint64_t rows_ = 0;  // to do
  bool adapts_ = false;     // rows may be done otherwise than the first ones
};

}  // namespace

void add_batch(CLI::App& app, int& status) {
  auto arguments = std::make_shared<BatchArguments>();
  add_batch_options(app, *arguments);
  app.callback([arguments, &status] { status = Batch(*arguments).run(); });
}

}  // namespace sluice::cli
