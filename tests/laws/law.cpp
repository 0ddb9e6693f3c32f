#include "tests/laws/law.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

#include "base/random.h"
#include "data/json.h"
#include "plan/lower.h"
#include "simulate/sim_tools.h"
#include "tests/laws/law_order.h"

namespace sluice::laws {
namespace {

bool has_effect(const LawCall& call) { return call.effect >= Effect::kIdempotent; }

std::string labels_text(const Labels& labels) {
  return fmt::format("{}{}", labels.secret ? " secret" : "", labels.untrusted ? " untrusted" : "");
}

// A call that has an effect, as the world sees it.
using Deed = std::tuple<std::string, std::string, std::string, std::string>;
Deed deed_of(const LawCall& call) {
  return {call.task, call.what, call.key,
          canonical_json(call.args) + labels_text(call.args.labels())};
}

class Comparison {
 public:
  Comparison(const LawRun& written, const LawRun& optimized)
      : written_(written),
        optimized_(optimized),
        touched_(touched_steps(written)),
        held_up_(held_up_steps(written, optimized)) {}

  std::optional<LawBroken> run() {
    if (!written_.ended || written_.spent) return std::nullopt;
    if (!written_.succeeded() && touched_.empty()) return std::nullopt;  // its result failed
    if (!optimized_.ended) return LawBroken{"stuck", "the optimized run does not come to an end"};
    using Law = std::optional<LawBroken> (Comparison::*)() const;
    for (Law law : {&Comparison::failure, &Comparison::effects, &Comparison::held_up,
                    &Comparison::result, &Comparison::order, &Comparison::calls}) {
      if (auto broken = (this->*law)()) return broken;
    }
    return std::nullopt;
  }

 private:
  bool touched(const std::string& task) const { return touched_.contains(root_step(task)); }

  std::optional<LawBroken> failure() const {
    for (const std::string& step : optimized_.by_itself) {
      if (touched_.contains(step)) continue;
      return LawBroken{"failure",
                       fmt::format("{} fails, and did not as written: {}", step, optimized_.error)};
    }
    if (written_.succeeded() && !optimized_.succeeded()) {
      return LawBroken{"failure", fmt::format("it ends {}: {}", run_status_name(optimized_.status),
                                              optimized_.error)};
    }
    return std::nullopt;
  }

  std::optional<LawBroken> effects() const {
    std::multiset<Deed> was, is;
    for (const LawCall& call : written_.calls) {
      if (has_effect(call) && !touched(call.task)) was.insert(deed_of(call));
    }
    for (const LawCall& call : optimized_.calls) {
      if (has_effect(call) && !touched(call.task)) is.insert(deed_of(call));
    }
    if (was == is) return std::nullopt;
    std::vector<Deed> differ;
    std::ranges::set_symmetric_difference(was, is, std::back_inserter(differ));
    const auto& [task, what, key, args] = differ.front();
    return LawBroken{"effects",
                     fmt::format("{} for {} with {}: {} as written, {} optimized", what, task, args,
                                 was.count(differ.front()), is.count(differ.front()))};
  }

  std::optional<LawBroken> held_up() const {
    std::multiset<Deed> was;
    for (const LawCall& call : written_.calls) {
      if (has_effect(call)) was.insert(deed_of(call));
    }
    for (const LawCall& call : optimized_.calls) {
      if (!has_effect(call) || !held_up_.contains(root_step(call.task))) continue;
      auto known = was.find(deed_of(call));
      if (known == was.end()) {
        return LawBroken{"held_up", fmt::format("{} for {}, which a failure held up as written",
                                                call.what, call.task)};
      }
      was.erase(known);
    }
    return std::nullopt;
  }

  std::optional<LawBroken> result() const {
    if (!touched_.empty() || !written_.succeeded()) return std::nullopt;
    if (written_.result != optimized_.result) {
      return LawBroken{"result", fmt::format("was {}, is {}", preview(written_.result, 400),
                                             preview(optimized_.result, 400))};
    }
    if (written_.result.labels() == optimized_.result.labels()) return std::nullopt;
    return LawBroken{"result",
                     fmt::format("its labels were{}, are{}", labels_text(written_.result.labels()),
                                 labels_text(optimized_.result.labels()))};
  }

  std::optional<LawBroken> order() const {
    for (const Waited& pair : waits_between_effects(written_)) {
      if (touched(pair.later) || touched(pair.earlier)) continue;
      if (auto broken = in_order(pair)) return broken;
    }
    return std::nullopt;
  }

  std::optional<LawBroken> in_order(const Waited& pair) const {
    std::uint64_t end = 0, begin = UINT64_MAX;
    for (const LawCall& call : optimized_.calls) {
      if (world_effect(call) < Effect::kRead) continue;
      if (call.task == pair.earlier) end = std::max(end, call.ended);
      if (call.task == pair.later) begin = std::min(begin, call.began);
    }
    if (end < begin) return std::nullopt;
    return LawBroken{"order",
                     fmt::format("{} begins before {} has ended", pair.later, pair.earlier)};
  }

  std::map<std::string, std::uint64_t> count(const LawRun& run, bool by_step) const {
    std::map<std::string, std::uint64_t> counts;
    for (const LawCall& call : run.calls) {
      if (!touched(call.task)) ++counts[by_step ? step_path(call.task) : call.what];
    }
    return counts;
  }

  std::optional<LawBroken> calls() const {
    for (const bool by_step : {true, false}) {
      const auto was = count(written_, by_step);
      for (const auto& [what, times] : count(optimized_, by_step)) {
        auto found = was.find(what);
        const std::uint64_t before = found == was.end() ? 0 : found->second;
        if (times <= before) continue;
        return LawBroken{"calls",
                         fmt::format("{} calls of {}, {} as written", times, what, before)};
      }
    }
    return std::nullopt;
  }

  const LawRun& written_;
  const LawRun& optimized_;
  std::set<std::string> touched_;
  std::set<std::string> held_up_;
};

// History that was never made: estimates, and with them the order of conditions, come out anyhow.
class AnyHistory final : public StatisticsStore {
 public:
  explicit AnyHistory(std::uint64_t seed) : seed_(seed) {}
  std::optional<StepStatistics> find(const Hash256& step) const override {
    Random random(text_number(step.hex(), seed_));
    if (random.below(3) == 0) return std::nullopt;
    StepStatistics known;
    known.tasks = known.conditions = known.calls = 100;
    known.held = random.below(101);
    for (int i = 0; i < 3; ++i) {
      known.seconds.add(0.001 * static_cast<double>(random.below(2000)), 10);
    }
    known.completion_tokens.add(static_cast<double>(random.below(200)));
    known.items.add(static_cast<double>(1 + random.below(8)), 30);  // or so many calls at once
    return known;
  }
  void add(const StatisticsTable&) override {}
  std::string problem() const override { return ""; }

 private:
  std::uint64_t seed_;
};

std::uint64_t deeds_of(const LawRun& run) {
  return static_cast<std::uint64_t>(std::ranges::count_if(run.calls, has_effect));
}

}  // namespace

std::optional<LawBroken> compare_runs(const LawRun& written, const LawRun& optimized) {
  return Comparison(written, optimized).run();
}

OptimizerSettings only_pass(std::string_view pass) {
  OptimizerSettings settings;
  if (pass == "all") return settings;
  settings.off = pass.empty();
  for (const PassInfo& info : optimizer_passes()) {
    if (info.name != pass) settings.without.insert(std::string(info.name));
  }
  return settings;
}

std::vector<std::string> pass_choices() {
  std::vector<std::string> choices = {"all"};
  for (const PassInfo& info : optimizer_passes()) {
    if (info.kind == PassClass::kExact) choices.emplace_back(info.name);
  }
  return choices;
}

LawReport check_law(const LawCase& of) { return check_law(of, pass_choices()); }

LawReport check_law(const LawCase& of, const std::vector<std::string>& choices) {
  LawReport report;
  auto lowered = lower_plan(of.plan, *of.tools);
  if (!lowered) {
    report.broken = LawBroken{"optimizer", lowered.error().to_string()};
    return report;
  }
  const LawRun written = run_law_plan(*lowered, *of.tools, of.params, of.seed, only_pass(""));
  report.succeeded = written.succeeded();
  report.effects = deeds_of(written);
  report.calls = written.calls.size();
  const AnyHistory history(of.seed);
  const CostInputs cost{.history = &history, .sample = nullptr, .models = {}, .params = &of.params};
  for (const std::string& choice : choices) {
    report.choice = choice;
    auto made = optimize_plan({.plan = of.plan,
                               .tools = *of.tools,
                               .params = &of.params,
                               .cost = cost,
                               .settings = only_pass(choice)});
    if (!made) {
      report.broken = LawBroken{"optimizer", made.error().to_string()};
      return report;
    }
    const auto did =
        static_cast<std::uint64_t>(std::ranges::count(made->notes, false, &PassNote::refused));
    (choice == "all" ? report.did : report.did_by[choice]) += did;
    LawKept kept;
    const LawRun optimized =
        run_law_plan(made->physical, *of.tools, of.params, of.seed + 1, only_pass(choice), &kept);
    report.broken = compare_runs(written, optimized);
    if (report.broken) return report;
    report.bulks += optimized.bulks;
    if (!kept.empty()) {  // once more: an earlier run has answered some of it
      const LawRun again =
          run_law_plan(made->physical, *of.tools, of.params, of.seed + 2, only_pass(choice), &kept);
      report.broken = compare_runs(written, again);
      if (report.broken) return report;
      report.reused += again.reused;
    }
    if (choice == "all" && optimized.calls.size() < written.calls.size()) {
      report.saved += written.calls.size() - optimized.calls.size();
    }
    report.shared += optimized.shared;
  }
  return report;
}

}  // namespace sluice::laws
