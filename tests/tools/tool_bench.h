// What a tool needs around it in a test: an I/O executor run by the test's own thread, a small
// pool, a folder of its own; and calls that are waited for.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "tools/tool.h"

namespace sluice::test {

using ToolResult = std::expected<ToolReply, ToolFailure>;

// May go over several lines, inside its strings too.
inline Value json(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  auto value = parse_json(text);
  EXPECT_TRUE(value) << text;
  return value ? *value : Value();
}

// What one call gave, as it comes.
struct Observed {
  std::optional<ToolResult> result;
  int ends = 0;
  std::vector<Value> items;
  std::vector<double> progress;
  CallId id = 0;
};

class ToolBench {
 public:
  ToolBench() : work_(boost::asio::make_work_guard(io)), pool(3) {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-tools-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) ADD_FAILURE() << "no temporary folder";
    folder = name;
  }
  ~ToolBench() {
    pool.join();
    work_.reset();
    io.restart();
    io.run_for(std::chrono::milliseconds(100));
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }

  ToolEnvironment environment() {
    return {.io = io.get_executor(),
            .blocking = pool.get_executor(),
            .work_dir = folder,
            .temp_dir = folder,
            .clock = &system_clock()};
  }

  std::unique_ptr<Tool> open(std::string_view kind, std::string_view settings) {
    auto tool = open_tool("t", kind, json(std::string(settings)), environment());
    EXPECT_TRUE(tool) << (tool ? "" : tool.error().to_string());
    return tool ? std::move(*tool) : nullptr;
  }

  void write_file(const std::string& name, std::string_view text) {
    auto path = folder / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
  }

  // Runs the I/O executor until it is so; false when time is up.
  bool run_until(const std::function<bool()>& done, int timeout_ms = 20'000) {
    auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      io.run_one_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  void run_for(int ms) { io.run_for(std::chrono::milliseconds(ms)); }

  static ToolCall make_call(std::string function, Value args) {
    return {.function = std::move(function),
            .args = std::move(args),
            .task = "step",
            .idempotency_key = "key-1",
            .timeout_ms = 20'000,
            .max_bytes = 16 << 20};
  }

  // Starts a call; `take` answers on_item (null: always true).
  std::shared_ptr<Observed> start(Tool& tool, ToolCall call,
                                  std::function<bool(Observed&)> take = nullptr) {
    auto seen = std::make_shared<Observed>();
    ToolCallbacks callbacks;
    callbacks.on_item = [seen, take](Value item) {
      EXPECT_EQ(seen->ends, 0) << "an item after the end";
      seen->items.push_back(std::move(item));
      return take ? take(*seen) : true;
    };
    callbacks.on_progress = [seen](double done, double, std::string_view) {
      seen->progress.push_back(done);
    };
    callbacks.on_end = [seen](ToolResult result) {
      ++seen->ends;
      seen->result = std::move(result);
    };
    seen->id = tool.call(std::move(call), std::move(callbacks));
    EXPECT_EQ(seen->ends, 0) << "called back before call has returned";
    return seen;
  }

  ToolResult wait(const std::shared_ptr<Observed>& seen) {
    if (!run_until([&] { return seen->ends > 0; })) {
      ADD_FAILURE() << "the call did not end";
      return std::unexpected(ToolFailure{Error(ErrorCode::kInternal, "no end"), false});
    }
    return *seen->result;
  }
  ToolResult call(Tool& tool, ToolCall request) { return wait(start(tool, std::move(request))); }
  ToolResult call(Tool& tool, std::string function, std::string_view args) {
    return call(tool, make_call(std::move(function), json(std::string(args))));
  }

  Result<std::vector<FunctionSpec>> discover(Tool& tool) {
    std::optional<Result<std::vector<FunctionSpec>>> found;
    tool.discover([&](Result<std::vector<FunctionSpec>> functions) {
      EXPECT_FALSE(found.has_value()) << "called back twice";
      found = std::move(functions);
    });
    if (!run_until([&] { return found.has_value(); }, 60'000)) {
      return fail(ErrorCode::kInternal, "discover did not end");
    }
    return *found;
  }

  boost::asio::io_context io;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::thread_pool pool;
  std::filesystem::path folder;
};

// The name of a failure's code, or the output as JSON.
inline std::string shown(const ToolResult& result) {
  if (!result) return std::string(result.error().error.name());
  return to_json(result->output);
}
inline std::string words(const ToolResult& result) {
  return result ? "" : result.error().error.to_string();
}

}  // namespace sluice::test
