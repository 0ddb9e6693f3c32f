// An HTTP client on the I/O executor: libcurl's multi interface driven by Asio, so that a thousand
// open requests need no thread. Keeps connections for reuse; TLS is checked; a proxy is taken from
// the environment. Follows no redirect by itself. I/O executor only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::string> body;
  std::uint64_t max_bytes = 0;  // of the body that comes back, unpacked; 0: no bound
  // A kept connection may turn out to be dead after the request was written; libcurl then sends
  // it again. Must not happen to a call that may happen once only.
  bool fresh_connection = false;
};

struct HttpResponse {
  long status = 0;
  std::string content_type;  // "" when the server gave none
  std::string location;      // as it came
  std::string retry_after;   // as it came
  std::string body;
};

struct HttpFailure {
  Error error;
  bool sent = false;  // some of the request went out
};

using HttpTransferId = std::uint64_t;

class HttpClient {
 public:
  explicit HttpClient(boost::asio::any_io_executor io);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `on_end` is called once, never before this has returned.
  HttpTransferId start(HttpRequest request,
                       std::function<void(std::expected<HttpResponse, HttpFailure>)> on_end);
  // Ends a transfer at once; its on_end is not called. An id that has ended is ignored.
  void stop(HttpTransferId id);

  struct Impl;

 private:
  std::shared_ptr<Impl> impl_;
};

// Without user, password and query, for messages: "https://host:1/path".
std::string display_url(const std::string& url);

}  // namespace sluice
