#include "tools/isolation.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <mutex>
#include <optional>

#include "tools/child.h"
#include "tools/tool.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kProbeTime{5};

IsolationState probe() {
  boost::asio::io_context io;
  ChildOptions program;
  program.argv = isolation_prefix();
  program.argv.emplace_back("/bin/true");
  auto child = Child::start(io.get_executor(), program);
  if (!child) {
    return {false, fmt::format("{}; code steps run without isolation (Debian package: bubblewrap)",
                               child.error().message())};
  }
  std::optional<ChildExit> exit;
  (*child)->on_exit([&](const ChildExit& ended) { exit = ended; });
  while (!exit && io.run_one_for(kProbeTime) > 0) {
  }
  io.run_for(std::chrono::milliseconds(20));  // what it wrote to its standard error
  std::string words = (*child)->error_tail();
  (*child)->abandon();
  io.poll();
  if (exit && exit->signal == 0 && exit->code == 0) return {true, "bubblewrap"};
  std::string why = !exit ? "it did not end" : words.empty() ? exit->to_string() : words;
  return {false,
          fmt::format("bubblewrap does not work on this machine ({}); code steps run without "
                      "isolation",
                      why)};
}

}  // namespace

std::vector<std::string> isolation_prefix() {
  return {"bwrap",
          "--ro-bind",
          "/",
          "/",
          "--dev",
          "/dev",
          "--proc",
          "/proc",
          "--tmpfs",
          "/tmp",
          "--tmpfs",
          "/run",
          "--unshare-net",
          "--unshare-pid",
          "--unshare-ipc",
          "--die-with-parent",
          "--new-session",
          "--chdir",
          "/tmp",
          "--"};
}

IsolationState probe_isolation() {
  static std::once_flag once;
  static IsolationState state;
  std::call_once(once, [] { state = probe(); });
  return state;
}

}  // namespace sluice
