#include "base/error.h"

#include <array>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

constexpr ErrorCodeInfo kTable[] = {
#define SLUICE_ERROR(enumerator, name, number, klass, retryable, summary) \
  {ErrorCode::enumerator, name, ErrorClass::klass, retryable, summary},
#include "base/error_codes.def"
#undef SLUICE_ERROR
};
constexpr std::size_t kRows = std::size(kTable);

consteval std::size_t highest_number() {
  std::size_t highest = 0;
  for (const auto& row : kTable) {
    highest = std::max(highest, static_cast<std::size_t>(row.code));
  }
  return highest;
}

// Row index by number, plus one; 0 where the number is free. Building it refuses duplicates.
consteval auto rows_by_number() {
  std::array<std::uint16_t, highest_number() + 1> rows{};
  for (std::size_t i = 0; i < kRows; ++i) {
    auto& row = rows[static_cast<std::size_t>(kTable[i].code)];
    if (row != 0) throw "an error number stands twice in error_codes.def";
    row = static_cast<std::uint16_t>(i + 1);
  }
  return rows;
}
constexpr auto kRowByNumber = rows_by_number();

constexpr std::array<std::pair<ErrorClass, std::string_view>, 5> kClassNames = {{
    {ErrorClass::kUser, "user"},
    {ErrorClass::kPlan, "plan"},
    {ErrorClass::kExternal, "external"},
    {ErrorClass::kSystem, "system"},
    {ErrorClass::kInternal, "internal"},
}};

}  // namespace

const ErrorCodeInfo& error_code_info(ErrorCode code) {
  auto number = static_cast<std::size_t>(code);
  std::uint16_t row = number < kRowByNumber.size() ? kRowByNumber[number] : 0;
  // A number that we do not have can only come from a newer journal: treat it as our own fault.
  if (row == 0) row = kRowByNumber[static_cast<std::size_t>(ErrorCode::kInternal)];
  return kTable[row - 1];
}

std::optional<ErrorCode> error_code_from_name(std::string_view name) {
  static const auto* const by_name = [] {
    auto* map = new std::unordered_map<std::string_view, ErrorCode>;
    for (const auto& row : kTable) map->emplace(row.name, row.code);
    return map;
  }();
  auto found = by_name->find(name);
  if (found == by_name->end()) return std::nullopt;
  return found->second;
}

std::span<const ErrorCodeInfo> error_codes() { return kTable; }

std::string_view error_class_name(ErrorClass klass) {
  for (const auto& [value, name] : kClassNames) {
    if (value == klass) return name;
  }
  return "internal";
}

std::optional<ErrorClass> error_class_from_name(std::string_view name) {
  for (const auto& [value, text] : kClassNames) {
    if (text == name) return value;
  }
  return std::nullopt;
}

Error::Error(ErrorCode code, std::string message, SourcePos pos)
    : body_(std::make_shared<const Body>(Body{code, std::move(message), pos, nullptr, {}})) {}

Error Error::with_cause(Error cause) const {
  Body body = *body_;
  body.cause = std::make_shared<const Error>(std::move(cause));
  Error copy = *this;
  copy.body_ = std::make_shared<const Body>(std::move(body));
  return copy;
}

Error Error::with_pos(SourcePos pos) const {
  Body body = *body_;
  body.pos = pos;
  Error copy = *this;
  copy.body_ = std::make_shared<const Body>(std::move(body));
  return copy;
}

Error Error::with_retry_after_ms(std::int64_t ms) const {
  Body body = *body_;
  body.retry_after_ms = ms;
  Error copy = *this;
  copy.body_ = std::make_shared<const Body>(std::move(body));
  return copy;
}

std::string Error::to_string() const {
  std::string text(name());
  for (const Error* error = this; error != nullptr; error = error->cause()) {
    text += ": ";
    text += error->message();
  }
  // One line: log readers and terminals cut at the first break.
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

}  // namespace sluice
