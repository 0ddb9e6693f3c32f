// sluice explain: what a plan is expected to do and to cost, without running it; and what a run of
// it really did, beside that.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/batch/batch_quality.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/explain/cost_sources.h"
#include "cli/explain/explanation.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/optimizer_options.h"
#include "cli/params.h"
#include "cli/plan_file.h"
#include "cli/run_options.h"
#include "cli/run_words.h"
#include "cost/what_if.h"
#include "data/json.h"
#include "host/runs/batch_plan.h"
#include "host/runs/run_profile.h"
#include "optimize/optimizer.h"
#include "plan/tool_catalog.h"
#include "tools/table/table_reader.h"
#include "verify/verify.h"

namespace sluice::cli {
namespace {

struct ExplainArguments {
  std::string plan;
  std::string run;  // of --analyze
  std::string format = "text";
  ParamArguments params;
  OptimizerOptions optimizer;
  MachineOptions machine;
  JournalOptions journal;
};

constexpr std::uintmax_t kLongInputBytes = 32 << 20;

constexpr std::string_view kFooter =
    "`flow` edges pass item by item, `wait` edges need all of a step first. Nothing is run and no\n"
    "model is loaded. Estimates come from earlier runs of steps with the same meaning (history),\n"
    "from measurements and prices, or are stated defaults; parameters make them better.\n"
    "\n"
    "Examples:\n"
    "  sluice explain plan.yaml\n"
    "  sluice explain plan.yaml --input rows.jsonl --without merge_equal_steps\n"
    "  sluice explain --analyze last\n"
    "  sluice explain --analyze last --format html > run.html\n"
    "  sluice explain plan.yaml --format dot | dot -Tsvg > plan.svg\n";

std::string printed(const Explanation& explained, const std::string& format) {
  if (format == "dot") return explain_dot(explained);
  if (format == "mermaid") return explain_mermaid(explained);
  if (format == "html") return explain_html(explained);
  if (format == "json") return to_json(explain_json(explained), {.indent = 2}) + "\n";
  return explain_text(explained, terminal_of(1));
}

// The names of parameters that must be given and are not.
std::string missing_params(const Plan& plan, const Value& given) {
  std::string names;
  for (const ParamSpec& param : plan.params) {
    if (param.has_default || given.find(param.id) != nullptr) continue;
    names += (names.empty() ? "" : ", ") + param.id;
  }
  return names;
}

// A plan, what is known of its parameters, and of a table that it is done for.
struct Explained {
  PlanPtr plan;
  std::optional<Value> params = {};
  std::uint64_t rows = 0;
  std::vector<Value> drawn_rows = {};
  std::string remark = {};  // or ""
};

int explain_what(const ExplainArguments& arguments, const CheckedPlan& checked,
                 const OptimizerSettings& optimizer, const Explained& what) {
  const Value* params = what.params ? &*what.params : nullptr;
  const RunSettings settings = settings_of(arguments.machine, checked.folder);
  const CostSources sources(what.plan, settings, params);
  CostInputs cost = sources.inputs();
  if (what.rows > 0) cost.items[std::string(kBatchReadStep)] = static_cast<double>(what.rows);
  if (!what.drawn_rows.empty()) cost.drawn[std::string(kBatchRowStep)] = what.drawn_rows;
  auto catalog = catalog_of(*what.plan);
  auto optimized = optimize_plan({.plan = what.plan,
                                  .tools = *catalog,
                                  .params = params,
                                  .cost = cost,
                                  .settings = optimizer});
  if (!optimized) return end_with(optimized.error());
  Explanation explained = explain_plan(arguments.plan, what.plan, *optimized, optimizer);
  explained.remarks = sources.remarks();
  explained.quality = known_quality(checked.plan, optimizer, settings);
  if (!what.remark.empty()) explained.remarks.push_back(what.remark);
  return print_text(printed(explained, arguments.format));
}

// What a parameter is given that the plan has not, or cannot take. Those that miss are another
// matter.
std::optional<Error> wrong_param(const Plan& plan, const Value& given) {
  Diagnostics findings;
  (void)bind_params(plan, given, findings);
  for (const Diagnostic& finding : findings.all()) {
    if (finding.severity != Severity::kError || finding.code == ErrorCode::kParamMissing) continue;
    return Error(finding.code, finding.message);
  }
  return std::nullopt;
}

// The plan is for one row: what `sluice batch` would make of it and of these rows.
int explain_rows(const ExplainArguments& arguments, const CheckedPlan& checked,
                 const OptimizerSettings& optimizer) {
  ParamArguments fixed = arguments.params;
  fixed.input.clear();
  auto given = collect_params(*checked.plan, fixed);
  if (!given) return end_with(given.error());
  auto format = table_format_of(arguments.params.input);
  if (!format) return end_with(format.error());
  BatchSpec spec;
  spec.plan = checked.plan.get();
  spec.texts = checked.texts;
  spec.fixed = std::move(*given);
  spec.input = {std::filesystem::absolute(arguments.params.input), *format, "", ""};
  spec.output = {std::filesystem::absolute("output.jsonl"), TableFormat::kJsonLines, ""};
  auto scan = scan_table(spec.input);
  if (!scan) return end_with(scan.error());
  spec.columns = std::move(scan->columns);
  spec.concurrency = rows_at_once(*checked.plan);
  auto made = make_batch_plan(spec);
  if (!made) return end_with(made.error());
  std::error_code unknown;
  const std::uintmax_t bytes = std::filesystem::file_size(spec.input.file, unknown);
  const bool short_enough = !unknown && bytes < kLongInputBytes;  // to be read once more
  return explain_what(
      arguments, checked, optimizer,
      {.plan = made->plan,
       .params = made->params,
       .rows = scan->rows,
       .drawn_rows = short_enough ? draw_rows(spec, scan->rows, bytes) : std::vector<Value>(),
       .remark =
           fmt::format("for {} rows, as by: sluice batch {} --input {} --output FILE", scan->rows,
                       shell_word(arguments.plan), shell_word(arguments.params.input))});
}

int explain_a_plan(const ExplainArguments& arguments) {
  auto optimizer = optimizer_settings(arguments.optimizer);
  if (!optimizer) return end_with(optimizer.error());
  auto checked = require_plan(arguments.plan, false);
  if (!checked) return checked.error();
  const ParamArguments& params = arguments.params;
  if (!params.input.empty() && params.input_param.empty() && !takes_list(*checked->plan)) {
    return explain_rows(arguments, *checked, *optimizer);
  }
  auto given = collect_params(*checked->plan, params);
  if (!given) return end_with(given.error());
  Explained what{.plan = checked->plan};
  const std::string missing = missing_params(*checked->plan, *given);
  if (missing.empty()) {
    auto bound = require_params(*checked, given);
    if (!bound) return bound.error();
    what.params = std::move(*bound);
  } else {
    if (auto wrong = wrong_param(*checked->plan, *given)) return end_with(*wrong);
    what.remark = fmt::format("parameters that are not given: {}", missing);
  }
  return explain_what(arguments, *checked, *optimizer, what);
}

std::string passes_remark(const RunSurroundings& before) {
  if (!before.optimized) return "the plan ran as it is written";
  std::string without;
  for (const std::string& pass : before.without_passes) {
    without += (without.empty() ? "" : ", ") + pass;
  }
  return without.empty() ? "" : "the plan ran without these passes: " + without;
}

// As the run was begun, where the person does not say otherwise.
RunSettings settings_of_run(const MachineOptions& machine, const RunSurroundings& before) {
  MachineOptions options = machine;
  if (options.model.empty()) options.model = before.default_model;
  if (options.model_name.empty()) options.model_name = before.default_model_name;
  return settings_of(options, before.work_dir.empty() ? "." : before.work_dir);
}

int explain_a_run(const ExplainArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  auto profiled = profile_run(*chosen->journal, chosen->run.run_id);
  if (!profiled) return end_with(profiled.error());
  PastRun& run = *profiled->run;
  auto before = decode_surroundings(run.header().settings);
  if (!before) return end_with(before.error());
  const RunSettings settings = settings_of_run(arguments.machine, *before);
  const Value* params = profiled->params.is_null() ? nullptr : &profiled->params;
  const CostSources sources(run.plan().plan, settings, params, before->models);
  CostInputs cost = sources.inputs();
  if (before->batch) {
    cost.items[std::string(kBatchReadStep)] = static_cast<double>(before->batch->rows);
  }
  RunAnalysis analysis;
  analysis.run_id = run.journaled().run_id;
  analysis.status = run_state_word(run.journaled());
  analysis.profile = std::move(profiled->profile);
  if (analysis.profile.no_graph.empty()) {
    const RealizedRun& realized = analysis.profile.realized;
    analysis.what_if = try_changes(realized, possible_changes(realized));
  }
  Explanation explained =
      explain_run(run.journaled().card.plan, run.plan().plan, *run.plan().physical,
                  estimate_plan(*run.plan().physical, cost), std::move(analysis));
  explained.remarks = sources.remarks();
  add_passes_of_run(*before, explained);
  const bool told = before->notes.has_value();  // among the passes
  if (std::string passes = told ? "" : passes_remark(*before); !passes.empty()) {
    explained.remarks.push_back(std::move(passes));
  }
  return print_text(run.redactor().clean(printed(explained, arguments.format)));
}

int explain_command(const ExplainArguments& arguments) {
  if (arguments.plan.empty() == arguments.run.empty()) {
    return end_with(Error(ErrorCode::kUsage,
                          arguments.plan.empty()
                              ? "name a plan, or a run with --analyze RUN"
                              : "--analyze takes the plan from the run; name only one of them"));
  }
  return arguments.run.empty() ? explain_a_plan(arguments) : explain_a_run(arguments);
}

}  // namespace

void add_explain(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ExplainArguments>();
  app.add_option("PLAN", arguments->plan, "The plan, YAML or JSON; - reads standard input");
  app.add_option("--analyze", arguments->run,
                 "A run that was, beside what is expected: its id, a beginning of it, or last")
      ->type_name("RUN");
  app.add_option("--format", arguments->format,
                 "text, dot (Graphviz), mermaid, json, or html (one page that needs nothing else)")
      ->check(CLI::IsMember({"text", "dot", "mermaid", "json", "html"}));
  add_param_options(app, arguments->params);
  add_optimizer_options(app, arguments->optimizer);
  add_machine_options(app, arguments->machine);
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = explain_command(*arguments); });
}

}  // namespace sluice::cli
