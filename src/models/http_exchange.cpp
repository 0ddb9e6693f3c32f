#include "models/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {

HttpExchange::HttpExchange(const OpenAiOptions& options, OpenAiCall call,
                           const ExchangeOptions& settings,
                           std::function<void(std::string_view)> on_event)
    : options_(options),
      call_(std::move(call)),
      timeout_ms_(settings.timeout_ms),
      handle_(curl_easy_init()),
      url_(options.url + call_.route),
      events_(std::move(on_event)) {
  auto header = [&](const std::string& line) {
    headers_ = curl_slist_append(headers_, line.c_str());
  };
  header("Content-Type: application/json");
  header(call_.stream ? "Accept: text/event-stream" : "Accept: application/json");
  header("Expect:");  // no round trip before a large body
  if (!options.key.empty()) header("Authorization: Bearer " + options.key);
  if (!settings.idempotency_key.empty()) header("Idempotency-Key: " + settings.idempotency_key);
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(handle_, option, value); };
  set(CURLOPT_URL, url_.c_str());
  set(CURLOPT_HTTPHEADER, headers_);
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDS, call_.body.data());
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call_.body.size()));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);  // a redirect would carry the key elsewhere
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(std::max<std::int64_t>(1, options.connect_timeout_ms)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<std::int64_t>(1, timeout_ms_)));
  set(CURLOPT_SSL_VERIFYPEER, options.verify_tls ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, options.verify_tls ? 2L : 0L);
  set(CURLOPT_ACCEPT_ENCODING, "");
  set(CURLOPT_USERAGENT, "sluice");
  set(CURLOPT_WRITEFUNCTION, &HttpExchange::on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
}

HttpExchange::~HttpExchange() {
  curl_easy_cleanup(handle_);
  curl_slist_free_all(headers_);
}

std::size_t HttpExchange::on_body(char* bytes, std::size_t size, std::size_t count, void* self) {
  return static_cast<HttpExchange*>(self)->take({bytes, size * count});
}

std::size_t HttpExchange::take(std::string_view bytes) {
  received_ += bytes.size();
  if (received_ > options_.max_bytes) {
    too_large_ = true;
    return 0;
  }
  if (call_.stream && body_.empty() && !streaming_) {
    long status = 0;
    const char* type = nullptr;
    curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle_, CURLINFO_CONTENT_TYPE, &type);
    streaming_ = status == 200 && type && std::string_view(type).starts_with("text/event-stream");
  }
  if (streaming_) {
    events_.push(bytes);
  } else {
    body_ += bytes;
  }
  return bytes.size();
}

Error HttpExchange::transport_error(CURLcode code) const {
  std::string_view words = curl_easy_strerror(code);
  auto unreachable = [&](std::string_view what) {
    return Error(ErrorCode::kModelUnreachable,
                 fmt::format("cannot reach the model's server at {}: {}", options_.url, what));
  };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return unreachable("its name is not known; check `url` and the network");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return unreachable("the proxy's name is not known; check HTTP_PROXY, HTTPS_PROXY, NO_PROXY");
    case CURLE_COULDNT_CONNECT:
      return unreachable(
          "nothing answers there; start the server, or check host and port of `url`");
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return unreachable(fmt::format("its TLS certificate or handshake is not good ({})", words));
    case CURLE_OPERATION_TIMEDOUT: {
      curl_off_t connected = 0;
      curl_off_t total = 0;
      curl_easy_getinfo(handle_, CURLINFO_PRETRANSFER_TIME_T, &connected);
      curl_easy_getinfo(handle_, CURLINFO_TOTAL_TIME_T, &total);
      if (connected == 0 && total / 1000 < timeout_ms_) {
        return unreachable(fmt::format("no connection within {} ms", options_.connect_timeout_ms));
      }
      return {ErrorCode::kTimeout,
              fmt::format("the model at {} took longer than the timeout of {} ms", options_.url,
                          timeout_ms_)};
    }
    default:
      return {ErrorCode::kModelFailed,
              fmt::format("the connection to {} broke in the middle of the answer ({})",
                          options_.url, words)};
  }
}

std::optional<Error> HttpExchange::failure(CURLcode code) const {
  if (too_large_) {
    return Error(ErrorCode::kModelFailed, fmt::format("{} sent more than the limit of {} bytes",
                                                      options_.url, options_.max_bytes));
  }
  if (code != CURLE_OK) return transport_error(code);
  long status = 0;
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  if (status == 200) return std::nullopt;
  curl_off_t seconds = 0;
  curl_easy_getinfo(handle_, CURLINFO_RETRY_AFTER, &seconds);
  std::optional<std::int64_t> retry_after_ms;
  if (seconds > 0) retry_after_ms = static_cast<std::int64_t>(seconds) * 1000;
  return openai_error(status, body_, options_, retry_after_ms);
}

}  // namespace sluice
