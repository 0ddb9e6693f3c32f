#include "host/history/quality.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr double kOneSided95 = 1.6448536269514722;  // of the normal distribution
constexpr std::size_t kPreviewBytes = 160;

bool has_failed(const RowOutcome& row) { return row.error.has_value(); }

bool same(const RowOutcome& left, const RowOutcome& right) {
  return has_failed(left) == has_failed(right) && left.value == right.value;
}

// The part of the fields of either that are in both and equal.
double equal_fields(const Value& left, const Value& right) {
  std::size_t all = right.members().size();
  std::size_t equal = 0;
  for (const auto& [key, value] : left.members()) {
    const Value* other = right.find(key);
    if (other == nullptr) ++all;
    if (other != nullptr && *other == value) ++equal;
  }
  return all == 0 ? 1 : static_cast<double>(equal) / static_cast<double>(all);
}

std::string shown_result(const RowOutcome& row) {
  return row.error ? "failed: " + *row.error : preview(row.value, kPreviewBytes);
}

Value number(std::uint64_t count) { return Value::integer(static_cast<std::int64_t>(count)); }
Value text(std::string_view bytes) { return Value::from_utf8(bytes).value_or(Value::string("?")); }

std::uint64_t count_of(const Value& object, std::string_view key) {
  const Value* found = object.find(key);
  const bool good = found != nullptr && found->is_int() && found->as_int() >= 0;
  return good ? static_cast<std::uint64_t>(found->as_int()) : 0;
}

double number_of(const Value& object, std::string_view key) {
  const Value* found = object.find(key);
  return found != nullptr && found->is_number() ? found->as_double() : 0;
}

std::string text_of(const Value& object, std::string_view key) {
  const Value* found = object.find(key);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : "";
}

Value encode_side(const SideCost& side) {
  return Value::object({{"calls", number(side.calls)},
                        {"earlier", number(side.earlier)},
                        {"tokens", number(side.tokens)},
                        {"shared_tokens", number(side.shared)},
                        {"usd", Value::number(side.usd)},
                        {"seconds", Value::number(side.seconds)}});
}

SideCost decode_side(const Value* value) {
  SideCost side;
  if (value == nullptr) return side;
  side.calls = count_of(*value, "calls");
  side.earlier = count_of(*value, "earlier");
  side.tokens = count_of(*value, "tokens");
  side.shared = count_of(*value, "shared_tokens");
  side.usd = number_of(*value, "usd");
  side.seconds = number_of(*value, "seconds");
  return side;
}

void collect_allowed(const Plan& plan, std::set<std::string, std::less<>>& into) {
  for (const Located<std::string>& name : plan.allow) into.insert(name.value);
  for (const auto& [id, inner] : plan.plans) {
    if (inner) collect_allowed(*inner, into);
  }
}

PassClass class_of(std::string_view name) {
  for (const PassInfo& pass : optimizer_passes()) {
    if (pass.name == name) return pass.kind;
  }
  return PassClass::kExact;
}

}  // namespace

double Agreement::share() const {
  return rows == 0 ? 0 : static_cast<double>(equal) / static_cast<double>(rows);
}

double Agreement::at_least() const { return wilson_lower(equal, rows); }

std::optional<double> Agreement::field_share() const {
  if (objects == 0) return std::nullopt;
  return equal_fields / static_cast<double>(objects);
}

double wilson_lower(std::uint64_t good, std::uint64_t all) {
  if (all == 0 || good == 0) return 0;
  const auto n = static_cast<double>(all);
  const double p = static_cast<double>(std::min(good, all)) / n;
  const double z2 = kOneSided95 * kOneSided95;
  const double middle = p + z2 / (2 * n);
  const double spread = kOneSided95 * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return std::max(0.0, (middle - spread) / (1 + z2 / n));
}

std::vector<std::uint64_t> spread_rows(std::uint64_t all, std::uint64_t count, std::uint64_t seed) {
  count = std::min(all, count);
  std::vector<std::uint64_t> rows;
  rows.reserve(count);
  if (count == 0) return rows;
  Random random(seed);
  // The first row of a stretch; nothing overflows.
  auto begin = [&](std::uint64_t i) { return i * (all / count) + i * (all % count) / count; };
  for (std::uint64_t i = 0; i < count; ++i) {
    rows.push_back(begin(i) + random.below(begin(i + 1) - begin(i)));
  }
  return rows;
}

Agreement compare_rows(std::span<const RowOutcome> exact, std::span<const RowOutcome> allowed,
                       std::span<const std::uint64_t> numbers) {
  Agreement made;
  const std::size_t count = std::min({exact.size(), allowed.size(), numbers.size()});
  for (std::size_t i = 0; i < count; ++i) {
    if (has_failed(exact[i]) && has_failed(allowed[i])) {
      ++made.failed;
      continue;
    }
    ++made.rows;
    const bool equal = same(exact[i], allowed[i]);
    if (equal) ++made.equal;
    if (exact[i].value.is_object() && allowed[i].value.is_object()) {
      ++made.objects;
      made.equal_fields += equal_fields(exact[i].value, allowed[i].value);
    }
    if (equal || made.first.size() >= kDifferencesTold) continue;
    made.first.push_back({numbers[i], shown_result(exact[i]), shown_result(allowed[i])});
  }
  return made;
}

Value encode_quality(const MeasuredQuality& measured) {
  const Agreement& agreement = measured.agreement;
  std::vector<Value> passes, changes, first;
  for (const std::string& pass : measured.passes) passes.push_back(text(pass));
  for (const std::string& change : measured.changes) changes.push_back(text(change));
  for (const RowDifference& each : agreement.first) {
    first.push_back(Value::object(
        {{"row", number(each.row)}, {"exact", text(each.exact)}, {"allowed", text(each.allowed)}}));
  }
  std::vector<Value::Member> members{{"passes", Value::array(std::move(passes))},
                                     {"changes", Value::array(std::move(changes))},
                                     {"rows", number(agreement.rows)},
                                     {"equal", number(agreement.equal)},
                                     {"failed", number(agreement.failed)},
                                     {"agreement", Value::number(agreement.share())},
                                     {"at_least", Value::number(agreement.at_least())}};
  if (auto fields = agreement.field_share()) {
    members.emplace_back("fields", Value::number(*fields));
    members.emplace_back("objects", number(agreement.objects));
  }
  members.emplace_back("differences", Value::array(std::move(first)));
  members.emplace_back("exact", encode_side(measured.exact));
  members.emplace_back("allowed", encode_side(measured.allowed));
  members.emplace_back("measured_ns", Value::integer(measured.measured_ns));
  return Value::object(std::move(members));
}

std::optional<MeasuredQuality> decode_quality(const Value& value) {
  const Value* passes = value.find("passes");
  const Value* first = value.find("differences");
  if (passes == nullptr || !passes->is_array() || first == nullptr || !first->is_array()) {
    return std::nullopt;
  }
  MeasuredQuality made;
  for (const Value& pass : passes->items()) {
    if (pass.is_string()) made.passes.emplace_back(pass.as_string());
  }
  const Value* changes = value.find("changes");
  if (changes != nullptr && changes->is_array()) {
    for (const Value& change : changes->items()) {
      if (change.is_string()) made.changes.emplace_back(change.as_string());
    }
  }
  Agreement& agreement = made.agreement;
  agreement.rows = count_of(value, "rows");
  agreement.equal = std::min(count_of(value, "equal"), agreement.rows);
  agreement.failed = count_of(value, "failed");
  agreement.objects = count_of(value, "objects");
  agreement.equal_fields = number_of(value, "fields") * static_cast<double>(agreement.objects);
  for (const Value& each : first->items()) {
    agreement.first.push_back(
        {count_of(each, "row"), text_of(each, "exact"), text_of(each, "allowed")});
  }
  made.exact = decode_side(value.find("exact"));
  made.allowed = decode_side(value.find("allowed"));
  made.measured_ns = static_cast<WallNs>(count_of(value, "measured_ns"));
  return made;
}

std::set<std::string, std::less<>> allowed_passes(const Plan& plan) {
  std::set<std::string, std::less<>> names;
  collect_allowed(plan, names);
  return names;
}

std::vector<std::string> approximate_passes(const Plan& plan, const OptimizerSettings& settings) {
  std::vector<std::string> names;
  if (settings.off) return names;
  for (const std::string& name : allowed_passes(plan)) {
    const bool runs = class_of(name) == PassClass::kApproximate && !settings.without.contains(name);
    if (runs) names.push_back(name);
  }
  return names;
}

std::vector<std::string> approximate_passes(std::span<const PassNote> notes) {
  std::set<std::string, std::less<>> names;
  for (const PassNote& note : notes) {
    if (!note.refused && class_of(note.pass) == PassClass::kApproximate) names.emplace(note.pass);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> approximate_changes(std::span<const PassNote> notes) {
  std::set<std::string, std::less<>> changes;
  for (const PassNote& note : notes) {
    const bool changed = !note.refused && class_of(note.pass) == PassClass::kApproximate;
    if (changed) changes.insert(std::string(note.pass) + " " + note.step);
  }
  return {changes.begin(), changes.end()};
}

OptimizerSettings with_equal_results(OptimizerSettings settings) {
  for (const PassInfo& pass : optimizer_passes()) {
    if (pass.kind == PassClass::kApproximate) settings.without.emplace(pass.name);
  }
  return settings;
}

OptimizerSettings exactly(OptimizerSettings settings) {
  for (const PassInfo& pass : optimizer_passes()) {
    if (pass.kind != PassClass::kExact) settings.without.emplace(pass.name);
  }
  return settings;
}

}  // namespace sluice
