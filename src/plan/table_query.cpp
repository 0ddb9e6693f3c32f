#include "plan/table_query.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/expr/parts.h"
#include "fmt/format.h"
#include "plan/binding_text.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"row", "other", "rows", "key", "output"};

bool has_name(TablePart part, bool matched, std::string_view name) {
  switch (part) {
    case TablePart::kOn:
    case TablePart::kWhere:
    case TablePart::kSelect:
    case TablePart::kBy:
      return name == "row" || (name == "other" && matched);
    case TablePart::kGive:
      return name == "rows" || name == "key";
    case TablePart::kOrder:
      return name == "output";
  }
  return false;
}

std::string misplaced(TablePart part, std::string_view name) {
  if (part == TablePart::kGive) {
    return fmt::format(
        "give reads rows (what select gave for each row of the group) and key, no {}", name);
  }
  if (part == TablePart::kOrder) {
    return fmt::format("order reads output (one of the table's results), no {}", name);
  }
  if (name == "other") return "other stands only in a table with match";
  return fmt::format("{} stands only in {} of a table", name,
                     name == "output" ? "order" : "group's give");
}

const Type& type_of_name(const TableTypes& types, std::string_view name) {
  if (name == "row") return types.row;
  if (name == "other") return types.other;
  if (name == "rows") return types.rows;
  return name == "key" ? types.key : types.output;
}

ExprError wrong(std::string message, std::size_t offset) {
  return {ErrorCode::kValueInvalid, std::move(message), offset};
}

// Which of the two lists a side of an equality is about.
struct Side {
  bool row = false;
  bool other = false;
};

Side side_of(const ExprProgram& program, expr::NodeId node) {
  Side side;
  std::vector<bool> read = expr::inputs_read(program, node);
  for (std::size_t i = 0; i < read.size(); ++i) {
    if (!read[i]) continue;
    side.row = side.row || program.inputs[i].root == "row";
    side.other = side.other || program.inputs[i].root == "other";
  }
  return side;
}

// An expression's text without its {{ }}.
std::string inner_text(const Binding& binding) {
  std::string text = binding.expr.to_string();
  if (binding.expr.is_template() || !text.starts_with("{{ ") || !text.ends_with(" }}")) return text;
  return text.substr(3, text.size() - 6);
}

std::string tree_words(const Binding& tree) {
  switch (tree.kind) {
    case Binding::Kind::kExpr:
      return inner_text(tree);
    case Binding::Kind::kList:
      return fmt::format("a list of {}", tree.items.size());
    case Binding::Kind::kMap:
      break;
  }
  std::string words;
  for (const auto& [name, member] : tree.members) {
    if (!words.empty()) words += ", ";
    words += name;
  }
  return words.empty() ? "nothing" : words;
}

}  // namespace

bool is_table_name(std::string_view root) {
  return std::ranges::find(kNames, root) != kNames.end();
}

NameResolver table_resolver(NameResolver outer, TablePart part, bool matched,
                            const TableTypes& types) {
  return [outer = std::move(outer), part, matched, types](
             std::string_view root, std::span<const std::string> path, bool slot) {
    if (!is_table_name(root)) return outer(root, path, slot);
    NameClaim claim;
    if (has_name(part, matched, root)) {
      claim.type = type_of_name(types, root);
    } else {
      claim.error = ErrorCode::kExprName;
      claim.message = misplaced(part, root);
    }
    return claim;
  };
}

void for_each_part(const TableQuery& query,
                   const std::function<void(const Binding& tree, TablePart part)>& visit) {
  if (query.match) visit(query.match->on, TablePart::kOn);
  if (query.where) visit(*query.where, TablePart::kWhere);
  if (query.select) visit(*query.select, TablePart::kSelect);
  if (query.group) {
    visit(query.group->by, TablePart::kBy);
    visit(query.group->give, TablePart::kGive);
  }
  if (query.order) visit(query.order->by, TablePart::kOrder);
}

std::expected<std::vector<MatchKey>, ExprError> match_keys(const Expr& on) {
  const ExprProgram& program = expr::program_of(on);
  std::vector<MatchKey> keys;
  for (expr::NodeId id : expr::and_operands(program, program.root)) {
    const expr::Node& node = program.nodes[id];
    bool equality = node.op == expr::Op::kCompare &&
                    static_cast<expr::Comparison>(node.flag) == expr::Comparison::kEq;
    if (!equality || on.is_template()) {
      return std::unexpected(wrong(
          "on compares keys: {{ row.a == other.b }}, several with and; write the rest into where",
          node.begin));
    }
    Side left = side_of(program, node.a);
    Side right = side_of(program, node.b);
    bool as_written = left.row && !left.other && right.other && !right.row;
    bool turned = left.other && !left.row && right.row && !right.other;
    if (!as_written && !turned) {
      return std::unexpected(
          wrong("one side of == reads row and the other side reads other, like row.a == other.b",
                node.begin));
    }
    keys.push_back({expr::part_of(on, as_written ? node.a : node.b),
                    expr::part_of(on, as_written ? node.b : node.a)});
  }
  return keys;
}

Value table_text(const TableQuery& query) {
  std::vector<Value::Member> members;
  if (query.match) {
    members.emplace_back("on", binding_text(query.match->on));
    members.emplace_back("keep_all", Value::boolean(query.match->keep_all));
  }
  if (query.where) members.emplace_back("where", binding_text(*query.where));
  if (query.select) members.emplace_back("select", binding_text(*query.select));
  if (query.group) {
    members.emplace_back("by", binding_text(query.group->by));
    members.emplace_back("give", binding_text(query.group->give));
  }
  if (query.order) {
    members.emplace_back("order", binding_text(query.order->by));
    members.emplace_back("reverse", Value::boolean(query.order->reverse));
    members.emplace_back("case_sensitive", Value::boolean(query.order->case_sensitive));
  }
  return Value::object(std::move(members));
}

std::string table_words(const TableQuery& query, const Binding& with) {
  std::string words;
  if (const Binding* from = with.find(kTableFrom)) words = "from " + tree_words(*from);
  if (query.match) {
    const Binding* match = with.find(kTableMatch);
    words += fmt::format(", match {} on {}{}", match ? tree_words(*match) : "a list",
                         inner_text(query.match->on), query.match->keep_all ? " (keep all)" : "");
  }
  if (query.where) words += ", where " + inner_text(*query.where);
  if (query.select) words += ", select " + tree_words(*query.select);
  if (query.group) {
    words += fmt::format(", group by {} give {}", tree_words(query.group->by),
                         tree_words(query.group->give));
  }
  if (query.order) {
    words += fmt::format(", order by {}{}", tree_words(query.order->by),
                         query.order->reverse ? " (reverse)" : "");
  }
  if (const Binding* limit = with.find(kTableLimit)) words += ", limit " + tree_words(*limit);
  return words;
}

}  // namespace sluice
