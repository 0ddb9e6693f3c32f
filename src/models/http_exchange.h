// One HTTP exchange of the OpenAI client: the curl handle, what it sends and what has come back so
// far. Created and used on the client's thread only.
#pragma once

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "models/openai_client.h"
#include "models/openai_wire.h"
#include "models/sse_parser.h"

namespace sluice {

struct ExchangeOptions {
  std::int64_t timeout_ms = 0;
  std::string idempotency_key;
};

class HttpExchange {
 public:
  // `on_event`: data of stream events, when the call asks for a stream.
  HttpExchange(const OpenAiOptions& options, OpenAiCall call, const ExchangeOptions& settings,
               std::function<void(std::string_view)> on_event);
  ~HttpExchange();
  HttpExchange(const HttpExchange&) = delete;
  HttpExchange& operator=(const HttpExchange&) = delete;

  CURL* handle() const { return handle_; }
  // After the transfer: the error of the transport or of the status; nothing when it is a 200.
  std::optional<Error> failure(CURLcode code) const;
  const std::string& body() const { return body_; }
  bool streamed() const { return streaming_; }

 private:
  static std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* self);
  std::size_t take(std::string_view bytes);
  Error transport_error(CURLcode code) const;

  const OpenAiOptions& options_;
  OpenAiCall call_;
  std::int64_t timeout_ms_;
  CURL* handle_;
  curl_slist* headers_ = nullptr;
  std::string url_;
  std::string body_;
  std::uint64_t received_ = 0;
  bool too_large_ = false;
  bool streaming_ = false;  // this reply is a stream of events
  SseParser events_;
};

}  // namespace sluice
