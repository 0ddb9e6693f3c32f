// A request's body as what its route reads it into. Large bodies are parsed on a thread of their
// own, so that they keep nobody else waiting. The I/O thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string>
#include <string_view>

#include "data/value.h"
#include "serve/api_context.h"

namespace sluice {

inline constexpr std::size_t kLargeBody = std::size_t{128} << 10;

// 400 with line and column.
ApiResult<Value> parse_body(std::string_view body);

template <class T>
using BodyReader = ApiResult<T> (*)(const Value& body, SteadyNs now_ns);

template <class T>
ApiResult<T> read_body_now(std::string_view text, SteadyNs now_ns, BodyReader<T> read) {
  auto body = parse_body(text);
  if (!body) return std::unexpected(body.error());
  return read(*body, now_ns);
}

template <class T>
boost::asio::awaitable<ApiResult<T>> read_body(RouteCall& call, BodyReader<T> read) {
  const std::string& text = call.exchange.call().body;
  const SteadyNs now_ns = call.exchange.call().begun_ns;
  if (text.size() < kLargeBody) co_return read_body_now<T>(text, now_ns, read);
  auto work = [&text, now_ns, read]() -> boost::asio::awaitable<ApiResult<T>> {
    co_return read_body_now<T>(text, now_ns, read);
  };
  co_return co_await boost::asio::co_spawn(call.context.readers, work, boost::asio::use_awaitable);
}

}  // namespace sluice
