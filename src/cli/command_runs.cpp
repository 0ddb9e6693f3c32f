// sluice runs: the list of runs that the journal has; its subcommands stand in files of their own.
#include <fmt/format.h>

#include <memory>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/run_words.h"
#include "cli/table.h"
#include "data/json.h"

namespace sluice::cli {
namespace {

struct ListArguments {
  JournalOptions journal;
  std::string state;
  std::string plan;
  std::string since;
  std::size_t limit = 50;
  bool json = false;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice runs\n"
    "  sluice runs --state failed --since 7d\n"
    "  sluice runs --state open --plan report.yaml --json\n"
    "  sluice runs show last\n"
    "\n"
    "States: running, waiting (for a person or a time), in_doubt, interrupted (nobody has it; "
    "sluice\n"
    "resume goes on), succeeded, failed, cancelled, budget_spent; open and ended stand for all of\n"
    "theirs. A run may be named by a beginning of its id that no other has, or `last`.\n";

// What the store itself can pick; the rest is picked from what it gives.
Result<RunQuery> query_of(const ListArguments& arguments) {
  RunQuery query;
  query.plan = arguments.plan;
  for (std::string_view ended : {"ended", "succeeded", "failed", "cancelled", "budget_spent"}) {
    if (arguments.state == ended) query.state = JournaledRunState::kEnded;
  }
  for (std::string_view open : {"open", "running", "waiting", "in_doubt", "interrupted"}) {
    if (arguments.state == open) query.state = JournaledRunState::kOpen;
  }
  if (!arguments.state.empty() && !query.state) {
    return fail(ErrorCode::kUsage, fmt::format("there is no state {}", harmless(arguments.state)));
  }
  if (query.state == JournaledRunState::kEnded && arguments.state != "ended") {
    query.status = arguments.state;
  }
  const bool picked_here = query.state == JournaledRunState::kOpen && arguments.state != "open";
  if (!picked_here) query.limit = arguments.limit;
  if (!arguments.since.empty()) {
    auto age = parse_age(arguments.since);
    if (!age) return std::unexpected(age.error());
    query.started_after_ns = system_clock().wall_ns() - *age;
  }
  return query;
}

bool fits(const JournaledRun& run, const std::string& state) {
  return state.empty() || state == "open" || state == "ended" || run_state_word(run) == state;
}

std::string list_text(const std::vector<JournaledRun>& runs, WallNs now) {
  using enum Table::Align;
  Table table({{"run"},
               {"state"},
               {"age", kRight},
               {"plan"},
               {"done", kRight},
               {"failed", kRight},
               {"tokens", kRight},
               {"usd", kRight},
               {""}});
  for (const JournaledRun& run : runs) {
    const RunCard& card = run.card;
    const std::string state = run_state_word(run);
    table.add({{run.run_id},
               {state, run_state_ink(state)},
               {age_text(now - card.started_ns)},
               {harmless(card.plan)},
               {count_text(card.tasks_done)},
               {card.tasks_failed == 0 ? "" : count_text(card.tasks_failed)},
               {card.tokens == 0 ? "" : count_text(card.tokens)},
               {card.usd == 0 ? "" : fmt::format("{:.4f}", card.usd)},
               {harmless(run_note(run))}});
  }
  return table.text(terminal_of(1));
}

int list_runs(const ListArguments& arguments) {
  auto query = query_of(arguments);
  if (!query) return end_with(query.error());
  auto journal = require_journal(arguments.journal);
  if (!journal) return journal.error();
  auto runs = (*journal)->list_runs(*query);
  if (!runs) return end_with(runs.error());
  std::erase_if(*runs, [&](const JournaledRun& run) { return !fits(run, arguments.state); });
  if (runs->size() > arguments.limit) runs->resize(arguments.limit);
  std::string text;
  if (arguments.json) {
    for (const JournaledRun& run : *runs) text += to_json(run_json(run)) + "\n";
  } else if (runs->empty()) {
    write_err("no such runs\n");
  } else {
    text = list_text(*runs, system_clock().wall_ns());
  }
  return print_text(text);
}

}  // namespace

void add_runs(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ListArguments>();
  add_journal_option(app, arguments->journal);
  app.add_option("--state", arguments->state, "Only runs in this state")->type_name("STATE");
  app.add_option("--plan", arguments->plan, "Only runs of this plan, by its file's name")
      ->type_name("NAME");
  app.add_option("--since", arguments->since, "Only runs begun within this time, as 7d or 12h")
      ->type_name("AGE");
  app.add_option("-n,--limit", arguments->limit, "At most so many, the newest (default: 50)")
      ->check(CLI::Range(1U, 1'000'000'000U))
      ->type_name("N");
  app.add_flag("--json", arguments->json, "One run a line as JSON");
  app.require_subcommand(0, 1);
  app.footer(std::string(kFooter));
  for (const Command& command : runs_commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.summary));
    command.add(*sub, status);
  }
  app.callback([&app, arguments, &status] {
    if (app.get_subcommands().empty()) status = list_runs(*arguments);
  });
}

}  // namespace sluice::cli
