#include "tests/contract/tool_contract.h"

#include <cstdlib>

#include "tests/models/loopback_server.h"

namespace sluice::test {
namespace {

std::string code_call(const std::string& body) { return "def main(**args):\n  " + body + "\n"; }

constexpr const char* kPythonFile = R"(
import time
def good(n: int) -> int:
    "Doubles."
    return n * 2
def bad():
    raise ValueError("no")
def slow():
    time.sleep(30)
def large():
    return "x" * 2000
)";

ToolSubject process_subject() {
  return {"Process",
          [](ToolBench& bench, std::shared_ptr<void>&) {
            return bench.open("process", R"({"command": ["sh", "-c"], "stdout": "text"})");
          },
          {"run", R"({"args": ["cat"], "stdin": "hello"})", R"("hello")"},
          {"run", R"({"args": ["echo broken >&2; exit 3"]})", "TOOL_FAILED"},
          {"run", R"({"args": ["sleep 30"]})", ""},
          {"run", R"({"args": ["head -c 2000 /dev/zero | tr '\\0' x"]})", ""},
          {{"run", R"({"args": 5})", "ARG_INVALID"},
           {"run", R"({"args": ["a\u0000b"]})", "TOOL_START"}}};
}

ToolSubject http_subject() {
  return {"Http",
          [](ToolBench& bench, std::shared_ptr<void>& server) {
            auto loopback = std::make_shared<LoopbackServer>([](Exchange& exchange) {
              auto target = exchange.request.target();
              if (target == "/v1/missing") return exchange.reply(404, R"({"error": "none"})");
              if (target == "/v1/large")
                return exchange.reply(200, "\"" + std::string(2000, 'x') + "\"");
              if (target != "/v1/slow") return exchange.reply(200, R"({"ok": true})");
              for (int i = 0; i < 3000 && !exchange.peer_gone(); ++i) {
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
              }
              exchange.hang_up();
            });
            server = loopback;
            return bench.open("http", R"({"url": ")" + loopback->url() + R"("})");
          },
          {"request", R"({"path": "good"})", R"({"ok":true})"},
          {"request", R"({"path": "missing"})", "HTTP_STATUS"},
          {"request", R"({"path": "slow"})", ""},
          {"request", R"({"path": "large"})", ""},
          {{"request", R"({"path": "../secret"})", "ARG_INVALID"},
           {"request", R"({"query": [1]})", "ARG_INVALID"}}};
}

ToolSubject sql_subject() {
  return {
      "Sql",
      [](ToolBench& bench, std::shared_ptr<void>&) {
        return bench.open("sql", R"j({"init": "create table if not exists t (a, b)"})j");
      },
      {"query", R"({"sql": "select ? as x", "args": [7]})", R"([{"x":7}])"},
      {"query", R"({"sql": "select nothing from nowhere"})", "SQL_FAILED"},
      {"query",
       R"({"sql": "with recursive c(i) as (select 1 union all select i+1 from c) select max(i) as m from c"})",
       ""},
      {"query", R"({"sql": "select printf('%.2000d', 1) as x"})", ""},
      {{"query", R"({"sql": 5})", "SQL_FAILED"},
       {"query", R"({"sql": "select ?", "args": 5})", "ARG_INVALID"},
       {"query", R"({"sql": "select 1", "tables": {"x": [3]}})", "ARG_INVALID"},
       {"exec", R"({"sql": ""})", "SQL_FAILED"}}};
}

ToolSubject python_subject() {
  return {"Python",
          [](ToolBench& bench, std::shared_ptr<void>&) {
            bench.write_file("f.py", kPythonFile);
            return bench.open("python", R"({"file": "f.py"})");
          },
          {"good", R"({"n": 21})", "42"},
          {"bad", "{}", "CODE_FAILED"},
          {"slow", "{}", ""},
          {"large", "{}", ""},
          {{"good", R"({"wrong": 1})", "CODE_FAILED"}, {"_private", "{}", "TOOL_UNKNOWN"}}};
}

ToolSubject code_subject() {
  return {"Code",
          [](ToolBench& bench, std::shared_ptr<void>&) {
            return open_code_runner({.workers = 2}, bench.environment());
          },
          {code_call("return args['n'] * 2"), R"({"n": 21})", "42"},
          {code_call("return 1 / 0"), "{}", "CODE_FAILED"},
          {code_call("import time; time.sleep(30)"), "{}", ""},
          {code_call("return 'x' * 2000"), "{}", ""},
          {{"def main(:", "{}", "CODE_FAILED"}, {"x = 1", "{}", "CODE_FAILED"}}};
}

// "d/d/d": that many folders, each in the one before.
std::string deep_path(int depth) {
  std::string path;
  for (int i = 0; i < depth; ++i) path += i == 0 ? "d" : "/d";
  return path;
}

ToolSubject files_subject() {
  return {"Files",
          [](ToolBench& bench, std::shared_ptr<void>&) {
            bench.write_file("root/a.txt", "hello");
            bench.write_file("root/large.txt", std::string(2000, 'x'));
            std::filesystem::create_directories(bench.folder / "root" / deep_path(60));
            return bench.open("files", R"({"root": "root", "write": true})");
          },
          {"read", R"({"path": "a.txt"})", R"("hello")"},
          {"read", R"({"path": "none.txt"})", "FILE_MISSING"},
          // The ways to spread eight ** over sixty nested folders cannot be counted off.
          {"glob", R"({"pattern": "**/d/**/d/**/d/**/d/**/d/**/d/**/d/**/none"})", ""},
          {"read", R"({"path": "large.txt"})", ""},
          {{"read", R"({"path": "../f"})", "FILE_DENIED"},
           {"read", R"({"path": "/etc/passwd"})", "FILE_DENIED"},
           {"read", R"({"path": 7})", "FILE_DENIED"},
           {"glob", R"({"pattern": 7})", "ARG_INVALID"},
           {"write", R"({"text": "x"})", "FILE_DENIED"}}};
}

ToolSubject table_subject() {
  return {"Table",
          [](ToolBench& bench, std::shared_ptr<void>&) {
            bench.write_file("t.db", "");  // an empty file is an empty database
            // A short row, a long one, and one that never comes.
            return bench.open("table", R"j({"file": "t.db", "write": true, "query":
                "select printf('%.10d', 1) as a union all select printf('%.2000d', 1)
                 union all select max(i) from (with recursive c(i) as
                   (select 1 union all select i+1 from c) select i from c)"})j");
          },
          {"tidy", "{}", "null"},
          {"finish", "{}", "RUN_CHANGED"},
          {"rows", "{}", ""},
          {"rows", R"({"limit": 2})", ""},
          {{"put", R"({"row": "x"})", "RUN_CHANGED"}, {"begin", "{}", "ARG_INVALID"}}};
}

ToolSubject mcp_subject() {
  return {"Mcp",
          [](ToolBench& bench, std::shared_ptr<void>&) -> std::unique_ptr<Tool> {
            const char* servers = std::getenv("SLUICE_MCP_SERVERS");
            if (servers == nullptr) return nullptr;
            return bench.open(
                "mcp", R"({"command": ["node", ")" + std::string(servers) +
                           R"(/@modelcontextprotocol/server-everything/dist/index.js", "stdio"]})");
          },
          {"echo", R"({"message": "hi"})", R"("Echo: hi")"},
          {"get-sum", R"({"a": "x", "b": 1})", "TOOL_FAILED"},
          {"trigger-long-running-operation", R"({"duration": 30, "steps": 30})", ""},
          {"echo", R"({"message": ")" + std::string(2000, 'x') + R"("})", ""},
          {{"echo", "[1]", "TOOL_FAILED"}}};
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Kinds, ToolContract,
                         testing::Values(process_subject(), http_subject(), sql_subject(),
                                         python_subject(), code_subject(), files_subject(),
                                         table_subject(), mcp_subject()),
                         subject_name);

}  // namespace sluice::test
