// sluice models: what model a plan would use, without loading it. Its subcommands work on one file.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <set>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/plan_file.h"
#include "cli/run_options.h"
#include "host/resources/model_choice.h"

namespace sluice::cli {
namespace {

struct ModelsArguments {
  std::string plan;
  MachineOptions machine;
};

std::string location_text(const ModelLocation& location) {
  if (!location.embedded) {
    return location.url + (location.name.empty() ? "" : " model " + location.name);
  }
  std::error_code ignored;
  const auto bytes = std::filesystem::file_size(location.file, ignored);
  return location.file.string() + (ignored ? "" : " (" + bytes_text(bytes) + ")");
}

// The line of one model; bad is set when it cannot be used.
std::string default_text(const ModelPreferences& preferences, bool& bad) {
  auto chosen = choose_default_model(preferences);
  if (chosen) return fmt::format("default: {}\n", location_text(*chosen));
  bad = true;
  return fmt::format("default: {}\n", chosen.error().message());
}

std::string named_text(const NamedSettings& named, const std::filesystem::path& folder, bool& bad) {
  auto setting = [&](std::string_view key) {
    const Value* value = named.settings.find(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
  };
  if (named.kind == "openai") {
    return fmt::format(
        "{}: {}\n", named.id,
        location_text({.embedded = false, .url = setting("url"), .name = setting("model")}));
  }
  const std::filesystem::path file = folder / setting("file");
  auto good = check_model_file(file);
  if (good) return fmt::format("{}: {}\n", named.id, location_text({.file = file}));
  bad = true;
  return fmt::format("{}: {}\n", named.id, good.error().message());
}

int models_command(const ModelsArguments& arguments) {
  const RunSettings settings = settings_of(arguments.machine, ".");
  bool bad = false;
  std::string text;
  if (arguments.plan.empty()) {
    text = default_text(settings.models, bad);
  } else {
    auto checked = require_plan(arguments.plan, false);
    if (!checked) return checked.error();
    const RunSettings of_plan = settings_of(arguments.machine, checked->folder);
    std::set<std::string> used;
    for (const Step& step : checked->plan->steps) {
      if (step.op == OperatorKind::kLlm) used.insert(step.target);
    }
    const bool replaced = !settings.models.location.empty();
    for (const NamedSettings& named : checked->plan->models) {
      if (named.id == "default" && replaced) continue;
      text += named_text(named, of_plan.work_dir, bad);
    }
    const bool stated = checked->plan->find_model("default") != nullptr;
    if (used.contains("default") && (replaced || !stated))
      text += default_text(settings.models, bad);
    if (text.empty()) text = "the plan uses no model\n";
  }
  const ExitCode printed = print_text(text);
  return bad ? kRunFailed : printed;
}

}  // namespace

void add_models(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ModelsArguments>();
  app.add_option("PLAN", arguments->plan, "A plan whose models are looked up");
  add_machine_options(app, arguments->machine);
  app.footer(
      "A plan that lists no model uses `default`: --model, else SLUICE_MODEL, else the one .gguf\n"
      "file in the cache (`make demo` puts one there).\n"
      "\n"
      "Examples:\n"
      "  sluice models\n"
      "  sluice models plan.yaml --model ~/models/other.gguf\n"
      "  sluice models prepare   and   sluice models calibrate\n");
  app.require_subcommand(0, 1);
  for (const Command& command : models_commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command.name), std::string(command.summary));
    command.add(*sub, status);
  }
  app.callback([&app, arguments, &status] {
    if (app.get_subcommands().empty()) status = models_command(*arguments);
  });
}

}  // namespace sluice::cli
