#include "cost/step_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// Every part of StepStatistics by its name in JSON.
struct NamedCount {
  const char* name;
  std::uint64_t StepStatistics::* member;
};
constexpr NamedCount kCounts[] = {
    {"tasks", &StepStatistics::tasks},           {"failed", &StepStatistics::failed},
    {"conditions", &StepStatistics::conditions}, {"held", &StepStatistics::held},
    {"calls", &StepStatistics::calls},           {"equal_calls", &StepStatistics::equal_calls},
    {"cached", &StepStatistics::cached},         {"shared_tokens", &StepStatistics::shared_tokens},
};

struct NamedSketch {
  const char* name;
  QuantileSketch StepStatistics::* member;
};
constexpr NamedSketch kSketches[] = {
    {"seconds", &StepStatistics::seconds},
    {"prompt_tokens", &StepStatistics::prompt_tokens},
    {"completion_tokens", &StepStatistics::completion_tokens},
    {"items", &StepStatistics::items},
};

std::unexpected<Error> invalid(const char* name) {
  return fail(ErrorCode::kValueInvalid,
              std::string("the statistics of a step: `") + name + "` is not what it should be");
}

}  // namespace

void StepStatistics::merge(const StepStatistics& other) {
  for (const NamedCount& count : kCounts) {
    std::uint64_t& own = this->*count.member;
    const std::uint64_t more = other.*count.member;
    own += std::min(more, std::numeric_limits<std::uint64_t>::max() - own);
  }
  for (const NamedSketch& sketch : kSketches) (this->*sketch.member).merge(other.*sketch.member);
  usd += other.usd;
}

void StepStatistics::age() {
  for (const NamedCount& count : kCounts) this->*count.member /= 2;
  for (const NamedSketch& sketch : kSketches) (this->*sketch.member).age();
  usd /= 2;
}

// What is zero is not written: most steps have few of these.
Value StepStatistics::to_json() const {
  std::vector<Value::Member> members;
  for (const NamedCount& count : kCounts) {
    const std::uint64_t value =
        std::min<std::uint64_t>(this->*count.member, std::numeric_limits<std::int64_t>::max());
    if (value > 0) {
      members.emplace_back(count.name, Value::integer(static_cast<std::int64_t>(value)));
    }
  }
  for (const NamedSketch& sketch : kSketches) {
    const QuantileSketch& own = this->*sketch.member;
    if (own.count() > 0) members.emplace_back(sketch.name, own.to_json());
  }
  if (usd > 0) members.emplace_back("usd", Value::number(usd));
  return Value::object(std::move(members));
}

Result<StepStatistics> StepStatistics::from_json(const Value& json) {
  if (!json.is_object()) return invalid("(all)");
  StepStatistics made;
  for (const NamedCount& count : kCounts) {
    const Value* value = json.find(count.name);
    if (value == nullptr) continue;
    if (!value->is_int() || value->as_int() < 0) return invalid(count.name);
    made.*count.member = static_cast<std::uint64_t>(value->as_int());
  }
  for (const NamedSketch& sketch : kSketches) {
    const Value* value = json.find(sketch.name);
    if (value == nullptr) continue;
    auto read = QuantileSketch::from_json(*value);
    if (!read) return std::unexpected(read.error());
    made.*sketch.member = std::move(*read);
  }
  if (const Value* usd = json.find("usd"); usd != nullptr) {
    if (!usd->is_number() || !std::isfinite(usd->as_double()) || usd->as_double() < 0) {
      return invalid("usd");
    }
    made.usd = usd->as_double();
  }
  return made;
}

}  // namespace sluice
