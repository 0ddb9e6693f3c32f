// TYPE_MISMATCH: values that can never fit where they are used. Only certain misfits are reported.
#include "fmt/format.h"
#include "verify/rules.h"

namespace sluice {
namespace {

std::string with_article(const Type& type) {
  std::string words = type.to_string();
  bool vowel = !words.empty() && std::string_view("aeiou").find(words[0]) != std::string_view::npos;
  return (vowel ? "an " : "a ") + words;
}

class TypeCheck {
 public:
  TypeCheck(const PlanFacts& facts, Diagnostics& out) : facts_(facts), out_(out) {}

  // Misuse inside expressions: a filter on what it does not take, a property that cannot be.
  void inside(const Binding& tree, Place place, const Step* reader) {
    tree.for_each_expr([&](const Binding& leaf) {
      if (leaf.broken || leaf.text.empty()) return;
      const Expr& typed = facts_.typed(leaf, place, reader);
      for (const ExprError& error : typed.type_errors()) {
        out_.error(ErrorCode::kTypeMismatch, leaf.position_at(error.offset), error.message);
      }
    });
  }

  void must_be(const Binding& value, Type::Kind kind, std::string_view needs, std::string_view hint,
               Place place, const Step* reader) {
    if (value.broken) return;
    Type type = facts_.type_of(value, place, reader);
    if (type.can_be(kind) || type.kinds() == 0) return;
    out_.error(ErrorCode::kTypeMismatch, value.pos,
               fmt::format("{}, not {}{}", needs, with_article(type), hint));
  }

  void fits_output(const Step& step, std::uint32_t index) {
    if (step.op != OperatorKind::kValue || !step.output) return;
    std::string why;
    Type type = facts_.type_of(step.value, facts_.body_place(index), &step);
    if (certainly_misfits(type, step.output->type(), &why)) {
      out_.error(ErrorCode::kTypeMismatch, step.target_pos,
                 fmt::format("the value can never fit output: {}", why));
    }
  }

 private:
  const PlanFacts& facts_;
  Diagnostics& out_;
};

}  // namespace

void rule_types(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  TypeCheck check(facts, out);
  for (std::uint32_t i = 0; i < context.plan.steps.size(); ++i) {
    const Step& step = context.plan.steps[i];
    Place body = facts.body_place(i);
    for_each_binding(step, [&](const Binding& tree, EdgeUse use) {
      bool until = step.repeat && &tree == &step.repeat->until;
      check.inside(tree,
                   use == EdgeUse::kItems ? Place::kForEach
                   : until                ? Place::kUntil
                                          : body,
                   &step);
    });
    if (step.for_each) {
      check.must_be(*step.for_each, Type::kArray, "for_each needs an array", "", Place::kForEach,
                    &step);
    }
    constexpr std::string_view kAsk = "; compare it, like x == 1 or x | length > 0";
    if (step.when) {
      check.must_be(*step.when, Type::kBoolean, "when needs a boolean", kAsk, body, &step);
    }
    if (step.repeat) {
      check.must_be(step.repeat->until, Type::kBoolean, "until needs a boolean", kAsk,
                    Place::kUntil, &step);
    }
    if (step.produced_plan) {
      check.must_be(*step.produced_plan, Type::kObject, "a produced plan is a map", "", body,
                    &step);
    }
    check.fits_output(step, i);
  }
  check.inside(context.plan.result, Place::kResult, nullptr);
}

}  // namespace sluice
