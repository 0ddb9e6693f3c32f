// /v1/chat/completions and /v1/completions: admission, program, submission, and the reply whole or
// as an event stream. A client that goes takes its requests with it. The I/O thread only.
#pragma once

#include "serve/api_context.h"

namespace sluice {

boost::asio::awaitable<void> serve_chat(RouteCall& call);
boost::asio::awaitable<void> serve_completion(RouteCall& call);

}  // namespace sluice
