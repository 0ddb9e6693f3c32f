// sluice approve: what waits for a person, over all runs of the journal.
#include <fmt/format.h>

#include <memory>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/journal_options.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/table.h"
#include "data/json.h"
#include "host/runs/past_run.h"

namespace sluice::cli {
namespace {

struct ApproveArguments {
  std::string whom;
  bool json = false;
  JournalOptions journal;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice approve\n"
    "  sluice approve --for finance --json\n"
    "  sluice signal 01kd3 approve '{\"ok\": true}'\n"
    "\n"
    "A step waits for a person like this:\n"
    "  ask: {wait: {signal: approve, of: finance, ask: \"Pay {{ steps.sum.output }}?\", for: "
    "2d}}\n";

struct Question {
  JournaledRun run;
  std::string task;
  WaitBegan wait;
  std::int64_t since_ns = 0;  // of wall time, about
};

// What the run waits for by its journal; a run that cannot be read is told and passed over.
void add_questions(Journal& journal, const JournaledRun& run, const std::string& whom,
                   std::vector<Question>& out) {
  auto past = PastRun::read(journal, run.run_id);
  if (!past) {
    write_err(fmt::format("run {}: {}\n", run.run_id, harmless(past.error().to_string())));
    return;
  }
  const WallNs now = system_clock().wall_ns();
  const SteadyNs life = (*past)->segments().back().until_ns;
  const std::int64_t quiet = now - run.card.updated_ns;
  for (const RunState::Waiting& waiting : (*past)->state().waits()) {
    if (waiting.wait.signal.empty()) continue;
    if (!whom.empty() && waiting.wait.of != whom) continue;
    WaitBegan wait = waiting.wait;
    wait.ask = (*past)->redactor().clean(wait.ask);
    out.push_back({run, waiting.task_id, std::move(wait), life - waiting.since_ns + quiet});
  }
}

Value question_json(const Question& question) {
  auto text = [](const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value()); };
  std::vector<Value::Member> members{{"run", text(question.run.run_id)},
                                     {"plan", text(question.run.card.plan)},
                                     {"signal", text(question.wait.signal)},
                                     {"task", text(question.task)},
                                     {"of", text(question.wait.of)},
                                     {"ask", text(question.wait.ask)},
                                     {"since_s", Value::integer(question.since_ns / kNsPerSecond)}};
  if (question.wait.until_wall_ns != 0) {
    members.emplace_back("until", text(time_text(question.wait.until_wall_ns)));
  }
  return Value::object(std::move(members));
}

std::string questions_text(const std::vector<Question>& questions, const std::string& journal) {
  using enum Table::Align;
  Table table({{"run"}, {"signal"}, {"task"}, {"for"}, {"since", kRight}, {"until"}, {"ask"}});
  for (const Question& question : questions) {
    const WaitBegan& wait = question.wait;
    table.add({{question.run.run_id},
               {wait.signal, Ink::kCyan},
               {question.task},
               {harmless(wait.of)},
               {age_text(question.since_ns)},
               {wait.until_wall_ns == 0 ? "" : time_text(wait.until_wall_ns)},
               {harmless(wait.ask)}});
  }
  std::string text = table.text(terminal_of(1));
  text += fmt::format(
      "answer with: sluice signal{} RUN SIGNAL JSON   (--task TASK for one of many)\n", journal);
  for (const Question& question : questions) {
    if (!question.run.owner.empty()) continue;
    text += fmt::format("no process has run {}: sluice resume{} {} takes the answer\n",
                        question.run.run_id, journal, question.run.run_id);
  }
  return text;
}

int approve_command(const ApproveArguments& arguments) {
  auto journal = require_journal(arguments.journal);
  if (!journal) return journal.error();
  RunQuery query;
  query.state = JournaledRunState::kOpen;
  auto runs = (*journal)->list_runs(query);
  if (!runs) return end_with(runs.error());
  std::vector<Question> questions;
  for (const JournaledRun& run : *runs) {
    if (run.card.waits > 0) add_questions(**journal, run, arguments.whom, questions);
  }
  std::string text;
  if (arguments.json) {
    for (const Question& question : questions) text += to_json(question_json(question)) + "\n";
  } else if (questions.empty()) {
    write_err("nothing waits for a signal\n");
  } else {
    text = questions_text(questions, journal_argument(arguments.journal));
  }
  return print_text(text);
}

}  // namespace

void add_approve(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ApproveArguments>();
  app.add_option("--for", arguments->whom, "Only what is for them, as the plan's `of` says")
      ->type_name("WHO");
  app.add_flag("--json", arguments->json, "One question a line as JSON");
  add_journal_option(app, arguments->journal);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = approve_command(*arguments); });
}

}  // namespace sluice::cli
