// allOf, anyOf, oneOf, not, if with then and else, $ref.
#include <fmt/format.h>

#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

class AllOfKeyword final : public Keyword {  // $ref too: all of one
 public:
  AllOfKeyword(std::string pointer, std::vector<NodeIndex> nodes)
      : Keyword(std::move(pointer)), nodes_(std::move(nodes)) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    bool valid = true;
    for (NodeIndex node : nodes_) {
      if (evaluation.check(node, value)) continue;
      valid = false;
      if (evaluation.finished()) break;
    }
    return valid;
  }
  std::vector<NodeIndex> in_place() const override { return nodes_; }
  Type type(TypeBuilder& types) const override {
    Type type = Type::any();
    for (NodeIndex node : nodes_) type = meet(type, types.of_node(node));
    return type;
  }

 private:
  std::vector<NodeIndex> nodes_;
};

class AnyOfKeyword final : public Keyword {
 public:
  AnyOfKeyword(std::string pointer, std::vector<NodeIndex> nodes, bool only_one)
      : Keyword(std::move(pointer)), nodes_(std::move(nodes)), only_one_(only_one) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    std::size_t fitting = 0;
    for (NodeIndex node : nodes_) {
      if (!evaluation.check_quietly(node, value)) continue;
      ++fitting;
      if (!only_one_) return true;
      if (fitting > 1) {
        return evaluation.refuse(pointer(), [&] {
          return fmt::format("must fit exactly one of {} alternatives, fits several",
                             nodes_.size());
        });
      }
    }
    if (fitting == 1) return true;
    if (nodes_.size() == 1) return evaluation.check(nodes_[0], value);  // now with its reasons
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must fit one of {} alternatives, fits none", nodes_.size());
    });
  }
  std::vector<NodeIndex> in_place() const override { return nodes_; }
  Type type(TypeBuilder& types) const override {
    Type type = Type::never();
    for (NodeIndex node : nodes_) type = join(type, types.of_node(node));
    return type;
  }

 private:
  std::vector<NodeIndex> nodes_;
  bool only_one_;
};

class NotKeyword final : public Keyword {
 public:
  NotKeyword(std::string pointer, NodeIndex node) : Keyword(std::move(pointer)), node_(node) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!evaluation.check_quietly(node_, value)) return true;
    return evaluation.refuse(pointer(), [] { return "has a form that is not allowed"; });
  }
  std::vector<NodeIndex> in_place() const override { return {node_}; }

 private:
  NodeIndex node_;
};

class IfKeyword final : public Keyword {
 public:
  IfKeyword(std::string pointer, NodeIndex condition, std::optional<NodeIndex> then_node,
            std::optional<NodeIndex> else_node)
      : Keyword(std::move(pointer)), condition_(condition), then_(then_node), else_(else_node) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    const auto& branch = evaluation.check_quietly(condition_, value) ? then_ : else_;
    return !branch || evaluation.check(*branch, value);
  }
  std::vector<NodeIndex> in_place() const override {
    std::vector<NodeIndex> nodes = {condition_};
    if (then_) nodes.push_back(*then_);
    if (else_) nodes.push_back(*else_);
    return nodes;
  }
  Type type(TypeBuilder& types) const override {
    return join(then_ ? types.of_node(*then_) : Type::any(),
                else_ ? types.of_node(*else_) : Type::any());
  }

 private:
  NodeIndex condition_;
  std::optional<NodeIndex> then_;
  std::optional<NodeIndex> else_;
};

void build_reference(Builder& builder) {
  const Value* reference = builder.get("$ref");
  if (reference == nullptr) return;
  if (!reference->is_string()) return builder.invalid("$ref", "$ref must be a string");
  if (auto node = builder.refer(std::string(reference->as_string()))) {
    builder.add<AllOfKeyword>("$ref", std::vector<NodeIndex>{*node});
  }
}

}  // namespace

void build_logic_keywords(Builder& builder) {
  build_reference(builder);
  if (auto nodes = builder.subschema_list("allOf")) {
    builder.add<AllOfKeyword>("allOf", std::move(*nodes));
  }
  if (auto nodes = builder.subschema_list("anyOf")) {
    builder.add<AnyOfKeyword>("anyOf", std::move(*nodes), false);
  }
  if (auto nodes = builder.subschema_list("oneOf")) {
    builder.add<AnyOfKeyword>("oneOf", std::move(*nodes), true);
  }
  if (auto node = builder.subschema("not")) builder.add<NotKeyword>("not", *node);
  auto then_node = builder.subschema("then");
  auto else_node = builder.subschema("else");
  if (auto condition = builder.subschema("if")) {
    if (then_node || else_node) builder.add<IfKeyword>("if", *condition, then_node, else_node);
  }
}

}  // namespace sluice::json_schema
