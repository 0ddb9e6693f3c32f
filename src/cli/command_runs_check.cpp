// sluice runs check: reads the whole journal and says what is whole.
#include <fmt/format.h>

#include <map>
#include <memory>
#include <vector>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "data/json.h"
#include "runtime/record.h"

namespace sluice::cli {
namespace {

struct CheckArguments {
  bool json = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs check\n"
    "  sluice runs check --journal copy.db --json\n"
    "\n"
    "Nothing is changed. Runs that are whole can be resumed whatever is wrong with others. Exit "
    "code 1\n"
    "when anything is damaged.\n";

using Damages = std::map<std::string, std::vector<JournalDamage>>;  // by run

// What the store cannot see: records that this program does not understand.
void check_records(Journal& journal, const std::string& run_id, Damages& damages) {
  auto read = journal.read(run_id, 1, [&](JournalSeq seq, const JournalRecord& bytes) {
    auto record = decode_record(bytes);
    if (!record) damages[run_id].push_back({run_id, seq, record.error().to_string()});
    return record.has_value();
  });
  if (!read && !damages.contains(run_id)) {
    damages[run_id].push_back({run_id, 0, read.error().to_string()});
  }
}

std::string damage_text(const JournalDamage& damage) {
  const std::string where = damage.run_id.empty() ? "journal" : "run " + damage.run_id;
  return fmt::format("{}{}: {}\n", where,
                     damage.seq == 0 ? "" : fmt::format(" record {}", damage.seq),
                     harmless(damage.what));
}

Value damage_json(const JournalDamage& damage) {
  return Value::object({{"run", Value::from_utf8(damage.run_id).value_or(Value())},
                        {"record", Value::integer(static_cast<std::int64_t>(damage.seq))},
                        {"what", Value::from_utf8(damage.what).value_or(Value())}});
}

int report(const Damages& damages, std::size_t runs, std::uint64_t records, bool json) {
  std::string text;
  std::size_t damaged_runs = 0;
  for (const auto& [run, list] : damages) {
    damaged_runs += run.empty() ? 0 : 1;
    for (const JournalDamage& damage : list) {
      text += json ? to_json(damage_json(damage)) + "\n" : damage_text(damage);
    }
  }
  if (!json) {
    text += fmt::format("{} with {} records, {} of them whole\n", plural(runs, "run"),
                        count_text(records), count_text(runs - std::min(runs, damaged_runs)));
  }
  if (const ExitCode failed = print_text(text)) return failed;
  return damages.empty() ? kGood : kRunFailed;
}

int check_command(const CheckArguments& arguments) {
  auto journal = require_journal(arguments.journal);
  if (!journal) return journal.error();
  Damages damages;
  auto checked = (*journal)->check(
      [&](const JournalDamage& damage) { damages[damage.run_id].push_back(damage); });
  auto runs = checked ? (*journal)->list_runs({})
                      : Result<std::vector<JournaledRun>>(std::unexpected(checked.error()));
  if (!runs) return end_with(runs.error());
  std::uint64_t records = 0;
  for (const JournaledRun& run : *runs) {
    records += run.last_seq;
    if (!damages.contains(run.run_id)) check_records(**journal, run.run_id, damages);
  }
  return report(damages, runs->size(), records, arguments.json);
}

}  // namespace

void add_runs_check(CLI::App& app, int& status) {
  auto arguments = std::make_shared<CheckArguments>();
  app.add_flag("--json", arguments->json, "One damage a line as JSON");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = check_command(*arguments); });
}

}  // namespace sluice::cli
