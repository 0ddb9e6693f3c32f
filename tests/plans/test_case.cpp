#include "tests/plans/test_case.h"

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include "cli/plan_graph.h"
#include "data/json.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "plan/lower.h"
#include "plan/tool_catalog.h"
#include "tests/plans/optimized_text.h"

namespace sluice::plantest {
namespace {

// A folder for one case, gone when the next one begins.
class CaseFolder {
 public:
  CaseFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-plan-XXXXXX").string();
    if (mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~CaseFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  CaseFolder(const CaseFolder&) = delete;
  CaseFolder& operator=(const CaseFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

void put_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::trunc) << text;
}

std::string get_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string place_of(const Diagnostic& finding) {
  return fmt::format("{}:{}", finding.pos.line, finding.pos.column);
}

std::string_view code_of(const Diagnostic& finding) { return error_code_info(finding.code).name; }

// "3:18 KEY_UNKNOWN" a line; positions are left out where the text is not the written one.
std::string list_findings(const Diagnostics& findings, Severity severity, bool positions) {
  std::string list;
  for (const Diagnostic& finding : findings.all()) {
    if (finding.severity != severity) continue;
    if (positions) list += place_of(finding) + " ";
    list += fmt::format("{}\n", code_of(finding));
  }
  return list;
}

std::string without_positions(const std::string& list) {
  std::istringstream in(list);
  std::string codes;
  for (std::string place, code; in >> place >> code;) codes += code + "\n";
  return codes;
}

std::string step_line(const StepSummary& step) {
  std::string line = step.id + ":";
  const char* comma = " ";
  auto add = [&](std::uint64_t count, const char* what) {
    if (count == 0) return;
    line += fmt::format("{}{} {}", comma, count, what);
    comma = ", ";
  };
  add(step.done, "done");
  add(step.skipped, "skipped");
  add(step.failed, "failed");
  add(step.in_doubt, "in doubt");
  add(step.retries, "retries");
  return line + "\n";
}

// The plan's own steps, as they were written.
std::string list_steps(const Plan& plan, const RunSummary& summary) {
  std::string list;
  for (const Step& step : plan.steps) {
    for (const StepSummary& found : summary.steps) {
      if (found.id == step.id) list += step_line(found);
    }
  }
  return list;
}

class CaseRunner {
 public:
  CaseRunner(TestFile& file, const Variation& variation, bool update)
      : file_(file), variation_(variation), update_(update) {}

  std::vector<std::string> run_all() {
    begin_case();
    bool plan_seen = false;
    for (Block& block : file_.blocks) {
      // Each plan begins anew in a folder of its own; files and the script so far stay.
      if (block.keyword == "plan" && std::exchange(plan_seen, true)) begin_case();
      step(block);
    }
    return std::move(failures_);
  }

 private:
  void begin_case() {
    folder_ = std::make_unique<CaseFolder>();
    for (const auto& [name, text] : files_) put_file(folder_->path() / name, text);
    params_ = Value::object({});
    signals_.clear();
    text_.clear();
  }

  void step(Block& block) {
    if (block.keyword == "plan") {
      text_ = block.body;
    } else if (block.keyword == "file") {
      files_.emplace_back(block.words.at(0), block.body);
      put_file(folder_->path() / files_.back().first, block.body);
    } else if (block.keyword == "params") {
      auto params = parse_json(block.body);
      if (!params) return complain(block, params.error().to_string());
      params_ = *params;
    } else if (block.keyword == "signal") {
      auto value = parse_json(block.body);
      if (!value) return complain(block, value.error().to_string());
      const std::string task = block.words.size() > 1 ? block.words[1] : "";
      signals_.push_back({block.words.at(0), task, *value});
    } else if (block.keyword == "model") {
      script_ = block.body;
    } else if (block.keyword == "verify") {
      verify(block);
    } else if (block.keyword == "run") {
      run(block);
    } else if (block.keyword == "explain") {
      explain(block);
    } else if (block.keyword == "optimize") {
      optimize(block);
    } else if (block.keyword == "expect") {
      expect_file(block);
    }
  }

  bool as_written() const { return variation_.form == Variation::Form::kAsWritten; }
  std::string text() const { return vary(text_, folder_->path(), variation_.form); }

  void verify(Block& block) {
    std::string plan_text = text();
    if (plan_text.empty() && !as_written()) return;  // does not parse: nothing to print
    Checked checked = check(plan_text, folder_->path());
    const std::string kind = block.words.empty() ? "" : block.words[0];
    if (kind == "ok") {
      std::string errors = list_findings(checked.findings, Severity::kError, true);
      if (!errors.empty()) complain(block, "unexpected errors:\n" + described(checked.findings));
      compare_list(block, list_findings(checked.findings, Severity::kWarning, as_written()));
    } else if (kind == "errors") {
      compare_list(block, list_findings(checked.findings, Severity::kError, as_written()));
    } else if (kind == "error" && block.words.size() >= 2) {
      verify_one(block, checked.findings);
    } else {
      complain(block, "verify what?");
    }
  }

  // One line per finding; the place is compared in the written text only, and left out of the
  // comparison where a round trip has moved it.
  void compare_list(Block& block, const std::string& got) {
    if (update_) {
      block.body = got;
      return;
    }
    const std::string wanted = as_written() ? block.body : without_positions(block.body);
    if (wanted != got) complain(block, fmt::format("wanted:\n{}got:\n{}", wanted, got));
  }

  void verify_one(Block& block, const Diagnostics& findings) {
    std::vector<const Diagnostic*> errors;
    for (const Diagnostic& finding : findings.all()) {
      if (finding.severity == Severity::kError) errors.push_back(&finding);
    }
    if (errors.size() != 1) {
      return complain(block, "wanted one error, got:\n" + described(findings));
    }
    const Diagnostic& error = *errors[0];
    if (update_) {
      block.words[1] = std::string(code_of(error));
      block.words.resize(2);
      if (error.pos.known()) block.words.push_back(place_of(error));
      if (!block.body.empty()) block.body = error.message + "\n";
      return;
    }
    bool place_fits = block.words.size() < 3 || !as_written() || block.words[2] == place_of(error);
    bool message_fits = block.body.empty() || trimmed(block.body) == error.message;
    if (code_of(error) != block.words[1] || !place_fits || !message_fits) {
      complain(block, "got " + described(findings));
    }
  }

  void run(Block& block) {
    std::string plan_text = text();
    if (plan_text.empty() && !as_written()) plan_text = text_;
    Checked checked = check(plan_text, folder_->path());
    if (!checked.plan || checked.findings.has_errors()) {
      return complain(block, "the plan has errors:\n" + described(checked.findings));
    }
    const std::string what = block.words.empty() ? "" : block.words[0];
    // What is told of steps is told of the plan as it is written.
    const bool of_written = update_ && what == "steps";
    auto report = plantest::run({.plan = checked.plan,
                                 .text = plan_text,
                                 .params = params_,
                                 .folder = folder_->path(),
                                 .model_script = script_,
                                 .signals = signals_,
                                 .variation = of_written ? &unoptimized() : &variation_});
    if (!report) {
      const std::string got = fmt::format("failed {}\n", report.error().name());
      return compare_text(block, got, report.error().to_string());
    }
    if (what == "params") {
      return compare_text(
          block, without_positions(list_findings(report->param_findings, Severity::kError, true)),
          "");
    }
    if (report->param_findings.has_errors()) {
      return complain(block, described(report->param_findings));
    }
    if (is_avoided_failure(block, *report)) return;
    std::string steps = what == "steps" ? list_steps(*checked.plan, report->summary) : "";
    if (what == "steps" && report->rewritten) steps = behind_first_line(block.body);
    compare_run(block, *report, steps);
  }

  // The law lets a pass avoid a failure, never cause one: where the file says which (`run avoids
  // CODE`), the run may fail so with fewer passes than users get.
  bool is_avoided_failure(const Block& block, const RunReport& report) const {
    return block.words.size() == 2 && block.words[0] == "avoids" && !variation_.all_passes() &&
           report.outcome.status != RunStatus::kSucceeded &&
           report.error_codes == std::vector<std::string>{block.words[1]};
  }

  static std::string behind_first_line(const std::string& text) {
    const std::size_t end = text.find('\n');
    return end == std::string::npos ? "" : text.substr(end + 1);
  }

  void optimize(Block& block) {
    Checked checked = check(text_, folder_->path());
    if (!checked.plan || checked.findings.has_errors()) {
      return complain(block, "the plan has errors:\n" + described(checked.findings));
    }
    auto got = optimized_text(checked.plan, params_, block.words.empty() ? "all" : block.words[0]);
    if (!got) return complain(block, got.error().to_string());
    compare_text(block, *got, "");
  }

  void explain(Block& block) {
    Checked checked = check(text(), folder_->path());
    if (!checked.plan || checked.findings.has_errors()) {
      return complain(block, "the plan has errors:\n" + described(checked.findings));
    }
    auto physical = lower_plan(checked.plan, *catalog_of(*checked.plan));
    if (!physical) return complain(block, physical.error().to_string());
    compare_text(block, cli::graph_text(cli::graph_of(**physical), "plan.yaml", *checked.plan), "");
  }

  void compare_run(Block& block, const RunReport& report, const std::string& steps) {
    if (report.outcome.status == RunStatus::kSucceeded) {
      auto wanted = parse_json(block.body.substr(0, block.body.find('\n')));
      if (!update_ && wanted && *wanted == report.outcome.result) {
        const std::string rest = behind_first_line(block.body);
        if (rest != steps) complain(block, fmt::format("wanted:\n{}got:\n{}", rest, steps));
        return;
      }
      return compare_text(block, to_json(report.outcome.result) + "\n" + steps, "");
    }
    std::string all;
    for (const Error& error : report.outcome.errors) all += error.to_string() + "\n";
    std::string first = fmt::format("failed {}\n", fmt::join(report.error_codes, " "));
    compare_text(block, first + steps,
                 fmt::format("{}: {}", run_status_name(report.outcome.status), all));
  }

  void compare_text(Block& block, const std::string& got, const std::string& why) {
    if (update_) {
      block.body = got;
    } else if (trimmed(block.body) != trimmed(got)) {
      complain(block, fmt::format("wanted:\n{}got:\n{}{}", block.body, got, why));
    }
  }

  void expect_file(Block& block) {
    const std::string got = get_file(folder_->path() / block.words.at(1));
    if (update_) {
      block.body = got.empty() || got.ends_with('\n') ? got : got + "\n";
    } else if (trimmed(got) != trimmed(block.body)) {
      complain(block, fmt::format("wanted:\n{}got:\n{}", block.body, got));
    }
  }

  static std::string described(const Diagnostics& findings) {
    std::string text;
    for (const Diagnostic& finding : findings.all()) {
      text += format_diagnostic(finding, {"plan.yaml"}) + "\n";
    }
    return text;
  }

  void complain(const Block& block, const std::string& what) {
    failures_.push_back(fmt::format("{}:{}: {}", file_.path.string(), block.line, what));
  }

  TestFile& file_;
  const Variation& variation_;
  bool update_;
  std::unique_ptr<CaseFolder> folder_;
  std::vector<std::pair<std::string, std::string>> files_;
  Value params_;
  std::string script_;
  std::vector<SignalMessage> signals_;
  std::string text_;
  std::vector<std::string> failures_;
};

}  // namespace

std::vector<std::string> run_test_file(TestFile& file, const Variation& variation, bool update) {
  return CaseRunner(file, variation, update).run_all();
}

}  // namespace sluice::plantest
