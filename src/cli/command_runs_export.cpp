// sluice runs export: a run's records, one JSON object a line.
#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "host/runs/past_run.h"
#include "runtime/record.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kFlushBytes = 1 << 16;

struct ExportArguments {
  std::string run;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs export last > run.jsonl\n"
    "  sluice runs export 01kd3 | jq 'select(.type == \"call_ended\")'\n"
    "\n"
    "Secrets are left out. Large values stand as their hash.\n";

int export_command(const ExportArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  const auto& [journal, run] = *chosen;
  // As far as its plan can be read: a damaged header must not keep the rest from being seen.
  Redactor redactor;
  if (auto header = read_run_header(*journal, run.run_id)) {
    if (auto plan = read_recorded_plan(*header)) redactor = redactor_of(*header, *plan->plan);
  }
  std::string lines;
  Result<void> good;
  auto read = journal->read(run.run_id, 1, [&](JournalSeq seq, const JournalRecord& bytes) {
    auto record = decode_record(bytes);
    if (!record) {
      good = std::unexpected(record.error());
      return false;
    }
    lines += redactor.clean(record_json(seq, *record)) + "\n";
    if (lines.size() > kFlushBytes) {
      good = write_out(lines);
      lines.clear();
    }
    return good.has_value();
  });
  if (auto written = write_out(lines); good && !written) good = written;
  if (good && !read) good = read;
  if (good) return kGood;
  return end_with(good.error());
}

}  // namespace

void add_runs_export(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ExportArguments>();
  add_run_argument(app, arguments->run);
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = export_command(*arguments); });
}

}  // namespace sluice::cli
