#include "tests/cli/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/host/scratch_dir.h"

namespace sluice::cli {
namespace {

std::string content(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

[[noreturn]] void become(const std::vector<std::string>& arguments, const ProgramInput& input,
                         const std::string& out, const std::string& err) {
  const int null = ::open("/dev/null", O_RDONLY);
  const int out_file = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err_file = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::dup2(null, 0);
  ::dup2(out_file, 1);
  ::dup2(err_file, 2);
  if (::chdir(input.directory.c_str()) != 0) ::_exit(126);
  for (const auto& [name, value] : input.environment) {
    if (value.empty()) {
      ::unsetenv(name.c_str());
    } else {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  std::string program = program_path();
  std::vector<char*> argv{program.data()};
  std::vector<std::string> copies = arguments;
  for (std::string& argument : copies) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

}  // namespace

std::string program_path() {
  const char* path = std::getenv("SLUICE_BIN");
  return path != nullptr && std::filesystem::exists(path) ? path : "";
}

ProgramResult run_program(const std::vector<std::string>& arguments, const ProgramInput& input) {
  ScratchDir scratch;
  const std::string out = scratch.path() / "out";
  const std::string err = scratch.path() / "err";
  const pid_t child = ::fork();
  if (child == 0) become(arguments, input, out, err);
  if (input.interrupt_after_ms > 0) {
    for (int i = 0; i < input.interrupts; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(input.interrupt_after_ms));
      ::kill(child, SIGINT);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return {code, content(out), content(err)};
}

}  // namespace sluice::cli
