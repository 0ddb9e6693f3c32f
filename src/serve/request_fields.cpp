#include "serve/request_fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/ids.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr std::size_t kMostUnknownName = 80;

std::string unknown_field(const std::string& path) {
  return fmt::format("there is no parameter `{}`", path);
}

}  // namespace

void RequestProblem::say(std::string path, std::string message, std::string code) {
  if (first_) return;
  first_ =
      ApiError{.message = std::move(message), .param = std::move(path), .code = std::move(code)};
}

RequestFields::RequestFields(const Value& value, std::string path, RequestProblem& problem)
    : value_(&value), path_(std::move(path)), problem_(&problem) {
  if (value.is_object()) return;
  problem.say(path_,
              fmt::format("{} must be an object, and is {}",
                          path_.empty() ? "the request's body" : fmt::format("`{}`", path_),
                          kind_with_article(value.kind())),
              "invalid_type");
}

std::string RequestFields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void RequestFields::wrong(std::string_view name, std::string message, std::string code) {
  problem_->say(path_of(name), std::move(message), std::move(code));
}

void RequestFields::wrong_type(std::string_view name, std::string_view wanted, const Value& found) {
  wrong(name,
        fmt::format("`{}` must be {}, and is {}", path_of(name), wanted,
                    kind_with_article(found.kind())),
        "invalid_type");
}

const Value* RequestFields::find(std::string_view name) {
  known_.push_back(name);
  const Value* found = value_->find(name);
  return found != nullptr && !found->is_null() ? found : nullptr;
}

std::optional<bool> RequestFields::boolean(std::string_view name) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_bool()) return found->as_bool();
  wrong_type(name, "true or false", *found);
  return std::nullopt;
}

std::optional<std::int64_t> RequestFields::integer(std::string_view name, std::int64_t least,
                                                   std::int64_t most) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_int() && found->kind() != Value::Kind::kBigInt) {
    wrong_type(name, "an integer", *found);
    return std::nullopt;
  }
  if (found->is_int() && found->as_int() >= least && found->as_int() <= most) {
    return found->as_int();
  }
  wrong(name, fmt::format("`{}` must be from {} to {}, and is {}", path_of(name), least, most,
                          preview(*found, 40)));
  return std::nullopt;
}

std::optional<double> RequestFields::number(std::string_view name, double least, double most) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_number()) {
    wrong_type(name, "a number", *found);
    return std::nullopt;
  }
  const double value = found->as_double();
  if (value >= least && value <= most) return value;
  wrong(name, fmt::format("`{}` must be from {} to {}, and is {}", path_of(name), least, most,
                          preview(*found, 40)));
  return std::nullopt;
}

std::optional<std::string> RequestFields::text(std::string_view name, std::size_t most_bytes) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) {
    wrong_type(name, "a string", *found);
    return std::nullopt;
  }
  if (found->as_string().size() > most_bytes) {
    wrong(name, fmt::format("`{}` has {} bytes, and at most {} are taken", path_of(name),
                            found->as_string().size(), most_bytes));
    return std::nullopt;
  }
  return std::string(found->as_string());
}

std::optional<std::string> RequestFields::word(std::string_view name,
                                               std::initializer_list<std::string_view> words) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (!found->is_string()) {
    wrong_type(name, fmt::format("one of {}", fmt::join(words, ", ")), *found);
    return std::nullopt;
  }
  if (std::ranges::find(words, found->as_string()) != words.end()) {
    return std::string(found->as_string());
  }
  wrong(name, fmt::format("`{}` must be one of {}, and is {}", path_of(name),
                          fmt::join(words, ", "), preview(*found, 60)));
  return std::nullopt;
}

std::optional<RequestFields> RequestFields::object(std::string_view name) {
  const Value* found = find(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_object()) return RequestFields(*found, path_of(name), *problem_);
  wrong_type(name, "an object", *found);
  return std::nullopt;
}

void RequestFields::each(
    std::string_view name, std::size_t most,
    const std::function<void(const Value& item, const std::string& path)>& read) {
  const Value* found = find(name);
  if (found == nullptr) return;
  if (!found->is_array()) return wrong_type(name, "an array", *found);
  if (found->size() > most) {
    return wrong(name, fmt::format("`{}` has {} items, and at most {} are taken", path_of(name),
                                   found->size(), most));
  }
  std::size_t index = 0;
  for (const Value& item : found->items()) {
    if (problem_->any()) return;
    read(item, fmt::format("{}[{}]", path_of(name), index++));
  }
}

void RequestFields::require(std::string_view name) {
  if (find(name) == nullptr) {
    wrong(name, fmt::format("`{}` is missing", path_of(name)), "missing_required_parameter");
  }
}

void RequestFields::ignore(std::initializer_list<std::string_view> names) {
  known_.insert(known_.end(), names);
}

void RequestFields::refuse(std::string_view name, std::string_view why, const Value& harmless) {
  const Value* found = find(name);
  if (found == nullptr || *found == harmless) return;
  wrong(name, fmt::format("`{}` is not supported: {}", path_of(name), why),
        "unsupported_parameter");
}

void RequestFields::finish() {
  if (problem_->any() || ignores_rest_ || !value_->is_object()) return;
  for (const auto& [name, value] : value_->members()) {
    if (std::ranges::find(known_, name) != known_.end()) continue;
    const std::string shown = preview(Value::string(name), kMostUnknownName);
    const std::string close = closest_name(name, known_);
    std::string message = unknown_field(path_of(name.size() <= kMostUnknownName ? name : shown));
    if (!close.empty()) message += fmt::format("; did you mean `{}`?", path_of(close));
    return wrong(name.size() <= kMostUnknownName ? std::string_view(name) : shown,
                 std::move(message), "unknown_parameter");
  }
}

}  // namespace sluice
