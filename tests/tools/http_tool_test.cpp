#include <gtest/gtest.h>

#include <mutex>

#include "tests/models/loopback_server.h"
#include "tests/tools/tool_bench.h"
#include "tools/http/http_client.h"
#include "tools/http/url.h"

namespace sluice::test {
namespace {

std::string lower(std::string text) {  // libcurl's case of %XX depends on its version
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Answers by path; remembers what it was asked.
class HttpTool : public testing::Test {
 protected:
  HttpTool() : server([this](Exchange& exchange) { answer(exchange); }) {}

  void answer(Exchange& exchange) {
    auto& request = exchange.request;
    std::string target(request.target());
    {
      std::lock_guard lock(mutex);
      requests.push_back(request);
    }
    auto location = [&](const std::string& to) { return "Location: " + to + "\r\n"; };
    if (target == "/v1/echo") {
      return exchange.reply(200, request.body(), "Content-Type: application/json\r\n");
    }
    if (target == "/v1/text") return exchange.reply(200, "plain ä", "Content-Type: text/plain\r\n");
    if (target == "/v1/bytes")
      return exchange.reply(200, "\xFF\x01", "Content-Type: image/png\r\n");
    if (target == "/v1/latin")
      return exchange.reply(200, "caf\xE9", "Content-Type: text/plain\r\n");
    if (target == "/v1/broken") return exchange.reply(200, "{\"a\":");
    if (target == "/v1/empty") return exchange.reply(204, "", "");
    if (target == "/v1/400") return exchange.reply(400, "what is\nthis", "");
    if (target == "/v1/500") return exchange.reply(500, "");
    if (target == "/v1/502") return exchange.reply(502, "");
    if (target == "/v1/504") return exchange.reply(504, "");
    if (target == "/v1/429") return exchange.reply(429, "slow", "Retry-After: 7\r\n");
    if (target == "/v1/503")
      return exchange.reply(503, "", "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    if (target == "/v1/near") return exchange.reply(302, "", location("/v1/text"));
    if (target == "/v1/see") return exchange.reply(303, "", location("text"));
    if (target == "/v1/again") return exchange.reply(307, "", location("/v1/echo"));
    if (target == "/v1/loop") return exchange.reply(302, "", location("/v1/loop"));
    if (target == "/v1/far") return exchange.reply(302, "", location("http://127.0.0.2:9/x"));
    if (target == "/v1/odd") return exchange.reply(302, "", location("file:///etc/passwd"));
    if (target == "/v1/hangup") return exchange.hang_up();
    if (target == "/v1/half") {
      exchange.raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
      return exchange.hang_up();
    }
    exchange.reply(200, R"({"target": ")" + target + R"("})");
  }

  std::unique_ptr<Tool> open(std::string_view more = "") {
    return bench.open("http", R"({"url": ")" + server.url() + "\"" + std::string(more) + "}");
  }
  ToolResult get(Tool& tool, std::string_view path) {
    return bench.call(
        tool, ToolBench::make_call("request", Value::object({{"path", Value::string(path)}})));
  }

  std::mutex mutex;
  std::vector<http::request<http::string_body>> requests;
  LoopbackServer server;
  ToolBench bench;
};

TEST_F(HttpTool, ReadsWhatComes) {
  auto tool = open();
  EXPECT_EQ(shown(get(*tool, "text")), "\"plain ä\"");
  EXPECT_EQ(shown(get(*tool, "empty")), "null");
  EXPECT_EQ(shown(get(*tool, "broken")), "TOOL_OUTPUT");
  auto bytes = get(*tool, "bytes");
  ASSERT_TRUE(bytes);
  EXPECT_EQ(bytes->output.blob_bytes(), "\xFF\x01");
  EXPECT_EQ(bytes->output.blob_media_type(), "image/png");
  auto latin = get(*tool, "latin");
  ASSERT_TRUE(latin);
  EXPECT_EQ(latin->output.kind(), Value::Kind::kBlob);
  auto odd = bench.call(
      *tool, "request",
      R"({"path": "/a b/ä%20?#", "query": {"q": "x&y", "n": 5, "l": [1, true], "o": null}})");
  EXPECT_EQ(lower(shown(odd)), R"({"target":"/v1/a%20b/%c3%a4%2520%3f%23?q=x%26y&n=5&l=1&l=true"})")
      << words(odd);
  EXPECT_EQ(shown(bench.call(*tool, "request", "{}")), R"({"target":"/v1"})");
}

TEST_F(HttpTool, MapsStatuses) {
  auto tool = open();
  auto refused = get(*tool, "400");
  EXPECT_EQ(shown(refused), "HTTP_STATUS");
  EXPECT_NE(words(refused).find("/v1/400 answered 400: what is this"), std::string::npos)
      << words(refused);
  EXPECT_EQ(shown(get(*tool, "500")), "HTTP_SERVER_STATUS");
  EXPECT_FALSE(get(*tool, "500").error().unknown) << "the server's own word";
  EXPECT_TRUE(get(*tool, "502").error().unknown) << "a gateway's";
  EXPECT_TRUE(get(*tool, "504").error().unknown);
  auto later = get(*tool, "429");
  EXPECT_EQ(shown(later), "HTTP_SERVER_STATUS");
  EXPECT_EQ(later.error().error.retry_after_ms(), 7000);
  EXPECT_EQ(get(*tool, "503").error().error.retry_after_ms(), 0) << "a date that has passed";
}

TEST_F(HttpTool, LostConnectionsAreUnreachable) {
  auto tool = open();
  auto lost = get(*tool, "hangup");
  EXPECT_EQ(shown(lost), "HTTP_UNREACHABLE");
  EXPECT_TRUE(lost.error().left);
  EXPECT_EQ(shown(get(*tool, "half")), "HTTP_UNREACHABLE");
  auto closed = bench.open("http", R"({"url": "http://127.0.0.1:1/"})");
  auto refused = bench.call(*closed, "request", "{}");
  EXPECT_EQ(shown(refused), "HTTP_UNREACHABLE");
  EXPECT_FALSE(refused.error().left);
  auto nowhere = bench.open("http", R"({"url": "http://no-such-host.invalid/"})");
  auto unknown = bench.call(*nowhere, "request", "{}");
  EXPECT_EQ(shown(unknown), "HTTP_UNREACHABLE");
  EXPECT_FALSE(unknown.error().left);
}

TEST_F(HttpTool, FollowsRedirectsOnlyToTheSameServer) {
  auto tool = open();
  EXPECT_EQ(shown(get(*tool, "near")), "\"plain ä\"");
  EXPECT_EQ(shown(get(*tool, "see")), "\"plain ä\"");
  EXPECT_EQ(shown(get(*tool, "loop")), "HTTP_STATUS");
  auto far = get(*tool, "far");
  EXPECT_EQ(shown(far), "HTTP_STATUS");
  EXPECT_NE(words(far).find("another server"), std::string::npos) << words(far);
  EXPECT_EQ(shown(get(*tool, "odd")), "HTTP_STATUS");
  EXPECT_EQ(redirect_target("https://a.b/x", "http://a.b/y").error().name(), "HTTP_STATUS");
  EXPECT_EQ(*redirect_target("http://a.b/x", "https://a.b/y"), "https://a.b/y");
  EXPECT_EQ(*redirect_target("http://a.b/x/y", "../z?q=1"), "http://a.b/z?q=1");
  EXPECT_FALSE(redirect_target("http://a.b/x", "http://a.b:81/y"));
}

TEST_F(HttpTool, PostsBodiesAndTheKey) {
  auto tool = open(R"(, "method": "POST", "headers": {"X-Mine": "yes"})");
  EXPECT_EQ(shown(bench.call(*tool, "request", R"({"path": "echo", "body": {"a": [1]}})")),
            R"({"a":[1]})");
  EXPECT_EQ(shown(bench.call(*tool, "request", R"({"path": "again", "body": {"b": 1}})")),
            R"({"b":1})");
  EXPECT_EQ(shown(bench.call(*tool, "request", R"({"path": "near", "body": "text"})")),
            "\"plain ä\"");
  EXPECT_EQ(shown(bench.call(*tool, "request", R"({"path": "empty"})")), "null");
  std::lock_guard lock(mutex);
  ASSERT_EQ(requests.size(), 6u);
  EXPECT_EQ(requests[0]["Idempotency-Key"], "key-1");
  EXPECT_EQ(requests[0]["X-Mine"], "yes");
  EXPECT_EQ(requests[0]["Content-Type"], "application/json");
  EXPECT_EQ(requests[2].method(), http::verb::post) << "307 keeps method and body";
  EXPECT_EQ(requests[2].body(), R"({"b":1})");
  EXPECT_EQ(requests[3]["Content-Type"], "text/plain; charset=utf-8");
  EXPECT_EQ(requests[4].method(), http::verb::get) << "302 after POST goes on with GET";
  EXPECT_EQ(requests[4].body(), "");
  EXPECT_EQ(requests[5]["Content-Length"], "0");
}

TEST_F(HttpTool, ReusesConnections) {
  auto tool = open();
  for (int i = 0; i < 10; ++i) EXPECT_EQ(shown(get(*tool, "text")), "\"plain ä\"");
  EXPECT_EQ(server.connections(), 1);
  std::lock_guard lock(mutex);
  EXPECT_EQ(requests[0].count("Idempotency-Key"), 0u) << "GET only reads";
}

TEST_F(HttpTool, ManyAtOnce) {
  auto tool = open();
  std::vector<std::shared_ptr<Observed>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(bench.start(*tool, ToolBench::make_call("request", json(R"({"path": "text"})"))));
  }
  for (auto& seen : all) EXPECT_EQ(shown(bench.wait(seen)), "\"plain ä\"");
}

TEST_F(HttpTool, SettingsAreChecked) {
  for (const char* settings :
       {"{}", R"({"url": "ftp://x/"})", R"({"url": "http://"})", R"({"url": "x"})",
        R"({"url": "http://x", "method": "get"})", R"({"url": "http://x", "method": "CONNECT"})",
        R"({"url": "http://x", "headers": {"A": "b\r\nC: d"}})",
        R"({"url": "http://x", "headers": {"A\r\n": "b"}})"}) {
    auto tool = open_tool("t", "http", json(settings), bench.environment());
    ASSERT_FALSE(tool) << settings;
    EXPECT_EQ(tool.error().name(), "SETTING_INVALID") << settings;
  }
}

TEST_F(HttpTool, EffectsFollowTheMethod) {
  auto effect = [&](const std::string& more) {
    auto tool = open(more);
    auto functions = bench.discover(*tool);
    return functions && !functions->empty() ? functions->at(0).effect : Effect::kPure;
  };
  EXPECT_EQ(effect(""), Effect::kRead);
  EXPECT_EQ(effect(R"(, "method": "POST")"), Effect::kOnce);
  EXPECT_EQ(effect(R"(, "method": "PUT", "effect": "idempotent")"), Effect::kIdempotent);
}

TEST(Url, DisplayHidesSecrets) {
  EXPECT_EQ(display_url("https://user:pass@host:1/a?key=x#y"), "https://host:1/a");
  EXPECT_EQ(display_url("https://host/a@b"), "https://host/a@b");
}

TEST(Url, JoinsBelowTheBase) {
  auto join = [](const char* base, const char* path) {
    auto url = join_url(base, path, Value());
    return url ? *url : std::string(url.error().name());
  };
  EXPECT_EQ(join("http://h/a", "b"), "http://h/a/b");
  EXPECT_EQ(join("http://h/a/", "/b/"), "http://h/a/b/");
  EXPECT_EQ(join("http://h", ""), "http://h/");
  EXPECT_EQ(join("http://h/a?k=v", "b"), "http://h/a/b?k=v");
  EXPECT_EQ(join("http://h/a", "//evil.com/x"), "http://h/a/evil.com/x");
  EXPECT_EQ(join("http://h/a", "http://evil.com"), "http://h/a/http://evil.com");
  EXPECT_EQ(join("http://h/a", "x/../../y"), "ARG_INVALID");
  EXPECT_EQ(join("http://h/a", "%2e%2e/y"), "http://h/a/%252e%252e/y");
}

}  // namespace
}  // namespace sluice::test
