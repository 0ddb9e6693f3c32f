#include "host/runs/run_header.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>

#include "runtime/run_fork.h"

namespace sluice {
namespace {

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value::string("")); }

std::string text_member(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

Value encode_batch(const BatchExtent& batch) {
  std::vector<Value::Member> members = {
      {"rows", Value::integer(static_cast<std::int64_t>(batch.rows))}};
  auto bound = [&members](std::string_view key, const std::optional<double>& number) {
    if (number) members.emplace_back(key, Value::number(*number));
  };
  bound("tokens", batch.budget.tokens);
  bound("usd", batch.budget.usd);
  bound("seconds", batch.budget.seconds);
  return Value::object(std::move(members));
}

BatchExtent decode_batch(const Value& value) {
  BatchExtent batch;
  const Value* rows = value.find("rows");
  if (rows != nullptr && rows->is_int() && rows->as_int() > 0) {
    batch.rows = static_cast<std::uint64_t>(rows->as_int());
  }
  auto bound = [&value](std::string_view key) -> std::optional<double> {
    const Value* number = value.find(key);
    if (number == nullptr || !number->is_number()) return std::nullopt;
    return number->as_double();
  };
  batch.budget = {bound("tokens"), bound("usd"), bound("seconds")};
  return batch;
}

}  // namespace

Value encode_surroundings(const RunSurroundings& surroundings) {
  std::vector<Value> models;
  for (const RunModel& model : surroundings.models) {
    models.push_back(Value::object(
        {{"id", text(model.id)}, {"identity", text(model.identity)}, {"what", text(model.what)}}));
  }
  std::vector<Value::Member> members = {
      {"work_dir", text(surroundings.work_dir)},
      {"default_model", text(surroundings.default_model)},
      {"default_model_name", text(surroundings.default_model_name)},
      {"models", Value::array(std::move(models))},
      {"isolated_code", Value::boolean(surroundings.isolated_code)},
      {"seed", text(std::to_string(surroundings.seed))},
  };
  if (surroundings.optimized) {
    std::vector<Value> without;
    for (const std::string& pass : surroundings.without_passes) without.push_back(text(pass));
    std::vector<Value::Member> optimizer{{"without", Value::array(std::move(without))}};
    if (surroundings.notes) optimizer.emplace_back("notes", encode_notes(*surroundings.notes));
    members.emplace_back("optimizer", Value::object(std::move(optimizer)));
  }
  if (!surroundings.inputs.empty()) {
    members.emplace_back("inputs", encode_inputs(surroundings.inputs));
  }
  if (surroundings.batch) members.emplace_back("batch", encode_batch(*surroundings.batch));
  for (auto& bound : encode_fork_bounds(surroundings.fork)) members.push_back(std::move(bound));
  return Value::object(std::move(members));
}

Result<RunSurroundings> decode_surroundings(const Value& settings) {
  auto fork = read_fork_bounds(settings);
  if (!fork) return std::unexpected(fork.error());
  RunSurroundings surroundings;
  surroundings.fork = *fork;
  surroundings.work_dir = text_member(settings, "work_dir");
  surroundings.default_model = text_member(settings, "default_model");
  surroundings.default_model_name = text_member(settings, "default_model_name");
  const Value* isolated = settings.find("isolated_code");
  surroundings.isolated_code = isolated == nullptr || !isolated->is_bool() || isolated->as_bool();
  const std::string seed = text_member(settings, "seed");
  std::from_chars(seed.data(), seed.data() + seed.size(), surroundings.seed);
  if (const Value* optimizer = settings.find("optimizer")) {
    surroundings.optimized = true;
    surroundings.notes = decode_notes(optimizer->find("notes"));
    const Value* without = optimizer->find("without");
    if (without != nullptr && without->is_array()) {
      for (const Value& pass : without->items()) {
        if (pass.is_string()) surroundings.without_passes.emplace_back(pass.as_string());
      }
    }
  }
  surroundings.inputs = decode_inputs(settings.find("inputs"));
  if (const Value* batch = settings.find("batch")) surroundings.batch = decode_batch(*batch);
  const Value* models = settings.find("models");
  if (models == nullptr || !models->is_array()) return surroundings;
  for (const Value& model : models->items()) {
    surroundings.models.push_back(
        {text_member(model, "id"), text_member(model, "identity"), text_member(model, "what")});
  }
  return surroundings;
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
