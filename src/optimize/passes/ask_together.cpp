// ask_together: several questions about the same input are asked in one call. Steps that ask the
// same model with the same settings about the same items, and whose prompts differ only in a
// question, become one step: its prompt is the common part with the questions as a numbered list,
// and its answer is an object with one field per question, in the form that each step states. The
// steps themselves stay as values that read their field, so all that reads them goes on as before.
// The common part, which is mostly the long one, is read once and not once per question.
//
// Approximate: a model may answer otherwise when it is asked several things at once, and in the
// form of an object where it gave plain text. When the one call fails, all its questions fail.
//
// Example: two steps of a plan that says `allow: [ask_together]`, and what becomes of them
//
//   topic:
//     llm: default
//     with: {prompt: "{{ item }}\n\nWhat is it about?"}
//     output: {type: string}
//   urgent:
//     llm: default
//     with: {prompt: "{{ item }}\n\nIs it urgent?"}
//     output: {type: boolean}
//
//   topic_together:
//     llm: default
//     with:
//       prompt: |-
//         {{ item }}
//
//         Answer each question in the field of its name.
//         1. topic: What is it about?
//         2. urgent: Is it urgent?
//     output: {type: object, properties: {topic: {type: string}, urgent: {type: boolean}}, ...}
//   topic: {value: "{{ steps.topic_together.output.topic }}"}
//   urgent: {value: "{{ steps.topic_together.output.urgent }}"}
//
// Refuses: questions that are asked under different conditions, and those whose answers are only
// read where the answer to another one says so: to ask them there alone may spare more. Questions
// that are only known when the plan runs, are longer than 600 bytes, or stand in the middle of a
// sentence. Steps that offer tools, draw their answers by chance, repeat, have a budget of their
// own, stand in for others or have a value or a step for their failure; stop strings without an
// output schema. At most eight questions go into one call.
//
// Saves: for n questions n - 1 calls, and n - 1 times the tokens of the common part at servers,
// which read it with every question. The embedded engine computes a common beginning once anyway:
// there only what stands behind the question is saved (unless the model is `deterministic`, which
// shares nothing). It also writes answers to several requests at the same time, so there one call
// may take longer than many. What one call says in addition, its instruction and the names of its
// questions and fields, is counted against it.
//
// Source: batched prompting (Cheng, Kasai, Yu, "Batch Prompting: Efficient Inference with Large
// Language Model APIs", EMNLP 2023), here over the questions of a row and not over rows.
#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cost/prompt_tokens.h"
#include "fmt/format.h"
#include "fmt/ranges.h"
#include "optimize/joint_schema.h"
#include "optimize/passes/passes.h"
#include "optimize/question_split.h"
#include "plan/scope.h"

namespace sluice {
namespace {

constexpr std::size_t kMostQuestions = 8;
constexpr std::size_t kLongestQuestion = 600;
constexpr std::size_t kLeastCommon = 200;      // bytes, of a common part that reads nothing
constexpr std::size_t kMostCompared = 64;      // groups that a step is compared with
constexpr std::int64_t kModelMaxTokens = 512;  // of an answer, where nothing says more
constexpr std::int64_t kMostSupposed = 1536;   // of answers of which nothing says how long they are
constexpr std::int64_t kFieldTokens = 16;      // that a field's name and its quotes may take
constexpr std::int64_t kShortText = 200;       // tokens of a text that was cut, not refused
constexpr std::int64_t kBytesPerToken = 4;
constexpr std::string_view kInstruction = "Answer each question in the field of its name.";
constexpr std::size_t kNameMarks = 5;  // bytes around a question's number and name, a field's name

// A leaf of `with` and where it stands: "/messages/0/content".
struct Leaf {
  std::string path;
  const Binding* binding;
};

void add_leaves(const Binding& tree, const std::string& path, std::vector<Leaf>& into) {
  if (tree.kind == Binding::Kind::kExpr) into.push_back({path, &tree});
  for (std::size_t i = 0; i < tree.items.size(); ++i) {
    add_leaves(tree.items[i], fmt::format("{}/{}", path, i), into);
  }
  for (const auto& [key, member] : tree.members) add_leaves(member, path + "/" + key, into);
}

Binding* leaf_at(Binding& tree, const std::string& at, const std::string& path = "") {
  if (tree.kind == Binding::Kind::kExpr) return path == at ? &tree : nullptr;
  for (std::size_t i = 0; i < tree.items.size(); ++i) {
    if (Binding* found = leaf_at(tree.items[i], at, fmt::format("{}/{}", path, i))) return found;
  }
  for (auto& [key, member] : tree.members) {
    if (Binding* found = leaf_at(member, at, path + "/" + key)) return found;
  }
  return nullptr;
}

bool is_prompt(std::string_view path) {
  return path == "/prompt" || (path.starts_with("/messages/") && path.ends_with("/content"));
}

// As a template has it; nullopt: no text.
std::optional<std::string> text_of(const Binding& leaf) {
  if (leaf.broken) return std::nullopt;
  if (!leaf.text.empty()) return leaf.text;
  const auto constant = leaf.expr.as_constant();
  if (!constant || !constant->is_string()) return std::nullopt;
  std::string text(constant->as_string());
  const auto tags = template_tags(text);
  return tags && tags->empty() ? std::optional(std::move(text)) : std::nullopt;
}

// A step that asks a model, with what it is compared by.
struct Question {
  std::uint32_t step = 0;
  std::vector<Leaf> leaves;                // of `with` without max_tokens
  std::optional<std::int64_t> max_tokens;  // that it states
  bool knows_max_tokens = true;            // or states none
};

Question question_of(std::uint32_t index, const Step& step) {
  Question made;
  made.step = index;
  std::vector<Leaf> all;
  add_leaves(step.with, "", all);
  for (Leaf& leaf : all) {
    if (leaf.path != "/max_tokens") {
      made.leaves.push_back(std::move(leaf));
      continue;
    }
    const auto constant = leaf.binding->as_constant();
    made.knows_max_tokens = constant && constant->is_int() && constant->as_int() > 0;
    if (made.knows_max_tokens) made.max_tokens = constant->as_int();
  }
  return made;
}

// Where the two ask differently; nullopt where they differ in more than that, or not at all.
std::optional<std::string> where_they_differ(const Question& left, const Question& right) {
  if (left.leaves.size() != right.leaves.size()) return std::nullopt;
  std::optional<std::string> path;
  for (std::size_t i = 0; i < left.leaves.size(); ++i) {
    if (left.leaves[i].path != right.leaves[i].path) return std::nullopt;
    if (same_binding(*left.leaves[i].binding, *right.leaves[i].binding)) continue;
    if (path || !is_prompt(left.leaves[i].path)) return std::nullopt;
    path = left.leaves[i].path;
  }
  return path;
}

bool same_optional(const std::optional<Binding>& left, const std::optional<Binding>& right) {
  if (left.has_value() != right.has_value()) return false;
  return !left || same_binding(*left, *right);
}

bool same_joins(const Step& left, const Step& right) {
  return left.joins.size() == right.joins.size() &&
         std::ranges::all_of(left.joins, [&](const auto& join) {
           const JoinRule* other = right.find_join(join.first);
           return other && same_join(join.second, *other);
         });
}

std::set<std::string> after_of(const Step& step) {
  std::set<std::string> names;
  for (const auto& each : step.after) names.insert(each.value);
  return names;
}

OnErrorRule::Kind on_error_of(const Step& step) {
  return step.on_error ? step.on_error->kind : OnErrorRule::Kind::kFail;
}

// Whether both are done alike, whatever they ask and under whatever condition.
bool done_alike(const Step& left, const Step& right) {
  return left.target == right.target && same_optional(left.for_each, right.for_each) &&
         same_rules(left, right) && after_of(left) == after_of(right);
}

bool asked_alike(const Step& left, const Step& right) {
  return same_optional(left.when, right.when) && same_joins(left, right);
}

class AskTogether {
 public:
  explicit AskTogether(LogicalPassContext& context) : context_(context), draft_(context.draft) {}

  void run() {
    for (std::uint32_t i = 0; i < draft_.steps().size(); ++i) {
      if (step(i).op == OperatorKind::kLlm) questions_.push_back(question_of(i, step(i)));
    }
    if (questions_.size() < 2) return;
    std::vector<Group> groups = find_groups();
    for (Group& group : groups) narrow(group);
    for (const Group& group : groups) {
      for (std::size_t at = 0; at < group.members.size(); at += kMostQuestions) {
        const std::size_t end = std::min(at + kMostQuestions, group.members.size());
        const auto first = group.members.begin();
        together(group.path, Members(first + static_cast<std::ptrdiff_t>(at),
                                     first + static_cast<std::ptrdiff_t>(end)));
      }
    }
    apply();
  }

 private:
  using Members = std::vector<const Question*>;
  struct Group {
    std::string path;  // where their questions stand
    Members members;
  };
  // What one call will ask. Applied at the end: questions_ looks into the plan as it is.
  struct Joint {
    Step step;
    std::vector<std::pair<std::uint32_t, Step>> values;
  };

  const Step& step(std::uint32_t index) const { return draft_.steps()[index]; }
  const Step& step(const Question* question) const { return step(question->step); }

  void refuse(const Question* question, std::string why) {
    context_.notes.refused(step(question).id, std::move(why));
  }

  // Steps that differ in one part of their prompts, in the order of the plan.
  std::vector<Group> find_groups() const {
    std::vector<Group> groups;
    for (const Question& question : questions_) {
      bool taken = false;
      const std::size_t compared = std::min(groups.size(), kMostCompared);
      for (std::size_t i = groups.size() - compared; i < groups.size() && !taken; ++i) {
        taken = join(question, groups[i]);
      }
      if (!taken) groups.push_back({"", {&question}});
    }
    std::erase_if(groups, [](const Group& group) { return group.members.size() < 2; });
    return groups;
  }

  bool join(const Question& question, Group& group) const {
    const Question* first = group.members.front();
    if (!done_alike(step(first), step(question.step))) return false;
    const auto path = where_they_differ(*first, question);
    if (!path || (!group.path.empty() && group.path != *path)) return false;
    // What is about something else differs in what it reads, too.
    if (!split_of(*path, {first, &question})) return false;
    group.path = *path;
    group.members.push_back(&question);
    return true;
  }

  std::expected<QuestionSplit, std::string_view> split_of(const std::string& path,
                                                          const Members& members) const {
    std::vector<std::string> texts;
    for (const Question* each : members) {
      const auto leaf = std::ranges::find(each->leaves, path, &Leaf::path);
      auto text = text_of(*leaf->binding);
      if (!text) return std::unexpected("its prompt is no text as it is written");
      texts.push_back(*std::move(text));
    }
    return split_questions(texts);
  }

  // Leaves only what may be asked in one call, with notes about the others.
  void narrow(Group& group) {
    std::erase_if(group.members, [&](const Question* each) {
      std::string why = obstacle(*each);
      if (why.empty()) return false;
      refuse(each, std::move(why));
      return true;
    });
    if (group.members.empty()) return;
    const Question* first = most_asked_alike(group.members);
    std::erase_if(group.members, [&](const Question* each) {
      if (asked_alike(step(first), step(each))) return false;
      refuse(each, fmt::format("it is not asked wherever {} is", step(first).id));
      return true;
    });
    const Members all = group.members;
    std::erase_if(group.members, [&](const Question* each) {
      const Step* reader = reads_it_by_another(*each, all);
      if (!reader) return false;
      refuse(each, fmt::format("{} reads it only where another of these answers says so: to ask "
                               "it there alone may spare more",
                               reader->id));
      return true;
    });
  }

  const Question* most_asked_alike(const Members& members) const {
    const Question* best = members.front();
    std::ptrdiff_t most = 0;
    for (const Question* each : members) {
      const auto count = std::ranges::count_if(
          members, [&](const Question* other) { return asked_alike(step(each), step(other)); });
      if (count > most) {
        most = count;
        best = each;
      }
    }
    return best;
  }

  // "": none. What keeps the step from being asked together with any other.
  std::string obstacle(const Question& question) const {
    const Step& each = step(question.step);
    if (each.with.find("tools")) return "it offers tools";
    if (draft_.effect(question.step) != Effect::kPure) return "its answers are drawn by chance";
    if (each.repeat) return "it repeats";
    if (!each.budget.none() || each.limits) return "it has a budget of its own";
    if (draft_.is_fallback(question.step)) return "it stands in for another step";
    const OnErrorRule::Kind on_error = on_error_of(each);
    if (on_error == OnErrorRule::Kind::kStep || on_error == OnErrorRule::Kind::kValue) {
      return "its on_error is its own: one call has one failure";
    }
    if (!question.knows_max_tokens) return "its max_tokens is only known when it runs";
    if (!each.output && stops(each)) return "a stop string would have to end one field of several";
    return "";
  }

  const Value* model_sampling(const Step& each, std::string_view key) const {
    const NamedSettings* model = draft_.plan().find_model(each.target);
    const Value* sampling = model ? model->settings.find("sampling") : nullptr;
    return sampling ? sampling->find(key) : nullptr;
  }

  bool stops(const Step& each) const {
    return each.with.find("stop") != nullptr || model_sampling(each, "stop") != nullptr;
  }

  // A step that reads this answer, where all do so under a condition on another of the answers.
  const Step* reads_it_by_another(const Question& question, const Members& members) const {
    const auto& readers = draft_.readers(question.step);
    const Step* found = nullptr;
    for (const Reader& reader : readers) {
      if (reader.step == kNoIndex || !step(reader.step).when) return nullptr;
      const auto asks = references_of(*step(reader.step).when, EdgeUse::kWhen);
      const bool another = std::ranges::any_of(asks, [&](const Reference& read) {
        return std::ranges::any_of(members, [&](const Question* other) {
          return other->step != question.step && step(other).id == read.step;
        });
      });
      if (!another) return nullptr;
      found = &step(reader.step);
    }
    return found;
  }

  // ---- the one call ----
  void together(const std::string& path, const Members& members) {
    if (members.size() < 2) return;
    auto split = split_of(path, members);
    if (!split) return refuse(members[1], std::string(split.error()));
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (split->questions[i].size() > kLongestQuestion) {
        return refuse(members[i], "its question is long: that is most of what would be asked");
      }
    }
    if (!much_in_common(*members[0], path, *split)) {
      return refuse(members[0], "hardly anything of the prompts is common");
    }
    std::vector<JointField> fields;
    for (const Question* each : members) fields.push_back(field_of(*each));
    auto schema = joint_schema(fields);
    if (!schema) return refuse(members[0], schema.error());
    auto joint = made(path, members, *split);
    if (!joint) return refuse(members[0], joint.error().message());
    joint->step.output = *std::move(schema);
    note(path, members, *split, joint->step.id);
    joints_.push_back(*std::move(joint));
  }

  // What the questions are about is read, or long.
  static bool much_in_common(const Question& question, const std::string& path,
                             const QuestionSplit& split) {
    const auto tags = template_tags(split.front + split.back);
    if (!tags || !tags->empty()) return true;
    std::size_t bytes = split.front.size() + split.back.size();
    for (const Leaf& leaf : question.leaves) {
      if (leaf.path == path || !is_prompt(leaf.path)) continue;
      if (!leaf.binding->expr.inputs().empty()) return true;
      bytes += text_of(*leaf.binding).value_or("").size();
    }
    return bytes >= kLeastCommon;
  }

  std::int64_t most_tokens(const Question& question) const {
    if (question.max_tokens) return *question.max_tokens;
    const Value* most = model_sampling(step(question.step), "max_tokens");
    return most && most->is_int() && most->as_int() > 0 ? most->as_int() : kModelMaxTokens;
  }

  // A text has to end in its field, where alone it may be cut: it gets room to. What no plan states
  // is not added up beyond what a context has room for.
  std::int64_t most_tokens(const Members& members) const {
    std::int64_t stated = 0;
    std::int64_t supposed = 0;
    for (const Question* each : members) {
      const std::int64_t own = most_tokens(*each);
      const bool says = each->max_tokens || model_sampling(step(each), "max_tokens");
      (says ? stated : supposed) += step(each).output ? own : own + own / 2;
    }
    return stated + std::min(supposed, kMostSupposed) +
           kFieldTokens * static_cast<std::int64_t>(members.size());
  }

  // A text that would be cut at its limit is no failure; one in an object has to end before.
  JointField field_of(const Question& question) const {
    const Step& each = step(question.step);
    JointField field{each.id, each.output, 0};
    const std::int64_t most = most_tokens(question);
    if (!each.output && most <= kShortText) {
      field.longest = static_cast<std::uint64_t>(most * kBytesPerToken);
    }
    return field;
  }

  Result<Joint> made(const std::string& path, const Members& members, const QuestionSplit& split) {
    Joint joint;
    joint.step = step(members[0]);
    joint.step.id = new_id(joint.step.id);
    joint.step.output_pos = joint.step.output_pos.known() ? joint.step.output_pos : joint.step.pos;
    Binding* leaf = leaf_at(joint.step.with, path);
    std::string text = joint_text(members, split);
    auto asked = Expr::compile(text, checked_names(true));
    if (!asked) {
      const ExprError& error = asked.error().front();
      return fail(error.code, error.message, leaf->pos);
    }
    leaf->text = std::move(text);
    leaf->expr = *std::move(asked);
    leaf->marks.clear();  // of the text as it was written
    set_max_tokens(joint.step.with, most_tokens(members));
    if (joint.step.timeout_ms) {
      *joint.step.timeout_ms *= static_cast<std::int64_t>(members.size());
    }
    for (const Question* each : members) {
      auto value = value_of(step(each), joint.step.id);
      if (!value) return std::unexpected(value.error());
      joint.values.emplace_back(each->step, *std::move(value));
    }
    return joint;
  }

  std::string joint_text(const Members& members, const QuestionSplit& split) const {
    std::string text = split.front;
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += kInstruction;
    for (std::size_t i = 0; i < members.size(); ++i) {
      text += fmt::format("\n{}. {}: {}", i + 1, step(members[i]).id, split.questions[i]);
    }
    const std::size_t more = split.back.find_first_not_of(' ');
    if (more == split.back.npos) return text;
    if (split.back[more] != '\n') text += '\n';
    return text + split.back.substr(more);
  }

  static void set_max_tokens(Binding& with, std::int64_t tokens) {
    Binding most;
    most.expr = Expr::constant(Value::integer(tokens));
    most.pos = with.pos;
    for (auto& [key, member] : with.members) {
      if (key == "max_tokens") {
        member = std::move(most);
        return;
      }
    }
    with.members.emplace_back("max_tokens", std::move(most));
  }

  // The step as one that reads its field of the answer.
  static Result<Step> value_of(const Step& old, const std::string& joint) {
    const std::string_view slot = old.for_each ? "[index]" : "";
    auto read =
        expression_binding(fmt::format("steps.{}.output{}.{}", joint, slot, old.id), old.pos);
    if (!read) return std::unexpected(read.error());
    Step value;
    value.id = old.id;
    value.pos = old.pos;
    value.op = OperatorKind::kValue;
    value.op_pos = old.op_pos;
    value.target_pos = old.target_pos;
    value.value = *std::move(read);
    value.output = old.output;
    value.output_pos = old.output_pos;
    value.for_each = old.for_each;
    value.joins = old.joins;  // those of its items stay
    JoinRule rule;
    rule.states_skipped = true;
    rule.pos = old.pos;
    value.joins.emplace_back(joint, std::move(rule));
    return value;
  }

  std::string new_id(std::string_view first) {
    constexpr std::string_view kEnd = "_together";
    constexpr std::size_t kLongest = 60;  // of an id, with room for a number
    const std::string stem(first.substr(0, kLongest - kEnd.size()));
    for (int number = 1;; ++number) {
      std::string id = stem + std::string(kEnd) + (number == 1 ? "" : fmt::to_string(number));
      const bool known = draft_.index_of(id) != kNoIndex;
      if (!known && new_ids_.insert(id).second) return id;
    }
  }

  void note(const std::string& path, const Members& members, const QuestionSplit& split,
            const std::string& id) {
    std::vector<std::string_view> names;
    for (const Question* each : members) names.push_back(step(each).id);
    PassNote& told = context_.notes.did(
        step(members[0]).id, fmt::format("{} asks {} in one call", id, fmt::join(names, ", ")));
    const double part = part_read_again(*members[0], path, split);
    double calls = 0;
    double tokens = 0;
    double asked = 0;                              // calls of the one step that is left
    double more = tokens_in(kInstruction.size());  // that it says, each time
    for (std::size_t i = 0; i < members.size(); ++i) {
      const StepEstimate* cost = context_.estimate.find(names[i]);
      if (!cost) return;
      more += 2 * tokens_in(names[i].size() + kNameMarks);
      asked = std::max(asked, cost->calls.middle);
      if (i == 0) continue;
      const double common =
          std::max(0.0, cost->prompt_tokens.middle - tokens_in(split.questions[i].size()));
      calls += cost->calls.middle;
      tokens += cost->calls.middle * common * part;
    }
    told.saved_calls = calls;
    tokens -= asked * more;
    if (tokens > 0) told.saved_tokens = tokens;
  }

  static double tokens_in(std::size_t bytes) {
    return static_cast<double>(bytes) / static_cast<double>(kBytesPerToken);
  }

  // Which part of what the questions have in common the model computes with each of them: all of it
  // at a server; else what stands behind them.
  double part_read_again(const Question& first, const std::string& path,
                         const QuestionSplit& split) const {
    const NamedSettings* model = draft_.plan().find_model(step(first.step).target);
    const Value* alone = model ? model->settings.find("deterministic") : nullptr;
    const bool shares = !alone || !alone->is_bool() || !alone->as_bool();
    if ((model && model->kind != "embedded") || !shares) return 1;
    double front = supposed_tokens(split.front);
    double behind = supposed_tokens(split.back);
    bool is_behind = false;
    for (const Leaf& leaf : first.leaves) {
      if (leaf.path == path) {
        is_behind = true;
      } else if (is_prompt(leaf.path)) {
        (is_behind ? behind : front) += supposed_tokens(leaf.binding->expr.to_string());
      }
    }
    return front + behind > 0 ? behind / (front + behind) : 0;
  }

  static double supposed_tokens(std::string_view source) {
    const FixedText fixed = fixed_text(source);
    return tokens_in(fixed.text.size()) +
           static_cast<double>(fixed.holes) * cost_defaults().input_tokens;
  }

  void apply() {
    for (Joint& joint : joints_) {
      draft_.add(std::move(joint.step));
      for (auto& [index, value] : joint.values) draft_.replace(index, std::move(value));
    }
  }

  LogicalPassContext& context_;
  PlanDraft& draft_;
  std::vector<Question> questions_;
  std::vector<Joint> joints_;
  std::set<std::string, std::less<>> new_ids_;
};

}  // namespace

void rewrite_ask_together(LogicalPassContext& context) { AskTogether(context).run(); }

}  // namespace sluice
