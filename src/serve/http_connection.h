// One connection of the HTTP server: its loop over requests, and the exchange that a route sees.
// The I/O thread only. Owned by its coroutine.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "serve/api_error.h"
#include "serve/http_server.h"

namespace sluice {

class HttpConnection;

// What the connections of one server share.
struct HttpShared {
  HttpLimits limits;
  const Clock* clock = nullptr;
  HttpHandler handler;
  HttpBodyLimit body_limit;       // may be empty
  std::uint64_t bodies_held = 0;  // bytes of bodies that are being read or answered
  bool draining = false;
  std::size_t busy = 0;
  std::uint64_t next_request = 1;
  std::string request_prefix;  // of ids, different for each process
  std::list<HttpConnection*> all;
  std::list<HttpConnection*> idle;  // longest idle first
};

class HttpConnection final : public ServedExchange,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(boost::asio::ip::tcp::socket socket, std::shared_ptr<HttpShared> shared);
  ~HttpConnection() override;

  // Until the connection ends; holds the connection.
  static boost::asio::awaitable<void> run(std::shared_ptr<HttpConnection> self);
  void close();
  SteadyNs idle_since_ns() const { return idle_since_ns_; }

  const HttpCall& call() const override { return call_; }
  boost::asio::awaitable<bool> reply(HttpReply reply) override;
  boost::asio::awaitable<bool> begin_events(const HttpReply& head) override;
  boost::asio::awaitable<bool> send(std::string bytes) override;
  boost::asio::awaitable<bool> end_events() override;
  void watch_client(std::function<void()> gone) override;

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  boost::asio::awaitable<void> serve();
  boost::asio::awaitable<bool> wait_for_request();
  boost::asio::awaitable<bool> read_request();
  boost::asio::awaitable<bool> read_body(Parser& parser);
  std::optional<ApiError> hold_body(Parser& parser);
  void release_body();
  boost::asio::awaitable<bool> refuse(ApiError error);
  boost::asio::awaitable<void> handle();
  boost::asio::awaitable<bool> write(std::string bytes);
  boost::asio::awaitable<void> linger();
  std::string head_text(const HttpReply& reply, std::optional<std::size_t> length);
  void take_header(const Parser& parser);
  void watch();
  void look_again();
  void client_gone();
  void end_watch();
  void leave_idle();

  std::shared_ptr<HttpShared> shared_;
  std::list<HttpConnection*>::iterator place_;
  std::optional<std::list<HttpConnection*>::iterator> idle_place_;
  SteadyNs idle_since_ns_ = 0;
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  boost::asio::steady_timer look_timer_;
  std::string peer_;
  HttpCall call_;
  std::uint64_t body_held_ = 0;
  std::function<void()> gone_;
  std::uint64_t exchange_ = 0;
  bool keep_alive_ = true;
  bool chunked_ = true;  // HTTP/1.1; else an event stream ends with the connection
  bool answered_ = false;
  bool broken_ = false;
};

}  // namespace sluice
