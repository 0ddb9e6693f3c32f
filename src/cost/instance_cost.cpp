#include "cost/instance_cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

// Every number of Parts that JSON carries, by its name there.
struct NamedNumber {
  const char* name;
  double InstanceCost::Parts::* member;
};
constexpr NamedNumber kNumbers[] = {
    {"decode_cell_s", &InstanceCost::Parts::decode_cell_s},
    {"prefill_cell_s", &InstanceCost::Parts::prefill_cell_s},
    {"shared_cell_s", &InstanceCost::Parts::shared_cell_s},
    {"idle_cell_s", &InstanceCost::Parts::idle_cell_s},
    {"copy_out_s", &InstanceCost::Parts::copy_out_s},
    {"copy_out_cell_s", &InstanceCost::Parts::copy_out_cell_s},
    {"copy_in_s", &InstanceCost::Parts::copy_in_s},
    {"copy_in_cell_s", &InstanceCost::Parts::copy_in_cell_s},
};

std::unexpected<Error> invalid(std::string what) {
  return std::unexpected(
      Error(ErrorCode::kValueInvalid,
            "the cost of an instance: " + std::move(what) + "; measure it again"));
}

bool fits_32(const Value* value) {
  return value && value->is_int() && value->as_int() >= 0 && value->as_int() <= UINT32_MAX;
}

Result<std::vector<InstanceCost::CurvePoint>> read_curve(const Value* curve) {
  if (!curve || !curve->is_array()) return invalid("`curve` is a list of [tokens, seconds]");
  std::vector<InstanceCost::CurvePoint> points;
  for (const Value& item : curve->items()) {
    bool pair = item.is_array() && item.size() == 2 && fits_32(&item.items()[0]) &&
                item.items()[1].is_number();
    if (!pair) return invalid("each point of `curve` is [tokens, seconds]");
    points.push_back({.tokens = static_cast<std::uint32_t>(item.items()[0].as_int()),
                      .seconds = item.items()[1].as_double()});
  }
  return points;
}

}  // namespace

std::uint64_t chunk_cells(std::uint64_t depth, std::uint64_t tokens) {
  return tokens * depth + tokens * (tokens + 1) / 2;
}

InstanceCost::InstanceCost(Parts parts) : parts_(std::move(parts)) {}

// SmolLM2-135M on two cores with our attention kernel: 8.7 ms for one sequence at depth 0, 52 ms
// for 16 of them at depth 256, 0.70 s for a prompt of 512 tokens, 2.9 ms a token at depth 4,096;
// 23 KB a cell, copied at about 2.5 GB/s.
InstanceCost InstanceCost::defaults() {
  Parts parts;
  parts.curve = {{1, 0.0087},  {2, 0.0112},  {4, 0.0165},  {8, 0.0270},  {16, 0.0460},
                 {32, 0.0530}, {64, 0.0940}, {128, 0.176}, {256, 0.334}, {512, 0.650}};
  parts.decode_cell_s = 1.1e-6;
  parts.prefill_cell_s = 3.75e-7;
  parts.shared_cell_s = 4e-7;
  parts.idle_cell_s = 1e-9;
  parts.copy_out_s = 3e-4;
  parts.copy_out_cell_s = 9.5e-6;
  parts.copy_in_s = 3e-4;
  parts.copy_in_cell_s = 9.5e-6;
  parts.cell_bytes = 23'040;
  return InstanceCost(std::move(parts));
}

Result<InstanceCost> InstanceCost::make(Parts parts) {
  if (parts.curve.empty()) return invalid("it has no measured batch");
  double seconds = 0;
  std::uint32_t tokens = 0;
  for (const CurvePoint& point : parts.curve) {
    if (point.tokens <= tokens) return invalid("the batches are not in rising order of tokens");
    if (!std::isfinite(point.seconds) || point.seconds <= seconds) {
      return invalid(fmt::format("a batch of {} tokens takes {} s, no longer than a smaller one",
                                 point.tokens, point.seconds));
    }
    tokens = point.tokens;
    seconds = point.seconds;
  }
  for (const NamedNumber& number : kNumbers) {
    double value = parts.*number.member;
    if (!std::isfinite(value) || value < 0) {
      return invalid(fmt::format("`{}` is {}", number.name, value));
    }
  }
  return InstanceCost(std::move(parts));
}

Result<InstanceCost> InstanceCost::from_json(const Value& json) {
  if (!json.is_object()) return invalid("it is not an object");
  auto curve = read_curve(json.find("curve"));
  if (!curve) return std::unexpected(curve.error());
  Parts parts;
  parts.curve = std::move(*curve);
  for (const NamedNumber& number : kNumbers) {
    const Value* value = json.find(number.name);
    if (!value || !value->is_number()) {
      return invalid(fmt::format("`{}` is not a number", number.name));
    }
    parts.*number.member = value->as_double();
  }
  const Value* bytes = json.find("cell_bytes");
  if (!fits_32(bytes)) return invalid("`cell_bytes` is not a number of bytes");
  parts.cell_bytes = static_cast<std::uint32_t>(bytes->as_int());
  const Value* machine = json.find("measured_on");
  if (!machine || !machine->is_string()) return invalid("`measured_on` is not a text");
  parts.measured_on = machine->as_string();
  return make(std::move(parts));
}

Value InstanceCost::to_json() const {
  std::vector<Value> curve;
  for (const CurvePoint& point : parts_.curve) {
    curve.push_back(Value::array({Value::integer(point.tokens), Value::number(point.seconds)}));
  }
  std::vector<Value::Member> members;
  members.emplace_back("curve", Value::array(std::move(curve)));
  for (const NamedNumber& number : kNumbers) {
    members.emplace_back(number.name, Value::number(parts_.*number.member));
  }
  members.emplace_back("cell_bytes", Value::integer(parts_.cell_bytes));
  members.emplace_back("measured_on", Value::string(parts_.measured_on));
  return Value::object(std::move(members));
}

// Straight between the measured points; a batch smaller than the first costs as much as it (the
// weights are read once in any case), one beyond the last grows as the last two points do.
double InstanceCost::curve_s(double tokens) const {
  if (tokens <= 0) return 0;
  const auto& curve = parts_.curve;
  if (tokens <= curve.front().tokens) return curve.front().seconds;
  if (curve.size() == 1) return curve.front().seconds * tokens / curve.front().tokens;
  std::size_t at = 1;
  while (at + 1 < curve.size() && curve[at].tokens < tokens) ++at;
  const CurvePoint& low = curve[at - 1];
  const CurvePoint& high = curve[at];
  double slope = (high.seconds - low.seconds) / (high.tokens - low.tokens);
  return low.seconds + slope * (tokens - low.tokens);
}

double InstanceCost::batch_s(const BatchShape& shape) const {
  auto shared = static_cast<double>(std::min(shape.shared_cells, shape.decode_cells));
  double own = static_cast<double>(shape.decode_cells) - shared;
  return curve_s(static_cast<double>(shape.decode_tokens) + shape.prefill_tokens) +
         parts_.decode_cell_s * own + parts_.shared_cell_s * shared +
         parts_.prefill_cell_s * static_cast<double>(shape.prefill_cells) +
         parts_.idle_cell_s * static_cast<double>(shape.idle_cells);
}

double InstanceCost::prefill_s(std::uint64_t depth, std::uint64_t tokens,
                               std::uint32_t chunk) const {
  chunk = std::max(chunk, 1U);
  auto whole = static_cast<double>(tokens / chunk);
  return whole * curve_s(chunk) + curve_s(static_cast<double>(tokens % chunk)) +
         parts_.prefill_cell_s * static_cast<double>(chunk_cells(depth, tokens));
}

double InstanceCost::decode_s(std::uint64_t depth, std::uint64_t tokens,
                              std::uint32_t others) const {
  double together = static_cast<double>(others) + 1;
  return static_cast<double>(tokens) * curve_s(together) +
         parts_.decode_cell_s * together * static_cast<double>(chunk_cells(depth, tokens));
}

double InstanceCost::copy_out_s(std::uint64_t cells) const {
  return cells == 0 ? 0 : parts_.copy_out_s + parts_.copy_out_cell_s * static_cast<double>(cells);
}

double InstanceCost::copy_in_s(std::uint64_t cells) const {
  return cells == 0 ? 0 : parts_.copy_in_s + parts_.copy_in_cell_s * static_cast<double>(cells);
}

std::uint32_t InstanceCost::prefill_within(const BatchShape& shape, std::uint64_t depth,
                                           double seconds, std::uint32_t most) const {
  auto fits = [&](std::uint32_t tokens) {
    BatchShape with = shape;
    with.prefill_tokens += tokens;
    with.prefill_cells += chunk_cells(depth, tokens);
    return batch_s(with) <= seconds;
  };
  if (fits(most)) return most;
  std::uint32_t low = 0;
  std::uint32_t high = most;  // does not fit
  while (high - low > 1) {
    std::uint32_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace sluice
