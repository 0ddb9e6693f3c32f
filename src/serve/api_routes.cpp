#include "serve/api_routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "data/json.h"
#include "serve/embedding_route.h"
#include "serve/generation_route.h"
#include "serve/info_routes.h"
#include "serve/request_body.h"

namespace sluice {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kMostBodyDepth = 128;
constexpr std::uint64_t kStrangersBody = std::uint64_t{64} << 10;
constexpr std::string_view kModelsPath = "/v1/models/";

struct Route {
  std::string_view path;
  bool post = false;
  bool open = false;  // also without a key
  asio::awaitable<void> (*serve)(RouteCall& call);
};

constexpr std::array kRoutes{
    Route{"/v1/chat/completions", true, false, &serve_chat},
    Route{"/v1/completions", true, false, &serve_completion},
    Route{"/v1/embeddings", true, false, &serve_embeddings},
    Route{"/v1/models", false, false, &serve_models},
    Route{"/health", false, true, &serve_health},
    Route{"/metrics", false, false, &serve_metrics_text},
};

ApiError no_route(const HttpCall& call) {
  return {.status = 404,
          .message = fmt::format("there is no route {} {}; there are /v1/chat/completions, "
                                 "/v1/completions, /v1/embeddings, /v1/models, /health, /metrics",
                                 call.method.substr(0, 20), call.path.substr(0, 200)),
          .code = "not_found"};
}

ApiError no_key(bool given) {
  return {.status = 401,
          .message = given ? "the key in the header Authorization is none of this server's"
                           : "a key is needed: header Authorization: Bearer KEY",
          .code = "invalid_api_key"};
}

// A page in a browser must not use a server on this machine that asks for no key.
ApiError no_browser() {
  return {.status = 403,
          .type = "permission_error",
          .message = "pages in browsers may use this server only with a key: start it with --keys",
          .code = "origin_not_allowed"};
}

const Route* find_route(std::string_view path) {
  auto found = std::ranges::find(kRoutes, path, &Route::path);
  return found == kRoutes.end() ? nullptr : found;
}

asio::awaitable<void> dispatch(RouteCall& call) {
  const HttpCall& http = call.exchange.call();
  const bool get = http.method == "GET" || http.method == "HEAD";
  const bool one_model = http.path.starts_with(kModelsPath);
  const Route* route = one_model ? nullptr : find_route(http.path);
  if (route == nullptr && !one_model) co_return co_await reply_error(call, no_route(http));
  const bool post = route != nullptr && route->post;
  if (route == nullptr || !route->open) {
    call.key = call.context.keys.find(http.authorization);
    if (!call.context.keys.empty() && call.key == nullptr) {
      co_return co_await reply_error(call, no_key(!http.authorization.empty()));
    }
    if (call.key != nullptr) call.line.key = call.key->name;
  }
  if (call.context.keys.empty() && !http.origin.empty()) {
    co_return co_await reply_error(call, no_browser());
  }
  if (post ? http.method != "POST" : !get) {
    co_return co_await reply_error(
        call, {.status = 405,
               .message = fmt::format("{} takes {}", http.path, post ? "POST" : "GET"),
               .code = "method_not_allowed"});
  }
  if (one_model) {
    co_return co_await serve_one_model(call,
                                       std::string_view(http.path).substr(kModelsPath.size()));
  }
  if (post && call.context.draining) co_return co_await reply_error(call, going_down());
  co_await route->serve(call);
}

asio::awaitable<void> handle(ApiContext& context, ServedExchange& exchange) {
  const HttpCall& http = exchange.call();
  RouteCall call{.context = context, .exchange = exchange};
  call.line.id = http.id;
  call.line.method = http.method;
  call.line.path = http.path;
  co_await dispatch(call);
  RequestLine& line = call.line;
  line.seconds = static_cast<double>(context.clock.steady_ns() - http.begun_ns) / kNsPerSecond;
  // Paths that are no route are one label: anybody may ask for anything.
  const bool models = line.path.starts_with(kModelsPath);
  const Route* route = find_route(line.path);
  const std::string name(route != nullptr ? route->path : models ? "/v1/models" : "other");
  ++context.metrics.replies[{name, line.status}];
  context.metrics.seconds[name].add(line.seconds);
  if (context.on_request) context.on_request(line);
}

}  // namespace

ApiResult<Value> parse_body(std::string_view body) {
  if (body.empty()) {
    return std::unexpected(
        ApiError{.message = "the request's body is empty, and must be a JSON object",
                 .code = "json_invalid"});
  }
  auto parsed = parse_json(body, {.max_depth = kMostBodyDepth});
  if (parsed) return *parsed;
  ApiError error = api_error(parsed.error(), "");
  error.status = 400;
  error.type = "invalid_request_error";
  error.message = fmt::format("the request's body is no JSON: {}", error.message);
  return std::unexpected(error);
}

asio::awaitable<void> reply_json(RouteCall& call, int status, std::string body) {
  call.line.status = status;
  co_await call.exchange.reply({.status = status, .body = std::move(body)});
}

asio::awaitable<void> reply_error(RouteCall& call, const ApiError& error) {
  HttpReply reply{.status = error.status, .body = error_body(error)};
  if (error.retry_after_ms) {
    reply.headers.emplace_back("Retry-After",
                               fmt::to_string(retry_after_seconds(*error.retry_after_ms)));
    reply.headers.emplace_back("retry-after-ms", fmt::to_string(*error.retry_after_ms));
  }
  if (error.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (error.status == 405) {
    reply.headers.emplace_back("Allow", call.exchange.call().method == "POST" ? "GET" : "POST");
  }
  call.line.status = error.status;
  co_await call.exchange.reply(std::move(reply));
}

void end_all_calls(ApiContext& context) {
  const std::vector<std::function<void()>*> calls(context.open_calls.begin(),
                                                  context.open_calls.end());
  for (std::function<void()>* cancel : calls) (*cancel)();
}

void close_models(ApiContext& context) {
  end_all_calls(context);
  context.embedders.join();
  context.readers.join();
  context.models.close();
}

HttpBodyLimit api_body_limit(const ApiContext& context) {
  return [&context](const HttpCall& call) {
    const bool known = context.keys.empty() || context.keys.find(call.authorization) != nullptr;
    return known ? std::numeric_limits<std::uint64_t>::max() : kStrangersBody;
  };
}

HttpHandler api_handler(ApiContext& context) {
  return [&context](ServedExchange& exchange) { return handle(context, exchange); };
}

}  // namespace sluice
