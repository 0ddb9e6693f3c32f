// Errors as values. Result<T> is std::expected<T, Error>; exceptions stay inside adapters of
// third-party code. An Error is immutable once built and may be read from any thread.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

enum class ErrorClass : std::uint8_t { kUser, kPlan, kExternal, kSystem, kInternal };

enum class ErrorCode : std::uint16_t {
#define SLUICE_ERROR(enumerator, name, number, klass, retryable, summary) enumerator = (number),
#include "base/error_codes.def"
#undef SLUICE_ERROR
};

// A place in a plan's text. `file` indexes the plan's list of files (0: the plan itself).
// Lines and columns count from 1; 0 means unknown. Columns count bytes.
struct SourcePos {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  bool known() const { return line != 0; }
  friend bool operator==(const SourcePos&, const SourcePos&) = default;
};

struct ErrorCodeInfo {
  ErrorCode code;
  std::string_view name;  // "KEY_UNKNOWN"
  ErrorClass klass;
  bool retryable;            // the runtime's default for `retry`
  std::string_view summary;  // one line, no full stop
};

const ErrorCodeInfo& error_code_info(ErrorCode code);
std::span<const ErrorCodeInfo> error_codes();  // every row of the table, in its order
// By name; nullopt when there is none. Used for `retry: {on: [...]}` and by journals.
std::optional<ErrorCode> error_code_from_name(std::string_view name);
std::string_view error_class_name(ErrorClass klass);  // "external"
std::optional<ErrorClass> error_class_from_name(std::string_view name);

// What happened. `message` is one sentence without a full stop, with what to do where we know it.
// `cause` is the chain down to the tool's own words. Cheap to move (one pointer).
class Error {
 public:
  Error(ErrorCode code, std::string message, SourcePos pos = {});

  ErrorCode code() const { return body_->code; }
  std::string_view name() const { return error_code_info(code()).name; }
  ErrorClass klass() const { return error_code_info(code()).klass; }
  bool retryable() const { return error_code_info(code()).retryable; }
  const std::string& message() const { return body_->message; }
  SourcePos pos() const { return body_->pos; }
  const Error* cause() const { return body_->cause ? &*body_->cause : nullptr; }
  // How long the other side asked us to wait (Retry-After); nullopt when it did not.
  std::optional<std::int64_t> retry_after_ms() const { return body_->retry_after_ms; }

  Error with_cause(Error cause) const;
  Error with_pos(SourcePos pos) const;
  Error with_retry_after_ms(std::int64_t ms) const;
  // "NAME: message: cause message: ..." on one line.
  std::string to_string() const;

 private:
  struct Body {
    ErrorCode code;
    std::string message;
    SourcePos pos;
    std::shared_ptr<const Error> cause;
    std::optional<std::int64_t> retry_after_ms;
  };
  std::shared_ptr<const Body> body_;
};

template <class T>
using Result = std::expected<T, Error>;

// fail(ErrorCode::kIo, "cannot ...") reads better than std::unexpected(Error(...)).
inline std::unexpected<Error> fail(ErrorCode code, std::string message, SourcePos pos = {}) {
  return std::unexpected(Error(code, std::move(message), pos));
}

}  // namespace sluice
