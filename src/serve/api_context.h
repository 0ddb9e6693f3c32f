// What all routes of one server share. The I/O thread only, but for the workers' own threads.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>

#include "base/clock.h"
#include "serve/admission.h"
#include "serve/api_keys.h"
#include "serve/http_message.h"
#include "serve/http_server.h"
#include "serve/program_of.h"
#include "serve/serve_metrics.h"
#include "serve/served_models.h"

namespace sluice {

// What became of one request, for logs.
struct RequestLine {
  std::string id;
  std::string key;  // its name; "" when keys are not asked for
  std::string method;
  std::string path;
  std::string model;
  std::string program;
  int status = 0;  // 499: the client had gone
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;
  std::uint64_t completion_tokens = 0;
  double first_text_s = 0;
  double seconds = 0;
};

struct ApiContext {
  ApiContext(boost::asio::io_context& context, const Clock& the_clock, ServedModels served,
             ApiKeys api_keys, std::size_t most_open)
      : io(context),
        clock(the_clock),
        models(std::move(served)),
        keys(std::move(api_keys)),
        admission(most_open) {}

  boost::asio::io_context& io;
  const Clock& clock;
  ServedModels models;
  ApiKeys keys;
  ServeAdmission admission;
  ProgramIndex programs;
  ServeMetrics metrics;
  // One thread reads large bodies, one computes embeddings: neither keeps the I/O thread.
  boost::asio::thread_pool readers{1};
  boost::asio::thread_pool embedders{1};
  std::size_t most_waiting_bytes = std::size_t{1} << 20;  // of one call's text, for a slow client
  bool draining = false;
  std::list<std::function<void()>*> open_calls;        // each cancels its call
  std::function<void(const RequestLine&)> on_request;  // may be empty
  std::function<HttpNumbers()> http_numbers;
};

// A request on its way through a route.
struct RouteCall {
  ApiContext& context;
  ServedExchange& exchange;
  const ApiKey* key = nullptr;  // null: keys are not asked for
  RequestLine line;
};

// Answers and notes the status.
boost::asio::awaitable<void> reply_json(RouteCall& call, int status, std::string body);
boost::asio::awaitable<void> reply_error(RouteCall& call, const ApiError& error);

}  // namespace sluice
