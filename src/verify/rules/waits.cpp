// WAIT_INVALID and TYPE_MISMATCH: the times of a wait that are constants, and what it gives.
#include "fmt/format.h"
#include "plan/wait_time.h"
#include "verify/rules.h"

namespace sluice {
namespace {

class WaitCheck {
 public:
  WaitCheck(const PlanFacts& facts, std::uint32_t index, Diagnostics& out)
      : facts_(facts), step_(facts.plan.steps[index]), place_(facts.body_place(index)), out_(out) {}

  void times() {
    const Binding* limit = step_.wait.find("for");
    const Binding* until = step_.wait.find("until");
    if (limit && text(*limit, "for", "a duration, like 10m", Type::kString)) {
      constant(*limit, parse_wait_for(*limit->as_constant()));
    }
    if (until &&
        text(*until, "until", "a time, like 2026-12-24 18:00 Europe/Berlin", Type::kString)) {
      constant(*until, parse_wait_until(*until->as_constant()));
    }
  }

  void words() {
    for (std::string_view key : {"of", "ask"}) {
      const Binding* words = step_.wait.find(key);
      if (words) text(*words, key, "a text", Type::kString | Type::kNumber);
    }
  }

  // When its time is over a wait gives `value`, or null when it waits for no signal.
  void fits_output() {
    const Binding* value = step_.wait.find("value");
    if (!step_.output || (!value && step_.wait.find("signal"))) return;
    if (!value) {
      if (step_.output->valid(Value())) return;
      mismatch(step_.output_pos,
               "nobody sends a value here, so the wait gives null; add value or signal");
      return;
    }
    std::string why;
    if (auto known = value->as_constant()) {
      auto violations = step_.output->validate(*known);
      if (!violations.empty()) {
        mismatch(value->pos, fmt::format("value does not fit output: {}", describe(violations)));
      }
    } else if (certainly_misfits(facts_.type_of(*value, place_, &step_), step_.output->type(),
                                 &why)) {
      mismatch(value->pos, fmt::format("value can never fit output: {}", why));
    }
  }

 private:
  void mismatch(SourcePos pos, std::string message) {
    out_.error(ErrorCode::kTypeMismatch, pos, std::move(message));
  }

  // True for a constant. Reports an expression that can never give what is needed; a constant is
  // left to whoever reads it, where it is more than a text.
  bool text(const Binding& binding, std::string_view key, std::string_view needs,
            std::uint16_t kinds) {
    if (binding.broken) return false;
    bool known = binding.as_constant().has_value();
    Type type = facts_.type_of(binding, place_, &step_);
    bool fits = type.can_be(kinds) || type.kinds() == 0;
    if (!fits && (!known || kinds != Type::kString)) {
      mismatch(binding.pos, fmt::format("{} needs {}, not {}", key, needs, type.to_string()));
    }
    return known;
  }

  template <class Parsed>
  void constant(const Binding& binding, const Result<Parsed>& parsed) {
    if (parsed) return;
    SourcePos pos = binding.text_pos.known() ? binding.text_pos : binding.pos;
    out_.error(parsed.error().code(), pos, parsed.error().message());
  }

  const PlanFacts& facts_;
  const Step& step_;
  Place place_;
  Diagnostics& out_;
};

}  // namespace

void rule_waits(const VerifyContext& context, const PlanFacts& facts, Diagnostics& out) {
  for (std::uint32_t i = 0; i < context.plan.steps.size(); ++i) {
    const Step& step = context.plan.steps[i];
    if (step.op != OperatorKind::kWait || step.wait.broken) continue;
    WaitCheck check(facts, i, out);
    check.times();
    check.words();
    check.fits_output();
  }
}

}  // namespace sluice
