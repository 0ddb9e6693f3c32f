// HTTP/1.1 on Asio coroutines: listens, reads requests within limits, hands each to one handler and
// keeps connections open between them. One I/O thread runs the io_context; all methods are called
// on it. Ten thousand idle connections cost a socket and a small coroutine each; where there are
// too many, the one that has been idle longest is closed.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "serve/http_message.h"

namespace sluice {

struct HttpLimits {
  std::uint64_t body_bytes = std::uint64_t{8} << 20;
  std::uint64_t bodies_bytes = std::uint64_t{512} << 20;  // of all requests at a time
  std::uint32_t header_bytes = 64U << 10;
  std::size_t connections = 20'000;
  std::int64_t header_ms = 20'000;  // from a request's first byte to the end of its header
  std::int64_t body_ms = 120'000;
  std::int64_t write_ms = 30'000;  // a client that takes nothing for so long has gone
  std::int64_t idle_ms = 600'000;  // between requests
};

struct HttpNumbers {
  std::size_t connections = 0;
  std::size_t idle = 0;  // of them
  std::size_t busy = 0;  // exchanges in the handler
  std::uint64_t accepted = 0;
  std::uint64_t evicted = 0;  // idle ones that were closed to make room
};

class HttpServer {
 public:
  HttpServer(boost::asio::io_context& io, HttpLimits limits, const Clock& clock,
             HttpHandler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // A body's limit by who sends it; without one it is the same for all.
  void set_body_limit(HttpBodyLimit limit);
  // Begins to accept. kUsage when the address cannot be used, or is not a loopback address though
  // only those are allowed.
  Result<void> listen(const std::string& host, std::uint16_t port, bool loopback_only);
  std::string address() const;  // "127.0.0.1:8080", with the port that was chosen

  // Accepts nothing more and closes idle connections; the others close after their reply.
  void drain();
  // Closes every connection.
  void close_all();
  HttpNumbers numbers() const;

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

// Raises the soft limit of open files to the hard one; gives what holds then.
std::size_t raise_open_files();

}  // namespace sluice
