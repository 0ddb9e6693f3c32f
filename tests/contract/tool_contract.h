// The contract of every kind of tool. A kind takes part with one ToolSubject:
//   INSTANTIATE_TEST_SUITE_P(Kinds, ToolContract, testing::ValuesIn(subjects()), subject_name);
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/tools/tool_bench.h"
#include "tools/tool.h"

namespace sluice::test {

struct ToolSubject {
  std::string name;
  // May leave what it needs (a server) in the shared pointer.
  std::function<std::unique_ptr<Tool>(ToolBench&, std::shared_ptr<void>&)> open;
  struct Call {
    std::string function;
    std::string args;
    std::string gives;  // output as JSON, or the name of an error
  };
  Call good;
  Call bad;                    // fails for the tool's own reason
  Call slow;                   // takes far longer than the test
  Call large;                  // its output is over 1000 bytes
  std::vector<Call> nonsense;  // arguments that fit no schema: errors, never a crash
};

inline std::string subject_name(const testing::TestParamInfo<ToolSubject>& info) {
  return info.param.name;
}

inline int open_descriptors() {
  int count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// Children of this process, zombies included.
inline int children() {
  std::ifstream file("/proc/self/task/" + std::to_string(getpid()) + "/children");
  int count = 0;
  for (int pid = 0; file >> pid;) ++count;
  return count;
}

class ToolContract : public testing::TestWithParam<ToolSubject> {
 protected:
  void SetUp() override { tool = GetParam().open(bench, surroundings); }

  static ToolCall request(const ToolSubject::Call& call) {
    return ToolBench::make_call(call.function, json(call.args));
  }

  std::shared_ptr<void> surroundings;
  ToolBench bench;
  std::unique_ptr<Tool> tool;
};

TEST_P(ToolContract, GivesItsResultOnceAndMarksItUntrusted) {
  ASSERT_TRUE(tool);
  for (int i = 0; i < 3; ++i) {
    auto seen = bench.start(*tool, request(GetParam().good));
    auto result = bench.wait(seen);
    EXPECT_EQ(shown(result), GetParam().good.gives) << words(result);
    bench.run_for(20);
    EXPECT_EQ(seen->ends, 1);
    if (result) EXPECT_TRUE(result->output.labels().untrusted);
  }
}

TEST_P(ToolContract, RunsCallsSideBySide) {
  ASSERT_TRUE(tool);
  std::vector<std::shared_ptr<Observed>> all;
  for (int i = 0; i < 20; ++i) all.push_back(bench.start(*tool, request(GetParam().good)));
  for (auto& seen : all) {
    auto result = bench.wait(seen);
    EXPECT_EQ(shown(result), GetParam().good.gives) << words(result);
  }
  for (auto& seen : all) EXPECT_EQ(seen->ends, 1);
}

TEST_P(ToolContract, FailsWithItsOwnError) {
  ASSERT_TRUE(tool);
  auto result = bench.call(*tool, request(GetParam().bad));
  ASSERT_FALSE(result) << shown(result);
  EXPECT_EQ(shown(result), GetParam().bad.gives) << words(result);
  EXPECT_FALSE(result.error().error.message().empty());
  auto again = bench.call(*tool, request(GetParam().good));
  EXPECT_EQ(shown(again), GetParam().good.gives) << "a failure spoils the next call";
}

TEST_P(ToolContract, CancelEndsTheCallOnce) {
  ASSERT_TRUE(tool);
  bench.call(*tool, request(GetParam().good));  // what has to start has started
  auto seen = bench.start(*tool, request(GetParam().slow));
  bench.run_for(300);
  ASSERT_EQ(seen->ends, 0) << "the slow call is not slow: " << shown(*seen->result);
  tool->cancel(seen->id);
  EXPECT_EQ(seen->ends, 0) << "called back from inside cancel";
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_TRUE(seen->result->error().left);
  tool->cancel(seen->id);
  bench.run_for(50);
  EXPECT_EQ(seen->ends, 1);
  auto again = bench.call(*tool, request(GetParam().good));
  EXPECT_EQ(shown(again), GetParam().good.gives) << words(again);
}

TEST_P(ToolContract, CancelBeforeTheCallLeftLeavesNoDoubt) {
  ASSERT_TRUE(tool);
  auto seen = bench.start(*tool, request(GetParam().good));
  tool->cancel(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_FALSE(seen->result->error().left);
  tool->cancel(12345);  // an id that was never given
}

TEST_P(ToolContract, TimeoutEndsTheCall) {
  ASSERT_TRUE(tool);
  auto call = request(GetParam().slow);
  call.timeout_ms = 150;
  auto result = bench.call(*tool, call);
  EXPECT_EQ(shown(result), "TIMEOUT") << words(result);
  auto again = bench.call(*tool, request(GetParam().good));
  EXPECT_EQ(shown(again), GetParam().good.gives) << words(again);
}

TEST_P(ToolContract, OutputOverTheLimitIsRefused) {
  ASSERT_TRUE(tool);
  auto call = request(GetParam().large);
  auto whole = bench.call(*tool, call);
  EXPECT_TRUE(whole) << words(whole);
  call.max_bytes = 500;
  EXPECT_EQ(shown(bench.call(*tool, call)), "TOOL_TOO_LARGE");
}

TEST_P(ToolContract, NonsenseIsAnErrorNeverACrash) {
  ASSERT_TRUE(tool);
  std::vector<std::string> args = {"null",     "[]", "7",
                                   "\"text\"", "{}", R"({"zzz": {"deep": [[[null]]]}})"};
  for (const auto& text : args) {
    auto call = ToolBench::make_call("no_such_function", json(text));
    EXPECT_FALSE(bench.call(*tool, call)) << text;
  }
  for (const auto& call : GetParam().nonsense) {
    auto result = bench.call(*tool, request(call));
    EXPECT_EQ(shown(result), call.gives) << call.args << " " << words(result);
  }
  for (const auto& text : args) {  // whatever comes back, something does
    bench.call(*tool, ToolBench::make_call(GetParam().good.function, json(text)));
  }
}

TEST_P(ToolContract, LeavesNothingBehind) {
  ASSERT_TRUE(tool);
  bench.call(*tool, request(GetParam().good));  // what a process opens once is open now
  tool.reset();
  bench.run_for(20);
  int descriptors = open_descriptors();
  int processes = children();
  {
    std::shared_ptr<void> other;
    auto second = GetParam().open(bench, other);
    bench.call(*second, request(GetParam().good));
    bench.call(*second, request(GetParam().bad));
    auto open = bench.start(*second, request(GetParam().slow));
    bench.run_for(200);
    second.reset();  // with a call open: it is dropped, and never calls back
    EXPECT_EQ(open->ends, 0);
    other.reset();
    bench.run_for(50);
    EXPECT_EQ(open->ends, 0);
  }
  // A thread that was at work for the call lets go soon.
  bench.run_until([&] { return open_descriptors() == descriptors; }, 5'000);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_EQ(children(), processes);
}

TEST_P(ToolContract, DiscoversItsFunctions) {
  ASSERT_TRUE(tool);
  auto functions = bench.discover(*tool);
  ASSERT_TRUE(functions) << functions.error().to_string();
  if (GetParam().name == "Code") return;  // every text is a function of its own
  bool found = false;
  for (const auto& function : *functions) {
    if (function.name != GetParam().good.function) continue;
    found = true;
    ASSERT_TRUE(function.input);
    EXPECT_TRUE(function.input->valid(json(GetParam().good.args)));
  }
  EXPECT_TRUE(found);
}

}  // namespace sluice::test
