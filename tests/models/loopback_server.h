// An HTTP server on a free port of 127.0.0.1 for tests: a thread per connection, connections kept
// open, and handlers that may also send whatever bytes they like, or hang up.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace sluice::test {

namespace asio = boost::asio;
namespace http = boost::beast::http;

// One request and the way to answer it.
class Exchange {
 public:
  Exchange(asio::ip::tcp::socket& socket, http::request<http::string_body> request)
      : request(std::move(request)), socket_(socket) {}

  http::request<http::string_body> request;

  void reply(int status, std::string_view body,
             std::string_view more_headers = "Content-Type: application/json\r\n") {
    raw("HTTP/1.1 " + std::to_string(status) +
        " Status\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
        std::string(more_headers) + "\r\n" + std::string(body));
  }
  void start_stream() {
    raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
  }
  void stream(std::string_view bytes) {
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
    raw(size + std::string(bytes) + "\r\n");
  }
  void event(std::string_view data) { stream("data: " + std::string(data) + "\n\n"); }
  void end_stream() { raw("0\r\n\r\n"); }
  // False once the other side has gone.
  bool raw(std::string_view bytes) {
    boost::system::error_code error;
    asio::write(socket_, asio::buffer(bytes.data(), bytes.size()), error);
    if (error) open_ = false;
    return open_;
  }
  void hang_up() { open_ = false; }
  bool open() const { return open_; }
  // The other side has closed its end (nothing is ever pipelined).
  bool peer_gone() {
    boost::system::error_code error;
    char byte;
    socket_.non_blocking(true);
    socket_.receive(asio::buffer(&byte, 1), asio::socket_base::message_peek, error);
    socket_.non_blocking(false);
    return error && error != asio::error::would_block;
  }

 private:
  asio::ip::tcp::socket& socket_;
  bool open_ = true;
};

class LoopbackServer {
 public:
  using Handler = std::function<void(Exchange&)>;

  explicit LoopbackServer(Handler handler)
      : handler_(std::move(handler)),
        acceptor_(io_, {asio::ip::address_v4::loopback(), 0}),
        port_(acceptor_.local_endpoint().port()),
        accepting_([this] { accept(); }) {}

  ~LoopbackServer() {
    stop_ = true;
    {  // wakes the acceptor
      boost::system::error_code ignored;
      asio::ip::tcp::socket wake(io_);
      wake.connect({asio::ip::address_v4::loopback(), port_}, ignored);
    }
    accepting_.join();
    {
      std::lock_guard lock(mutex_);
      boost::system::error_code ignored;
      for (auto& session : sessions_) {
        session.socket.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
      }
    }
    for (auto& session : sessions_) session.thread.join();
  }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::uint16_t port() const { return port_; }
  int connections() const { return connections_; }
  bool stopping() const { return stop_; }

 private:
  struct Session {
    asio::ip::tcp::socket socket;
    std::thread thread;
  };

  void accept() {
    while (true) {
      boost::system::error_code error;
      asio::ip::tcp::socket socket(io_);
      acceptor_.accept(socket, error);
      if (stop_) return;
      if (error) continue;
      ++connections_;
      std::lock_guard lock(mutex_);
      Session& session = sessions_.emplace_back(std::move(socket), std::thread());
      session.thread = std::thread([this, &session] { serve(session.socket); });
    }
  }

  void serve(asio::ip::tcp::socket& socket) {
    boost::beast::flat_buffer buffer;
    while (!stop_) {
      http::request_parser<http::string_body> parser;
      parser.body_limit(64 << 20);
      boost::system::error_code error;
      http::read(socket, buffer, parser, error);
      if (error) break;
      Exchange exchange(socket, parser.release());
      handler_(exchange);
      if (!exchange.open()) break;
    }
    boost::system::error_code ignored;
    std::lock_guard lock(mutex_);
    socket.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    socket.close(ignored);
  }

  Handler handler_;
  asio::io_context io_;
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::list<Session> sessions_;
  std::thread accepting_;
};

}  // namespace sluice::test
