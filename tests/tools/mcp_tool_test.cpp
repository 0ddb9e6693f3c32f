#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>

#include "tests/tools/tool_bench.h"
#include "tools/mcp/mcp_content.h"

namespace sluice::test {
namespace {

std::string server_command(const std::string& name, const std::string& argument) {
  const char* servers = std::getenv("SLUICE_MCP_SERVERS");
  if (servers == nullptr) return "";
  return R"({"command": ["node", ")" + std::string(servers) + "/@modelcontextprotocol/" + name +
         R"(/dist/index.js", ")" + argument + R"("]})";
}

// A server in a few lines of Python, for what the real ones never do.
constexpr const char* kOddServer = R"PY(
import json, os, sys
def send(m): sys.stdout.write(json.dumps({"jsonrpc": "2.0", **m}) + "\n"); sys.stdout.flush()
print("this is not JSON", flush=True)
mode = sys.argv[1]
count = 0
for line in sys.stdin:
    m = json.loads(line)
    method, i, p = m.get("method"), m.get("id"), m.get("params", {})
    if method == "initialize":
        if mode == "mute": continue
        if mode == "exit": sys.stderr.write("no licence\n"); sys.exit(2)
        version = "1999-01-01" if mode == "old" else p["protocolVersion"]
        send({"id": i, "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": {"name": "odd", "version": "1"}}})
        send({"id": "ask-1", "method": "sampling/createMessage", "params": {}})
        send({"id": "ask-2", "method": "ping"})
        send({"id": "ask-3", "method": "roots/list"})
    elif method == "tools/list":
        page = int(p.get("cursor", "0"))
        r = {"tools": [{"name": f"t{page}", "inputSchema": {"type": "object"}}]}
        if page < 3: r["nextCursor"] = str(page + 1)
        send({"id": i, "result": r})
    elif method == "tools/call":
        name = p["name"]
        if name == "die": sys.stderr.write("out of luck\n"); os._exit(4)
        if name == "pid": send({"id": i, "result": {"content": [{"type": "text", "text": str(os.getpid())}]}})
        if name == "meta": send({"id": i, "result": {"structuredContent": p["_meta"], "content": []}})
        if name == "asked": send({"id": i, "result": {"structuredContent": answers, "content": []}})
        if name == "bad": send({"id": i, "error": {"code": -32602, "message": "no such argument"}})
        if name == "worse": send({"id": i, "error": {"code": -32000, "message": "broken inside"}})
        if name == "nothing": send({"id": i})
        if name == "cancelled": send({"id": i, "result": {"structuredContent": {"n": count}, "content": []}})
    elif method == "notifications/cancelled": count += 1
    elif method is None:
        answers = globals().get("answers", {}); answers[i] = {k: v for k, v in m.items() if k in ("result", "error")}
)PY";

class McpTool : public testing::Test {
 protected:
  std::unique_ptr<Tool> open_odd(const std::string& mode = "good") {
    bench.write_file("odd.py", kOddServer);
    return bench.open("mcp", R"({"command": ["python3", "-u", "odd.py", ")" + mode + R"("]})");
  }
  ToolBench bench;
};

TEST_F(McpTool, TheEverythingServer) {
  std::string command = server_command("server-everything", "stdio");
  if (command.empty()) GTEST_SKIP() << "SLUICE_MCP_SERVERS is not set";
  auto tool = bench.open("mcp", command);
  auto functions = bench.discover(*tool);
  ASSERT_TRUE(functions) << functions.error().to_string();
  auto find = [&](std::string_view name) -> const FunctionSpec* {
    for (auto& function : *functions) {
      if (function.name == name) return &function;
    }
    return nullptr;
  };
  ASSERT_TRUE(find("echo"));
  EXPECT_EQ(find("echo")->effect, Effect::kOnce);
  EXPECT_TRUE(find("echo")->input->valid(json(R"({"message": "x"})")));
  EXPECT_FALSE(find("echo")->input->valid(json(R"({"message": 5})")));
  EXPECT_EQ(shown(bench.call(*tool, "echo", R"({"message": "hi"})")), R"("Echo: hi")");
  auto weather = bench.call(*tool, "get-structured-content", R"({"location": "Chicago"})");
  ASSERT_TRUE(weather) << words(weather);
  EXPECT_TRUE(weather->output.find("temperature")) << shown(weather);
  ASSERT_TRUE(find("get-structured-content")->output);
  EXPECT_TRUE(find("get-structured-content")->output->valid(weather->output));
  auto image = bench.call(*tool, "get-tiny-image", "{}");
  ASSERT_TRUE(image) << words(image);
  bool has_image = false;
  for (const Value& part : image->output.items()) {
    has_image =
        has_image || (part.kind() == Value::Kind::kBlob && part.blob_media_type() == "image/png");
  }
  EXPECT_TRUE(has_image);
  EXPECT_EQ(shown(bench.call(*tool, "no-such-tool", "{}")).substr(0, 5), "TOOL_");
}

TEST_F(McpTool, ProgressAndCancellation) {
  std::string command = server_command("server-everything", "stdio");
  if (command.empty()) GTEST_SKIP() << "SLUICE_MCP_SERVERS is not set";
  auto tool = bench.open("mcp", command);
  auto seen = bench.start(*tool, ToolBench::make_call("trigger-long-running-operation",
                                                      json(R"({"duration": 1, "steps": 4})")));
  auto result = bench.wait(seen);
  ASSERT_TRUE(result) << words(result);
  EXPECT_EQ(seen->progress, (std::vector<double>{1, 2, 3, 4}));
  auto long_one =
      bench.start(*tool, ToolBench::make_call("trigger-long-running-operation",
                                              json(R"({"duration": 60, "steps": 600})")));
  ASSERT_TRUE(bench.run_until([&] { return !long_one->progress.empty(); }));
  tool->cancel(long_one->id);
  EXPECT_EQ(shown(bench.wait(long_one)), "CANCELLED");
  std::size_t then = long_one->progress.size();
  bench.run_for(300);
  EXPECT_EQ(long_one->progress.size(), then);
  EXPECT_EQ(shown(bench.call(*tool, "echo", R"({"message": "still here"})")),
            R"("Echo: still here")");
}

TEST_F(McpTool, TheFilesystemServer) {
  bench.write_file("shared/note.txt", "from the server");
  auto shared = std::filesystem::canonical(bench.folder / "shared").string();
  std::string command = server_command("server-filesystem", shared);
  if (command.empty()) GTEST_SKIP() << "SLUICE_MCP_SERVERS is not set";
  auto tool = bench.open("mcp", command);
  auto read = bench.call(*tool, "read_text_file", R"({"path": ")" + shared + R"(/note.txt"})");
  ASSERT_TRUE(read) << words(read);
  EXPECT_NE(shown(read).find("from the server"), std::string::npos) << shown(read);
  auto denied = bench.call(*tool, "read_text_file", R"({"path": "/etc/passwd"})");
  EXPECT_EQ(shown(denied), "TOOL_FAILED");
  EXPECT_NE(words(denied).find("denied"), std::string::npos) << words(denied);
}

TEST_F(McpTool, AKilledServerIsReportedAndStartedAgain) {
  auto tool = open_odd();
  auto first = bench.call(*tool, "pid", "{}");
  ASSERT_TRUE(first) << words(first);
  auto open = bench.start(*tool, ToolBench::make_call("never", json("{}")));
  bench.run_for(50);
  ASSERT_EQ(::kill(std::stoi(std::string(first->output.as_string())), SIGKILL), 0);
  auto lost = bench.wait(open);
  EXPECT_EQ(shown(lost), "TOOL_DIED") << words(lost);
  EXPECT_TRUE(lost.error().left);
  auto second = bench.call(*tool, "pid", "{}");
  ASSERT_TRUE(second) << words(second);
  EXPECT_NE(first->output, second->output);
}

TEST_F(McpTool, AServerThatDiesInEveryCallKeepsBeingReported) {
  auto tool = open_odd();
  for (int i = 0; i < 4; ++i) {
    auto died = bench.call(*tool, "die", "{}");
    EXPECT_EQ(shown(died), "TOOL_DIED");
    EXPECT_NE(words(died).find("out of luck"), std::string::npos) << words(died);
  }
  EXPECT_TRUE(bench.call(*tool, "pid", "{}"));
}

TEST_F(McpTool, AServerThatDoesNotStartSaysWhy) {
  auto exits = open_odd("exit");
  auto result = bench.call(*exits, "pid", "{}");
  EXPECT_EQ(shown(result), "TOOL_START");
  EXPECT_NE(words(result).find("no licence"), std::string::npos) << words(result);
  EXPECT_FALSE(result.error().left);
  auto listed = bench.discover(*exits);
  ASSERT_FALSE(listed);
  EXPECT_EQ(listed.error().name(), "TOOL_START");
  auto old = open_odd("old");
  result = bench.call(*old, "pid", "{}");
  EXPECT_EQ(shown(result), "TOOL_START");
  EXPECT_NE(words(result).find("1999-01-01"), std::string::npos) << words(result);
  auto missing = bench.open("mcp", R"({"command": ["no-such-server"]})");
  EXPECT_EQ(shown(bench.call(*missing, "x", "{}")), "TOOL_START");
  auto mute = open_odd("mute");
  auto seen = bench.start(*mute, ToolBench::make_call("pid", json("{}")));
  bench.run_for(200);
  mute->cancel(seen->id);
  EXPECT_EQ(shown(bench.wait(seen)), "CANCELLED");
  EXPECT_FALSE(seen->result->error().left);
}

TEST_F(McpTool, PagesErrorsAndRequestsOfTheServer) {
  auto tool = open_odd();
  auto functions = bench.discover(*tool);
  ASSERT_TRUE(functions) << functions.error().to_string();
  EXPECT_EQ(functions->size(), 4u) << "four pages";
  EXPECT_EQ(shown(bench.call(*tool, "bad", "{}")), "ARG_INVALID");
  EXPECT_EQ(shown(bench.call(*tool, "worse", "{}")), "TOOL_FAILED");
  EXPECT_EQ(shown(bench.call(*tool, "nothing", "{}")), "TOOL_OUTPUT");
  auto meta = bench.call(*tool, "meta", "{}");
  ASSERT_TRUE(meta) << words(meta);
  EXPECT_EQ(meta->output.find("idempotencyKey")->as_string(), "key-1");
  auto asked = bench.call(*tool, "asked", "{}");
  ASSERT_TRUE(asked) << words(asked);
  EXPECT_EQ(to_json(*asked->output.find("ask-2")), R"({"result":{}})");
  EXPECT_EQ(to_json(*asked->output.find("ask-3")), R"({"result":{"roots":[]}})");
  EXPECT_EQ(asked->output.find("ask-1")->find("error")->find("code")->as_int(), -32601);
  auto call = ToolBench::make_call("never", json("{}"));
  call.timeout_ms = 100;
  EXPECT_EQ(shown(bench.call(*tool, call)), "TIMEOUT");
  EXPECT_EQ(shown(bench.call(*tool, "cancelled", "{}")), R"({"n":1})") << "the server was told";
}

TEST(McpContent, MapsParts) {
  auto output = [](const char* text) {
    auto value = mcp_output(json(text));
    return value ? to_json(*value) : std::string(value.error().name());
  };
  EXPECT_EQ(output(R"({"content": []})"), "null");
  EXPECT_EQ(output(R"({"content": [{"type": "text", "text": "{\"a\":1}"}]})"), R"("{\"a\":1}")");
  EXPECT_EQ(
      output(R"({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})"),
      R"(["a","b"])");
  EXPECT_EQ(output(R"({"content": [], "structuredContent": {"a": 1}})"), R"({"a":1})");
  EXPECT_EQ(output(R"({"content": [{"type": "text", "text": "no"}], "isError": true})"),
            "TOOL_FAILED");
  EXPECT_EQ(output(R"({"content": [{"type": "image", "data": "*"}]})"), "TOOL_OUTPUT");
  EXPECT_EQ(output(R"({"content": 5})"), "null");
  EXPECT_EQ(output(R"({"content": [5]})"), "5");
  EXPECT_EQ(output("[]"), "null");
  EXPECT_EQ(output(R"({"content": [{"type": "resource", "resource": {"uri": "u", "text": "t"}}]})"),
            R"({"uri":"u","text":"t"})");
}

}  // namespace
}  // namespace sluice::test
