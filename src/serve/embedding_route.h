// /v1/embeddings. Vectors are computed one text after the other on a thread of their own; a client
// that goes takes the rest of its texts with it. The I/O thread only.
#pragma once

#include "serve/api_context.h"

namespace sluice {

boost::asio::awaitable<void> serve_embeddings(RouteCall& call);

}  // namespace sluice
