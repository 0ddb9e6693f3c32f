#include "cost/prompt_tokens.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "data/json.h"

namespace sluice {
namespace {

constexpr std::size_t kSampledItems = 4;
constexpr std::size_t kSampledRuns = 16;
constexpr double kOpeningTokens = 3;  // with which the template begins the answer

double count_text(std::string_view text, const ModelCost* model) {
  if (text.empty()) return 0;
  if (model != nullptr && model->count_tokens) {
    return static_cast<double>(model->count_tokens(text));
  }
  return static_cast<double>(text.size()) / cost_defaults().bytes_per_token;
}

std::string text_of(const Value& value) {
  return value.is_string() ? std::string(value.as_string())
                           : to_json(value, {.redact_secrets = false});
}

// Walks over the `with` of an llm step, counting what the model reads.
class PromptCounter {
 public:
  PromptCounter(const PhysicalStep& step, std::uint32_t index, KnownValues& known,
                const ModelCost* model)
      : step_(step), index_(index), known_(known), model_(model) {
    const std::span<const Value> items = known.some_items(index);
    of_runs_ = items.empty() && !step.mapped && !known.runs().empty();
    const std::size_t count = of_runs_ ? known.runs().size() : items.size();
    spread_ = spread_items(count, of_runs_ ? kSampledRuns : kSampledItems);
    all_items_ = !of_runs_ && known.items(index) != nullptr && spread_.size() == count;
  }

  PromptTokens count() {
    made_.tokens = Estimate::exact(0);
    walk(step_.body.binding, Part::kWith);
    if (messages_ == 0 && prompt_) messages_ = 1;
    const double added =
        static_cast<double>(messages_) * cost_defaults().message_tokens + kOpeningTokens;
    made_.tokens = made_.tokens + Estimate::exact(added);
    return made_;
  }

 private:
  enum class Part : std::uint8_t { kWith, kMessages, kMessage, kText, kOther };

  static Part part_of(Part around, std::string_view key) {
    if (around == Part::kWith) {
      return key == "messages" ? Part::kMessages : key == "prompt" ? Part::kText : Part::kOther;
    }
    if (around == Part::kMessage) return key == "content" ? Part::kText : Part::kOther;
    return around == Part::kText ? Part::kText : Part::kOther;
  }

  void walk(const Binding& node, Part part) {
    switch (node.kind) {
      case Binding::Kind::kExpr:
        return leaf(node.expr, part, leaf_++);
      case Binding::Kind::kList:
        for (const Binding& item : node.items) {
          if (part == Part::kMessages) ++messages_;
          walk(item, part == Part::kMessages ? Part::kMessage : part);
        }
        return;
      case Binding::Kind::kMap:
        for (const auto& [key, member] : node.members) {
          if (part == Part::kWith && key == "prompt") prompt_ = true;
          walk(member, part_of(part, key));
        }
    }
  }

  void leaf(const Expr& expr, Part part, std::size_t number) {
    if (part == Part::kOther || part == Part::kWith) return;
    if (auto value = known_.leaf(index_, step_.body, number, expr, std::nullopt)) {
      const double tokens = count_value(*value, part);
      made_.tokens = made_.tokens + Estimate::exact(tokens);
      if (front_) made_.prefix += tokens;
      return;
    }
    const FixedText fixed = fixed_text(expr.to_string());
    if (front_)
      made_.prefix += count_text(std::string_view(fixed.text).substr(0, fixed.front), model_);
    front_ = false;
    if (count_sampled(expr, part, number)) return;
    if (part != Part::kText) {  // the messages themselves are computed
      made_.tokens = made_.tokens + Estimate::rough(cost_defaults().prompt_tokens);
      return;
    }
    const double text = count_text(fixed.text, model_);
    const double read = static_cast<double>(fixed.holes) * cost_defaults().input_tokens;
    made_.tokens = made_.tokens + Estimate{text + read, text + read / 4, text + read * 4,
                                           EstimateSource::kDefault};
  }

  // As it is for some of the items, where these are given.
  bool count_sampled(const Expr& expr, Part part, std::size_t number) {
    std::vector<double> counts;
    for (std::uint32_t item : spread_) {
      auto value = of_runs_ ? known_.leaf_of_run(index_, step_.body, number, expr, item)
                            : known_.leaf(index_, step_.body, number, expr, item);
      if (!value) return false;
      counts.push_back(count_value(*value, part));
    }
    if (counts.empty()) return false;
    double sum = 0;
    for (double each : counts) sum += each;
    const auto [low, high] = std::ranges::minmax(counts);
    const auto source = all_items_ ? EstimateSource::kExact : EstimateSource::kSample;
    made_.tokens =
        made_.tokens + Estimate{sum / static_cast<double>(counts.size()), low, high, source};
    return true;
  }

  double count_value(const Value& value, Part part) {
    if (part != Part::kMessages || !value.is_array()) return count_text(text_of(value), model_);
    double tokens = 0;
    for (const Value& message : value.items()) {
      const Value* content = message.find("content");
      tokens += cost_defaults().message_tokens;
      if (content != nullptr) tokens += count_text(text_of(*content), model_);
    }
    return tokens;
  }

  const PhysicalStep& step_;
  std::uint32_t index_;
  KnownValues& known_;
  const ModelCost* model_;
  std::vector<std::uint32_t> spread_;
  bool all_items_ = false;
  bool of_runs_ = false;  // the plan's own parameters differ from run to run
  PromptTokens made_;
  std::size_t leaf_ = 0;
  std::size_t messages_ = 0;
  bool prompt_ = false;
  bool front_ = true;  // nothing yet that differs from task to task
};

}  // namespace

FixedText fixed_text(std::string_view source) {
  FixedText fixed;
  while (!source.empty()) {
    const std::size_t open = std::min(source.find("{{"), source.find("{%"));
    fixed.text += source.substr(0, open);
    if (fixed.holes == 0) fixed.front = fixed.text.size();
    if (open == std::string_view::npos) break;
    ++fixed.holes;
    const std::size_t close = source.find(source[open + 1] == '{' ? "}}" : "%}", open + 2);
    if (close == std::string_view::npos) break;
    source.remove_prefix(close + 2);
  }
  return fixed;
}

PromptTokens prompt_tokens(const PhysicalStep& step, std::uint32_t index, KnownValues& known,
                           const ModelCost* model) {
  return PromptCounter(step, index, known, model).count();
}

std::optional<double> answer_tokens(const Value& schema) {
  constexpr double kOfNumber = 4;
  constexpr double kOfChoice = 5;
  constexpr double kOfMember = 12;  // its name, quotes and a short value
  if (schema.find("enum") != nullptr || schema.find("const") != nullptr) return kOfChoice;
  const Value* type = schema.find("type");
  if (type == nullptr || !type->is_string()) return std::nullopt;
  if (type->as_string() == "boolean" || type->as_string() == "null") return 2;
  if (type->as_string() == "integer" || type->as_string() == "number") return kOfNumber;
  const Value* properties = schema.find("properties");
  if (type->as_string() == "object" && properties != nullptr && properties->is_object()) {
    double tokens = 2;
    for (const auto& [name, inner] : properties->members()) {
      tokens += kOfMember / 2 + std::min(answer_tokens(inner).value_or(kOfMember / 2), 1000.0);
    }
    return tokens;
  }
  return std::nullopt;
}

}  // namespace sluice
