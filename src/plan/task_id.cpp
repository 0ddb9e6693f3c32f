#include "plan/task_id.h"

#include <charconv>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

// A number without sign or leading zeros from the front of `text`.
template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  if (text.empty() || (text[0] == '0' && text.size() > 1 && text[1] >= '0' && text[1] <= '9')) {
    return std::nullopt;
  }
  Number number = 0;
  auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  return number;
}

std::optional<TaskId::Part> parse_part(std::string_view text) {
  TaskId::Part part;
  std::size_t end = text.find_first_of("[#");
  part.step = std::string(text.substr(0, end));
  if (!valid_id(part.step)) return std::nullopt;
  text.remove_prefix(part.step.size());
  if (text.starts_with('[')) {
    text.remove_prefix(1);
    part.item = take_number<std::uint64_t>(text);
    if (!part.item || !text.starts_with(']')) return std::nullopt;
    text.remove_prefix(1);
  }
  if (text.starts_with('#')) {
    text.remove_prefix(1);
    part.iteration = take_number<std::uint32_t>(text);
    if (!part.iteration || *part.iteration == 0) return std::nullopt;
  }
  return text.empty() ? std::optional(part) : std::nullopt;
}

}  // namespace

std::string TaskId::to_string() const {
  std::string text;
  for (const Part& part : parts) {
    if (!text.empty()) text += '/';
    text += part.step;
    if (part.item) fmt::format_to(std::back_inserter(text), "[{}]", *part.item);
    if (part.iteration) fmt::format_to(std::back_inserter(text), "#{}", *part.iteration);
  }
  return text;
}

std::string task_name(std::string_view step, std::optional<std::uint64_t> item) {
  constexpr std::string_view kPlace = "[]";
  std::string name(step);
  const std::size_t at = name.find(kPlace);
  const std::string number = item ? fmt::format("[{}]", *item) : "";
  if (at == std::string::npos) return name + number;
  return name.replace(at, kPlace.size(), number);
}

Result<TaskId> TaskId::parse(std::string_view text) {
  TaskId id;
  std::string_view rest = text;
  for (;;) {
    std::size_t slash = rest.find('/');
    std::optional<Part> part = parse_part(rest.substr(0, slash));
    if (!part) {
      return fail(ErrorCode::kValueInvalid,
                  fmt::format("a task is named like entry[7] or per_row[3]/ask, not {}",
                              text.empty() ? "nothing" : shown(text)));
    }
    id.parts.push_back(std::move(*part));
    if (slash == std::string_view::npos) return id;
    rest.remove_prefix(slash + 1);
  }
}

std::string idempotency_key(std::string_view origin_run, const TaskId& task) {
  return Hasher().field(origin_run).field(task.to_string()).finish().hex().substr(0, 32);
}

}  // namespace sluice
