// sluice completion: scripts for shells, made from the commands and options that there are.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

namespace sluice::cli {
namespace {

struct CommandWords {
  std::string name;
  std::string summary;
  std::vector<std::pair<std::string, std::string>> options;  // "--param", its description
  std::vector<CommandWords> inside;                          // subcommands of its own
};

std::vector<CommandWords> command_words(const CLI::App& root) {
  std::vector<CommandWords> list;
  for (const CLI::App* sub : root.get_subcommands([](const CLI::App*) { return true; })) {
    CommandWords words{sub->get_name(), sub->get_description(), {}, command_words(*sub)};
    for (const CLI::Option* option : sub->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        words.options.emplace_back("--" + name, option->get_description());
      }
    }
    list.push_back(std::move(words));
  }
  return list;
}

// The options of a command with those of its subcommands, each once: which one is meant is not
// looked at.
CommandWords with_inside(CommandWords words) {
  for (const CommandWords& inner : words.inside) {
    for (const auto& option : inner.options) {
      const bool known = std::ranges::any_of(
          words.options, [&](const auto& other) { return other.first == option.first; });
      if (!known) words.options.push_back(option);
    }
  }
  return words;
}

std::string names_inside(const CommandWords& words) {
  std::string text;
  for (const CommandWords& inner : words.inside) text += (text.empty() ? "" : " ") + inner.name;
  return text;
}

// For single quotes of every shell here.
std::string plain(std::string text) {
  std::erase_if(text,
                [](char c) { return c == '\'' || c == '\\' || c == '\n' || c == ':' || c == '['; });
  return text;
}

std::string names_of(const CommandWords& words) {
  std::string text;
  for (const auto& [name, description] : words.options) text += (text.empty() ? "" : " ") + name;
  return text;
}

std::string bash_script(const std::vector<CommandWords>& commands) {
  std::string names, cases;
  for (const CommandWords& words : commands) {
    names += (names.empty() ? "" : " ") + words.name;
    cases += fmt::format("    {}) options='{}' inside='{}' ;;\n", words.name,
                         names_of(with_inside(words)), names_inside(words));
  }
  return fmt::format(
      "# bash completion for sluice: source <(sluice completion bash)\n"
      "_sluice() {{\n"
      "  local word=\"${{COMP_WORDS[COMP_CWORD]}}\" options='' inside=''\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W '{}' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"${{COMP_WORDS[1]}}\" in\n{}  esac\n"
      "  if [ \"$COMP_CWORD\" -eq 2 ] && [ -n \"$inside\" ] && [ \"${{word#-}}\" = \"$word\" ]; "
      "then\n"
      "    COMPREPLY=($(compgen -W \"$inside\" -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  case \"$word\" in\n"
      "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n"
      "}}\n"
      "complete -o filenames -F _sluice sluice\n",
      names, cases);
}

std::string zsh_script(const std::vector<CommandWords>& commands) {
  std::string names, cases;
  for (const CommandWords& words : commands) {
    names += fmt::format("    '{}:{}'\n", words.name, plain(words.summary));
    cases += fmt::format("    {}) _arguments", words.name);
    for (const auto& [name, description] : with_inside(words).options) {
      cases += fmt::format(" '{}[{}]'", name, plain(description.substr(0, 60)));
    }
    const std::string inside = names_inside(words);
    if (!inside.empty()) cases += fmt::format(" '1:command:({})'", inside);
    cases += " '*:file:_files' ;;\n";
  }
  return fmt::format(
      "#compdef sluice\n"
      "# zsh completion for sluice: source <(sluice completion zsh)\n"
      "_sluice() {{\n"
      "  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  local command=$words[2]\n"
      "  shift words; (( CURRENT-- ))\n"
      "  case $command in\n{}  esac\n"
      "}}\n"
      "compdef _sluice sluice\n",
      names, cases);
}

std::string fish_script(const std::vector<CommandWords>& commands) {
  std::string text = "# fish completion for sluice: sluice completion fish | source\n";
  for (const CommandWords& words : commands) {
    text += fmt::format("complete -c sluice -n __fish_use_subcommand -f -a {} -d '{}'\n",
                        words.name, plain(words.summary));
    for (const CommandWords& inner : words.inside) {
      text +=
          fmt::format("complete -c sluice -n '__fish_seen_subcommand_from {}' -f -a {} -d '{}'\n",
                      words.name, inner.name, plain(inner.summary));
    }
    for (const auto& [name, description] : with_inside(words).options) {
      text += fmt::format("complete -c sluice -n '__fish_seen_subcommand_from {}' -l {} -d '{}'\n",
                          words.name, name.substr(2), plain(description.substr(0, 60)));
    }
  }
  return text;
}

}  // namespace

void add_completion(CLI::App& app, int& status) {
  auto shell = std::make_shared<std::string>();
  app.add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  app.footer(
      "Examples:\n"
      "  source <(sluice completion bash)\n"
      "  sluice completion fish > ~/.config/fish/completions/sluice.fish\n");
  app.callback([&app, shell, &status] {
    const auto commands = command_words(*app.get_parent());
    const std::string text = *shell == "bash"  ? bash_script(commands)
                             : *shell == "zsh" ? zsh_script(commands)
                                               : fish_script(commands);
    status = print_text(text);
  });
}

}  // namespace sluice::cli
