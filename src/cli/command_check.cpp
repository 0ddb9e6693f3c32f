// sluice check: everything that is wrong with plans, at once, without running them.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/plan_file.h"
#include "data/json.h"

namespace sluice::cli {
namespace {

struct CheckArguments {
  std::vector<std::string> plans;
  bool json = false;
  bool quiet = false;
};

// One finding a line, for editors.
std::string json_lines(const CheckedPlan& checked) {
  std::string text;
  for (const Diagnostic& finding : checked.findings.all()) {
    const std::uint32_t file = finding.pos.file;
    text += to_json(Value::object({
        {"file", Value::string(file < checked.files.size() ? checked.files[file] : checked.file)},
        {"line", Value::integer(finding.pos.line)},
        {"column", Value::integer(finding.pos.column)},
        {"severity", Value::string(finding.severity == Severity::kError ? "error" : "warning")},
        {"code", Value::string(error_code_info(finding.code).name)},
        {"message", Value::from_utf8(finding.message).value_or(Value())},
    }));
    text += '\n';
  }
  return text;
}

int check_one(const std::string& file, const CheckArguments& arguments) {
  auto checked = check_plan_file(file);
  if (!checked) return end_with(checked.error());
  const bool bad = checked->findings.has_errors() || checked->plan == nullptr;
  if (arguments.json) {
    if (const ExitCode failed = print_text(json_lines(*checked))) return failed;
  } else {
    const Terminal terminal = terminal_of(1);
    std::string text =
        diagnostics_text(checked->findings, checked->files, checked->sources, terminal);
    if (bad) {
      text += fmt::format("{}: {}\n", file, counts_text(checked->findings));
    } else if (!arguments.quiet) {
      const std::size_t warnings = checked->findings.all().size();
      text += fmt::format("{}: good, {}{}\n", file, plural(checked->plan->steps.size(), "step"),
                          warnings == 0 ? "" : ", " + plural(warnings, "warning"));
    }
    if (const ExitCode failed = print_text(text)) return failed;
  }
  return bad ? kPlanWrong : kGood;
}

}  // namespace

void add_check(CLI::App& app, int& status) {
  auto arguments = std::make_shared<CheckArguments>();
  app.add_option("PLAN", arguments->plans, "Plans, YAML or JSON; - reads standard input")
      ->required();
  app.add_flag("--json", arguments->json, "One finding a line as JSON");
  app.add_flag("-q,--quiet", arguments->quiet, "Say nothing about good plans");
  app.footer(
      "Examples:\n"
      "  sluice check plan.yaml\n"
      "  sluice check plans/*.yaml --quiet\n"
      "\n"
      "Each finding names file, line and column, and its code has a page in docs/errors/.\n");
  app.callback([arguments, &status] {
    // The worst of them, in the order: a path that cannot be read, a wrong plan, good.
    for (const std::string& plan : arguments->plans) {
      status = std::max(status, check_one(plan, *arguments));
    }
  });
}

}  // namespace sluice::cli
