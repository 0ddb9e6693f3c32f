#include "data/schema/node.h"

namespace sluice::json_schema {

Type only_for(std::uint16_t kinds, const Type& of_these) {
  return join(Type::of(static_cast<std::uint16_t>(Type::kAnyKind & ~kinds)), of_these);
}

Type TypeBuilder::of_node(NodeIndex index) {
  if (--visits_left_ < 0) return Type::any();
  const Node& node = graph_.nodes[index];
  if (node.never) return Type::never();
  Type type = Type::any();
  for (const auto& keyword : node.keywords) type = meet(type, keyword->type(*this));
  return type;
}

Type TypeBuilder::of_inside(NodeIndex node) {
  if (depth_left_ == 0) return Type::any();
  --depth_left_;
  Type type = of_node(node);
  ++depth_left_;
  return type;
}

}  // namespace sluice::json_schema
