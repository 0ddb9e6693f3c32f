// The tests (`x is NAME`) and their one table, sorted by name.
#include <algorithm>
#include <cmath>
#include <vector>

#include "data/expr/filters.h"
#include "data/expr/text.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

bool answer(bool& out, bool value) {
  out = value;
  return true;
}

bool test_defined(CallFrame& call, bool& out) { return answer(out, call.subject != nullptr); }
bool test_undefined(CallFrame& call, bool& out) { return answer(out, call.subject == nullptr); }

// Of items that `select` and its kin hand over: these are there.
bool test_truthy(CallFrame& call, bool& out) { return answer(out, truthy(*call.subject)); }

template <std::uint16_t kKinds>
bool test_kind(CallFrame& call, bool& out) {
  return answer(out, (kind_bit(*call.subject) & kKinds) != 0);
}

template <bool kWanted>
bool test_boolean_value(CallFrame& call, bool& out) {
  return answer(out, call.subject->is_bool() && call.subject->as_bool() == kWanted);
}

template <Comparison kOp>
bool test_compare(CallFrame& call, bool& out) {
  return call.run.compare(call.node, kOp, *call.subject, *call.args[0], out);
}

bool test_contains(CallFrame& call, bool& out) {
  return call.run.contains(call.node, *call.subject, *call.args[0], out);
}

bool divisible(CallFrame& call, std::int64_t by, bool& out) {
  if (by == 0) return call.fail(ErrorCode::kExprArithmetic, "division by zero");
  const Value& subject = *call.subject;
  if (subject.is_int()) return answer(out, by == -1 || subject.as_int() % by == 0);
  if (subject.kind() == Value::Kind::kDouble) {
    return answer(out, std::fmod(subject.as_double(), static_cast<double>(by)) == 0);
  }
  std::string_view digits = subject.as_string();
  if (!call.run.step(digits.size())) return false;
  auto magnitude = by < 0 ? ~static_cast<std::uint64_t>(by) + 1 : static_cast<std::uint64_t>(by);
  unsigned __int128 rest = 0;
  for (char c : digits) {
    if (c != '-') rest = (rest * 10 + static_cast<unsigned>(c - '0')) % magnitude;
  }
  return answer(out, rest == 0);
}

bool test_even(CallFrame& call, bool& out) { return divisible(call, 2, out); }
bool test_odd(CallFrame& call, bool& out) { return divisible(call, 2, out) && answer(out, !out); }
bool test_divisibleby(CallFrame& call, bool& out) {
  return divisible(call, call.integer(0, 1), out);
}

bool test_empty(CallFrame& call, bool& out) {
  const Value& subject = *call.subject;
  return answer(out, subject.is_null() ||
                         (subject.is_string() ? subject.as_string().empty() : subject.size() == 0));
}

bool test_startswith(CallFrame& call, bool& out) {
  std::string_view prefix = call.text(0, "");
  return call.run.scan(prefix.size()) && answer(out, call.subject->as_string().starts_with(prefix));
}

bool test_endswith(CallFrame& call, bool& out) {
  std::string_view suffix = call.text(0, "");
  return call.run.scan(suffix.size()) && answer(out, call.subject->as_string().ends_with(suffix));
}

template <bool kUpper>
bool test_case(CallFrame& call, bool& out) {
  std::string_view text = call.subject->as_string();
  if (!call.run.step(1 + text.size())) return false;
  bool cased = false;
  out = true;
  for (std::size_t at = 0; out && at < text.size();) {
    char32_t code = next_code_point(text, at);
    bool has_case = to_upper(code) != to_lower(code);
    cased = cased || has_case;
    out = !has_case || code == (kUpper ? to_upper(code) : to_lower(code));
  }
  return answer(out, out && cased);
}

template <re2::RE2::Anchor kAnchor>
bool test_regex(CallFrame& call, bool& out) {
  const re2::RE2* regex = pattern_of(call, 0);
  std::string_view text = call.subject->as_string();
  if (regex == nullptr || !call.run.step(search_steps(*regex, text.size()))) return false;
  return answer(out, regex->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                                  kAnchor, nullptr, 0));
}

constexpr std::uint16_t kText = Type::kString;
constexpr std::uint16_t kMany =
    Type::kString | Type::kArray | Type::kObject | Type::kVector | Type::kBlob;
constexpr Param kOther{"other", Type::kAnyKind, true};
constexpr Param kOtherText{"text", kText, true};
constexpr Param kPattern{"pattern", kText, true};
constexpr Param kNumber{"number", Type::kInteger, true};

constexpr TestSpec kTests[] = {
    {"boolean", "true or false", {}, test_kind<Type::kBoolean>},
    {"contains", "`in`, the other way round", {{kOther}}, test_contains},
    {"defined", "is there", {}, test_defined, Type::kAnyKind, true},
    {"divisibleby", "divisible by a number", {{kNumber}}, test_divisibleby, Type::kNumber},
    {"empty", "null, \"\", [] or {}", {}, test_empty, kMany | Type::kNull},
    {"endswith", "text that ends so", {{kOtherText}}, test_endswith, kText},
    {"eq", "==", {{kOther}}, test_compare<Comparison::kEq>},
    {"equalto", "==", {{kOther}}, test_compare<Comparison::kEq>},
    {"even", "divisible by 2", {}, test_even, Type::kNumber},
    {"false", "the boolean false", {}, test_boolean_value<false>},
    {"float", "a number with a fraction part", {}, test_kind<Type::kFraction>},
    {"ge", ">=", {{kOther}}, test_compare<Comparison::kGe>},
    {"greaterthan", ">", {{kOther}}, test_compare<Comparison::kGt>},
    {"gt", ">", {{kOther}}, test_compare<Comparison::kGt>},
    {"in", "is in a list, object or text", {{kOther}}, test_compare<Comparison::kIn>},
    {"integer", "a number without a fraction part", {}, test_kind<Type::kInteger>},
    {"iterable", "string, list or object", {}, test_kind<kText | Type::kArray | Type::kObject>},
    {"le", "<=", {{kOther}}, test_compare<Comparison::kLe>},
    {"lessthan", "<", {{kOther}}, test_compare<Comparison::kLt>},
    {"lower", "text without upper case letters", {}, test_case<false>, kText},
    {"lt", "<", {{kOther}}, test_compare<Comparison::kLt>},
    {"mapping", "an object", {}, test_kind<Type::kObject>},
    {"match",
     "an RE2 pattern fits at the start",
     {{kPattern}},
     test_regex<re2::RE2::ANCHOR_START>,
     kText,
     false,
     0},
    {"ne", "!=", {{kOther}}, test_compare<Comparison::kNe>},
    {"none", "null", {}, test_kind<Type::kNull>},
    {"null", "null", {}, test_kind<Type::kNull>},
    {"number", "integer or float", {}, test_kind<Type::kNumber>},
    {"odd", "not divisible by 2", {}, test_odd, Type::kNumber},
    {"possible",
     "truthy, or what cannot be told: an error in it is forgiven",
     {},
     test_truthy,
     Type::kAnyKind,
     false,
     -1,
     true},
    {"search",
     "an RE2 pattern fits somewhere",
     {{kPattern}},
     test_regex<re2::RE2::UNANCHORED>,
     kText,
     false,
     0},
    {"sequence", "string, list or object", {}, test_kind<kText | Type::kArray | Type::kObject>},
    {"startswith", "text that starts so", {{kOtherText}}, test_startswith, kText},
    {"string", "text", {}, test_kind<kText>},
    {"true", "the boolean true", {}, test_boolean_value<true>},
    {"undefined", "is not there", {}, test_undefined, Type::kAnyKind, true},
    {"upper", "text without lower case letters", {}, test_case<true>, kText},
};
static_assert(std::ranges::is_sorted(kTests, {}, &TestSpec::name));

}  // namespace

std::span<const TestSpec> test_table() { return kTests; }

const TestSpec* find_test(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kTests, name, {}, &TestSpec::name);
  return found != std::end(kTests) && found->name == name ? found : nullptr;
}

}  // namespace sluice::expr

namespace sluice {

std::span<const std::string_view> expr_tests() {
  static const auto* const names = [] {
    auto* all = new std::vector<std::string_view>;
    for (const auto& spec : expr::test_table()) all->push_back(spec.name);
    return all;
  }();
  return *names;
}

}  // namespace sluice
