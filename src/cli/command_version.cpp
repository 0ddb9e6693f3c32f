// sluice version: what this program is, for people and for bug reports.
#include <fmt/format.h>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

namespace sluice::cli {

void add_version(CLI::App& app, int& status) {
  app.callback([&status] {
    const std::string text = fmt::format("sluice {}\nplan language 1\n", SLUICE_VERSION);
    auto written = write_out(text);
    if (!written) print_error(written.error());
    status = written ? kGood : kRunFailed;
  });
}

}  // namespace sluice::cli
