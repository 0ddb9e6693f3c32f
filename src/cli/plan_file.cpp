#include "cli/plan_file.h"

#include <fmt/format.h>

#include <utility>

#include "host/files/read_file.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "verify/verify.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const std::string& file) {
  const fs::path folder = file == "-" ? fs::path() : fs::path(file).parent_path();
  return folder.empty() ? fs::path(".") : folder;
}

}  // namespace

Result<CheckedPlan> check_plan_file(const std::string& file) {
  auto text = read_plan_file(file);
  if (!text) {
    if (text.error().code() == ErrorCode::kFileUnreadable) return std::unexpected(text.error());
    CheckedPlan no_plan{.file = file, .files = {file}};
    no_plan.sources.add(file, "");  // not for people to look at
    no_plan.findings.error(text.error().code(), {0, 1, 1}, text.error().message());
    return no_plan;
  }
  CheckedPlan checked;
  checked.file = file;
  checked.folder = folder_of(file);
  ParseOptions options;
  checked.texts.emplace_back(file, *text);
  options.read_file = [&checked](std::string_view name) {
    auto content = read_plan_file(checked.folder / fs::path(name));
    if (content) checked.texts.emplace_back(std::string(name), *content);
    return content;
  };
  ParsedPlan parsed = parse_plan(*text, file, options);
  checked.findings = std::move(parsed.diagnostics);
  checked.plan = std::move(parsed.plan);
  checked.files = checked.plan ? checked.plan->files : std::vector<std::string>{file};
  checked.sources.add(file, std::move(*text));
  if (checked.plan) {
    auto catalog = catalog_of(*checked.plan);
    verify_plan({*checked.plan, *catalog}, checked.findings);
  }
  checked.findings.sort();
  return checked;
}

std::expected<CheckedPlan, ExitCode> require_plan(const std::string& file, bool show_warnings) {
  auto checked = check_plan_file(file);
  if (!checked) return std::unexpected(end_with(checked.error()));
  const bool bad = checked->findings.has_errors() || checked->plan == nullptr;
  if (bad || (show_warnings && !checked->findings.all().empty())) {
    write_err(
        diagnostics_text(checked->findings, checked->files, checked->sources, terminal_of(2)));
  }
  if (!bad) return std::move(*checked);
  write_err(fmt::format("{} in {}; nothing was run\n", counts_text(checked->findings), file));
  return std::unexpected(kPlanWrong);
}

std::expected<Value, ExitCode> require_params(CheckedPlan& checked, const Result<Value>& given) {
  if (!given) return std::unexpected(end_with(given.error()));
  Diagnostics findings;
  Value params = bind_params(*checked.plan, *given, findings);
  if (!findings.has_errors()) return params;
  write_err(diagnostics_text(findings, checked.files, checked.sources, terminal_of(2)));
  return std::unexpected(kPlanWrong);
}

}  // namespace sluice::cli
