// The sluice program: only the way in and the last net.
#include <fcntl.h>

#include <cerrno>
#include <csignal>
#include <exception>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"

namespace {

// A standard stream that the caller closed would be the number of the next file that is opened, and
// what is meant for people would go into it. It stays one that cannot be used.
void keep_standard_streams() {
  for (const int stream : {0, 1, 2}) {
    if (::fcntl(stream, F_GETFD) != -1 || errno != EBADF) continue;
    ::open("/dev/null", stream == 0 ? O_WRONLY : O_RDONLY);  // takes the lowest free number: this
  }
}

}  // namespace

int main(int argc, char** argv) {
  keep_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write, not a death
  try {
    return sluice::cli::run_command_line(argc, argv);
  } catch (const std::exception& unexpected) {
    sluice::cli::print_error(sluice::Error(sluice::ErrorCode::kInternal, unexpected.what()));
    return sluice::cli::kRunFailed;
  }
}
