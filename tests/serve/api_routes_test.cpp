// The routes with a model that waits for the test: overload, limits of keys, slow clients, clients
// that go in each phase, and what they are told.
#include "serve/api_routes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "data/json.h"
#include "tests/serve/serve_rig.h"

namespace sluice::test {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";

ModelReply says(std::string text) {
  ModelReply reply;
  reply.text = std::move(text);
  reply.usage = {.prompt_tokens = 5, .cached_tokens = 2, .completion_tokens = 3};
  return reply;
}

std::string chat_path() { return std::string(kChat); }

bool nothing_open(ApiContext& context, HttpServer&) {
  return context.admission.open("m") == 0 && context.open_calls.empty();
}

ApiKeys keys(std::string_view limits) {
  auto read = ApiKeys::parse(
      fmt::format(R"({{"keys": [{{"name": "k", "tenant": "t", "key": "sk-12345678"{}}}]}})",
                  limits),
      "keys.json");
  EXPECT_TRUE(read) << read.error().message();
  return read ? *read : ApiKeys();
}
constexpr std::string_view kGoodKey = "Authorization: Bearer sk-12345678\r\n";

TEST(ApiRoutes, AnswersAChat) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(1));
  rig.model().end(rig.model().open_ids()[0], says("hello"));
  const ClientReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find(R"("content":"hello")"), std::string::npos) << reply.body;
  EXPECT_NE(reply.head.find("x-request-id: req_"), std::string::npos) << reply.head;
  EXPECT_TRUE(rig.becomes(&nothing_open));
}

TEST(ApiRoutes, StreamsEachPieceAsItComes) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("stream":true,"stream_options":{"include_usage":true})"));
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId id = rig.model().open_ids()[0];
  rig.model().say(id, "first");
  EXPECT_NE(client.read_until("first").find("text/event-stream"), std::string::npos);
  rig.model().say(id, "second");
  EXPECT_NE(client.read_until("second").find("second"), std::string::npos);
  rig.model().end(id, says("firstsecond"));
  const ClientReply reply = client.reply();
  EXPECT_NE(reply.body.find(R"("prompt_tokens":5)"), std::string::npos) << reply.body;
  EXPECT_TRUE(reply.body.ends_with("data: [DONE]\n\n")) << reply.body;
}

TEST(ApiRoutes, AnErrorBeforeTheFirstTextHasItsStatusAlsoInAStream) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("stream":true)"));
  ASSERT_TRUE(rig.model().wait_open(1));
  rig.model().end(rig.model().open_ids()[0], fail(ErrorCode::kPromptTooLong, "9 of 8"));
  const ClientReply reply = client.reply();
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("context_length_exceeded"), std::string::npos);
}

TEST(ApiRoutes, AnErrorInTheMiddleIsTheLastEvent) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("stream":true,"n":2)"));
  ASSERT_TRUE(rig.model().wait_open(2));
  const auto ids = rig.model().open_ids();
  rig.model().say(ids[0], "begun");
  client.read_until("begun");
  rig.model().end(ids[0], fail(ErrorCode::kDecodeFailed, "it broke"));
  const ClientReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find(R"(data: {"error":{"message":"it broke")"), std::string::npos);
  EXPECT_EQ(reply.body.find("[DONE]"), std::string::npos);
  EXPECT_EQ(rig.model().cancelled(), 1u) << "the other choice";
  EXPECT_TRUE(rig.becomes(&nothing_open));
}

TEST(ApiRoutes, AnAnswerThatTheLimitCutIsAnAnswer) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("response_format":{"type":"json_object"})"));
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId id = rig.model().open_ids()[0];
  rig.model().say(id, "{\"a\": ");
  rig.model().end(id, fail(ErrorCode::kOutputTruncated, "cut"));
  const ClientReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find(R"("finish_reason":"length")"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find(R"("content":"{\"a\": ")"), std::string::npos) << reply.body;
}

TEST(ApiRoutes, OverloadIsSaidAtOnceAndWhatWasAcceptedIsDone) {
  ServeRig rig({.most_open = 2});
  PlainClient a(rig.port());
  PlainClient b(rig.port());
  PlainClient c(rig.port());
  a.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(1));
  b.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(2));
  c.post(chat_path(), chat_body());
  const ClientReply turned_away = c.reply();
  EXPECT_EQ(turned_away.status, 429);
  EXPECT_NE(turned_away.head.find("Retry-After: "), std::string::npos);
  EXPECT_NE(turned_away.body.find("server_overloaded"), std::string::npos);
  for (RequestId id : rig.model().open_ids()) rig.model().end(id, says("done"));
  EXPECT_EQ(a.reply().status, 200);
  EXPECT_EQ(b.reply().status, 200);
  c.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(1));
  rig.model().end(rig.model().open_ids()[0], says("done"));
  EXPECT_EQ(c.reply().status, 200);
}

TEST(ApiRoutes, AClientThatGoesTakesItsRequestsAlong) {
  for (const bool stream : {false, true}) {
    for (const bool reset : {false, true}) {
      ServeRig rig;
      PlainClient client(rig.port());
      client.post(chat_path(), chat_body(stream ? R"("stream":true,"n":3)" : R"("n":3)"));
      ASSERT_TRUE(rig.model().wait_open(3));
      if (stream) {
        rig.model().say(rig.model().open_ids()[1], "text");
        client.read_until("text");
      }
      reset ? client.reset() : client.close();
      EXPECT_TRUE(rig.model().wait_open(0)) << stream << reset;
      EXPECT_EQ(rig.model().cancelled(), 3u);
      EXPECT_TRUE(rig.becomes(&nothing_open));
      EXPECT_TRUE(
          rig.becomes([](auto&, HttpServer& http) { return http.numbers().connections == 0; }));
    }
  }
}

TEST(ApiRoutes, AClientThatGoesBehindItsNextRequestIsSeenToo) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body());
  client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(rig.model().wait_open(1));
  client.close();
  EXPECT_TRUE(rig.model().wait_open(0));
}

TEST(ApiRoutes, AClientThatGoesBeforeItsBodyCostsNothing) {
  ServeRig rig;
  for (std::string_view begun :
       {"", "POST", "POST /v1/chat/completions HTTP/1.1\r\nContent-Le",
        "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"model\""}) {
    PlainClient client(rig.port());
    client.send(begun);
  }
  EXPECT_TRUE(rig.becomes([](auto&, HttpServer& http) {
    return http.numbers().accepted == 4 && http.numbers().connections == 0;
  }));
  EXPECT_TRUE(rig.model().open_ids().empty());
}

TEST(ApiRoutes, AClientThatDoesNotReadBlocksNobodyAndIsGivenUp) {
  RigOptions options;
  options.limits.write_ms = 300;
  ServeRig rig(std::move(options));
  PlainClient slow(rig.port(), 4096);
  slow.post(chat_path(), chat_body(R"("stream":true)"));
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId id = rig.model().open_ids()[0];
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) rig.model().say(id, piece);
  PlainClient other(rig.port());
  other.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(other.reply().status, 200) << "while the slow one is stuck";
  EXPECT_TRUE(rig.model().wait_open(0)) << "given up";
  EXPECT_TRUE(rig.becomes(&nothing_open));
}

TEST(ApiRoutes, MoreTextThanASlowClientMayHaveWaitingEndsIt) {
  RigOptions options;
  options.limits.write_ms = 60'000;
  ServeRig rig(std::move(options));
  PlainClient slow(rig.port(), 4096);
  slow.post(chat_path(), chat_body(R"("stream":true)"));
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId id = rig.model().open_ids()[0];
  const std::string piece(1 << 20, 'x');
  for (int i = 0; i < 64 && !rig.model().open_ids().empty(); ++i) rig.model().say(id, piece);
  EXPECT_TRUE(rig.model().wait_open(0));
}

TEST(ApiRoutes, KeysAreAskedForAndLimited) {
  RigOptions options;
  options.keys = keys(R"(, "max_in_flight": 1, "max_priority": 3)");
  ServeRig rig(std::move(options));
  for (const std::string& header : {"", "Authorization: Bearer sk-wrong000\r\n"}) {
    PlainClient client(rig.port());
    client.post(chat_path(), chat_body(), header);
    const ClientReply reply = client.reply();
    EXPECT_EQ(reply.status, 401);
    EXPECT_NE(reply.body.find("invalid_api_key"), std::string::npos);
  }
  PlainClient stranger(rig.port());
  stranger.post(chat_path(), std::string(100'000, ' '), "Authorization: Bearer sk-wrong000\r\n");
  EXPECT_EQ(stranger.reply().status, 413) << "much is read only from who has a key";
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("priority":9)"), std::string(kGoodKey));
  ASSERT_TRUE(rig.model().wait_open(1));
  const ModelRequest request = rig.model().request(rig.model().open_ids()[0]);
  EXPECT_EQ(request.hints.tenant, "t");
  EXPECT_EQ(request.hints.priority, 3) << "its ceiling";
  PlainClient second(rig.port());
  second.post(chat_path(), chat_body(), std::string(kGoodKey));
  EXPECT_EQ(second.reply().status, 429);
  second.post(chat_path(), chat_body(R"("sluice":{"tenant":"other"})"), std::string(kGoodKey));
  EXPECT_EQ(second.reply().status, 403);
  second.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(second.reply().status, 200) << "open to all";
  second.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(second.reply().status, 401);
}

TEST(ApiRoutes, ProgramsAreInferredAndToldToTheModel) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId first = rig.model().open_ids()[0];
  const std::string program = rig.model().request(first).hints.program;
  EXPECT_FALSE(program.empty());
  EXPECT_FALSE(rig.model().request(first).hints.returns);
  rig.model().end(first, says("hello"));
  EXPECT_EQ(client.reply().status, 200);
  client.post(chat_path(), R"({"model":"m","messages":[{"role":"user","content":"hi"},
      {"role":"assistant","content":"hello"},{"role":"user","content":"more"}]})");
  ASSERT_TRUE(rig.model().wait_open(1));
  const ModelRequest next = rig.model().request(rig.model().open_ids()[0]);
  EXPECT_EQ(next.hints.program, program);
  EXPECT_TRUE(next.hints.returns);
  rig.model().end(rig.model().open_ids()[0], says("x"));
  EXPECT_EQ(client.reply().status, 200);
  client.post(chat_path(), chat_body(R"("sluice":{"program":"mine","last":true})"));
  ASSERT_TRUE(rig.model().wait_open(1));
  rig.model().end(rig.model().open_ids()[0], says("x"));
  EXPECT_EQ(client.reply().status, 200);
  ASSERT_EQ(rig.model().released().size(), 1u);
  EXPECT_NE(rig.model().released()[0].find("mine"), std::string::npos);
}

TEST(ApiRoutes, ForcedToolCallsComeAsToolCalls) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.post(chat_path(), chat_body(R"("tool_choice":"required","tools":[
      {"type":"function","function":{"name":"f"}}])"));
  ASSERT_TRUE(rig.model().wait_open(1));
  const RequestId id = rig.model().open_ids()[0];
  ModelReply reply = says(R"({"tool":"f","arguments":{}})");
  reply.json = *parse_json(reply.text);
  rig.model().end(id, reply);
  const ClientReply got = client.reply();
  EXPECT_NE(got.body.find(R"("finish_reason":"tool_calls")"), std::string::npos) << got.body;
  EXPECT_NE(got.body.find(R"("name":"f","arguments":"{}")"), std::string::npos) << got.body;
}

TEST(ApiRoutes, EmbeddingsDoNotKeepTheServerWaiting) {
  ServeRig rig;
  rig.model().embeddings_wait = true;
  PlainClient client(rig.port());
  client.post("/v1/embeddings", R"({"model":"m","input":["abc","de"]})");
  PlainClient other(rig.port());
  other.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(other.reply().status, 200);
  rig.model().embeddings_wait = false;
  const ClientReply reply = client.reply();
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find(R"("embedding":[3.0,1.0])"), std::string::npos) << reply.body;
  EXPECT_NE(reply.body.find(R"("total_tokens":5)"), std::string::npos) << reply.body;
}

TEST(ApiRoutes, GoingDownFinishesWhatItHasAndTakesNothingNew) {
  ServeRig rig;
  PlainClient client(rig.port());
  PlainClient late(rig.port());
  client.post(chat_path(), chat_body());
  late.send("POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 2\r\n\r\n{");
  ASSERT_TRUE(rig.model().wait_open(1));
  ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) { return http.numbers().idle == 0; }));
  rig.on_server([](ApiContext& context, HttpServer& http) {
    context.draining = true;
    http.drain();
  });
  late.send("}");
  const ClientReply refused = late.reply();
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.head.find("Retry-After"), std::string::npos);
  rig.model().end(rig.model().open_ids()[0], says("done"));
  EXPECT_EQ(client.reply().status, 200);
}

TEST(ApiRoutes, CutOffCallsAreToldSo) {
  ServeRig rig;
  PlainClient whole(rig.port());
  PlainClient stream(rig.port());
  whole.post(chat_path(), chat_body());
  ASSERT_TRUE(rig.model().wait_open(1));
  stream.post(chat_path(), chat_body(R"("stream":true)"));
  ASSERT_TRUE(rig.model().wait_open(2));
  rig.model().say(rig.model().open_ids()[1], "begun");
  stream.read_until("begun");
  rig.on_server([](ApiContext& context, HttpServer&) { end_all_calls(context); });
  EXPECT_EQ(whole.reply().status, 503);
  EXPECT_NE(stream.reply().body.find("shutting_down"), std::string::npos);
  EXPECT_TRUE(rig.becomes(&nothing_open));
}

TEST(ApiRoutes, WhatIsWrongIsSaidInOpenAisShape) {
  ServeRig rig;
  struct Case {
    std::string request;
    int status;
    std::string_view words;
  };
  auto post = [](std::string_view path, std::string_view body, std::string_view headers = "") {
    return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\n{}Content-Length: {}\r\n\r\n{}", path,
                       headers, body.size(), body);
  };
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  for (const Case& one : {
           Case{post(kChat, ""), 400, "empty"},
           Case{post(kChat, "{"), 400, "no JSON"},
           Case{post(kChat, "{\"model\": \"\xff\xfe\"}"), 400, "json_invalid"},
           Case{post(kChat, deep), 400, "no JSON"},
           Case{post(kChat, "[1]"), 400, "must be an object"},
           Case{post(kChat, R"({"model":"m","model":"m"})"), 400, "no JSON"},
           Case{post(kChat, R"({"model":"gpt-9","messages":[{"role":"user","content":"x"}]})"), 404,
                "model_not_found"},
           Case{post("/v1/chat/completion", "{}"), 404, "no route"},
           Case{post("/v1/models", "{}"), 405, "takes GET"},
           Case{"GET /v1/chat/completions HTTP/1.1\r\nHost: x\r\n\r\n", 405, "takes POST"},
           Case{"GET /v1/models/nope HTTP/1.1\r\nHost: x\r\n\r\n", 404, "model_not_found"},
           Case{post(kChat, chat_body(), "Origin: http://evil.example\r\n"), 403, "browser"},
           Case{post("/v1/embeddings", R"({"model":"m","input":[1,2]})"), 400, "tokens"},
           Case{post("/v1/embeddings", R"({"model":"m","input":""})"), 400, "empty"},
       }) {
    PlainClient client(rig.port());
    client.send(one.request);
    const ClientReply reply = client.reply();
    EXPECT_EQ(reply.status, one.status) << one.request.substr(0, 120) << reply.body;
    EXPECT_NE(reply.body.find(one.words), std::string::npos) << reply.body;
    EXPECT_TRUE(reply.body.starts_with(R"({"error":{"message":")")) << reply.body;
  }
}

TEST(ApiRoutes, ModelsHealthAndMetrics) {
  ServeRig rig;
  PlainClient client(rig.port());
  client.send("GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string models = client.reply().body;
  EXPECT_NE(models.find(R"("id":"m","object":"model")"), std::string::npos) << models;
  client.send("GET /v1/models/default HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.reply().status, 200);
  client.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.reply().body, R"({"status":"ok"})");
  client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
  const ClientReply metrics = client.reply();
  EXPECT_NE(metrics.head.find("text/plain; version=0.0.4"), std::string::npos);
  EXPECT_NE(metrics.body.find(R"(sluice_http_replies_total{route="/v1/models",status="200"} 2)"),
            std::string::npos)
      << metrics.body;
  EXPECT_NE(metrics.body.find("sluice_http_connections 1\n"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
