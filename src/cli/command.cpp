#include "cli/command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <ranges>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/log.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

namespace sluice::cli {
namespace {

constexpr std::array<Command, 19> kCommands{{
    {"run", "Run a plan", &add_run},
    {"batch", "Run a plan for every row of a table", &add_batch},
    {"quality", "Measure how much results change with the passes that a plan allows", &add_quality},
    {"resume", "Go on with a run that stopped, where it stopped", &add_resume},
    {"runs", "List the runs that were recorded; show, tail, export, check, gc", &add_runs},
    {"approve", "List what waits for a person, and what to type", &add_approve},
    {"signal", "Send a signal to a run that waits for it", &add_signal},
    {"resolve", "Say what became of a call in doubt", &add_resolve},
    {"cancel", "Cancel a run: nothing more is done, and undone where its plan says so",
     &add_cancel},
    {"fork", "A new run from a step of an old one, with what is the same", &add_fork},
    {"replay", "Decide again all that a run decided, and compare", &add_replay},
    {"check", "Find everything that is wrong with plans, without running them", &add_check},
    {"explain", "Show what a plan will do and cost, or where a run spent its time", &add_explain},
    {"tools", "List the kinds of tools, or the tools of a plan", &add_tools},
    {"models", "List the models at hand, or the models of a plan", &add_models},
    {"serve", "Serve models over the OpenAI routes", &add_serve},
    {"init", "Write a plan to start from", &add_init},
    {"version", "Print the version", &add_version},
    {"completion", "Print completion for bash, zsh or fish", &add_completion},
}};

constexpr std::array<Command, 5> kRunsCommands{{
    {"show", "A run: steps, attempts, errors, what is in doubt, what it waits for", &add_runs_show},
    {"tail", "Follow a run as it goes", &add_runs_tail},
    {"export", "The records of a run, one JSON object a line", &add_runs_export},
    {"check", "Read the whole journal and say what is whole", &add_runs_check},
    {"gc", "Delete runs that ended long ago", &add_runs_gc},
}};

constexpr std::array<Command, 2> kModelsCommands{{
    {"calibrate", "Measure what the engine needs for a model here", &add_models_calibrate},
    {"prepare", "Write the weights in the format that computes fastest here", &add_models_prepare},
}};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice init hello && sluice run hello/plan.yaml\n"
    "  sluice check plan.yaml\n"
    "  sluice run plan.yaml --param count=10 --model my.gguf\n"
    "  sluice batch plan.yaml --input rows.csv --output out.jsonl\n"
    "  sluice explain plan.yaml --format mermaid\n"
    "  sluice runs   and   sluice runs show last\n"
    "  sluice resume last\n"
    "\n";

std::vector<std::string_view> names_of(std::span<const Command> table) {
  std::vector<std::string_view> names;
  names.reserve(table.size());
  for (const Command& command : table) names.push_back(command.name);
  return names;
}

// A word where one of the table is due that is none of them: what is wrong and what was meant.
// nullopt: it is one, or an option.
std::optional<std::string> no_such_command(std::span<const Command> table, const std::string& word,
                                           std::string_view before) {
  const auto names = names_of(table);
  if (word.starts_with('-') || std::ranges::find(names, word) != names.end()) return std::nullopt;
  const std::string close = closest_name(word, names);
  return fmt::format("there is no command '{}{}'{}", before, harmless(word),
                     close.empty() ? "" : fmt::format("; did you mean {}?", close));
}

// A first word that is no subcommand: a misspelt one, or a plan without `run`. The same after
// `runs`.
bool explain_first_words(int argc, char** argv) {
  if (argc < 2) return false;
  const std::string word = argv[1];
  const bool of_runs = word == "runs" && argc > 2;
  auto message = of_runs ? no_such_command(kRunsCommands, argv[2], "runs ")
                         : no_such_command(kCommands, word, "");
  if (!message) return false;
  std::error_code ignored;
  if (!of_runs && (std::filesystem::exists(word, ignored) || word.ends_with(".yaml") ||
                   word.ends_with(".json"))) {
    message =
        fmt::format("there is no command '{0}'; did you mean: sluice run {0}", harmless(word));
  } else if (!message->ends_with('?')) {
    *message += fmt::format("; sluice {}--help lists them", of_runs ? "runs " : "");
  }
  print_error(Error(ErrorCode::kUsage, *message));
  return true;
}

// From `app` to the innermost subcommand that the words named.
std::vector<CLI::App*> named_commands(CLI::App& app) {
  std::vector<CLI::App*> named{&app};
  for (auto inner = app.get_subcommands(); !inner.empty();
       inner = inner.front()->get_subcommands()) {
    named.push_back(inner.front());
  }
  return named;
}

// "--prama" and its like: what the subcommand has that is close; "" also where it has that very
// one.
std::string close_option(const std::vector<CLI::App*>& commands, std::string_view text) {
  const std::size_t at = text.find("--");
  if (at == std::string_view::npos) return "";
  const std::string_view given = text.substr(at, text.find_first_of(" =,:", at) - at);
  std::vector<std::string> names;
  for (const CLI::App* command : commands) {
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  const std::string close = closest_name(given, names);
  return close.empty() || close == given ? "" : fmt::format("; did you mean {}?", close);
}

// What CLI11 says, but for words that were too many: it lists them last first.
int explain_parse_error(CLI::App& app, const CLI::ParseError& wrong) {
  std::string what = harmless(wrong.what());
  if (wrong.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    what = fmt::format("not expected: {}",
                       harmless(fmt::to_string(fmt::join(app.remaining(true), " "))));
  }
  const auto commands = named_commands(app);
  print_error(Error(ErrorCode::kUsage, what + close_option(commands, what)));
  std::string again = "sluice";
  for (const CLI::App* command : commands | std::views::drop(1)) again += " " + command->get_name();
  write_err(again + " --help shows how it is used\n");
  return kUsageWrong;
}

void set_level(const std::string& name) {
  auto level = log_level_from_name(name);
  if (!level)
    throw CLI::ValidationError("--log", "takes trace, debug, info, warning, error or off");
  set_log_level(*level);
}

}  // namespace

std::span<const Command> commands() { return kCommands; }
std::span<const Command> runs_commands() { return kRunsCommands; }
std::span<const Command> models_commands() { return kModelsCommands; }

int run_command_line(int argc, char** argv) {
  if (explain_first_words(argc, argv)) return kUsageWrong;
  CLI::App app(
      "Sluice runs AI workflows as parallel dataflow: plans of model calls, tools, SQL and "
      "code, checked before they run",
      "sluice");
  app.set_help_all_flag("--help-all", "Help for all commands");
  app.set_version_flag("--version", version_text(), "Print the version");
  app.add_option_function<std::string>("--log", set_level,
                                       "What to log: trace, debug, info, warning, error, off");
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(std::string(kFooter) + std::string(kExitCodesText));
  int status = kGood;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.summary));
    command.add(*sub, status);
  }
  if (argc < 2) {
    write_err(app.help());
    return kUsageWrong;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return print_text(app.help());
  } catch (const CLI::CallForAllHelp& help) {
    return print_text(app.help("", CLI::AppFormatMode::All));
  } catch (const CLI::CallForVersion& version) {
    return print_text(version_text());
  } catch (const CLI::ParseError& wrong) {
    return explain_parse_error(app, wrong);
  }
  return status;
}

}  // namespace sluice::cli
