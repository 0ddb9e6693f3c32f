// The sluice program: only the way in and the last net.
#include <csignal>
#include <exception>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write, not a death
  try {
    return sluice::cli::run_command_line(argc, argv);
  } catch (const std::exception& unexpected) {
    sluice::cli::print_error(sluice::Error(sluice::ErrorCode::kInternal, unexpected.what()));
    return sluice::cli::kRunFailed;
  }
}
