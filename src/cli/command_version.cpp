// sluice version: what this program is, for people and for bug reports.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

namespace sluice::cli {

std::string version_text() { return fmt::format("sluice {}\nplan language 1\n", SLUICE_VERSION); }

void add_version(CLI::App& app, int& status) {
  app.callback([&status] { status = print_text(version_text()); });
}

}  // namespace sluice::cli
