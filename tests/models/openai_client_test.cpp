// What servers do wrong, over real sockets.
#include "models/openai_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "data/json.h"
#include "tests/models/loopback_server.h"

namespace sluice::test {
namespace {

using Reply = Result<ModelReply>;
constexpr std::string_view kHello =
    R"({"choices":[{"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":3,"completion_tokens":1}})";

ModelRequest question() {
  ModelRequest request;
  request.messages = {{.role = "user", .content = "hi"}};
  return request;
}

Reply ask(ModelInstance& model, ModelRequest request, std::string* streamed = nullptr) {
  std::promise<Reply> done;
  ModelCallbacks callbacks{.on_end = [&](Reply reply) { done.set_value(std::move(reply)); }};
  if (streamed) callbacks.on_text = [&](std::string_view piece) { *streamed += piece; };
  model.submit(std::move(request), std::move(callbacks));
  return done.get_future().get();
}

std::unique_ptr<ModelInstance> client_of(const LoopbackServer& server, OpenAiOptions options = {}) {
  options.url = server.url();
  options.model = "m";
  auto client = open_openai_client(options);
  EXPECT_TRUE(client) << client.error().to_string();
  return std::move(*client);
}

Reply ask_once(LoopbackServer::Handler handler, ModelRequest request = question(),
               OpenAiOptions options = {}, std::string* streamed = nullptr) {
  LoopbackServer server(std::move(handler));
  auto client = client_of(server, std::move(options));
  return ask(*client, std::move(request), streamed);
}

TEST(OpenAiClientTest, EachErrorStatusHasItsClass) {
  struct Case {
    int status;
    const char* body;
    ErrorCode code;
    const char* words;
  };
  std::vector<Case> cases{
      {401, R"({"error":{"message":"bad key"}})", ErrorCode::kModelAuth, "bad key"},
      {403, "no", ErrorCode::kModelAuth, "key"},
      {404, R"({"error":{"message":"no model m"}})", ErrorCode::kModelRefused, "`model`"},
      {400, R"({"error":{"message":"x","code":"context_length_exceeded"}})",
       ErrorCode::kPromptTooLong, "context"},
      {400, R"({"error":{"message":"the request exceeds the available context size"}})",
       ErrorCode::kPromptTooLong, "context"},
      {400, R"({"message":"bad thing"})", ErrorCode::kModelRefused, "bad thing"},
      {422, R"({"detail":"odd"})", ErrorCode::kModelRefused, "odd"},
      {302, "", ErrorCode::kModelRefused, "final address"},
      {408, "", ErrorCode::kTimeout, "too long"},
      {429, R"({"error":"slow down"})", ErrorCode::kRateLimited, "slow down"},
      {500, "<html>oops</html>", ErrorCode::kModelFailed, "oops"},
      {503, "", ErrorCode::kModelFailed, "503"},
      {504, "", ErrorCode::kTimeout, "too long"}};
  for (const Case& test : cases) {
    for (bool stream : {false, true}) {
      std::string streamed;
      auto reply = ask_once([&](Exchange& e) { e.reply(test.status, test.body); }, question(), {},
                            stream ? &streamed : nullptr);
      ASSERT_FALSE(reply) << test.status;
      EXPECT_EQ(reply.error().code(), test.code) << reply.error().to_string();
      EXPECT_NE(reply.error().message().find(test.words), std::string::npos)
          << reply.error().to_string();
      EXPECT_EQ(streamed, "");
    }
  }
}

TEST(OpenAiClientTest, RetryAfterComesThrough) {
  auto reply = ask_once([](Exchange& e) { e.reply(429, "{}", "Retry-After: 7\r\n"); });
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().retry_after_ms(), 7000);
  reply = ask_once([](Exchange& e) { e.reply(503, "{}", "Retry-After: 2\r\n"); });
  EXPECT_EQ(reply.error().retry_after_ms(), 2000);
  reply = ask_once([](Exchange& e) { e.reply(500, "{}"); });
  EXPECT_EQ(reply.error().retry_after_ms(), std::nullopt);
}

TEST(OpenAiClientTest, BrokenAnswersAreTheServersFailure) {
  struct Case {
    const char* name;
    LoopbackServer::Handler handler;
    bool stream;
  };
  std::string chunk = R"({"choices":[{"delta":{"content":"he"}}]})";
  std::vector<Case> cases{
      {"no JSON", [](Exchange& e) { e.reply(200, "<html>"); }, false},
      {"other JSON", [](Exchange& e) { e.reply(200, "[1]"); }, false},
      {"no choices", [](Exchange& e) { e.reply(200, R"({"choices":[]})"); }, false},
      {"closed at once", [](Exchange& e) { e.hang_up(); }, false},
      {"half a head",
       [](Exchange& e) {
         e.raw("HTTP/1.1 200 O");
         e.hang_up();
       },
       false},
      {"no HTTP",
       [](Exchange& e) {
         e.raw("hello there\r\n\r\n");
         e.hang_up();
       },
       false},
      {"half a body",
       [](Exchange& e) {
         e.raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"choices\":");
         e.hang_up();
       },
       false},
      {"stream cut",
       [=](Exchange& e) {
         e.start_stream();
         e.event(chunk);
         e.hang_up();
       },
       true},
      {"stream ended early",
       [=](Exchange& e) {
         e.start_stream();
         e.event(chunk);
         e.end_stream();
       },
       true},
      {"a broken event",
       [=](Exchange& e) {
         e.start_stream();
         e.event(chunk);
         e.event("{oops");
         e.end_stream();
       },
       true},
      {"an error in the stream",
       [=](Exchange& e) {
         e.start_stream();
         e.event(chunk);
         e.event(R"({"error":{"message":"overloaded"}})");
         e.end_stream();
       },
       true}};
  for (const Case& test : cases) {
    std::string streamed;
    auto reply = ask_once(test.handler, question(), {}, test.stream ? &streamed : nullptr);
    ASSERT_FALSE(reply) << test.name;
    EXPECT_EQ(reply.error().code(), ErrorCode::kModelFailed)
        << test.name << reply.error().to_string();
  }
}

TEST(OpenAiClientTest, StreamsInAnyPieces) {
  std::string bytes;
  for (const char* data : {R"({"choices":[{"delta":{"role":"assistant"}}]})",
                           R"({"choices":[{"delta":{"content":"gr\u00fc"}}]})",
                           R"({"choices":[{"delta":{"content":"n"},"finish_reason":null}]})",
                           R"({"choices":[{"delta":{},"finish_reason":"stop"}]})",
                           R"({"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,
            "prompt_tokens_details":{"cached_tokens":5}}})"}) {
    std::string flat = data;
    std::erase(flat, '\n');
    bytes += "data: " + flat + "\r\n\r\n";
  }
  bytes += ": keep alive\n\ndata: [DONE]\n\n";
  for (std::size_t piece : {1, 7, 64, 100'000}) {
    std::string streamed;
    auto reply = ask_once(
        [&](Exchange& e) {
          e.start_stream();
          for (std::size_t at = 0; at < bytes.size(); at += piece)
            e.stream(bytes.substr(at, piece));
          e.end_stream();
        },
        question(), {}, &streamed);
    ASSERT_TRUE(reply) << reply.error().to_string();
    EXPECT_EQ(reply->text, "grün");
    EXPECT_EQ(streamed, "grün");
    EXPECT_EQ(reply->usage.prompt_tokens, 9U);
    EXPECT_EQ(reply->usage.cached_tokens, 5U);
  }
}

TEST(OpenAiClientTest, ToolCallsInPiecesAreJoined) {
  std::string streamed;
  auto request = question();
  request.tools = {{.name = "add"}};
  auto reply = ask_once(
      [](Exchange& e) {
        e.start_stream();
        e.event(
            R"({"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"add","arguments":"{\"x\""}}]}}]})");
        e.event(
            R"({"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}},{"index":1,"id":"b","function":{"name":"add","arguments":""}}]}}]})");
        e.event(R"({"choices":[{"delta":{},"finish_reason":"tool_calls"}]})");
        e.event("[DONE]");
        e.end_stream();
      },
      request, {}, &streamed);
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->finish, FinishReason::kToolCalls);
  EXPECT_EQ(reply->tool_calls, *parse_json(R"([{"id":"a","name":"add","arguments":{"x":1}},
                            {"id":"b","name":"add","arguments":{}}])"));
}

Reply structured(std::string content, std::string finish = "stop") {
  auto request = question();
  request.output = Schema::literal(R"({"type":"object","required":["n"],
      "properties":{"n":{"type":"integer"}},"additionalProperties":false})");
  auto message = Value::object({{"content", Value::string(content)}});
  auto choice = Value::object({{"message", message}, {"finish_reason", Value::string(finish)}});
  auto body = to_json(Value::object({{"choices", Value::array({choice})}}));
  return ask_once([&](Exchange& e) { e.reply(200, body); }, request);
}

TEST(OpenAiClientTest, ServersThatIgnoreTheSchema) {
  EXPECT_EQ(structured(R"({"n": 4})")->json, *parse_json(R"({"n":4})"));
  EXPECT_EQ(structured("Sure!\n```json\n{\"n\": 4}\n```\nBye")->json, *parse_json(R"({"n":4})"));
  EXPECT_EQ(structured("I would say four").error().code(), ErrorCode::kOutputInvalid);
  EXPECT_EQ(structured(R"({"n": "four"})").error().code(), ErrorCode::kOutputInvalid);
  EXPECT_EQ(structured(R"({"n": )", "length").error().code(), ErrorCode::kOutputTruncated);
}

TEST(OpenAiClientTest, SendsWhatTheRequestSays) {
  std::string body;
  std::string key;
  std::string idempotency;
  auto request = question();
  request.sampling = {.max_tokens = 9,
                      .temperature = 0.5,
                      .top_p = 0.9,
                      .seed = 18'446'744'073'709'551'615ULL,
                      .stop = {"x"}};
  request.output = Schema::literal(R"({"type":"object","properties":{"a":{"type":"null"}}})");
  request.idempotency_key = "k-1";
  ask_once(
      [&](Exchange& e) {
        body = e.request.body();
        key = e.request["Authorization"];
        idempotency = e.request["Idempotency-Key"];
        e.reply(200, kHello);
      },
      request, {.key = "sk-secret"});
  auto sent = parse_json(body);
  ASSERT_TRUE(sent) << body;
  EXPECT_EQ(sent->find("model")->as_string(), "m");
  EXPECT_EQ(sent->find("max_tokens")->as_int(), 9);
  EXPECT_EQ(to_json(*sent->find("seed")), "18446744073709551615");
  EXPECT_EQ(to_json(*sent->find("stop")), R"(["x"])");
  const Value& format = *sent->find("response_format")->find("json_schema");
  EXPECT_FALSE(format.find("strict")->as_bool()) << "an open object is not allowed in strict mode";
  EXPECT_EQ(sent->find("stream"), nullptr);
  EXPECT_EQ(key, "Bearer sk-secret");
  EXPECT_EQ(idempotency, "k-1");
}

TEST(OpenAiClientTest, TheKeyIsNeverInAMessage) {
  auto reply = ask_once(
      [](Exchange& e) {
        e.reply(401, R"({"error":{"message":"Incorrect key sk-very-secret, sk-very-secret!"}})");
      },
      question(), {.key = "sk-very-secret"});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().to_string().find("sk-very-secret"), std::string::npos);
  EXPECT_NE(reply.error().to_string().find("[secret]"), std::string::npos);
}

TEST(OpenAiClientTest, ConnectionsAreReused) {
  LoopbackServer server([](Exchange& e) { e.reply(200, kHello); });
  auto client = client_of(server);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ask(*client, question()));
  EXPECT_EQ(server.connections(), 1);
}

TEST(OpenAiClientTest, TimeoutsAndUnreachableServers) {
  auto slow = [](Exchange& e) {
    while (!e.peer_gone()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    e.hang_up();
  };
  auto reply = ask_once(slow, question(), {.timeout_ms = 100});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kTimeout) << reply.error().to_string();
  auto request = question();
  request.timeout_ms = 100;
  reply = ask_once(slow, request);
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kTimeout) << reply.error().to_string();

  std::uint16_t closed = 0;
  {
    closed = LoopbackServer([](Exchange&) {}).port();
  }
  for (std::string url : {"http://127.0.0.1:" + std::to_string(closed) + "/v1",
                          std::string("http://no-such-host.invalid/v1")}) {
    auto client = open_openai_client({.url = url, .model = "m"});
    ASSERT_TRUE(client);
    reply = ask(**client, question());
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code(), ErrorCode::kModelUnreachable) << reply.error().to_string();
    EXPECT_NE(reply.error().message().find(url), std::string::npos);
  }
}

TEST(OpenAiClientTest, TlsToAServerThatSpeaksNoneIsUnreachable) {
  LoopbackServer server([](Exchange& e) { e.reply(200, kHello); });
  auto url = "https://127.0.0.1:" + std::to_string(server.port()) + "/v1";
  auto client = open_openai_client({.url = url, .model = "m", .timeout_ms = 3000});
  ASSERT_TRUE(client);
  auto reply = ask(**client, question());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kModelUnreachable) << reply.error().to_string();
}

TEST(OpenAiClientTest, AReplyBeyondTheLimitIsCut) {
  auto reply = ask_once([](Exchange& e) { e.reply(200, std::string(5000, ' ')); }, question(),
                        {.max_bytes = 1000});
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code(), ErrorCode::kModelFailed);
  EXPECT_NE(reply.error().message().find("1000 bytes"), std::string::npos);
}

TEST(OpenAiClientTest, SettingsThatCannotWork) {
  for (std::string url :
       {"", "127.0.0.1:8080", "ftp://x/v1", "http://a b/", "file:///etc/passwd"}) {
    auto client = open_openai_client({.url = url});
    ASSERT_FALSE(client) << url;
    EXPECT_EQ(client.error().code(), ErrorCode::kSettingInvalid);
  }
  auto client = open_openai_client({.url = "http://x/v1", .key = "abc\nX-Evil: 1"});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().message().find("abc"), std::string::npos);
}

TEST(OpenAiClientTest, EmbeddingsKeepTheirOrder) {
  LoopbackServer server([](Exchange& e) {
    EXPECT_EQ(e.request.target(), "/v1/embeddings");
    e.reply(200, R"({"data":[{"index":1,"embedding":[0,1]},{"index":0,"embedding":[1,0]}]})");
  });
  auto client = client_of(server);
  auto vectors = client->embed({"a", "b"});
  ASSERT_TRUE(vectors) << vectors.error().to_string();
  EXPECT_EQ((*vectors)[0], (std::vector<float>{1, 0}));
  EXPECT_EQ(client->embed({"a"}).error().code(), ErrorCode::kModelFailed) << "two for one text";
  EXPECT_EQ(client->count_tokens("a").error().code(), ErrorCode::kModelRefused);
}

}  // namespace
}  // namespace sluice::test
