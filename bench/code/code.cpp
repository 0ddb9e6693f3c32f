// What a code step costs beside the user's own code: one worker, one call after another, the code
// compiled already. The peer in the same run, in turns, is a bare pipe to Python that runs no code
// at all: read a line, write a line. See README.md.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "tools/child.h"
#include "tools/tool.h"

namespace sluice {
namespace {

constexpr int kRounds = 7;
constexpr int kCalls = 3000;
constexpr const char* kEcho =
    "import sys\n"
    "for line in sys.stdin.buffer:\n"
    "  sys.stdout.buffer.write(line); sys.stdout.buffer.flush()\n";

// Calls `once` until it has called back `kCalls` times; microseconds a call.
double microseconds_a_call(boost::asio::io_context& io,
                           const std::function<void(std::function<void()>)>& once) {
  int left = kCalls;
  std::function<void()> next = [&] {
    if (left-- > 0) once(next);
  };
  auto begin = system_clock().steady_ns();
  next();
  while (left >= 0) io.run_one();
  return static_cast<double>(system_clock().steady_ns() - begin) / 1000.0 / kCalls;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

struct Case {
  const char* name;
  const char* code;
  Value args;
};

void measure_code(boost::asio::io_context& io, Tool& tool, const Case& now,
                  std::vector<double>& times) {
  times.push_back(microseconds_a_call(io, [&](std::function<void()> next) {
    ToolCall call{.function = now.code, .args = now.args, .timeout_ms = 60'000};
    tool.call(std::move(call), {.on_end = [next](std::expected<ToolReply, ToolFailure> result) {
                if (!result) fmt::print(stderr, "{}\n", result.error().error.to_string());
                next();
              }});
  }));
}

void measure_pipe(boost::asio::io_context& io, Child& child, const std::string& line,
                  std::vector<double>& times) {
  times.push_back(microseconds_a_call(io, [&](std::function<void()> next) {
    child.write_input(line + "\n");
    auto have = std::make_shared<std::size_t>(0);
    auto read = std::make_shared<std::function<void(std::string_view)>>();
    *read = [&child, have, read, next, size = line.size() + 1](std::string_view bytes) {
      *have += bytes.size();
      if (*have < size && !bytes.empty()) return child.read_output(*read);
      auto go_on = next;
      *read = nullptr;
      go_on();
    };
    child.read_output(*read);
  }));
}

int run(boost::asio::io_context& io, bool isolate) {
  boost::asio::thread_pool pool(1);
  ToolEnvironment environment{.io = io.get_executor(),
                              .blocking = pool.get_executor(),
                              .work_dir = ".",
                              .temp_dir = std::filesystem::temp_directory_path(),
                              .clock = &system_clock(),
                              .isolate_code = isolate};
  auto tool = open_code_runner({.workers = 1}, environment);
  auto child = Child::start(io.get_executor(), {.argv = {"python3", "-c", kEcho}});
  if (!child) {
    fmt::print(stderr, "{}\n", child.error().to_string());
    return 1;
  }
  std::string kilobyte(1000, 'x');
  const Case cases[] = {
      {"empty", "def main(): pass", Value::object({})},
      {"1 kB", "def main(t): return t", Value::object({{"t", Value::string(kilobyte)}})}};
  fmt::print("isolated: {}\n", isolate ? probe_isolation().reason : "no");
  for (const Case& now : cases) {
    std::vector<double> ours;
    std::vector<double> pipe;
    std::string line = to_json(now.args);
    for (int round = 0; round <= kRounds; ++round) {
      measure_code(io, *tool, now, ours);
      measure_pipe(io, **child, line, pipe);
    }
    ours.erase(ours.begin());  // the first round starts the worker
    pipe.erase(pipe.begin());
    fmt::print(
        "{:>6}: call {:6.1f} us (min {:.1f}, max {:.1f}); bare pipe {:6.1f} us; "
        "ours on top {:6.1f} us; ratio {:.2f}\n",
        now.name, median(ours), std::ranges::min(ours), std::ranges::max(ours), median(pipe),
        median(ours) - median(pipe), median(ours) / median(pipe));
  }
  (*child)->abandon();
  pool.join();
  return 0;
}

}  // namespace
}  // namespace sluice

int main() {
  boost::asio::io_context io;
  auto keep = boost::asio::make_work_guard(io);
  int failed = sluice::run(io, false);
  return sluice::probe_isolation().isolated ? failed | sluice::run(io, true) : failed;
}
