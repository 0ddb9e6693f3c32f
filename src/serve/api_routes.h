// Which route answers a request: the table of routes, keys, and what is said where there is none.
// The I/O thread only.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "serve/api_context.h"

namespace sluice {

// `context` must outlive the handler.
HttpHandler api_handler(ApiContext& context);
// Who gives no key that is good may send little: enough to be told so.
HttpBodyLimit api_body_limit(const ApiContext& context);
// Cancels what is open; its clients are told that the server goes down.
void end_all_calls(ApiContext& context);
// The same, and ends the models. What they still called back is left in the io_context, which has
// to run once more.
void close_models(ApiContext& context);

}  // namespace sluice
