#include "serve/http_connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/status.hpp>
#include <chrono>
#include <exception>
#include <utility>

#include "base/log.h"

namespace sluice {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr auto kAwaited = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kWriteBytes = std::size_t{64} << 10;  // that each have the write's time
constexpr std::size_t kMostKeptBuffer = std::size_t{64} << 10;
constexpr std::size_t kMostLinger = std::size_t{64} << 20;
constexpr auto kLingerTime = std::chrono::seconds(2);
constexpr auto kLookAgain = std::chrono::milliseconds(250);

ApiError too_large(std::uint64_t limit) {
  return {.status = 413,
          .message = fmt::format("the request's body is larger than the limit of {} bytes", limit),
          .code = "request_too_large"};
}

ApiError read_error(const error_code& error, const HttpLimits& limits, std::uint64_t body_limit) {
  if (error == http::error::body_limit) return too_large(body_limit);
  if (error == http::error::header_limit) {
    return {.status = 431,
            .message = fmt::format("the request's header is larger than the limit of {} bytes",
                                   limits.header_bytes),
            .code = "header_too_large"};
  }
  return {.message = fmt::format("this is no HTTP request: {}", error.message()),
          .code = "http_invalid"};
}

// What a client can still be told. After a timeout Beast has closed the socket.
bool can_be_told(const error_code& error) {
  return error.category() == http::make_error_code(http::error::bad_method).category() &&
         error != http::error::partial_message && error != http::error::end_of_stream;
}

std::string text_of(beast::string_view text) { return {text.data(), text.size()}; }

}  // namespace

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, std::shared_ptr<HttpShared> shared)
    : shared_(std::move(shared)), stream_(std::move(socket)), look_timer_(stream_.get_executor()) {
  place_ = shared_->all.insert(shared_->all.end(), this);
  error_code ignored;
  stream_.socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  const auto endpoint = stream_.socket().remote_endpoint(ignored);
  peer_ = endpoint.address().to_string();
}

HttpConnection::~HttpConnection() {
  leave_idle();
  release_body();
  shared_->all.erase(place_);
}

void HttpConnection::leave_idle() {
  if (!idle_place_) return;
  shared_->idle.erase(*idle_place_);
  idle_place_.reset();
}

void HttpConnection::close() {
  leave_idle();
  error_code ignored;
  stream_.socket().close(ignored);
}

asio::awaitable<void> HttpConnection::run(std::shared_ptr<HttpConnection> self) {
  co_await self->serve();
}

asio::awaitable<void> HttpConnection::serve() {
  while (!broken_ && co_await wait_for_request()) {
    if (!co_await read_request()) break;
    co_await handle();
    release_body();
    if (!keep_alive_ || shared_->draining) break;
    if (buffer_.size() == 0 && buffer_.capacity() > kMostKeptBuffer) buffer_.shrink_to_fit();
  }
  if (stream_.socket().is_open()) {
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.socket().close(ignored);
  }
}

asio::awaitable<bool> HttpConnection::wait_for_request() {
  if (buffer_.size() > 0) co_return true;
  idle_since_ns_ = shared_->clock->steady_ns();
  idle_place_ = shared_->idle.insert(shared_->idle.end(), this);
  auto [error] = co_await stream_.socket().async_wait(asio::ip::tcp::socket::wait_read, kAwaited);
  leave_idle();
  co_return !error && stream_.socket().is_open();
}

void HttpConnection::take_header(const Parser& parser) {
  const auto& message = parser.get();
  const std::string target = text_of(message.target());
  call_ = HttpCall{.method = text_of(message.method_string()),
                   .path = target.substr(0, target.find_first_of("?#")),
                   .authorization = text_of(message[http::field::authorization]),
                   .origin = text_of(message[http::field::origin]),
                   .peer = peer_,
                   .id = fmt::format("req_{}{}", shared_->request_prefix, shared_->next_request++),
                   .begun_ns = shared_->clock->steady_ns()};
  keep_alive_ = message.keep_alive();
  chunked_ = message.version() >= 11;
  answered_ = false;
}

// Room for the body before it is read: what it says to have, or the most that it may have.
std::optional<ApiError> HttpConnection::hold_body(Parser& parser) {
  const auto length = parser.content_length();
  if (!length && !parser.chunked()) return std::nullopt;
  std::uint64_t most = shared_->limits.body_bytes;
  if (shared_->body_limit) most = std::min(most, shared_->body_limit(call_));
  if (length && *length > most) return too_large(most);
  parser.body_limit(most);
  const std::uint64_t held = length ? *length : most;
  if (shared_->bodies_held + held > shared_->limits.bodies_bytes) {
    return ApiError{.status = 503,
                    .type = "server_error",
                    .message = "too many large requests are being read; try again",
                    .code = "server_overloaded"};
  }
  body_held_ = held;
  shared_->bodies_held += held;
  return std::nullopt;
}

void HttpConnection::release_body() { shared_->bodies_held -= std::exchange(body_held_, 0); }

// False: nothing more is to be done with this connection.
asio::awaitable<bool> HttpConnection::read_request() {
  Parser parser;
  parser.header_limit(shared_->limits.header_bytes);
  parser.body_limit(shared_->limits.body_bytes);
  stream_.expires_after(std::chrono::milliseconds(shared_->limits.header_ms));
  auto [error, bytes] = co_await http::async_read_header(stream_, buffer_, parser, kAwaited);
  if (error) {
    if (!can_be_told(error)) co_return false;
    if (parser.is_header_done()) take_header(parser);
    co_return co_await refuse(read_error(error, shared_->limits, shared_->limits.body_bytes));
  }
  take_header(parser);
  if (auto refused = hold_body(parser)) co_return co_await refuse(std::move(*refused));
  if (!co_await read_body(parser)) co_return false;
  call_.body = std::move(parser.get().body());
  co_return true;
}

asio::awaitable<bool> HttpConnection::read_body(Parser& parser) {
  stream_.expires_after(std::chrono::milliseconds(shared_->limits.body_ms));
  if (beast::iequals(parser.get()[http::field::expect], "100-continue") && !parser.is_done()) {
    const bool sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return false;
    stream_.expires_after(std::chrono::milliseconds(shared_->limits.body_ms));
  }
  auto [error, bytes] = co_await http::async_read(stream_, buffer_, parser, kAwaited);
  stream_.expires_never();
  if (!error) co_return true;
  if (!can_be_told(error)) co_return false;
  co_return co_await refuse(read_error(error, shared_->limits, body_held_));
}

// Says what was wrong and closes; always false.
asio::awaitable<bool> HttpConnection::refuse(ApiError error) {
  keep_alive_ = false;
  call_.method = "POST";  // a HEAD that cannot be read is told all the same
  co_await reply({.status = error.status, .body = error_body(error)});
  co_await linger();
  co_return false;
}

// A client that still writes would get a reset and never read our answer: read on for a moment.
asio::awaitable<void> HttpConnection::linger() {
  if (broken_) co_return;
  error_code ignored;
  stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  stream_.expires_after(kLingerTime);
  std::string thrown(std::size_t{64} << 10, '\0');
  for (std::size_t total = 0; total < kMostLinger;) {
    auto [error, count] = co_await stream_.async_read_some(asio::buffer(thrown), kAwaited);
    if (error) break;
    total += count;
  }
}

asio::awaitable<void> HttpConnection::handle() {
  ++shared_->busy;
  bool failed = false;
  try {
    co_await shared_->handler(*this);
  } catch (const std::exception& unexpected) {
    log(LogLevel::kError, fmt::format("{}: {}", call_.id, unexpected.what()));
    failed = true;
  }
  end_watch();
  if (failed && !answered_) {
    const ApiError error{.status = 500,
                         .type = "server_error",
                         .message = "an error in the server itself",
                         .code = "internal"};
    co_await reply({.status = 500, .body = error_body(error)});
  } else if (failed || !answered_) {
    keep_alive_ = false;
  }
  --shared_->busy;
  call_ = {};
}

std::string HttpConnection::head_text(const HttpReply& reply, std::optional<std::size_t> length) {
  const auto status = static_cast<http::status>(reply.status);
  std::string head =
      fmt::format("HTTP/1.1 {} {}\r\n", reply.status, text_of(http::obsolete_reason(status)));
  if (!reply.content_type.empty()) head += fmt::format("Content-Type: {}\r\n", reply.content_type);
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (!call_.id.empty()) head += fmt::format("x-request-id: {}\r\n", call_.id);
  if (length) {
    head += fmt::format("Content-Length: {}\r\n", *length);
  } else if (chunked_) {
    head += "Transfer-Encoding: chunked\r\n";
  } else {
    keep_alive_ = false;
  }
  if (shared_->draining) keep_alive_ = false;
  head += keep_alive_ ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

asio::awaitable<bool> HttpConnection::write(std::string bytes) {
  const std::string held = std::move(bytes);
  for (std::size_t at = 0; at < held.size() && !broken_; at += kWriteBytes) {
    stream_.expires_after(std::chrono::milliseconds(shared_->limits.write_ms));
    const std::size_t count = std::min(kWriteBytes, held.size() - at);
    auto [error, done] =
        co_await asio::async_write(stream_, asio::buffer(held.data() + at, count), kAwaited);
    if (error) broken_ = true;
  }
  stream_.expires_never();
  if (broken_) keep_alive_ = false;
  co_return !broken_;
}

asio::awaitable<bool> HttpConnection::reply(HttpReply reply) {
  answered_ = true;
  std::string text = head_text(reply, reply.body.size());
  if (call_.method != "HEAD") text += reply.body;
  co_return co_await write(std::move(text));
}

asio::awaitable<bool> HttpConnection::begin_events(const HttpReply& head) {
  answered_ = true;
  co_return co_await write(head_text(head, std::nullopt));
}

asio::awaitable<bool> HttpConnection::send(std::string bytes) {
  if (bytes.empty()) co_return !broken_;  // an empty chunk would be the last
  if (chunked_) bytes = fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  co_return co_await write(std::move(bytes));
}

asio::awaitable<bool> HttpConnection::end_events() {
  if (!chunked_) co_return !broken_;
  co_return co_await write("0\r\n\r\n");
}

void HttpConnection::watch_client(std::function<void()> gone) {
  gone_ = std::move(gone);
  if (!gone_) return;
  if (broken_) return client_gone();
  watch();
}

void HttpConnection::client_gone() {
  broken_ = true;
  keep_alive_ = false;
  auto gone = std::exchange(gone_, {});
  if (gone) gone();
}

void HttpConnection::watch() {
  stream_.socket().async_wait(
      asio::ip::tcp::socket::wait_read,
      [self = shared_from_this(), exchange = exchange_](const error_code& error) {
        if (error || !self->gone_ || exchange != self->exchange_) return;
        char byte = 0;
        const ssize_t count =
            ::recv(self->stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (count > 0) return self->look_again();  // its next request: does not say if it stays
        if (count < 0 && (errno == EAGAIN || errno == EINTR)) return self->watch();
        self->client_gone();
      });
}

// Bytes that wait to be read hide the end behind them from a read, but not from poll.
void HttpConnection::look_again() {
  look_timer_.expires_after(kLookAgain);
  look_timer_.async_wait([self = shared_from_this(),
                          exchange = exchange_](const error_code& error) {
    if (error || !self->gone_ || exchange != self->exchange_) return;
    pollfd look{.fd = self->stream_.socket().native_handle(), .events = POLLRDHUP, .revents = 0};
    if (::poll(&look, 1, 0) > 0 && (look.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
      return self->client_gone();
    }
    self->look_again();
  });
}

void HttpConnection::end_watch() {
  gone_ = {};
  ++exchange_;
  look_timer_.cancel();
  error_code ignored;
  if (stream_.socket().is_open()) stream_.socket().cancel(ignored);
}

}  // namespace sluice
