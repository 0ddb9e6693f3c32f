// What the HTTP side and the routes hand each other. Plain data, and the exchange through which a
// route answers; the I/O thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace sluice {

struct HttpCall {
  std::string method;
  std::string path;  // without the query
  std::string body;
  std::string authorization;
  std::string origin;     // "" unless a browser's page asks
  std::string peer;       // address
  std::string id;         // for people: in the header x-request-id and in logs
  SteadyNs begun_ns = 0;  // when its header had come
};

struct HttpReply {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// One request on a connection and the way back. Lives until the route has returned.
class ServedExchange {
 public:
  virtual ~ServedExchange() = default;
  virtual const HttpCall& call() const = 0;
  // All false once the client has gone, does not read, or the connection broke.
  virtual boost::asio::awaitable<bool> reply(HttpReply reply) = 0;
  virtual boost::asio::awaitable<bool> begin_events(const HttpReply& head) = 0;
  virtual boost::asio::awaitable<bool> send(std::string bytes) = 0;
  virtual boost::asio::awaitable<bool> end_events() = 0;
  // From here on `gone` is called when the client closes the connection; once, until the exchange
  // ends.
  virtual void watch_client(std::function<void()> gone) = 0;
};

// The largest body that this call may send; only its header has come.
using HttpBodyLimit = std::function<std::uint64_t(const HttpCall& call)>;
using HttpHandler = std::function<boost::asio::awaitable<void>(ServedExchange&)>;

}  // namespace sluice
