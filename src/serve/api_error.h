// Errors as the OpenAI routes tell them: a status and {error: {message, type, param, code}}. Pure;
// any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

struct ApiError {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string message;
  std::string param;  // the field's path, "messages[2].content"; "" when it is about none
  std::string code;
  std::optional<std::int64_t> retry_after_ms;
};

template <class T>
using ApiResult = std::expected<T, ApiError>;

// What an error of ours means to a client. `prompt_field` is named where it is about the prompt.
ApiError api_error(const Error& error, std::string_view prompt_field);
ApiError going_down();
// {"error": {...}}
Value error_value(const ApiError& error);
std::string error_body(const ApiError& error);
// Whole seconds for the header Retry-After, rounded up, at least 1.
std::int64_t retry_after_seconds(std::int64_t ms);

}  // namespace sluice
