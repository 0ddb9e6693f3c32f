// TYPE_MISMATCH and VALUE_INVALID: what a table step asks of its rows, against what is known of
// them.
#include "fmt/format.h"
#include "verify/rules.h"
#include "verify/table_types.h"

namespace sluice {
namespace {

class TableCheck {
 public:
  TableCheck(const PlanFacts& facts, const Step& step, Diagnostics& out)
      : step_(step), query_(*step.table), table_(facts, step), out_(out) {}

  void inputs() {
    list(kTableFrom, "from");
    list(kTableMatch, "with");
    const Binding* limit = step_.with.find(kTableLimit);
    if (!limit || limit->broken) return;
    if (auto constant = limit->as_constant()) {
      bool good = constant->is_null() || (constant->is_int() && constant->as_int() >= 0);
      if (!good) mismatch(limit->pos, "limit needs a whole number of at least 0");
      return;
    }
    Type type = table_.input(kTableLimit);
    if (type.can_be(Type::kInteger | Type::kNull) || type.kinds() == 0) return;
    mismatch(limit->pos, fmt::format("limit needs a whole number, not {}", type.to_string()));
  }

  // Misuse inside expressions: a field that no row has, a filter on what it does not take.
  void expressions() {
    for_each_part(query_, [&](const Binding& tree, TablePart part) {
      tree.for_each_expr([&](const Binding& leaf) {
        if (leaf.broken || leaf.text.empty()) return;
        Expr typed = table_.typed(leaf, part);
        for (const ExprError& error : typed.type_errors()) {
          mismatch(leaf.position_at(error.offset), error.message);
        }
      });
    });
  }

  void form() {
    if (query_.match && !query_.match->on.broken) {
      const Binding& on = query_.match->on;
      auto keys = match_keys(on.expr);
      if (!keys) {
        out_.error(keys.error().code, on.position_at(keys.error().offset), keys.error().message);
      }
    }
    if (!query_.where || query_.where->broken) return;
    Type type = table_.type_of(*query_.where, TablePart::kWhere);
    if (type.can_be(Type::kBoolean) || type.kinds() == 0) return;
    mismatch(query_.where->pos,
             fmt::format("where needs a boolean, not {}; compare it, like row.x == 1",
                         type.to_string()));
  }

  void fits_output() {
    std::string why;
    if (!step_.output || !certainly_misfits(table_.output(), step_.output->type(), &why)) return;
    mismatch(step_.output_pos.known() ? step_.output_pos : step_.op_pos,
             fmt::format("what the table gives can never fit output: {}", why));
  }

 private:
  void mismatch(SourcePos pos, std::string message) {
    out_.error(ErrorCode::kTypeMismatch, pos, std::move(message));
  }

  void list(std::string_view input, std::string_view key) {
    const Binding* binding = step_.with.find(input);
    if (!binding || binding->broken) return;
    Type type = table_.input(input);
    if (type.can_be(Type::kArray) || type.kinds() == 0) return;
    mismatch(binding->pos,
             fmt::format("{} needs a list of objects, not {}", key, type.to_string()));
  }

  const Step& step_;
  const TableQuery& query_;
  TableFacts table_;
  Diagnostics& out_;
};

}  // namespace

void rule_tables(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (const Step& step : context.plan.steps) {
    if (step.op != OperatorKind::kTable || !step.table || step.table->broken) continue;
    TableCheck check(facts, step, out);
    check.inputs();
    check.expressions();
    check.form();
    check.fits_output();
  }
}

}  // namespace sluice
