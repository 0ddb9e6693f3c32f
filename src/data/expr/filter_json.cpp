// JSON text in and out, and default. What an expression prints is written here, under its limits.
#include <algorithm>

#include "data/expr/filters.h"
#include "data/json.h"

namespace sluice::expr {
namespace {

void newline(std::string& out, int indent, std::uint32_t depth) {
  if (indent <= 0) return;
  out += '\n';
  out.append(static_cast<std::size_t>(indent) * depth, ' ');
}

}  // namespace

bool Evaluation::append_text(NodeId at, std::string& out, const Value& value) {
  if (!value.is_string()) return append_json(at, out, value, 0);
  std::string_view text = value.as_string();
  if (!grow(text.size()) || !scan(text.size())) return false;
  out += text;
  return true;
}

// Secrets are written out: what is derived from them carries their label.
bool Evaluation::append_json(NodeId at, std::string& out, const Value& value, int indent,
                             std::uint32_t depth) {
  if (depth > kMaxValueDepth) return too_deep(at);
  std::size_t before = out.size();
  if (!value.is_array() && !value.is_object()) {
    std::size_t size = value.is_string() ? value.as_string().size() : value.size() * 8;
    if (!scan(size)) return false;
    if (value.kind() == Value::Kind::kVector && !grow(value.size())) return false;
    out += to_json(value, {.indent = 0, .redact_secrets = false});
    return grow(out.size() - before);
  }
  bool array = value.is_array();
  std::size_t count = value.size();
  out += array ? '[' : '{';
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) out += ',';
    newline(out, indent, depth + 1);
    if (!array) {
      out += to_json(Value::string(value.members()[i].first));
      out += indent > 0 ? ": " : ":";
    }
    // Counted before it goes deeper: an error must not wait for the end of a huge value.
    if (!grow(out.size() - before) || !step()) return false;
    const Value& child = array ? value.items()[i] : value.members()[i].second;
    if (!append_json(at, out, child, indent, depth + 1)) return false;
    before = out.size();
  }
  if (count > 0) newline(out, indent, depth);
  out += array ? ']' : '}';
  return grow(out.size() - before);
}

bool filter_tojson(CallFrame& call, Value& out) {
  auto indent = static_cast<int>(std::clamp<std::int64_t>(call.integer(0, 0), 0, 16));
  std::string text;
  if (!call.run.append_json(call.node, text, *call.subject, indent)) return false;
  out = Value::string(text);
  return true;
}

bool filter_fromjson(CallFrame& call, Value& out) {
  std::string_view text = call.subject->as_string();
  // A parsed value takes more room than its text.
  if (!call.run.step(1 + text.size()) || !call.run.grow(text.size() * 4)) return false;
  Result<Value> parsed = parse_json(text);
  if (!parsed) {
    return call.fail(ErrorCode::kExprType,
                     parsed.error().message() + ": " + preview(*call.subject));
  }
  out = std::move(*parsed);
  return true;
}

bool filter_default(CallFrame& call, Value& out) {
  bool replaced = call.subject == nullptr || (call.flag(1) && !truthy(*call.subject));
  if (!replaced)
    out = Value(*call.subject);
  else if (call.args[0] != nullptr)
    out = Value(*call.args[0]);
  else
    out = Value::string("");
  return true;
}

}  // namespace sluice::expr
