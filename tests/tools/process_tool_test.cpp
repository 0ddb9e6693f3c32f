#include <gtest/gtest.h>

#include <fstream>

#include "tests/tools/tool_bench.h"
#include "tools/process/line_splitter.h"
#include "tools/text.h"

namespace sluice::test {
namespace {

struct Row {
  const char* settings;
  const char* args;
  const char* gives;
};

class ProcessRows : public testing::TestWithParam<Row> {};

TEST_P(ProcessRows, Gives) {
  ToolBench bench;
  auto tool = bench.open("process", GetParam().settings);
  ASSERT_TRUE(tool);
  auto result = bench.call(*tool, "run", GetParam().args);
  EXPECT_EQ(shown(result), GetParam().gives) << words(result);
}

INSTANTIATE_TEST_SUITE_P(
    All, ProcessRows,
    testing::Values(
        // Arguments reach the program as they are: there is no shell.
        Row{R"({"command": ["printf", "%s|%s"], "stdout": "text"})",
            R"({"args": ["$HOME; ls", "a  b"]})", R"("$HOME; ls|a  b")"},
        Row{R"({"command": ["cat"], "stdout": "json"})", R"({"stdin": {"a": [1, 2.5]}})",
            R"({"a":[1,2.5]})"},
        Row{R"({"command": "cat", "stdout": "text"})", R"({"stdin": "äö"})", R"("äö")"},
        Row{R"({"command": ["cat"], "stdout": "text"})", "{}", R"("")"},
        Row{R"({"command": ["printf", "%s %s"], "stdout": "text"})", R"({"args": [1, true]})",
            R"("1 true")"},
        Row{R"({"command": ["printf", "a\nb\r\n\nlast"], "stdout": "lines"})", "{}",
            R"(["a","b","","last"])"},
        Row{R"({"command": ["true"], "stdout": "lines"})", "{}", "[]"},
        Row{R"({"command": ["echo", "not json"]})", "{}", "TOOL_OUTPUT"},
        Row{R"({"command": ["printf", "\\377"], "stdout": "text"})", "{}", "TOOL_OUTPUT"},
        Row{R"({"command": ["printf", "ok\\n\\377\\n"], "stdout": "lines"})", "{}", "TOOL_OUTPUT"},
        Row{R"({"command": ["sh", "-c", "kill -SEGV $$"]})", "{}", "TOOL_DIED"},
        Row{R"({"command": ["no-such-program-here"]})", "{}", "TOOL_START"},
        Row{R"({"command": ["./missing"]})", "{}", "TOOL_START"},
        Row{R"({"command": ["/etc/passwd"]})", "{}", "TOOL_START"},
        Row{R"({"command": ["pwd"], "cwd": "no/such/folder"})", "{}", "TOOL_START"},
        Row{R"({"command": ["sh", "-c", "echo \"$A $SLUICE_KEY\""], "env": {"A": "x"}, "stdout": "text"})",
            "{}", R"("x key-1\n")"},
        // It reads nothing of a large input: no hang, no SIGPIPE.
        Row{R"({"command": ["true"], "stdout": "text"})", R"({"stdin": "x"})", R"("")"}));

TEST(ProcessTool, MessagesSayWhatHappened) {
  ToolBench bench;
  auto failing =
      bench.open("process", R"({"command": ["sh", "-c", "echo one >&2; echo two >&2; exit 3"]})");
  auto result = bench.call(*failing, "run", "{}");
  EXPECT_NE(words(result).find("exit code 3"), std::string::npos) << words(result);
  EXPECT_NE(words(result).find("two"), std::string::npos) << words(result);
  EXPECT_TRUE(result.error().left);
  auto missing = bench.open("process", R"({"command": ["no-such-program-here"]})");
  auto unstarted = bench.call(*missing, "run", "{}");
  EXPECT_NE(words(unstarted).find("not in PATH"), std::string::npos) << words(unstarted);
  EXPECT_FALSE(unstarted.error().left);
}

TEST(ProcessTool, AFloodOfInputToADeafProgramIsNoHarm) {
  ToolBench bench;
  auto tool = bench.open("process", R"({"command": ["true"], "stdout": "text"})");
  auto call = ToolBench::make_call(
      "run", Value::object({{"stdin", Value::string(std::string(4 << 20, 'x'))}}));
  EXPECT_EQ(shown(bench.call(*tool, call)), R"("")");
}

// A zombie is dead; when init reaps it is not ours to say.
bool alive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string number;
  std::string name;
  std::string state;
  return file >> number >> name >> state && state != "Z";
}

TEST(ProcessTool, CancelKillsTheWholeGroup) {
  ToolBench bench;
  // The grandchild ignores SIGTERM, and keeps the output open.
  auto tool = bench.open("process", R"({"command": ["sh", "-c",
      "(trap '' TERM; echo $BASHPID; exec sleep 60) & echo $! > pid; wait"], "stdout": "text"})");
  auto seen = bench.start(*tool, ToolBench::make_call("run", json("{}")));
  pid_t grandchild = 0;
  ASSERT_TRUE(bench.run_until([&] {
    std::ifstream file(bench.folder / "pid");
    return static_cast<bool>(file >> grandchild);
  }));
  tool->cancel(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_TRUE(bench.run_until([&] { return !alive(grandchild); }, 3000));
}

TEST(ProcessTool, WhatTheProgramLeavesBehindIsKilled) {
  ToolBench bench;
  auto tool =
      bench.open("process", R"({"command": ["sh", "-c", "sleep 60 & echo $!"], "stdout": "json"})");
  auto result = bench.call(*tool, "run", "{}");
  ASSERT_TRUE(result) << words(result);
  EXPECT_TRUE(
      bench.run_until([&] { return !alive(static_cast<pid_t>(result->output.as_int())); }, 3000));
}

TEST(ProcessTool, AProgramThatIgnoresSigtermIsKilledAfterTheGrace) {
  ToolBench bench;
  auto tool = bench.open("process",
                         R"({"command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]})");
  auto call = ToolBench::make_call("run", json("{}"));
  call.timeout_ms = 100;
  EXPECT_EQ(shown(bench.call(*tool, call)), "TIMEOUT");
}

TEST(ProcessTool, LinesFlowWithBackPressure) {
  ToolBench bench;
  auto tool = bench.open("process", R"({"command": ["seq", "1", "200000"], "stdout": "lines"})");
  auto call = ToolBench::make_call("run", json("{}"));
  call.streaming = true;
  call.max_bytes = 100;  // bounds a line, not the stream
  auto seen = bench.start(*tool, call, [](Observed& now) { return now.items.size() % 1000 != 0; });
  std::size_t last = 0;
  while (bench.run_until([&] { return seen->ends > 0 || seen->items.size() == last + 1000; })) {
    if (seen->ends > 0) break;
    last = seen->items.size();
    if (last == 1000) bench.run_for(100);
    ASSERT_EQ(seen->items.size(), last) << "items came while the consumer had paused";
    tool->resume(seen->id);
  }
  ASSERT_EQ(seen->ends, 1);
  EXPECT_EQ(shown(*seen->result), "null");
  ASSERT_EQ(seen->items.size(), 200000u);
  EXPECT_EQ(seen->items[199999].as_string(), "200000");
}

TEST(ProcessTool, APausedStreamDoesNotRunOutOfTime) {
  ToolBench bench;
  auto tool = bench.open("process", R"({"command": ["seq", "1", "3"], "stdout": "lines"})");
  auto call = ToolBench::make_call("run", json("{}"));
  call.streaming = true;
  call.timeout_ms = 300;
  auto seen = bench.start(*tool, call, [](Observed& now) { return now.items.size() != 1; });
  bench.run_for(600);
  ASSERT_EQ(seen->ends, 0);
  tool->resume(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "null");
  EXPECT_EQ(seen->items.size(), 3u);
}

TEST(ProcessTool, CancelFromInsideAnItemIsHeard) {
  ToolBench bench;
  auto tool = bench.open("process", R"({"command": ["yes"], "stdout": "lines"})");
  auto call = ToolBench::make_call("run", json("{}"));
  call.streaming = true;
  Tool* raw = tool.get();
  auto seen = bench.start(*tool, call, [raw](Observed& now) {
    if (now.items.size() == 10) raw->cancel(now.id);
    return true;
  });
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_EQ(seen->items.size(), 10u);
}

TEST(ProcessTool, ALineOverTheLimitIsRefused) {
  ToolBench bench;
  auto tool = bench.open(
      "process", R"({"command": ["head", "-c", "100000", "/dev/zero"], "stdout": "lines"})");
  auto call = ToolBench::make_call("run", json("{}"));
  call.streaming = true;
  call.max_bytes = 1000;
  EXPECT_EQ(shown(bench.call(*tool, call)), "TOOL_TOO_LARGE");
}

TEST(ProcessTool, WrongSettingsAreRefused) {
  ToolBench bench;
  for (const char* settings :
       {"{}", R"({"command": []})", R"({"command": [""]})",
        R"({"command": ["x"], "stdout": "yaml"})", R"({"command": ["x"], "env": {"A=B": "c"}})"}) {
    auto tool = open_tool("t", "process", json(settings), bench.environment());
    ASSERT_FALSE(tool) << settings;
    EXPECT_EQ(tool.error().name(), "SETTING_INVALID") << settings;
  }
  auto unknown = open_tool("t", "proces", json("{}"), bench.environment());
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().message().find("did you mean process?"), std::string::npos);
}

TEST(LineSplitter, FindsLinesAcrossAnyCut) {
  const std::string text = "one\ntwo\r\n\nfour";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    LineSplitter lines;
    std::vector<std::string> found;
    auto take = [&] {
      while (auto line = lines.next()) found.emplace_back(*line);
    };
    lines.add(std::string_view(text).substr(0, cut));
    take();
    lines.add(std::string_view(text).substr(cut));
    take();
    lines.end();
    take();
    EXPECT_EQ(found, (std::vector<std::string>{"one", "two", "", "four"})) << cut;
    EXPECT_FALSE(lines.next());
  }
}

TEST(Text, OneLineIsFitForMessages) {
  EXPECT_EQ(one_line("  a\nb\x01"
                     "c \n"),
            "a b c");
  EXPECT_EQ(one_line("a\xFFz"), "a\uFFFDz");
  EXPECT_EQ(one_line("0123456789", 4), "...6789");
  EXPECT_EQ(one_line("ääää", 3), "...ä");
  EXPECT_EQ(one_line_start("0123456789", 4), "0123...");
  EXPECT_EQ(one_line_start("ääää", 3), "ä...");
}

}  // namespace
}  // namespace sluice::test
