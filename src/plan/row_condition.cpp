#include "plan/row_condition.h"

#include <vector>

#include "fmt/format.h"
#include "plan/rewrite.h"
#include "plan/scope.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

// Without {{ }}; nullopt for templates.
std::optional<std::string> inner_text(const std::string& text) {
  constexpr std::string_view kOpen = "{{ ", kClose = " }}";
  if (!text.starts_with(kOpen) || !text.ends_with(kClose)) return std::nullopt;
  return text.substr(kOpen.size(), text.size() - kOpen.size() - kClose.size());
}

std::optional<std::string> leaf_text(const Binding& leaf) {
  if (leaf.kind != Binding::Kind::kExpr || leaf.broken) return std::nullopt;
  if (leaf.expr.inputs().empty()) {
    const auto constant = leaf.expr.as_constant();
    return constant ? literal_text(*constant) : std::nullopt;
  }
  if (leaf.expr.is_template()) return std::nullopt;
  return inner_text(leaf.expr.to_string());
}

// The part of a row that a path from it leads to, and how much of the path that takes.
std::pair<const Binding*, std::size_t> column_of(const Binding& row,
                                                 std::span<const std::string> path) {
  const Binding* at = &row;
  std::size_t taken = 0;
  while (at != nullptr && at->kind == Binding::Kind::kMap && taken < path.size()) {
    at = at->find(path[taken++]);
  }
  return {at, taken};
}

class BeforeRow {
 public:
  BeforeRow(const Step& table, std::string_view side, const Binding& row)
      : table_(table), side_(side), row_(row) {}

  std::expected<std::string, std::string> rewrite(std::string_view operand) const {
    const NameResolver plan = checked_names(true);
    const auto names = [&](std::string_view root, std::span<const std::string> path, bool slot) {
      if (root != side_) return is_table_name(root) ? NameClaim{} : plan(root, path, slot);
      NameClaim claim;
      claim.path_length = column_of(row_, path).second;
      return claim;
    };
    const auto made = Expr::compile(fmt::format("{{{{ {} }}}}", operand), names);
    if (!made) return std::unexpected(made.error().front().message);
    std::vector<std::optional<std::string>> texts;
    for (const ExprInput& input : made->inputs()) {
      auto text = input_text(input);
      if (!text) return std::unexpected(std::move(text.error()));
      texts.emplace_back(*std::move(text));
    }
    const auto whole = made->to_string_with(texts);
    const auto inner = whole ? inner_text(*whole) : std::nullopt;
    if (!inner) return std::unexpected("it has a loop with a name of what would stand in it");
    return *inner;
  }

 private:
  std::expected<std::string, std::string> input_text(const ExprInput& input) const {
    if (input.root != side_ && is_table_name(input.root)) {
      return std::unexpected(fmt::format("it reads {} too", input.root));
    }
    if (input.root == side_) {
      const Binding* column = column_of(row_, input.path).first;
      const auto text = column ? leaf_text(*column) : std::nullopt;
      if (text) return *text;
      return std::unexpected(
          fmt::format("{} is not one expression of the step that makes the rows", input.dotted()));
    }
    // What a table reads of the plan stands in its `with`, where passes may have changed it.
    const Binding* given = table_.with.find(input.dotted());
    const auto text = given ? leaf_text(*given) : std::nullopt;
    if (!text) return std::unexpected(fmt::format("what {} is cannot be said", input.dotted()));
    for (const ExprInput& read : given->expr.inputs()) {
      if (read.root == "params" || read.root == "run") continue;
      return std::unexpected(fmt::format("it reads {}, which only the table does", read.dotted()));
    }
    return *text;
  }

  const Step& table_;
  std::string_view side_;
  const Binding& row_;
};

}  // namespace

std::optional<RowSource> row_source(const Binding& list) {
  if (list.kind != Binding::Kind::kExpr || list.broken || list.expr.inputs().size() != 1) {
    return std::nullopt;
  }
  const ExprInput& input = list.expr.inputs().front();
  const bool output = input.root == "steps" && input.path.size() == 2 && input.path[1] == "output";
  if (!output || input.slot) return std::nullopt;
  const std::string text = list.expr.to_string();
  if (text == fmt::format("{{{{ {} }}}}", input.dotted())) return RowSource{input.path[0], false};
  if (text != fmt::format("{{{{ {} | present }}}}", input.dotted())) return std::nullopt;
  return RowSource{input.path[0], true};
}

std::expected<std::string, std::string> condition_before_row(std::string_view operand,
                                                             const Step& table,
                                                             std::string_view side,
                                                             const Binding& row) {
  return BeforeRow(table, side, row).rewrite(operand);
}

}  // namespace sluice
