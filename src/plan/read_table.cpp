// The operator `table`: its own keys, and what they read of the plan, which becomes the step's
// `with`.
#include <algorithm>
#include <array>

#include "fmt/format.h"
#include "plan/names.h"
#include "plan/plan_reader.h"
#include "plan/table_query.h"

namespace sluice {

class PlanReader::TableReader {
 public:
  TableReader(PlanReader& reader, const StepScope& scope, Step& step)
      : reader_(reader), scope_(scope), step_(step), query_(std::make_shared<TableQuery>()) {}

  void read(const TextMember& key) {
    static constexpr std::array<std::string_view, 7> kKeys = {"from",  "match", "where", "select",
                                                              "group", "order", "limit"};
    query_->pos = step_.with.pos = key.value.pos;
    step_.table = query_;
    if (!reader_.want_map(key, "with from")) {
      query_->broken = step_.with.broken = true;
      return;
    }
    reader_.only_keys(key.value, kKeys);
    const TextMember* from = needed(key.value, "from", "a list of objects");
    if (from) outer(kTableFrom, *from);
    // First of all: whether there is an `other` for the rest.
    if (const TextMember* match = key.value.find("match")) read_match(*match);
    if (const TextMember* where = key.value.find("where")) {
      query_->where = part(*where, TablePart::kWhere);
    }
    if (const TextMember* select = key.value.find("select")) {
      query_->select = part(*select, TablePart::kSelect);
    }
    if (const TextMember* group = key.value.find("group")) read_group(*group);
    if (const TextMember* order = key.value.find("order")) read_order(*order);
    if (const TextMember* limit = key.value.find("limit")) outer(kTableLimit, *limit);
    query_->broken = query_->broken || key.value.broken;
  }

 private:
  // The member, or KEY_MISSING.
  const TextMember* needed(const TextNode& map, std::string_view name, std::string_view what) {
    const TextMember* found = map.find(name);
    if (!found && !map.broken) {
      reader_.out_.error(ErrorCode::kKeyMissing, map.pos, fmt::format("add {}: {}", name, what));
    }
    query_->broken = query_->broken || !found;
    return found;
  }

  void read_match(const TextMember& key) {
    static constexpr std::array<std::string_view, 3> kKeys = {"with", "on", "keep"};
    query_->match.emplace();
    if (!map(key, "with with and on")) return;
    reader_.only_keys(key.value, kKeys);
    if (const TextMember* with = needed(key.value, "with", "another list of objects")) {
      outer(kTableMatch, *with);
    }
    const TextMember* on = needed(key.value, "on", "\"{{ row.a == other.b }}\"");
    if (on) query_->match->on = part(*on, TablePart::kOn);
    const TextMember* keep = key.value.find("keep");
    std::optional<std::string> word = keep ? reader_.word(*keep) : std::nullopt;
    if (word && *word != "all" && *word != "matched") {
      reader_.invalid(keep->value.text_pos,
                      fmt::format("keep is all (a row without a match has a null other) or matched,"
                                  " not {}",
                                  shown(*word)));
    }
    query_->match->keep_all = word && *word == "all";
  }

  void read_group(const TextMember& key) {
    static constexpr std::array<std::string_view, 2> kKeys = {"by", "give"};
    query_->group.emplace();
    query_->group->by.kind = query_->group->give.kind = Binding::Kind::kMap;
    if (!map(key, "with by and give")) return;
    reader_.only_keys(key.value, kKeys);
    const TextMember* by = needed(key.value, "by", "{name: \"{{ row.name }}\"}");
    const TextMember* give = key.value.find("give");
    if (by && map(*by, "of names and expressions")) {
      query_->group->by = part(*by, TablePart::kBy);
    }
    if (give && map(*give, "of names and expressions")) {
      query_->group->give = part(*give, TablePart::kGive);
    }
    if (!by || !give) return;
    for (const TextMember& member : give->value.members) {
      if (!by->value.find(member.key)) continue;
      reader_.invalid(member.key_pos,
                      fmt::format("{} stands in by already; each group has it", shown(member.key)));
    }
  }

  void read_order(const TextMember& key) {
    static constexpr std::array<std::string_view, 3> kKeys = {"by", "reverse", "case_sensitive"};
    query_->order.emplace();
    if (!map(key, "with by")) return;
    reader_.only_keys(key.value, kKeys);
    const TextMember* by = needed(key.value, "by", "\"{{ output.name }}\"");
    if (by) query_->order->by = part(*by, TablePart::kOrder);
    const TextMember* reverse = key.value.find("reverse");
    if (reverse) query_->order->reverse = reader_.flag(*reverse).value_or(false);
    const TextMember* exact = key.value.find("case_sensitive");
    if (exact) query_->order->case_sensitive = reader_.flag(*exact).value_or(false);
  }

  bool map(const TextMember& key, std::string_view hint) {
    if (reader_.want_map(key, hint)) return true;
    query_->broken = true;
    return false;
  }

  // What the step reads of the plan, as an input of its own.
  void outer(std::string_view name, const TextMember& member) {
    Binding binding = reader_.bind(member.value, scope_.place, scope_.flags);
    binding.key_pos = member.key_pos;
    step_.with.members.emplace_back(name, std::move(binding));
  }

  Binding part(const TextMember& member, TablePart which) {
    NameResolver names = table_resolver(reader_.resolver(scope_.place, scope_.flags), which,
                                        query_->match.has_value());
    Binding tree = compile(member.value, names);
    tree.key_pos = member.key_pos;
    tree.for_each_expr([&](const Binding& leaf) {
      query_->broken = query_->broken || leaf.broken;
      for (const ExprInput& input : leaf.expr.inputs()) {
        if (!is_table_name(input.root)) add_input(leaf, input);
      }
    });
    // What is written as a map stays one, with its members.
    if (which == TablePart::kBy || which == TablePart::kGive) tree.kind = Binding::Kind::kMap;
    return tree;
  }

  Binding compile(const TextNode& node, const NameResolver& names) {
    Binding made;
    made.pos = node.pos;
    made.text_pos = node.text_pos;
    made.broken = node.broken;
    if (node.kind == TextNode::Kind::kList) {
      made.kind = Binding::Kind::kList;
      for (const TextNode& item : node.items) made.items.push_back(compile(item, names));
    } else if (node.kind == TextNode::Kind::kMap) {
      made.kind = Binding::Kind::kMap;
      for (const TextMember& member : node.members) {
        made.members.emplace_back(member.key, compile(member.value, names));
        made.members.back().second.key_pos = member.key_pos;
      }
    } else if (!node.is_string()) {
      made.expr = Expr::constant(node.scalar);
    } else {
      compile_text(node, names, made);
    }
    return made;
  }

  void compile_text(const TextNode& node, const NameResolver& names, Binding& into) {
    into.text = std::string(node.scalar.as_string());
    into.marks = node.marks;
    auto compiled = Expr::compile(into.text, names);
    if (compiled) {
      into.expr = *std::move(compiled);
      return;
    }
    into.broken = true;
    for (const ExprError& error : compiled.error()) {
      reader_.out_.error(error.code, into.position_at(error.offset), error.message);
    }
  }

  void add_input(const Binding& leaf, const ExprInput& input) {
    std::string name = input.dotted();
    if (step_.with.find(name)) return;
    Binding made;
    made.text = fmt::format("{{{{ {} }}}}", name);
    made.pos = made.key_pos = made.text_pos = leaf.position_at(input.offset);
    auto compiled = Expr::compile(made.text, reader_.resolver(scope_.place, scope_.flags));
    if (compiled) {
      made.expr = *std::move(compiled);
    } else {  // cannot be: the same name was taken a moment ago
      made.broken = query_->broken = true;
    }
    step_.with.members.emplace_back(std::move(name), std::move(made));
  }

  PlanReader& reader_;
  const StepScope& scope_;
  Step& step_;
  std::shared_ptr<TableQuery> query_;
};

void PlanReader::table(const TextMember& key, const StepScope& scope, Step& step) {
  TableReader(*this, scope, step).read(key);
}

// Reports a key that other steps have, with what to write instead.
bool PlanReader::not_of_a_table(const TextMember& key) {
  if (key.key != "with") return false;
  invalid(key.key_pos,
          "a table has no with; its expressions read params, steps and item as they are");
  return true;
}

}  // namespace sluice
