// HTTP itself: limits, broken requests, connections that are kept, idle or gone.
#include "serve/http_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/serve/serve_rig.h"

namespace sluice::test {
namespace {

// Says back what it was sent.
boost::asio::awaitable<void> echo(ServedExchange& exchange) {
  co_await exchange.reply(
      {.content_type = "text/plain",
       .body = exchange.call().method + " " + exchange.call().path + " " + exchange.call().body});
}

RigOptions echoing() {
  RigOptions options;
  options.handler = [](ServedExchange& exchange) { return echo(exchange); };
  return options;
}

TEST(HttpServer, KeepsAConnectionForManyRequests) {
  ServeRig rig(echoing());
  PlainClient client(rig.port());
  for (int i = 0; i < 3; ++i) {
    client.post("/a?x=1", fmt::format("body {}", i));
    EXPECT_EQ(client.reply().body, fmt::format("POST /a body {}", i));
  }
  EXPECT_EQ(rig.numbers().accepted, 1u);
}

TEST(HttpServer, AnswersRequestsThatCameTogetherInOrder) {
  ServeRig rig(echoing());
  PlainClient client(rig.port());
  client.send(
      "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
      "POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
      "HEAD /3 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(client.reply().body, "GET /1 ");
  EXPECT_EQ(client.reply().body, "POST /2 abc");
  const std::string head = client.read_until("\r\n\r\n");
  EXPECT_NE(head.find("Content-Length: 8"), std::string::npos) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
}

TEST(HttpServer, ClosesWhereTheClientWantsThat) {
  ServeRig rig(echoing());
  PlainClient old(rig.port());
  old.send("GET /1 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.reply().status, 200);
  EXPECT_TRUE(old.closed());
  PlainClient modern(rig.port());
  modern.send("GET /1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(modern.reply().status, 200);
  EXPECT_TRUE(modern.closed());
}

TEST(HttpServer, TellsWhoAsksToGoOn) {
  ServeRig rig(echoing());
  PlainClient client(rig.port());
  client.send("POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
  client.send("ab");
  EXPECT_EQ(client.reply().status, 100);
  EXPECT_EQ(client.reply().body, "POST /1 ab");
}

TEST(HttpServer, RefusesWhatIsTooLargeOrNoHttp) {
  RigOptions options = echoing();
  options.limits.body_bytes = 1000;
  options.limits.header_bytes = 2000;
  ServeRig rig(std::move(options));
  struct Case {
    std::string request;
    int status;
  };
  const std::string large(5000, 'x');
  for (const Case& one : {
           Case{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n" + large, 413},
           Case{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + large +
                    "\r\n0\r\n\r\n",
                413},
           Case{"GET / HTTP/1.1\r\nHost: x\r\nX: " + large + "\r\n\r\n", 431},
           Case{"GET / HTTP/9.9\r\n\r\n", 400},
           Case{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n", 400},
           Case{"GET / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400},
           Case{"GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
       }) {
    PlainClient client(rig.port());
    client.send(one.request);
    const ClientReply reply = client.reply();
    EXPECT_EQ(reply.status, one.status) << one.request.substr(0, 80);
    EXPECT_TRUE(reply.body.starts_with(R"({"error":{)")) << reply.body;
    EXPECT_TRUE(client.closed());
  }
  PlainClient good(rig.port());
  good.post("/", std::string(1000, 'y'));
  EXPECT_EQ(good.reply().status, 200) << "exactly the limit";
}

TEST(HttpServer, BodiesOfAllTogetherHaveALimit) {
  RigOptions options = echoing();
  options.limits.body_bytes = 1000;
  options.limits.bodies_bytes = 1500;
  ServeRig rig(std::move(options));
  {
    PlainClient first(rig.port());
    first.send("POST /1 HTTP/1.1\r\nContent-Length: 900\r\n\r\nabc");
    ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) {
      return http.numbers().connections == 1 && http.numbers().idle == 0;
    }));
    PlainClient second(rig.port());
    second.post("/2", std::string(900, 'x'));
    EXPECT_EQ(second.reply().status, 503);
    PlainClient small(rig.port());
    small.post("/3", "abc");
    EXPECT_EQ(small.reply().status, 200);
  }
  ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) { return http.numbers().connections == 0; }));
  PlainClient third(rig.port());
  third.post("/4", std::string(900, 'x'));
  EXPECT_EQ(third.reply().status, 200) << "what went is given back";
}

TEST(HttpServer, ClosesWhoNeverEndsARequest) {
  RigOptions options = echoing();
  options.limits.header_ms = 50;
  options.limits.body_ms = 50;
  ServeRig rig(std::move(options));
  PlainClient head(rig.port());
  head.send("POST / HTTP/1.1\r\nHo");
  EXPECT_TRUE(head.closed());
  PlainClient body(rig.port());
  body.send("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(body.closed());
}

TEST(HttpServer, ClosesTheIdleOnes) {
  RigOptions options = echoing();
  options.limits.idle_ms = 50;
  ServeRig rig(std::move(options));
  PlainClient silent(rig.port());
  EXPECT_TRUE(silent.closed());
}

TEST(HttpServer, MakesRoomByClosingTheLongestIdle) {
  RigOptions options = echoing();
  options.limits.connections = 3;
  ServeRig rig(std::move(options));
  PlainClient first(rig.port());
  ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) { return http.numbers().idle == 1; }));
  PlainClient second(rig.port());
  PlainClient third(rig.port());
  ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) { return http.numbers().idle == 3; }));
  PlainClient fourth(rig.port());
  fourth.post("/4", "");
  EXPECT_EQ(fourth.reply().status, 200);
  EXPECT_TRUE(first.closed());
  second.post("/2", "");
  EXPECT_EQ(second.reply().status, 200);
  EXPECT_EQ(rig.numbers().evicted, 1u);
}

TEST(HttpServer, DrainsByClosingIdleOnesAndFinishingTheOthers) {
  ServeRig rig(echoing());
  PlainClient idle(rig.port());
  PlainClient asking(rig.port());
  asking.send("POST /late HTTP/1.1\r\nContent-Length: 3\r\n\r\na");
  ASSERT_TRUE(rig.becomes([](auto&, HttpServer& http) {
    return http.numbers().connections == 2 && http.numbers().idle == 1;
  }));
  rig.on_server([](auto&, HttpServer& http) { http.drain(); });
  EXPECT_TRUE(idle.closed());
  asking.send("bc");
  const ClientReply reply = asking.reply();
  EXPECT_EQ(reply.body, "POST /late abc");
  EXPECT_NE(reply.head.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(asking.closed());
}

TEST(HttpServer, ListensOnLoopbackOnlyUnlessTold) {
  boost::asio::io_context io;
  HttpServer open(io, {}, system_clock(), [](ServedExchange& e) { return echo(e); });
  auto refused = open.listen("0.0.0.0", 0, true);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("--no-auth"), std::string::npos);
  EXPECT_TRUE(open.listen("0.0.0.0", 0, false));
  HttpServer second(io, {}, system_clock(), [](ServedExchange& e) { return echo(e); });
  const std::string address = open.address();
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  auto taken = second.listen("0.0.0.0", port, false);
  ASSERT_FALSE(taken);
  EXPECT_NE(taken.error().message().find("--port 0"), std::string::npos);
  EXPECT_FALSE(second.listen("no such host", 0, true));
}

}  // namespace
}  // namespace sluice::test
