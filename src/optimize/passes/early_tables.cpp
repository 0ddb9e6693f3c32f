// early_tables: what a table asks of its rows is asked before the rows are made, where it can be.
// The rows of a table are often what a map of values gives: a column from the item, another one
// from a model's answer about it. Rows that `where` turns away for a column of the first kind need
// not have been asked about. So each operand of `where` that does not hang on the calls becomes a
// condition of the map, said of what its columns are made of, and the table takes the rows that are
// there. early_conditions then moves the condition on to the calls that it spares. It is right
// because a row that is not there is as good as one that `where` turns away: it gives nothing to
// the result, not even its labels. `where` stays as it is, so what cannot be told early (the moved
// condition counts as true then) is told, or fails, where it did. Rows keep their order.
//
// Example:
//   asked: {for_each: "{{ steps.rows.output }}", llm: default, with: {prompt: "{{ item.text }}"}}
//   told:  {for_each: "{{ steps.rows.output }}",
//           value: {year: "{{ item.year }}", answer: "{{ steps.asked.output[index] }}"}}
//   kept:  {table: {from: "{{ steps.told.output }}",
//           where: "{{ row.answer == 'yes' and row.year > 2020 }}"}}
//
//   told:  {for_each: "{{ steps.rows.output }}", when: "{{ (item.year > 2020) is possible }}",
//           value: {year: "{{ item.year }}", answer: "{{ steps.asked.output[index] }}"}}
//   kept:  {table: {from: "{{ steps.told.output | present }}",
//           where: "{{ row.answer == 'yes' and row.year > 2020 }}"}}
//
// Refuses: maps that somebody else reads, whole, slot by slot, their status or their end; lists
// whose slots may be empty, unless the table leaves those out itself; joins that put something in
// the place of a row; maps with rules of their own; with `match` and `keep: all` the rows of the
// other list: a row that has lost its match would stay without one. Rows of which not all surely
// come from a call: what comes from outside is labelled, and a list has what any of its rows has,
// so rows that are alike are needed for a result with the same labels. Rows that are made of what
// acts, where something else acts or reads behind the table: that would no longer wait. Conditions
// are not moved that read both rows of a match, a row as a whole, or what only the table reads.
//
// Saves: the calls about rows that are turned away, once early_conditions has moved the condition.
//
// Source: predicate pushdown through a projection and a join (J. Ullman, "Principles of Database
// and Knowledge-Base Systems", vol. 2, 1989), with a model call as an expensive column (J.
// Hellerstein, M. Stonebraker, "Predicate migration: optimizing queries with expensive predicates",
// 1993).
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/early_ends.h"
#include "optimize/input_use.h"
#include "optimize/passes/passes.h"
#include "optimize/step_skips.h"
#include "plan/row_condition.h"
#include "plan/table_query.h"

namespace sluice {
namespace {

struct Side {
  std::string_view list;  // in the table's `with`
  std::string_view name;  // of a row of it
};
constexpr Side kSides[] = {{kTableFrom, "row"}, {kTableMatch, "other"}};

bool makes_calls(const Step& step) {
  return step.op == OperatorKind::kLlm || step.op == OperatorKind::kTool ||
         step.op == OperatorKind::kCode || step.op == OperatorKind::kPlan;
}

class EarlyTables {
 public:
  explicit EarlyTables(LogicalPassContext& context)
      : draft_(context.draft), notes_(context.notes), skips_(context.draft) {}

  void run() {
    for (std::uint32_t i = 0; i < draft_.steps().size(); ++i) {
      const Step& table = step(i);
      if (table.op != OperatorKind::kTable || !table.table || table.table->broken) continue;
      const auto& where = table.table->where;
      if (!where || where->kind != Binding::Kind::kExpr) continue;
      for (const Side& side : kSides) look(i, side, where->expr.conjuncts());
    }
  }

 private:
  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }

  void look(std::uint32_t table, const Side& side, const std::vector<std::string>& operands) {
    const Binding* list = step(table).with.find(side.list);
    const auto source = list ? row_source(*list) : std::nullopt;
    const std::uint32_t map = source ? draft_.index_of(source->step) : kNoIndex;
    if (map == kNoIndex || !step(map).for_each || step(map).op != OperatorKind::kValue) return;
    if (step(map).value.kind != Binding::Kind::kMap) return;
    std::vector<std::string> early, asked;
    for (const std::string& operand : operands) {
      auto moved = condition_before_row(operand, step(table), side.name, step(map).value);
      if (!moved || !spares_calls(map, *moved)) continue;
      const bool bare = failpoint(Failpoint::kTablesNotPossible);
      early.push_back(fmt::format("({}){}", *moved, bare ? "" : " is possible"));
      asked.push_back(operand);
    }
    if (early.empty()) return;
    std::string why = map_obstacle(map);
    if (why.empty()) why = reader_obstacle(table, side, map);
    if (why.empty() && !source->present && skips_.slot(map))
      why = "some of its rows may be missing";
    if (why.empty() && !rows_are_alike(map)) why = "its rows may differ in their labels";
    if (why.empty()) why = end_obstacle(map, early);
    if (why.empty()) why = change(table, side, map, early);
    if (!why.empty()) {
      notes_.refused(step(table).id, fmt::format("{}: {}", step(map).id, why));
      return;
    }
    notes_.did(step(table).id, fmt::format("rows of {} are made only where {}", step(map).id,
                                           fmt::join(asked, " and ")));
  }

  // ---- what there is to be won ----
  // Steps without which the list cannot be there.
  std::vector<char> needed(const std::vector<std::uint32_t>& from) const {
    std::vector<char> seen(draft_.steps().size(), 0);
    std::vector<std::uint32_t> open = from;
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      if (std::exchange(seen[at], 1) != 0) continue;
      for (const Reference& read : draft_.reads(at)) {
        if (const auto next = draft_.index_of(read.step); next != kNoIndex) open.push_back(next);
      }
    }
    return seen;
  }

  // Whether a row takes calls that the condition does not hang on.
  bool spares_calls(std::uint32_t map, const std::string& condition) const {
    const auto made = expression_binding(condition, step(map).pos);
    if (!made || made->expr.inputs().empty()) return false;
    std::vector<std::uint32_t> asked, made_of;
    for (const Reference& read : references_of(*made, EdgeUse::kWhen)) {
      const std::uint32_t from = draft_.index_of(read.step);
      if (from == kNoIndex || !reads_output(read)) return false;
      asked.push_back(from);
    }
    for (const Reference& read : draft_.reads(map)) {
      const std::uint32_t from = draft_.index_of(read.step);
      if (from == kNoIndex) continue;
      if (read.use == EdgeUse::kItems) asked.push_back(from);
      if (read.mode == EdgeMode::kSlot) made_of.push_back(from);
    }
    const std::vector<char> known = needed(asked);
    const std::vector<char> wanted = needed(made_of);
    for (std::uint32_t i = 0; i < wanted.size(); ++i) {
      const bool call =
          draft_.slots(i) && makes_calls(step(i)) && draft_.effect(i) <= Effect::kRead;
      if (wanted[i] != 0 && known[i] == 0 && call) return true;
    }
    return false;
  }

  // ---- why not ----
  std::string map_obstacle(std::uint32_t index) const {
    const Step& map = step(index);
    const bool rules = map.repeat || map.retry || map.timeout_ms || map.cache_ttl_ms ||
                       !map.budget.none() ||
                       (map.on_error && map.on_error->kind != OnErrorRule::Kind::kFail);
    if (rules) return "it has rules of its own";
    if (draft_.is_fallback(index)) return "it stands in for a step that fails";
    if (map.when && map.when->expr.conjuncts().empty()) return "its own condition is a text";
    for (const Reference& read : draft_.reads(index)) {
      if (read.mode == EdgeMode::kStatus) {
        return fmt::format("it reads the status of {}", read.step);
      }
      if (!plain_join(map, read.step)) {
        return fmt::format("it states what it does without {}", read.step);
      }
    }
    return "";
  }

  std::string reader_obstacle(std::uint32_t index, const Side& side, std::uint32_t map) const {
    const Step& table = step(index);
    const bool other = side.list == kTableMatch;
    if (other && table.table->match && table.table->match->keep_all &&
        !failpoint(Failpoint::kTablesKeepAll)) {
      return "rows without a match stay";
    }
    if (draft_.is_fallback(index)) return fmt::format("{} stands in for another step", table.id);
    for (const Reader& reader : draft_.readers(map)) {
      const bool body = reader.step == index && reader.read.mode == EdgeMode::kWhole &&
                        reader.read.use == EdgeUse::kBody;
      if (body || failpoint(Failpoint::kTablesIgnoreReaders)) continue;
      if (reader.step == kNoIndex) return "the result reads it";
      const std::string& who = step(reader.step).id;
      if (reader.read.mode == EdgeMode::kStatus) return who + " reads its status";
      if (reader.read.mode == EdgeMode::kOrder) return who + " comes after it";
      return who + " reads it too";
    }
    if (!plain_join(table, step(map).id)) {
      return fmt::format("{} states what it does without it", table.id);
    }
    for (const auto& [name, tree] : table.with.members) {
      if (name != side.list && reads(tree, step(map).id)) {
        return fmt::format("{} reads it at another place too", table.id);
      }
    }
    return "";
  }

  static bool reads(const Binding& tree, const std::string& id) {
    return std::ranges::any_of(references_of(tree, EdgeUse::kBody),
                               [&](const Reference& read) { return read.step == id; });
  }

  // A row that is not made waits for what it is asked of, and no more for the rest of the row.
  std::string end_obstacle(std::uint32_t map, const std::vector<std::string>& early) const {
    std::vector<std::uint32_t> lost, kept;
    const auto asked = expression_binding(all_of(early), step(map).pos);
    if (!asked) return asked.error().message();
    for (const Reference& read : references_of(*asked, EdgeUse::kWhen)) {
      kept.push_back(draft_.index_of(read.step));
    }
    for (const Reference& read : draft_.reads(map)) {
      const std::uint32_t from = draft_.index_of(read.step);
      if (from == kNoIndex) continue;
      const bool waits = read.use != EdgeUse::kBody || std::ranges::find(kept, from) != kept.end();
      (waits ? kept : lost).push_back(from);
    }
    return EarlyEnds(draft_).obstacle(map, lost, kept);
  }

  // A list is labelled as coming from outside when one of its rows is. It stays that with fewer
  // rows when each of them is: what a call gives always is, and so is what is computed with it.
  bool rows_are_alike(std::uint32_t map) const {
    bool alike = false;
    step(map).value.for_each_expr([&](const Binding& leaf) {
      const std::vector<InputUse> uses = input_uses(leaf.expr);
      for (std::size_t i = 0; i < uses.size(); ++i) {
        alike = alike || (uses[i].always && from_outside(map, leaf.expr.inputs()[i]));
      }
    });
    return alike;
  }

  bool from_outside(std::uint32_t map, const ExprInput& input) const {
    std::uint32_t from = kNoIndex;
    if (input.root == "steps" && input.path.size() == 2 && input.path[1] == "output") {
      from = draft_.index_of(input.path[0]);
      if (from != kNoIndex && draft_.slots(from) && !input.slot) return false;
    } else if (input.root == "item") {
      for (const Reference& read : draft_.reads(map)) {
        if (read.exact_items) from = draft_.index_of(read.step);
      }
      if (from != kNoIndex && !draft_.slots(from)) return false;
    }
    if (from == kNoIndex || !makes_calls(step(from))) return false;
    const Step& call = step(from);
    const bool lent = call.on_error && (call.on_error->kind == OnErrorRule::Kind::kValue ||
                                        call.on_error->kind == OnErrorRule::Kind::kStep);
    return call.op != OperatorKind::kPlan && !lent;
  }

  // ---- the change ----
  // Both or neither.
  std::string change(std::uint32_t index, const Side& side, std::uint32_t map,
                     const std::vector<std::string>& early) {
    Step table = step(index);
    for (auto& [name, list] : table.with.members) {
      if (name != side.list || failpoint(Failpoint::kTablesForgetPresent)) continue;
      auto made =
          expression_binding(fmt::format("steps.{}.output | present", step(map).id), list.pos);
      if (!made) return made.error().message();
      list = *std::move(made);
    }
    if (auto added = draft_.add_condition(map, all_of(early)); !added) {
      return added.error().message();
    }
    draft_.replace(index, std::move(table));
    return "";
  }

  PlanDraft& draft_;
  PassNotes& notes_;
  StepSkips skips_;
};

}  // namespace

void rewrite_early_tables(LogicalPassContext& context) {
  const bool any = std::ranges::any_of(context.draft.steps(), [](const Step& step) {
    return step.op == OperatorKind::kTable && step.table && step.table->where;
  });
  if (any) EarlyTables(context).run();
}

}  // namespace sluice
