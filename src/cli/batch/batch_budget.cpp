#include "cli/batch/batch_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "cli/numbers_text.h"
#include "runtime/summary.h"

namespace sluice::cli {
namespace {

constexpr std::uint64_t kFew = 4;       // calls, of which a spread says little
constexpr double kOneInHundred = 2.33;  // standard deviations of a normal distribution

std::string whole(double number) {
  return count_text(static_cast<std::uint64_t>(std::llround(std::max(0.0, number))));
}

// The step's own call of a model, not one of the tools that the model asks for.
bool asks_model(const TraceEvent& event) {
  return event.step != nullptr && event.step->logical.op == OperatorKind::kLlm &&
         event.call.call == 0;
}

}  // namespace

Result<BatchBudget> parse_batch_budget(const std::vector<std::string>& texts) {
  BatchBudget budget;
  for (const std::string& text : texts) {
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string_view key = std::string_view(text).substr(0, equals);
    const std::string_view given = std::string_view(text).substr(std::min(equals + 1, text.size()));
    double number = 0;
    const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), number);
    std::optional<double>* bound = key == "tokens"    ? &budget.tokens
                                   : key == "usd"     ? &budget.usd
                                   : key == "seconds" ? &budget.seconds
                                                      : nullptr;
    const bool whole = error == std::errc() && end == given.data() + given.size() && number > 0 &&
                       std::isfinite(number);
    if (bound == nullptr || !whole) {
      return fail(
          ErrorCode::kUsage,
          fmt::format("--budget takes usd=5, tokens=200000 or seconds=3600, not '{}'", text));
    }
    *bound = number;
  }
  return budget;
}

void BudgetKeeper::expect(const PlanEstimate& estimate) {
  for (const StepEstimate& step : estimate.steps) {
    const double tokens = step.prompt_tokens.middle + step.completion_tokens.middle;
    const double usd = step.calls.middle > 0 ? step.usd.middle / step.calls.middle : 0;
    const std::size_t slash = step.id.rfind('/');
    auto& known = expected_[slash == std::string::npos ? step.id : step.id.substr(slash + 1)];
    known = {std::max(known.first, tokens), std::max(known.second, usd)};
  }
}

BudgetKeeper::Asked& BudgetKeeper::asked(const PhysicalStep& step) {
  const auto [at, is_new] = steps_.try_emplace(step.step_hash);
  if (!is_new) return at->second;
  if (auto known = expected_.find(step.logical.id); known != expected_.end()) {
    at->second.expected_tokens = known->second.first;
    at->second.expected_usd = known->second.second;
  }
  return at->second;
}

void BudgetKeeper::restored(std::string_view folded) {
  SummaryFold fold;
  fold.restored(folded);
  used_tokens_ = static_cast<double>(fold.summary().usage.tokens());
  used_usd_ = fold.summary().usage.usd;
  began_ = fold.summary().start_ns;
}

void BudgetKeeper::measured() {
  before_.tokens += std::exchange(used_tokens_, 0);
  before_.usd += std::exchange(used_usd_, 0);
  if (began_ != 0) {
    before_.seconds += static_cast<double>(now_ - began_) / static_cast<double>(kNsPerSecond);
  }
  began_ = now_ = 0;
  for (auto& [hash, step] : steps_) step.open = 0;
}

void BudgetKeeper::on_trace(const TraceEvent& event) {
  now_ = event.at;
  switch (event.kind) {
    case TraceKind::kRecoveryBegan:
      recovering_ = true;
      return;
    case TraceKind::kRecovered:
      recovering_ = false;
      if (!anew_) return;
      used_tokens_ = used_usd_ = 0;
      before_ = {};
      began_ = event.at;
      return;
    case TraceKind::kCallStarted:
      if (began_ == 0) began_ = event.at;
      return;
    case TraceKind::kCallEnded:
    case TraceKind::kDoubtEnded:
      return call_ended(event);
    default:
      return;
  }
}

void BudgetKeeper::call_ended(const TraceEvent& event) {
  const auto tokens = static_cast<double>(event.usage.tokens());
  used_tokens_ += tokens;
  used_usd_ += event.usage.usd;
  if (!asks_model(event)) return;
  Asked& step = asked(*event.step);
  if (step.open > 0) --step.open;
  // One that failed, or that another call's answer stood for, says nothing of the next one.
  if (event.error != nullptr || event.cached) return;
  ++step.ended;
  const auto count = static_cast<double>(step.ended);
  const auto learn = [count](double value, double& mean, double& square, double& most) {
    const double before = value - mean;
    mean += before / count;
    square += before * (value - mean);
    most = std::max(most, value);
  };
  learn(tokens, step.mean_tokens, step.square_tokens, step.most_tokens);
  learn(event.usage.usd, step.mean_usd, step.square_usd, step.most_usd);
}

// The sum of all calls under way, which in 99 of 100 cases is not more: means add up, and so do
// variances.
double BudgetKeeper::set_aside(double Asked::* expected, double Asked::* mean,
                               double Asked::* square, double Asked::* most) const {
  double sum = 0;
  double variance = 0;
  for (const auto& [hash, step] : steps_) {
    const auto open = static_cast<double>(step.open);
    if (step.ended < kFew) {
      sum += open * std::max(step.*expected, step.*most);
      continue;
    }
    sum += open * step.*mean;
    variance += open * step.*square / static_cast<double>(step.ended - 1);
  }
  return sum + kOneInHundred * std::sqrt(variance);
}

bool BudgetKeeper::lets(const PhysicalStep& step) {
  if (!words_.empty()) return false;
  if (step.logical.op != OperatorKind::kLlm || (!budget_.tokens && !budget_.usd)) return true;
  std::uint64_t& open = asked(step).open;
  ++open;
  if (!exceeded()) return true;
  --open;
  return false;
}

bool BudgetKeeper::lets(const StartCall& start) {
  return start.step == nullptr || start.call.call != 0 || lets(*start.step);
}

bool BudgetKeeper::exceeded() {
  const double tokens = set_aside(&Asked::expected_tokens, &Asked::mean_tokens,
                                  &Asked::square_tokens, &Asked::most_tokens);
  const double usd =
      set_aside(&Asked::expected_usd, &Asked::mean_usd, &Asked::square_usd, &Asked::most_usd);
  const double all_tokens = before_.tokens + used_tokens_;
  const double all_usd = before_.usd + used_usd_;
  if (budget_.tokens && all_tokens + tokens > *budget_.tokens) {
    const std::string measuring =
        before_.tokens > 0 ? fmt::format(" ({} of them to measure quality)", whole(before_.tokens))
                           : "";
    words_ = fmt::format("{} of {} tokens are used{}, and calls that are due want about {}",
                         whole(all_tokens), whole(*budget_.tokens), measuring, whole(tokens));
  } else if (budget_.usd && all_usd + usd > *budget_.usd) {
    const std::string measuring =
        before_.usd > 0 ? fmt::format(" ({:.4f} of them to measure quality)", before_.usd) : "";
    words_ =
        fmt::format("{:.4f} of {:.4f} usd are used{}, and calls that are due want about {:.4f}",
                    all_usd, *budget_.usd, measuring, usd);
  }
  return !words_.empty();
}

bool BudgetKeeper::time_is_over(SteadyNs now) {
  if (!words_.empty()) return true;
  if (recovering_ || !budget_.seconds || began_ == 0) return false;
  now_ = now;
  const double worked = static_cast<double>(now - began_) / static_cast<double>(kNsPerSecond);
  if (before_.seconds + worked < *budget_.seconds) return false;
  words_ = fmt::format("{:.0f} seconds", *budget_.seconds);
  return true;
}

}  // namespace sluice::cli
