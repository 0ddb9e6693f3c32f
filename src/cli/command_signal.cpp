// sluice signal: what a run waits for, from a person or a program.
#include <fmt/format.h>

#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "data/json.h"
#include "host/runs/run_messages.h"

namespace sluice::cli {
namespace {

struct SignalArguments {
  std::string run;
  std::string name;
  std::string value = "null";
  std::string task;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice approve                                     (what waits, and for whom)\n"
    "  sluice signal last approve '{\"ok\": true}'\n"
    "  sluice signal 01kd3 approve true --task 'per_row[3]/ask'\n"
    "\n"
    "The value is JSON and must fit the `output` of the step that waits; text that is no JSON is "
    "taken\n"
    "as it stands where the step takes text. A signal that comes before anything waits for it is "
    "kept.\n";

// JSON, or the bare text where a step that waits takes that.
Result<Value> parse_value(const PastRun& run, const SignalArguments& arguments) {
  auto value = parse_json(arguments.value);
  if (value) return value;
  bool known = false;
  for (const SignalStep& step : signal_steps(run)) {
    if (step.signal != arguments.name) continue;
    known = true;
    auto text = Value::from_utf8(arguments.value);
    if (text && (!step.output || step.output->valid(*text))) return text;
  }
  if (!known || run.ended()) return Value();  // which is what will be said
  return fail(
      ErrorCode::kSignalInvalid,
      fmt::format("'{}' is not JSON: {}", harmless(arguments.value), value.error().message()));
}

Result<void> send(Journal& journal, const std::string& run_id, const SignalArguments& arguments) {
  auto run = PastRun::read(journal, run_id);
  if (!run) return std::unexpected(run.error());
  auto value = parse_value(**run, arguments);
  if (!value) return std::unexpected(value.error());
  const SignalMessage message{arguments.name, arguments.task, std::move(*value)};
  if (auto good = check_signal(**run, message); !good) return good;
  auto sent = send_message(journal, run_id, message);
  if (!sent) return std::unexpected(sent.error());
  return {};
}

int signal_command(const SignalArguments& arguments) {
  auto chosen = require_run(arguments.journal, arguments.run);
  if (!chosen) return chosen.error();
  const auto& [journal, run] = *chosen;
  if (auto sent = send(*journal, run.run_id, arguments); !sent) return end_with(sent.error());
  write_err(fmt::format("signal {} is in the inbox of run {}\n", arguments.name, run.run_id));
  say_who_takes_it(run, arguments.journal);
  return kGood;
}

}  // namespace

void add_signal(CLI::App& app, int& status) {
  auto arguments = std::make_shared<SignalArguments>();
  add_run_argument(app, arguments->run);
  app.add_option("NAME", arguments->name, "The signal's name, as the plan has it")->required();
  app.add_option("JSON", arguments->value, "What it brings (default: null)");
  app.add_option("--task", arguments->task,
                 "Only for this task (default: the one that has waited longest)")
      ->type_name("TASK");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = signal_command(*arguments); });
}

}  // namespace sluice::cli
