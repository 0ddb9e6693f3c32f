#include <gtest/gtest.h>

#include <set>

#include "tests/tools/tool_bench.h"
#include "tools/base64.h"

namespace sluice::test {
namespace {

struct Row {
  const char* code;
  const char* args;
  const char* gives;
  const char* words = "";  // in the message
};

class CodeRows : public testing::TestWithParam<Row> {};

TEST_P(CodeRows, Gives) {
  ToolBench bench;
  auto tool = open_code_runner({.workers = 1}, bench.environment());
  for (int i = 0; i < 2; ++i) {  // the second time it is compiled already
    auto result = bench.call(*tool, GetParam().code, GetParam().args);
    EXPECT_EQ(shown(result), GetParam().gives) << words(result);
    EXPECT_NE(words(result).find(GetParam().words), std::string::npos) << words(result);
  }
  EXPECT_EQ(shown(bench.call(*tool, "def main(): return 1", "{}")), "1");
}

INSTANTIATE_TEST_SUITE_P(
    All, CodeRows,
    testing::Values(
        Row{"def main(a, b=2):\n  return [a, b]", R"({"a": "ä"})", R"(["ä",2])"},
        Row{"def main(a): return a", R"({"a": {"k": [1, 2.5, null, true, "x\n"]}})",
            R"({"k":[1,2.5,null,true,"x\n"]})"},
        Row{"def main(a): return a * 10", R"({"a": 123456789012345678901234567890})",
            "1234567890123456789012345678900"},
        Row{"def main(): return (1, (2, 3))", "{}", "[1,[2,3]]"},
        Row{"def main(): return {1: 2}", "{}", R"({"1":2})"}, Row{"def main(): pass", "{}", "null"},
        Row{"x = 5\ndef main():\n  global x\n  return x", "{}", "5"},
        Row{"async def main(): return 7", "{}", "7"},
        Row{"def main():\n  yield 1\n  yield 2", "{}", "[1,2]"},
        Row{"print('loading')\ndef main():\n  print('running')\n  return 1", "{}", "1"},
        Row{"import os\ndef main():\n  os.write(1, b'raw')\n  return 1", "{}", "1"},
        Row{"import sys\ndef main():\n  return sys.stdin.read()", "{}", R"("")"},
        Row{"import dataclasses\n@dataclasses.dataclass\nclass P:\n  x: int\n"
            "def main(): return dataclasses.asdict(P(3))",
            "{}", R"({"x":3})"},
        Row{"def main(): return {1, 2}", "{}", "CODE_FAILED", "sorted("},
        Row{"def main(): return float('nan')", "{}", "CODE_FAILED", "NaN"},
        Row{"def main(): return [float('inf')]", "{}", "CODE_FAILED", "infinity"},
        Row{"def main(): return '\\ud800'", "{}", "CODE_FAILED", "surrogate"},
        Row{"def main(): return main", "{}", "CODE_FAILED", "a function, which is not JSON"},
        Row{"def main():\n  a = []\n  a.append(a)\n  return a", "{}", "CODE_FAILED"},
        Row{"def main():\n  return f()\ndef f():\n  raise ValueError('no\\nsuch')", "{}",
            "CODE_FAILED", "ValueError: no such (line 4 of the code)"},
        Row{"import json\ndef main():\n\n  return json.loads('{')", "{}", "CODE_FAILED",
            "(line 4 of the code)"},
        Row{"def main():\n  return 1\n  x = = 2", "{}", "CODE_FAILED", "SyntaxError"},
        Row{"def main():\n  return 1\n  x = = 2", "{}", "CODE_FAILED", "(line 3 of the code)"},
        Row{"def other(): pass", "{}", "CODE_FAILED", "no function main"},
        Row{"main = 3", "{}", "CODE_FAILED", "no function main"},
        Row{"def main(a): return a", "{}", "CODE_FAILED", "missing 1 required"},
        Row{"def main(): return a", R"({"b": 1})", "CODE_FAILED", "unexpected keyword"},
        Row{"import no_such_module_here\ndef main(): pass", "{}", "CODE_FAILED",
            "(line 1 of the code)"},
        Row{"def main():\n  import sys\n  sys.exit(3)", "{}", "CODE_FAILED", "SystemExit: 3"},
        Row{"def main():\n  return main()", "{}", "CODE_FAILED", "RecursionError"},
        Row{"import os\ndef main():\n  os._exit(3)", "{}", "TOOL_DIED", "exit code 3"},
        Row{"import os\ndef main():\n  os.kill(os.getpid(), 9)", "{}", "TOOL_DIED"},
        Row{"import os\ndef main():\n  for f in range(3, 9):\n    try: os.write(f, b'x' * 99)\n"
            "    except OSError: pass",
            "{}", "TOOL_DIED"},
        Row{"def main():\n  d = []\n  for i in range(600): d = [d]\n  return d", "{}",
            "TOOL_OUTPUT"}));

TEST(CodeRunner, BytesGoInAndOut) {
  ToolBench bench;
  auto tool = open_code_runner({.workers = 1}, bench.environment());
  auto args = Value::object({{"a", Value::blob(std::string("\0\xFF!", 3), "x/y")}});
  auto result =
      bench.call(*tool, ToolBench::make_call("def main(a): return [a + b'?', len(a)]", args));
  ASSERT_TRUE(result) << words(result);
  EXPECT_EQ(*result->output.items()[0].blob_bytes(), std::string_view("\0\xFF!?", 4));
  EXPECT_EQ(result->output.items()[1].as_int(), 3);
}

TEST(CodeRunner, AGeneratorFlowsWithBackPressure) {
  ToolBench bench;
  auto tool = open_code_runner({.workers = 1}, bench.environment());
  auto call =
      ToolBench::make_call("def main():\n  for i in range(50000): yield {'i': i}", json("{}"));
  call.streaming = true;
  auto seen = bench.start(*tool, call, [](Observed& now) { return now.items.size() != 100; });
  ASSERT_TRUE(bench.run_until([&] { return seen->items.size() == 100; }));
  bench.run_for(100);
  EXPECT_EQ(seen->items.size(), 100u);
  tool->resume(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "null");
  ASSERT_EQ(seen->items.size(), 50000u);
  EXPECT_EQ(to_json(seen->items[49999]), R"({"i":49999})");
}

TEST(CodeRunner, AGeneratorThatFailsKeepsWhatItGave) {
  ToolBench bench;
  auto tool = open_code_runner({.workers = 1}, bench.environment());
  auto call = ToolBench::make_call("def main():\n  yield 1\n  raise KeyError('k')", json("{}"));
  call.streaming = true;
  auto seen = bench.start(*tool, call);
  EXPECT_EQ(shown(bench.wait(seen)), "CODE_FAILED");
  EXPECT_EQ(seen->items.size(), 1u);
}

TEST(CodeRunner, CodeIsIsolatedWhereTheMachineAllows) {
  ToolBench bench;
  auto state = probe_isolation();
  if (!state.isolated) {
    EXPECT_FALSE(state.reason.empty());
    GTEST_SKIP() << state.reason;
  }
  auto tool = open_code_runner({.workers = 1}, bench.environment());
  std::string file = (bench.folder / "written").string();
  auto result =
      bench.call(*tool, "def main(f):\n  open(f, 'w').write('x')", R"({"f": ")" + file + R"("})");
  EXPECT_EQ(shown(result), "CODE_FAILED") << words(result);
  EXPECT_FALSE(std::filesystem::exists(file));
  result = bench.call(*tool, "def main():\n  open('/usr/x', 'w')", "{}");
  EXPECT_NE(words(result).find("Read-only"), std::string::npos) << words(result);
  result = bench.call(*tool,
                      "import socket\ndef main():\n"
                      "  return sorted(name for _, name in socket.if_nameindex())",
                      "{}");
  EXPECT_EQ(shown(result), R"(["lo"])");
  setenv("SLUICE_TEST_PASSWORD", "hidden", 1);
  result =
      bench.call(*tool, "import os\ndef main(): return 'SLUICE_TEST_PASSWORD' in os.environ", "{}");
  EXPECT_EQ(shown(result), "false");
  result = bench.call(
      *tool, "def main():\n  open('/tmp/x', 'w').write('scratch')\n  return open('/tmp/x').read()",
      "{}");
  EXPECT_EQ(shown(result), R"("scratch")");
  EXPECT_FALSE(std::filesystem::exists("/tmp/x"));
}

TEST(CodeRunner, RunsWithoutIsolationWhenTold) {
  ToolBench bench;
  auto environment = bench.environment();
  environment.isolate_code = false;
  auto tool = open_code_runner({.workers = 1}, environment);
  EXPECT_EQ(shown(bench.call(*tool, "def main(): return 1", "{}")), "1");
}

TEST(CodeRunner, APythonThatIsNotThereIsNamed) {
  ToolBench bench;
  for (bool isolate : {true, false}) {
    auto environment = bench.environment();
    environment.isolate_code = isolate;
    auto tool = open_code_runner({.workers = 1, .python = "no-such-python"}, environment);
    auto result = bench.call(*tool, "def main(): return 1", "{}");
    EXPECT_EQ(shown(result), "TOOL_START") << words(result);
    EXPECT_NE(words(result).find("no-such-python"), std::string::npos) << words(result);
    EXPECT_FALSE(result.error().left);
  }
}

TEST(CodeRunner, WorkersShareTheWork) {
  ToolBench bench;
  auto tool = open_code_runner({.workers = 2}, bench.environment());
  std::string code = "import os, time\ndef main():\n  time.sleep(0.3)\n  return os.getpid()";
  auto environment = bench.environment();
  std::vector<std::shared_ptr<Observed>> all;
  for (int i = 0; i < 2; ++i)
    all.push_back(bench.start(*tool, ToolBench::make_call(code, json("{}"))));
  auto waiting = bench.start(*tool, ToolBench::make_call(code, json("{}")));
  bench.run_for(50);
  tool->cancel(waiting->id);  // no worker is free: it never left
  EXPECT_EQ(shown(bench.wait(waiting)), "CANCELLED");
  EXPECT_FALSE(waiting->result->error().left);
  for (auto& seen : all) EXPECT_TRUE(bench.wait(seen));
}

constexpr const char* kTools = R"(
import os, typing
CALLS = 0
def greet(name: str, times: int = 1) -> str:
    """Greets somebody.

    More words."""
    return " ".join(["hello " + name] * times)
def count():
    global CALLS
    CALLS += 1
    return CALLS
def lines(n: int):
    for i in range(n):
        yield f"line {i}"
def anything(a, mode: typing.Literal["x", "y"] = "x", tags: list[str] | None = None, **more):
    return {"a": a, "mode": mode, "tags": tags, **more}
def key():
    return os.environ["SLUICE_KEY"]
def fails():
    return {}["missing"]
def _hidden(): pass
)";

TEST(PythonTool, FunctionsComeFromTheFile) {
  ToolBench bench;
  bench.write_file("tools/f.py", kTools);
  auto tool = bench.open("python", R"({"file": "tools/f.py"})");
  auto functions = bench.discover(*tool);
  ASSERT_TRUE(functions) << functions.error().to_string();
  std::map<std::string, FunctionSpec> by_name;
  for (auto& function : *functions) by_name[function.name] = function;
  EXPECT_EQ(by_name.size(), 6u);
  EXPECT_EQ(by_name["greet"].description, "Greets somebody.");
  EXPECT_EQ(by_name["greet"].effect, Effect::kOnce);
  EXPECT_TRUE(by_name["greet"].input->valid(json(R"({"name": "x", "times": 2})")));
  EXPECT_FALSE(by_name["greet"].input->valid(json(R"({"name": 5})")));
  EXPECT_FALSE(by_name["greet"].input->valid(json(R"({"times": 5})")));
  EXPECT_FALSE(by_name["greet"].input->valid(json(R"({"name": "x", "nmae": 1})")));
  EXPECT_TRUE(by_name["greet"].output->valid(json(R"("text")")));
  EXPECT_FALSE(by_name["greet"].output->valid(json("5")));
  EXPECT_TRUE(by_name["anything"].input->valid(json(R"({"a": 1, "tags": ["q"], "other": 5})")));
  EXPECT_FALSE(by_name["anything"].input->valid(json(R"({"a": 1, "mode": "z"})")));
  EXPECT_TRUE(by_name["lines"].streams);
  EXPECT_FALSE(by_name["count"].streams);
}

TEST(PythonTool, Calls) {
  ToolBench bench;
  bench.write_file("f.py", kTools);
  auto tool = bench.open("python", R"({"file": "f.py", "concurrency": 1})");
  EXPECT_EQ(shown(bench.call(*tool, "greet", R"({"name": "you", "times": 2})")),
            R"("hello you hello you")");
  EXPECT_EQ(shown(bench.call(*tool, "count", "{}")), "1");
  EXPECT_EQ(shown(bench.call(*tool, "count", "{}")), "2") << "one process keeps its state";
  EXPECT_EQ(shown(bench.call(*tool, "key", "{}")), R"("key-1")");
  auto failed = bench.call(*tool, "fails", "{}");
  EXPECT_EQ(shown(failed), "CODE_FAILED");
  EXPECT_NE(words(failed).find("of f.py)"), std::string::npos) << words(failed);
  EXPECT_EQ(shown(bench.call(*tool, "_hidden", "{}")), "TOOL_UNKNOWN");
  EXPECT_EQ(shown(bench.call(*tool, "none", "{}")), "CODE_FAILED");
}

TEST(PythonTool, OneFunctionOrInlineCode) {
  ToolBench bench;
  auto inline_tool =
      bench.open("python", R"({"code": "def f(x): return x + 1\ndef g(): pass", "function": "f"})");
  auto functions = bench.discover(*inline_tool);
  ASSERT_TRUE(functions);
  ASSERT_EQ(functions->size(), 1u);
  EXPECT_EQ(functions->at(0).name, "f");
  EXPECT_EQ(shown(bench.call(*inline_tool, "f", R"({"x": 1})")), "2");
  EXPECT_EQ(shown(bench.call(*inline_tool, "g", "{}")), "TOOL_UNKNOWN");
  auto misspelt = bench.open("python", R"({"code": "def fetch(): pass", "function": "fech"})");
  auto none = bench.discover(*misspelt);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().message().find("did you mean fetch?"), std::string::npos);
  auto broken = bench.open("python", R"({"code": "def f(:"})");
  auto listed = bench.discover(*broken);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().name(), "CODE_FAILED");
  for (const char* settings : {"{}", R"({"file": "a", "code": "b"})"}) {
    EXPECT_EQ(open_tool("t", "python", json(settings), bench.environment()).error().name(),
              "SETTING_INVALID");
  }
  EXPECT_EQ(
      open_tool("t", "python", json(R"({"file": "none.py"})"), bench.environment()).error().name(),
      "TOOL_START");
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    auto back = from_base64(to_base64(bytes));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  EXPECT_EQ(to_base64("hi"), "aGk=");
  EXPECT_FALSE(from_base64("a*k="));
  EXPECT_FALSE(from_base64("abc"));
}

}  // namespace
}  // namespace sluice::test
