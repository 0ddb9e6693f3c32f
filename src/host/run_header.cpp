#include "host/run_header.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "plan/parse.h"
#include "plan/physical_codec.h"

namespace sluice {
namespace {

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value::string("")); }

std::string text_member(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

void read_number(const Value& value, std::string_view key, std::uint64_t& number) {
  const std::string digits = text_member(value, key);
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
}

}  // namespace

Value encode_surroundings(const RunSurroundings& surroundings) {
  std::vector<Value> models;
  for (const RunModel& model : surroundings.models) {
    models.push_back(Value::object(
        {{"id", text(model.id)}, {"identity", text(model.identity)}, {"what", text(model.what)}}));
  }
  return Value::object({
      {"work_dir", text(surroundings.work_dir)},
      {"default_model", text(surroundings.default_model)},
      {"default_model_name", text(surroundings.default_model_name)},
      {"models", Value::array(std::move(models))},
      {"isolated_code", Value::boolean(surroundings.isolated_code)},
      {"seed", text(std::to_string(surroundings.seed))},
      {"fork_first", text(std::to_string(surroundings.fork_first))},
      {"fork_last", text(std::to_string(surroundings.fork_last))},
  });
}

Result<RunSurroundings> decode_surroundings(const Value& settings) {
  if (!settings.is_object()) {
    return fail(ErrorCode::kJournalDamaged, "the run's header has no settings");
  }
  RunSurroundings surroundings;
  surroundings.work_dir = text_member(settings, "work_dir");
  surroundings.default_model = text_member(settings, "default_model");
  surroundings.default_model_name = text_member(settings, "default_model_name");
  const Value* isolated = settings.find("isolated_code");
  surroundings.isolated_code = isolated == nullptr || !isolated->is_bool() || isolated->as_bool();
  read_number(settings, "seed", surroundings.seed);
  read_number(settings, "fork_first", surroundings.fork_first);
  read_number(settings, "fork_last", surroundings.fork_last);
  const Value* models = settings.find("models");
  if (models == nullptr || !models->is_array()) return surroundings;
  for (const Value& model : models->items()) {
    surroundings.models.push_back(
        {text_member(model, "id"), text_member(model, "identity"), text_member(model, "what")});
  }
  return surroundings;
}

Result<RecordedPlan> read_recorded_plan(const RunHeader& header) {
  if (header.files.empty()) {
    return fail(ErrorCode::kJournalDamaged, "the run's header has no plan");
  }
  ParseOptions options;
  options.read_file = [&header](std::string_view name) -> Result<std::string> {
    for (std::size_t i = 1; i < header.files.size(); ++i) {
      if (header.files[i].first == name) return header.files[i].second;
    }
    return fail(ErrorCode::kFileUnreadable, fmt::format("{} is not in the journal", name));
  };
  ParsedPlan parsed = parse_plan(header.files[0].second, header.files[0].first, options);
  if (parsed.plan == nullptr || parsed.diagnostics.has_errors()) {
    std::string first;
    for (const Diagnostic& finding : parsed.diagnostics.all()) {
      if (finding.severity != Severity::kError) continue;
      first = format_diagnostic(finding, {header.files[0].first});
      break;
    }
    return fail(ErrorCode::kRunChanged,
                fmt::format("this program ({}) does not take the plan that {} took: {}",
                            SLUICE_VERSION, header.program, first));
  }
  auto physical = decode_physical(header.physical, parsed.plan);
  if (!physical) return std::unexpected(physical.error());
  return RecordedPlan{parsed.plan, std::move(*physical)};
}

std::vector<std::string> changes(const RunSurroundings& before, const RunSurroundings& now) {
  std::vector<std::string> found;
  for (std::size_t i = 0; i < before.models.size() && i < now.models.size(); ++i) {
    const RunModel& old = before.models[i];
    const RunModel& other = now.models[i];
    // One that cannot be opened says so when it is asked.
    if (old.identity.empty() || other.identity.empty() || old.identity == other.identity) continue;
    found.push_back(fmt::format("model {} was {} and is now {}", old.id, old.what, other.what));
  }
  if (before.isolated_code && !now.isolated_code) {
    found.push_back("code steps ran isolated and would run without isolation now");
  }
  return found;
}

}  // namespace sluice
