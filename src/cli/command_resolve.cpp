// sluice resolve: a person says what became of a call in doubt.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "data/json.h"
#include "host/runs/run_messages.h"

namespace sluice::cli {
namespace {

struct ResolveArguments {
  std::string run;
  std::string task;
  std::string done;
  std::string failed;
  bool is_done = false;
  bool is_failed = false;
  bool retry = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs show last                                 (what is in doubt)\n"
    "  sluice resolve last pay --done '{\"id\": \"p-17\"}'       (it happened)\n"
    "  sluice resolve last 'pay[3]' --failed \"not booked\"     (it did not, and is not to be)\n"
    "  sluice resolve last pay --retry                       (call it again)\n";

Result<ResolveMessage> message_of(const ResolveArguments& arguments) {
  const int given = int{arguments.is_done} + int{arguments.is_failed} + int{arguments.retry};
  if (given != 1) {
    return fail(ErrorCode::kUsage, "say one of --done JSON, --failed [REASON] or --retry");
  }
  ResolveMessage message;
  message.task = arguments.task;
  message.reason = arguments.failed;
  if (arguments.retry) message.verdict = ResolveMessage::Verdict::kRetry;
  if (!arguments.is_done) return message;
  message.verdict = ResolveMessage::Verdict::kDone;
  auto output = parse_json(arguments.done);
  if (!output) {
    return fail(ErrorCode::kUsage, fmt::format("--done takes JSON, and '{}' is none: {}",
                                               harmless(arguments.done), output.error().message()));
  }
  message.output = std::move(*output);
  return message;
}

Result<void> send(Journal& journal, const std::string& run_id, const ResolveMessage& message) {
  auto run = PastRun::read(journal, run_id);
  if (!run) return std::unexpected(run.error());
  if (auto good = check_resolve(**run, message); !good) return good;
  auto sent = send_message(journal, run_id, message);
  if (!sent) return std::unexpected(sent.error());
  return {};
}

int resolve_command(const ResolveArguments& arguments) {
  auto message = message_of(arguments);
  if (!message) return end_with(message.error());
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  const auto& [journal, run] = *chosen;
  if (auto sent = send(*journal, run.run_id, *message); !sent) return end_with(sent.error());
  write_err(
      fmt::format("what became of {} is in the inbox of run {}\n", arguments.task, run.run_id));
  say_who_takes_it(run, arguments.journal);
  return kGood;
}

}  // namespace

void add_resolve(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ResolveArguments>();
  add_run_argument(app, arguments->run);
  app.add_option("TASK", arguments->task, "The task, as sluice runs show names it")->required();
  auto* done =
      app.add_option("--done", arguments->done, "It happened, and gave this")->type_name("JSON");
  auto* failed = app.add_option("--failed", arguments->failed,
                                "It did not happen, and is not to be: the task fails")
                     ->type_name("[REASON]")
                     ->expected(0, 1);
  app.add_flag("--retry", arguments->retry, "Call it again");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, done, failed, &status] {
    arguments->is_done = done->count() > 0;
    arguments->is_failed = failed->count() > 0;
    status = resolve_command(*arguments);
  });
}

}  // namespace sluice::cli
