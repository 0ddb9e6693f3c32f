// The routes that tell about the server: /v1/models, /health, /metrics. The I/O thread only.
#pragma once

#include <string_view>

#include "serve/api_context.h"

namespace sluice {

boost::asio::awaitable<void> serve_models(RouteCall& call);
boost::asio::awaitable<void> serve_one_model(RouteCall& call, std::string_view id);
boost::asio::awaitable<void> serve_health(RouteCall& call);
boost::asio::awaitable<void> serve_metrics_text(RouteCall& call);

}  // namespace sluice
