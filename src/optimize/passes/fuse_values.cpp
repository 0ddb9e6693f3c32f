// fuse_values: what a value says stands in the steps that read it, and the value is no step of its
// own any more. A map of values that others read item by item becomes a part of them, so a chain of
// maps becomes one; a step over the items of such a map goes over what the map goes over. That
// spares a task per item and lets later passes see that two steps go over the same items.
// It is right because a value calls nothing: evaluated in its reader it gives the same, from the
// same inputs, at the place where it was read. Where it fails the reader fails, as it would have
// because its input had.
//
// Example:
//   rows:  {tool: db.query, with: {sql: "select text from t"}}
//   texts: {for_each: "{{ steps.rows.output }}", value: "{{ item.text | trim }}"}
//   asked: {for_each: "{{ steps.texts.output }}", tool: ask.one, with: {text: "{{ item }}"}}
//
//   rows:  {tool: db.query, with: {sql: "select text from t"}}
//   asked: {for_each: "{{ steps.rows.output }}", tool: ask.one,
//           with: {text: "{{ item.text | trim }}"}}
//
// Refuses: values that the result, a status or a whole list reads, or that others come after; that
// have a condition, a rule for failures, a schema, or a join that puts something in the place of an
// input; templates. Readers that run on where the value is missing, that have a rule for their own
// failures, or that may not come to evaluate it (behind `and`, in a branch, under a test), unless
// it cannot fail. More evaluations than as written: a value that is read at several places is only
// fused when it is nothing but a path. A value of one task is not evaluated for each task of a map.
// A list that a value has collected is not gone over slot by slot in its place: there the empty
// slots of skipped tasks are items. Prompts take whole inputs only: they carry the labels of all
// that they read.
//
// Saves: a task and a stored value for each item of the fused map, and what other passes make of
// the steps that become alike. The limits of one evaluation (50 million operations, 64 MiB) are
// those of the reader and the value together.
//
// Source: deforestation and map fusion (Wadler, "Deforestation: transforming programs to eliminate
// trees", 1988), on steps.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/failpoint.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/input_use.h"
#include "optimize/passes/passes.h"
#include "optimize/step_skips.h"

namespace sluice {
namespace {

constexpr std::size_t kMostBytes = 4096;  // of an expression that is put together

// When a task evaluates something; in that order.
enum Phase : std::uint8_t { kItems, kWhen, kBody, kPhases };

// How a step reads the value.
struct Reading {
  bool over = false;       // for_each goes over its slots: `item` is the value
  bool in_items = false;   // for_each reads it otherwise
  bool elsewhere = false;  // in `until`, on_error or a join
  bool in_prompt = false;
  std::size_t times = 0;
  bool reads[kPhases] = {};
  bool surely[kPhases] = {};  // evaluated whenever a task comes so far
};

class Fusing {
 public:
  explicit Fusing(LogicalPassContext& context)
      : draft_(context.draft), notes_(context.notes), skips_(context.draft) {}

  void run() {
    for (const std::uint32_t step : draft_.order()) {
      if (!can_be_asked(step)) continue;
      std::string why = own_obstacle(step);
      if (why.empty()) why = fuse(step);
      if (!why.empty()) notes_.refused(draft_.steps()[step].id, std::move(why));
    }
    if (!failpoint(Failpoint::kFuseForgetsSkip)) state_joins();
    draft_.remove(std::move(gone_));
  }

 private:
  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }

  // Other steps are nobody's business here, and what the result reads is there to be read.
  bool can_be_asked(std::uint32_t index) const {
    const Step& value = step(index);
    if (value.op != OperatorKind::kValue || value.value.as_constant()) return false;
    if (draft_.readers(index).empty() || draft_.is_fallback(index)) return false;
    return std::ranges::none_of(draft_.readers(index),
                                [](const Reader& reader) { return reader.step == kNoIndex; });
  }

  std::string own_obstacle(std::uint32_t index) const {
    const Step& value = step(index);
    if (value.when && !failpoint(Failpoint::kFuseIgnoresCondition)) return "it has a condition";
    const bool rules = value.on_error || value.repeat || value.retry || value.timeout_ms ||
                       value.cache_ttl_ms || value.concurrency || !value.budget.none();
    if (rules) return "it has rules of its own";
    if (value.output) return "its output is checked";
    if (!value.after.empty()) return "it comes after other steps";
    for (const Reference& read : draft_.reads(index)) {
      if (read.mode == EdgeMode::kStatus)
        return fmt::format("it reads the status of {}", read.step);
      if (!plain_join(value, read.step)) {
        return fmt::format("it states what it does without {}", read.step);
      }
    }
    if (!expression_text(value.value)) return "it is a text or holds one";
    return "";
  }

  // Changes all readers, or says why not.
  std::string fuse(std::uint32_t index) {
    const Step value = step(index);
    text_ = *expression_text(value.value);
    if (text_.size() > kMostBytes) return "it is too long";
    sure_ = cannot_fail(value.value);
    reads_steps_ = std::ranges::any_of(
        draft_.reads(index), [](const Reference& read) { return read.use == EdgeUse::kBody; });
    std::set<std::uint32_t> readers;
    for (const Reader& reader : draft_.readers(index)) {
      std::string why = reader_obstacle(index, reader);
      if (!why.empty()) return why;
      readers.insert(reader.step);
    }
    std::size_t times = 0;
    std::vector<std::pair<std::uint32_t, Step>> made;
    for (const std::uint32_t reader : readers) {
      const Reading reading = read(reader, value);
      std::string why = reading_obstacle(value, step(reader), reading);
      if (!why.empty()) return why;
      times += reading.times * (step(reader).repeat ? 2 : 1);
      auto changed = rewritten(value, reader, reading);
      if (!changed) return fmt::format("{}: {}", step(reader).id, changed.error().message());
      made.emplace_back(reader, *std::move(changed));
    }
    if (times > 1 && !is_path(value.value)) {
      return fmt::format("it would be evaluated at {} places", times);
    }
    std::vector<std::string> names;
    for (auto& [reader, changed] : made) {
      names.push_back(changed.id);
      changed_.insert(reader);
      draft_.replace(reader, std::move(changed));
    }
    notes_.did(value.id, fmt::format("evaluated where it is read, in {}", fmt::join(names, ", ")));
    gone_.push_back(index);
    return "";
  }

  // ---- whether a reader can have it ----
  std::string reader_obstacle(std::uint32_t index, const Reader& reader) const {
    const Step& value = step(index);
    const Step& who = step(reader.step);
    if (reader.read.mode == EdgeMode::kStatus) return who.id + " reads its status";
    if (reader.read.mode == EdgeMode::kOrder) return who.id + " comes after it";
    if (draft_.is_fallback(reader.step)) return who.id + " reads it when another step fails";
    const bool calls = who.op == OperatorKind::kLlm || who.op == OperatorKind::kTool ||
                       who.op == OperatorKind::kCode || who.op == OperatorKind::kValue ||
                       (who.op == OperatorKind::kPlan && !who.produced_plan);
    if (!calls) return who.id + " is no step that takes expressions";
    if (!plain_join(who, value.id) && !failpoint(Failpoint::kFuseIgnoresJoin)) {
      return who.id + " states what it does without it";
    }
    if (!value.for_each) {
      if (reader.read.mode == EdgeMode::kSlot) return who.id + " reads one item of it";
      return inputs_obstacle(value, who);
    }
    if (reader.read.exact_items) {
      const bool lent = who.on_error && who.on_error->kind == OnErrorRule::Kind::kStep;
      if (lent) return fmt::format("{} sees the items of {}", who.on_error->step, who.id);
      return inputs_obstacle(value, who);
    }
    if (!draft_.reads_slot(reader)) return who.id + " reads all of it";
    const bool over = std::ranges::any_of(draft_.reads(reader.step), [&](const Reference& read) {
      return read.exact_items && read.step == value.id;
    });
    const bool same = over || same_binding(*value.for_each, *who.for_each);
    if (!same && !failpoint(Failpoint::kFuseOtherItems)) return who.id + " goes over other items";
    return inputs_obstacle(value, who);
  }

  // What the value reads, its reader reads from now on.
  static std::string inputs_obstacle(const Step& value, const Step& who) {
    for (const Reference& read : references_of(value)) {
      if (!plain_join(who, read.step)) {
        return fmt::format("{} states what it does without {}", who.id, read.step);
      }
    }
    return "";
  }

  bool is_value(const ExprInput& input, const Step& value, bool over) const {
    if (over && input.root == "item") return true;
    return input.root == "steps" && input.path.size() >= 2 && input.path[0] == value.id &&
           input.path[1] == "output";
  }

  void look(const Binding& tree, Phase phase, const Step& value, Reading& into) const {
    tree.for_each_expr([&](const Binding& leaf) {
      const std::vector<InputUse> uses = input_uses(leaf.expr);
      for (std::size_t i = 0; i < uses.size(); ++i) {
        if (!is_value(leaf.expr.inputs()[i], value, into.over)) continue;
        into.times += uses[i].times;
        into.reads[phase] = true;
        into.surely[phase] = into.surely[phase] || uses[i].always;
      }
    });
  }

  Reading read(std::uint32_t reader, const Step& value) const {
    const Step& who = step(reader);
    Reading reading;
    for (const Reference& each : draft_.reads(reader)) {
      if (each.step != value.id || each.use != EdgeUse::kItems) continue;
      reading.over = each.exact_items && value.for_each;
      reading.in_items = !reading.over;
    }
    if (reading.in_items) look(*who.for_each, kItems, value, reading);
    if (who.when) look(*who.when, kWhen, value, reading);
    look(body_of(who), kBody, value, reading);
    if (const Binding* prompt = who.with.find("prompt"); prompt && who.op == OperatorKind::kLlm) {
      Reading of_prompt;
      of_prompt.over = reading.over;
      look(*prompt, kBody, value, of_prompt);
      reading.in_prompt = of_prompt.reads[kBody];
    }
    for_each_binding(who, [&](const Binding& tree, EdgeUse) {
      const bool known = &tree == &body_of(who) || (who.when && &tree == &*who.when) ||
                         (who.for_each && &tree == &*who.for_each);
      if (known) return;
      Reading other;
      other.over = reading.over;
      look(tree, kBody, value, other);
      reading.elsewhere = reading.elsewhere || other.reads[kBody];
    });
    return reading;
  }

  std::string reading_obstacle(const Step& value, const Step& who, const Reading& reading) const {
    if (reading.elsewhere) return who.id + " reads it in its rules";
    const auto exact =
        value.value.kind == Binding::Kind::kExpr ? value.value.expr.as_input() : std::nullopt;
    if (reading.in_prompt && !exact) return who.id + " reads it in its prompt";
    if (reading.in_items && exact && who.for_each->expr.as_input() && goes_over_slots(value)) {
      return who.id + " goes over its items, empty ones too";
    }
    const bool for_each_task =
        who.for_each && !value.for_each && (reading.reads[kWhen] || reading.reads[kBody]);
    if (for_each_task && !exact) return who.id + " would evaluate it for each of its tasks";
    // What `item` needs is asked for before the first thing that a task evaluates.
    Phase first = who.when && (reading.over || reading.reads[kWhen]) ? kWhen : kBody;
    if (reading.in_items) first = kItems;
    if (sure_) {
      const bool lost = reading.over && reads_steps_ && !reading.reads[first];
      return lost ? who.id + " would not wait for what it reads" : "";
    }
    const bool rule = who.on_error && who.on_error->kind != OnErrorRule::Kind::kFail;
    if (rule) return fmt::format("its failure would be one of {}", who.id);
    if (!reading.surely[first]) return fmt::format("{} may not come to evaluate it", who.id);
    return "";
  }

  // With the value in its place, for_each would read the slots of another step one by one.
  bool goes_over_slots(const Step& value) const {
    if (failpoint(Failpoint::kFuseFlows)) return false;
    const ExprInput& input = value.value.expr.inputs()[*value.value.expr.as_input()];
    const std::uint32_t from =
        input.root == "steps" && !input.path.empty() ? draft_.index_of(input.path[0]) : kNoIndex;
    return from != kNoIndex && draft_.slots(from);
  }

  // ---- the change ----
  Result<Step> rewritten(const Step& value, std::uint32_t reader, const Reading& reading) const {
    Step made = step(reader);
    const InputReplacement replace = [&](const ExprInput& input) -> std::optional<std::string> {
      if (input.root == "item" && failpoint(Failpoint::kFuseForgetsItem)) return std::nullopt;
      if (!is_value(input, value, reading.over)) return std::nullopt;
      return text_;
    };
    auto change = [&](Binding& binding) -> Result<void> {
      auto changed = rewrite_binding(binding, replace);
      if (!changed) return std::unexpected(changed.error());
      binding = *std::move(changed);
      return {};
    };
    if (made.when) {
      if (auto done = change(*made.when); !done) return std::unexpected(done.error());
    }
    Binding& body = made.op == OperatorKind::kValue ? made.value : made.with;
    if (auto done = change(body); !done) return std::unexpected(done.error());
    if (reading.over) {
      made.for_each = value.for_each;
    } else if (reading.in_items) {
      if (auto done = change(*made.for_each); !done) return std::unexpected(done.error());
    }
    std::erase_if(made.joins, [&](const auto& join) { return join.first == value.id; });
    return made;
  }

  // Once for each reader, however many values stand in it now.
  void state_joins() {
    for (const std::uint32_t gone : gone_) changed_.erase(gone);
    for (const std::uint32_t reader : changed_) {
      Step made = step(reader);
      state_skips(made, [&](std::string_view input) {
        const std::uint32_t from = draft_.index_of(input);
        return from != kNoIndex && (skips_.slot(from) || skips_.whole(from));
      });
      draft_.replace(reader, std::move(made));
    }
  }

  PlanDraft& draft_;
  PassNotes& notes_;
  StepSkips skips_;
  std::set<std::uint32_t> changed_;  // readers that have a value in them
  std::vector<std::uint32_t> gone_;
  // Of the value that is looked at:
  std::string text_;
  bool sure_ = false;         // it cannot fail
  bool reads_steps_ = false;  // not only what it goes over
};

}  // namespace

void rewrite_fuse_values(LogicalPassContext& context) { Fusing(context).run(); }

}  // namespace sluice
