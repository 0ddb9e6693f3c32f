// sluice runs gc: deletes runs that nobody needs any more.
#include <fmt/format.h>

#include <memory>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_options.h"
#include "cli/run_words.h"
#include "host/runs/run_gc.h"

namespace sluice::cli {
namespace {

struct GcArguments {
  std::string older_than;
  std::string keep_bytes;
  bool abandoned = false;
  bool dry_run = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs gc --older-than 30d --dry-run\n"
    "  sluice runs gc --keep-bytes 1G\n"
    "  sluice runs gc --older-than 90d --abandoned     (also runs that never ended)\n"
    "\n"
    "Only runs that have ended go, unless --abandoned says else; never one that a process is at.\n";

Result<GcRules> rules_of(const GcArguments& arguments) {
  GcRules rules;
  rules.abandoned = arguments.abandoned;
  if (!arguments.older_than.empty()) {
    auto age = parse_age(arguments.older_than);
    if (!age) return std::unexpected(age.error());
    rules.older_than_ns = *age;
  }
  if (!arguments.keep_bytes.empty()) {
    auto bytes = parse_bytes(arguments.keep_bytes);
    if (!bytes) return std::unexpected(bytes.error());
    rules.keep_bytes = *bytes;
  }
  if (rules.older_than_ns || rules.keep_bytes) return rules;
  return fail(ErrorCode::kUsage, "say what may go: --older-than 30d, --keep-bytes 1G, or both");
}

int gc_command(const GcArguments& arguments) {
  auto rules = rules_of(arguments);
  if (!rules) return end_with(rules.error());
  auto journal = require_journal(arguments.journal);
  if (!journal) return journal.error();
  auto runs = (*journal)->list_runs({});
  if (!runs) return end_with(runs.error());
  const WallNs now = system_clock().wall_ns();
  std::uint64_t count = 0, bytes = 0;
  int status = kGood;
  for (const JournaledRun& run : runs_to_delete(std::move(*runs), *rules, now)) {
    if (arguments.dry_run) {
      write_out(fmt::format("{}  {:<12} {:>8}  {:>10}  {}\n", run.run_id, run_state_word(run),
                            age_text(now - run.card.updated_ns), bytes_text(run.bytes),
                            harmless(run.card.plan)));
    } else if (auto deleted = (*journal)->delete_run(run.run_id); !deleted) {
      // Somebody took it up meanwhile: that one stays, the others go.
      status = end_with(deleted.error());
      continue;
    }
    ++count;
    bytes += run.bytes;
  }
  write_err(fmt::format("{} {}, {}\n", arguments.dry_run ? "would delete" : "deleted",
                        plural(count, "run"), bytes_text(bytes)));
  return status;
}

}  // namespace

void add_runs_gc(CLI::App& app, int& status) {
  auto arguments = std::make_shared<GcArguments>();
  app.add_option("--older-than", arguments->older_than,
                 "Runs that were last at work longer ago, as 30d")
      ->type_name("AGE");
  app.add_option("--keep-bytes", arguments->keep_bytes, "Keep at most so much, the newest, as 1G")
      ->type_name("BYTES");
  app.add_flag("--abandoned", arguments->abandoned,
               "Also runs that could still be resumed and that no process has");
  app.add_flag("--dry-run", arguments->dry_run, "Only say what would go");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = gc_command(*arguments); });
}

}  // namespace sluice::cli
