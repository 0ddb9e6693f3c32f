#include "data/schema/evaluation.h"

#include <fmt/format.h>

#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

constexpr std::size_t kMaxValueDepth = 512;
// Of values and of schemas that refer to schemas, together: bounds the use of the stack.
constexpr int kMaxFrames = 1536;
// Remembering costs more than it saves until a schema is seen to multiply its own work.
constexpr std::uint64_t kVisitsBeforeMemory = 20'000;

}  // namespace

bool Evaluation::run(const Value& value) {
  bool valid = check(0, value) && !too_deep_;
  if (!valid && violations_.empty() && max_violations_ > 0) {
    quiet_ = 0;
    add("", too_deep_ ? fmt::format("is nested too deep to be checked (more than {} levels)",
                                    kMaxValueDepth)
                      : "does not fit the schema");
  }
  return valid;
}

bool Evaluation::check(NodeIndex index, const Value& value) {
  if (stopped_) return false;
  const Node& node = graph_.nodes[index];
  if (node.never) {
    return refuse(node.pointer, [] { return "is not allowed here"; });
  }
  if (node.keywords.empty()) return true;
  if (frames_ >= kMaxFrames || path_.size() > kMaxValueDepth) {
    too_deep_ = stopped_ = true;
    return false;
  }
  ++frames_;
  bool valid = node.shared ? check_shared(index, value) : check_keywords(node, value);
  --frames_;
  return valid;
}

bool Evaluation::check_keywords(const Node& node, const Value& value) {
  bool valid = true;
  for (const auto& keyword : node.keywords) {
    if (keyword->check(value, *this)) continue;
    valid = false;
    if (finished()) break;
  }
  return valid;
}

// Each pair of node and value is worked out once: without this, a few schemas that refer to each
// other twice would double the work at every level.
bool Evaluation::check_shared(NodeIndex index, const Value& value) {
  const Node& node = graph_.nodes[index];
  if (++shared_visits_ < kVisitsBeforeMemory) return check_keywords(node, value);
  auto found = seen_.find({index, &value});
  if (found != seen_.end()) {
    if (found->second == Answer::kYes) return true;
    // A "no" found quietly has given no reasons, so it is only an answer while we are quiet.
    if (found->second == Answer::kReportedNo || !collecting()) return false;
  }
  bool valid = check_keywords(node, value);
  if (stopped_) return valid;
  seen_[{index, &value}] = valid          ? Answer::kYes
                           : collecting() ? Answer::kReportedNo
                                          : Answer::kQuietNo;
  return valid;
}

bool Evaluation::check_quietly(NodeIndex node, const Value& value) {
  ++quiet_;
  bool valid = check(node, value);
  --quiet_;
  return valid;
}

bool Evaluation::descend(NodeIndex node, const Value& value, const Step& step) {
  path_.push_back(step);
  bool valid = check(node, value);
  path_.pop_back();
  return valid;
}

bool Evaluation::check_item(NodeIndex node, const Value& item, std::size_t index) {
  return descend(node, item, {{}, index, true});
}

bool Evaluation::check_item_quietly(NodeIndex node, const Value& item) {
  ++quiet_;
  bool valid = descend(node, item, {});
  --quiet_;
  return valid;
}

bool Evaluation::check_member(NodeIndex node, const Value& member, std::string_view name) {
  return descend(node, member, {name, 0, false});
}

bool Evaluation::check_name(NodeIndex node, std::string_view name) {
  names_.push_back(Value::string(name));
  ++quiet_;
  bool valid = descend(node, names_.back(), {});
  --quiet_;
  return valid;
}

void Evaluation::add(const std::string& pointer, std::string message) {
  if (violations_.size() >= max_violations_) return;
  SchemaViolation violation{"", pointer, std::move(message)};
  for (const auto& step : path_) {
    violation.instance_pointer += '/';
    violation.instance_pointer +=
        step.is_index ? std::to_string(step.index) : escape_pointer_token(step.name);
  }
  for (const auto& known : violations_) {
    if (known.instance_pointer == violation.instance_pointer &&
        known.schema_pointer == violation.schema_pointer) {
      return;
    }
  }
  violations_.push_back(std::move(violation));
  if (violations_.size() == max_violations_) stopped_ = true;
}

}  // namespace sluice::json_schema
