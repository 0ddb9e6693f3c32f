// Values of a plan in which expressions may stand.
#include "fmt/format.h"
#include "plan/plan_reader.h"

namespace sluice {
namespace {

constexpr std::size_t kKeepNodes = 64;  // a constant beyond this is kept as one value

bool holds_expression(const TextNode& node) {
  if (node.is_string()) {
    std::string_view text = node.scalar.as_string();
    return text.find("{{") != std::string_view::npos || text.find("{%") != std::string_view::npos ||
           text.find("{#") != std::string_view::npos;
  }
  for (const TextNode& item : node.items) {
    if (item.broken || holds_expression(item)) return true;
  }
  for (const TextMember& member : node.members) {
    if (member.value.broken || holds_expression(member.value)) return true;
  }
  return false;
}

}  // namespace

Binding PlanReader::bind(const TextNode& node, Place place, ScopeFlags flags) {
  Binding result;
  result.pos = node.pos;
  result.text_pos = node.text_pos;
  result.broken = node.broken;
  if (node.kind == TextNode::Kind::kScalar) {
    if (node.is_string()) {
      bind_string(node, place, flags, result);
    } else {
      result.expr = Expr::constant(node.scalar);
    }
    return result;
  }
  if (node.count_nodes(kKeepNodes + 1) > kKeepNodes && !holds_expression(node)) {
    result.expr = Expr::constant(node.to_value());
    return result;
  }
  result.kind = node.kind == TextNode::Kind::kList ? Binding::Kind::kList : Binding::Kind::kMap;
  result.items.reserve(node.items.size());
  for (const TextNode& item : node.items) result.items.push_back(bind(item, place, flags));
  result.members.reserve(node.members.size());
  for (const TextMember& member : node.members) {
    result.members.emplace_back(member.key, bind(member.value, place, flags));
    result.members.back().second.key_pos = member.key_pos;
  }
  return result;
}

void PlanReader::bind_string(const TextNode& node, Place place, ScopeFlags flags, Binding& into) {
  std::string_view text = node.scalar.as_string();
  into.text = std::string(text);
  into.marks = node.marks;
  if (!holds_expression(node)) {
    into.expr = Expr::constant(node.scalar);
    return;
  }
  auto compiled = Expr::compile(text, resolver(place, flags));
  if (compiled) {
    into.expr = *std::move(compiled);
    return;
  }
  into.broken = true;
  for (const ExprError& error : compiled.error()) {
    out_.error(error.code, into.position_at(error.offset), error.message);
  }
}

const NameResolver& PlanReader::resolver(Place place, ScopeFlags flags) {
  NameResolver& found = resolvers_[{place, (flags.mapped ? 1 : 0) + (flags.repeated ? 2 : 0)}];
  if (!found) found = make_resolver(names_, place, flags);
  return found;
}

}  // namespace sluice
