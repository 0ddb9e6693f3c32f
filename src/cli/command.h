// The table of subcommands: each file command_*.cpp adds one. Adding a subcommand is one file and
// one row in command.cpp. The main thread only.
#pragma once

#include <CLI/CLI.hpp>
#include <span>
#include <string>
#include <string_view>

namespace sluice::cli {

// Adds its options to `app` and a callback that does the work and sets `status`.
using AddCommand = void (*)(CLI::App& app, int& status);

struct Command {
  std::string_view name;
  std::string_view summary;
  AddCommand add;
};
std::span<const Command> commands();
std::span<const Command> runs_commands();    // those of `sluice runs`
std::span<const Command> models_commands();  // those of `sluice models`

void add_run(CLI::App& app, int& status);
void add_batch(CLI::App& app, int& status);
void add_quality(CLI::App& app, int& status);
void add_resume(CLI::App& app, int& status);
void add_runs(CLI::App& app, int& status);
void add_approve(CLI::App& app, int& status);
void add_signal(CLI::App& app, int& status);
void add_resolve(CLI::App& app, int& status);
void add_cancel(CLI::App& app, int& status);
void add_fork(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_check(CLI::App& app, int& status);
void add_explain(CLI::App& app, int& status);
void add_tools(CLI::App& app, int& status);
void add_models(CLI::App& app, int& status);
void add_serve(CLI::App& app, int& status);
void add_init(CLI::App& app, int& status);
void add_version(CLI::App& app, int& status);
void add_completion(CLI::App& app, int& status);

void add_runs_show(CLI::App& app, int& status);
void add_runs_tail(CLI::App& app, int& status);
void add_runs_export(CLI::App& app, int& status);
void add_runs_check(CLI::App& app, int& status);
void add_runs_gc(CLI::App& app, int& status);

void add_models_calibrate(CLI::App& app, int& status);
void add_models_prepare(CLI::App& app, int& status);

std::string version_text();  // with a line end

// The whole command line; gives the exit code.
int run_command_line(int argc, char** argv);

}  // namespace sluice::cli
