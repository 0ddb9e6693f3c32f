#include "serve/api_error.h"

#include <algorithm>
#include <cctype>

#include "data/json.h"

namespace sluice {
namespace {

struct Kind {
  int status;
  std::string_view type;
};

Kind kind_of(const Error& error) {
  constexpr std::string_view kRequest = "invalid_request_error";
  constexpr std::string_view kServer = "server_error";
  switch (error.code()) {
    case ErrorCode::kModelOverloaded:
    case ErrorCode::kRateLimited:
      return {429, "rate_limit_error"};
    case ErrorCode::kModelUnknown:
      return {404, kRequest};
    case ErrorCode::kTimeout:
      return {504, kServer};
    case ErrorCode::kCancelled:  // nobody cancels a request but its client, who is gone, and we
    case ErrorCode::kInterrupted:
      return {503, kServer};
    case ErrorCode::kModelAuth:  // our key at the server behind us, not the client's
    case ErrorCode::kModelUnreachable:
    case ErrorCode::kModelFailed:
      return {502, kServer};
    case ErrorCode::kOutputInvalid:  // the model's fault, though it came from outside
    case ErrorCode::kOutputTruncated:
      return {500, kServer};
    case ErrorCode::kJsonInvalid:
    case ErrorCode::kUtf8Invalid:
      return {400, kRequest};
    default:
      break;
  }
  switch (error.klass()) {
    case ErrorClass::kUser:
    case ErrorClass::kPlan:
      return {400, kRequest};
    case ErrorClass::kExternal:
      return {502, kServer};
    default:
      return {500, kServer};
  }
}

std::string code_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kPromptTooLong:
      return "context_length_exceeded";  // as OpenAI calls it: clients look for these
    case ErrorCode::kRateLimited:
      return "rate_limit_exceeded";
    case ErrorCode::kModelUnknown:
      return "model_not_found";
    default:
      break;
  }
  std::string code(error.name());
  std::ranges::transform(code, code.begin(), [](unsigned char c) { return std::tolower(c); });
  return code;
}

// Messages quote what clients sent, whole or cut off: bytes that are no UTF-8 become U+FFFD.
Value shown(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t good = utf8_valid_prefix(text);
    out += text.substr(0, good);
    if (good == text.size()) return Value::string(out);
    out += "\xEF\xBF\xBD";
    text.remove_prefix(good + 1);
  }
}

Value text_or_null(const std::string& text) { return text.empty() ? Value() : shown(text); }

}  // namespace

ApiError api_error(const Error& error, std::string_view prompt_field) {
  const Kind kind = kind_of(error);
  ApiError out{.status = kind.status,
               .type = std::string(kind.type),
               .message = error.message(),
               .code = code_of(error),
               .retry_after_ms = error.retry_after_ms()};
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    out.message += ": " + cause->message();
  }
  if (error.code() == ErrorCode::kPromptTooLong) out.param = prompt_field;
  if (kind.status == 429 && !out.retry_after_ms) out.retry_after_ms = 1000;
  return out;
}

ApiError going_down() {
  return {.status = 503,
          .type = "server_error",
          .message = "the server is going down",
          .code = "shutting_down",
          .retry_after_ms = 1000};
}

Value error_value(const ApiError& error) {
  return Value::object({{"error", Value::object({{"message", shown(error.message)},
                                                 {"type", shown(error.type)},
                                                 {"param", text_or_null(error.param)},
                                                 {"code", text_or_null(error.code)}})}});
}

std::string error_body(const ApiError& error) {
  return to_json(error_value(error), {.indent = 0, .redact_secrets = false});
}

std::int64_t retry_after_seconds(std::int64_t ms) {
  return std::max<std::int64_t>(1, (ms + 999) / 1000);
}

}  // namespace sluice
