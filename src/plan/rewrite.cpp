#include "plan/rewrite.h"

#include <algorithm>

#include "base/failpoint.h"
#include "data/json.h"
#include "fmt/format.h"

namespace sluice {
namespace {

constexpr int kMaxLiteralDepth = 16;  // expressions nest less than plans do

Result<Expr> compile(const std::string& text, SourcePos pos) {
  auto compiled = Expr::compile(text, checked_names(true));
  if (compiled) return *std::move(compiled);
  const ExprError& error = compiled.error().front();
  return fail(error.code, error.message, pos);
}

// Stops when `out` is longer than it may be.
bool append_literal(const Value& value, std::size_t most_bytes, int depth, std::string& out) {
  if (depth > kMaxLiteralDepth || out.size() > most_bytes) return false;
  switch (value.kind()) {
    case Value::Kind::kBlob:
    case Value::Kind::kVector:
      return false;
    case Value::Kind::kArray:
      out += '[';
      for (const Value& item : value.items()) {
        if (out.back() != '[') out += ", ";
        if (!append_literal(item, most_bytes, depth + 1, out)) return false;
      }
      out += ']';
      return true;
    case Value::Kind::kObject:
      out += '{';
      for (const auto& [key, member] : value.members()) {
        if (out.back() != '{') out += ", ";
        out += to_json(Value::string(key)) + ": ";
        if (!append_literal(member, most_bytes, depth + 1, out)) return false;
      }
      out += '}';
      return true;
    case Value::Kind::kString:
      if (value.as_string().size() > most_bytes) return false;
      break;
    default:
      break;
  }
  std::string text = value.is_null() ? "none" : to_json(value, {.redact_secrets = false});
  // 1.0 is no integer.
  bool whole = value.kind() == Value::Kind::kDouble && text.find_first_of(".eE") == text.npos;
  out += whole ? text + ".0" : text;
  return true;
}

Result<void> rewrite_leaf(Binding& leaf, const InputReplacement& replace) {
  std::span<const ExprInput> inputs = leaf.expr.inputs();
  if (leaf.broken || inputs.empty()) return {};
  std::vector<std::optional<std::string>> texts(inputs.size());
  std::size_t first = inputs.size();
  for (std::size_t i = inputs.size(); i-- > 0;) {
    texts[i] = replace(inputs[i]);
    if (texts[i]) first = i;
  }
  if (first == inputs.size()) return {};
  SourcePos where = leaf.position_at(inputs[first].offset);
  std::optional<std::string> text = leaf.expr.to_string_with(texts);
  if (!text) {
    return fail(ErrorCode::kExprName,
                fmt::format("{} cannot be replaced here: a loop of the expression has a name of "
                            "what would take its place",
                            inputs[first].dotted()),
                where);
  }
  auto compiled = compile(*text, leaf.pos);
  if (!compiled) return std::unexpected(compiled.error());
  leaf.expr = *std::move(compiled);
  leaf.text = *std::move(text);
  leaf.marks.clear();  // of the text as it was written
  leaf.text_pos = where;
  return {};
}

Result<void> rewrite_in_place(Binding& binding, const InputReplacement& replace) {
  if (binding.kind == Binding::Kind::kExpr) return rewrite_leaf(binding, replace);
  for (Binding& item : binding.items) {
    auto done = rewrite_in_place(item, replace);
    if (!done) return done;
  }
  for (auto& [key, member] : binding.members) {
    auto done = rewrite_in_place(member, replace);
    if (!done) return done;
  }
  return {};
}

Binding& body_to_change(Step& step) {
  if (step.op == OperatorKind::kValue) return step.value;
  return step.op == OperatorKind::kWait ? step.wait : step.with;
}

bool same_leaf(const Binding& left, const Binding& right) {
  if (left.broken || right.broken) return false;
  if (!left.text.empty() && left.text == right.text) return true;
  std::optional<Value> constant = left.expr.as_constant();
  std::optional<Value> other = right.expr.as_constant();
  if (constant.has_value() != other.has_value()) return false;
  if (constant && (constant->kind() != other->kind() || *constant != *other)) return false;
  // What was a template stays one: its text is marked as data.
  return left.expr.to_string() == right.expr.to_string();
}

bool same_action(const JoinAction& left, const JoinAction& right) {
  return left.kind == right.kind &&
         (left.kind != JoinAction::Kind::kValue || same_binding(left.value, right.value));
}

}  // namespace

std::optional<std::string> literal_text(const Value& value, std::size_t most_bytes) {
  if (!value.labels().none() && !failpoint(Failpoint::kLiteralOfLabelled)) return std::nullopt;
  std::string text;
  if (!append_literal(value, most_bytes, 0, text) || text.size() > most_bytes) return std::nullopt;
  return text;
}

Result<Binding> rewrite_binding(const Binding& binding, const InputReplacement& replace) {
  Binding made = binding;
  auto done = rewrite_in_place(made, replace);
  if (!done) return std::unexpected(done.error());
  return made;
}

Result<Binding> expression_binding(std::string_view text, SourcePos pos) {
  auto compiled = compile(fmt::format("{{{{ {} }}}}", text), pos);
  if (!compiled) return std::unexpected(compiled.error());
  if (compiled->is_template()) {
    return fail(ErrorCode::kExprSyntax, fmt::format("{} is no single expression", text), pos);
  }
  Binding made;
  made.text = compiled->to_string();  // without parentheses that nothing needs
  made.expr = *std::move(compiled);
  made.pos = made.text_pos = pos;
  return made;
}

Result<void> rewrite_step(Step& step, const InputReplacement& replace) {
  std::vector<Binding*> bindings;
  if (step.for_each) bindings.push_back(&*step.for_each);
  if (step.when) bindings.push_back(&*step.when);
  bindings.push_back(&body_to_change(step));
  if (step.produced_plan) bindings.push_back(&*step.produced_plan);
  if (step.repeat) bindings.push_back(&step.repeat->until);
  if (step.on_error && step.on_error->kind == OnErrorRule::Kind::kValue) {
    bindings.push_back(&step.on_error->value);
  }
  for (auto& [id, join] : step.joins) {
    if (join.skipped.kind == JoinAction::Kind::kValue) bindings.push_back(&join.skipped.value);
    if (join.failed.kind == JoinAction::Kind::kValue) bindings.push_back(&join.failed.value);
  }
  for (Binding* binding : bindings) {
    auto done = rewrite_in_place(*binding, replace);
    if (!done) return done;
  }
  return {};
}

bool same_binding(const Binding& left, const Binding& right) {
  if (left.kind != right.kind) return false;
  switch (left.kind) {
    case Binding::Kind::kExpr:
      return same_leaf(left, right);
    case Binding::Kind::kList:
      return std::ranges::equal(left.items, right.items, same_binding);
    case Binding::Kind::kMap:
      return std::ranges::equal(left.members, right.members, [](const auto& a, const auto& b) {
        return a.first == b.first && same_binding(a.second, b.second);
      });
  }
  return false;
}

bool same_join(const JoinRule& left, const JoinRule& right) {
  return same_action(left.skipped, right.skipped) && same_action(left.failed, right.failed);
}

const JoinRule& join_of(const Step& step, std::string_view input) {
  static const JoinRule kNothingStated;
  const JoinRule* rule = step.find_join(input);
  return rule ? *rule : kNothingStated;
}

std::string rules_text(const Step& step) {
  std::string rules;
  if (const auto& retry = step.retry) {
    rules += fmt::format("retry {} {} {} {} {}", retry->attempts, retry->delay_ms, retry->factor,
                         retry->max_delay_ms, retry->jitter);
    for (const std::string& code : retry->on) rules += " " + code;
    rules += ";";
  }
  if (step.timeout_ms) rules += fmt::format("timeout {};", *step.timeout_ms);
  if (step.cache_ttl_ms) rules += fmt::format("cache {};", *step.cache_ttl_ms);
  if (step.concurrency) rules += fmt::format("concurrency {};", *step.concurrency);
  // `on_error: fail` is what happens without one.
  const bool on_error = step.on_error && step.on_error->kind != OnErrorRule::Kind::kFail;
  if (on_error) rules += fmt::format("on_error {};", static_cast<int>(step.on_error->kind));
  return rules;
}

bool same_rules(const Step& left, const Step& right) {
  return rules_text(left) == rules_text(right);
}

}  // namespace sluice
