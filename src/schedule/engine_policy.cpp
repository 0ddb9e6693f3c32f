// How a decision is put together:
//  1. A deterministic request has every batch for itself: while one runs nothing else does, and it
//     is admitted only when nothing runs. Its chunks have always the same shape.
//  2. Order policies give keys, the fairness policy makes one ranking of all requests.
//  3. When what decodes needs more cells than there are, the last in the ranking are preempted and
//     nobody is admitted; else waiting requests are admitted in the order of the ranking.
//  4. The batch policy forms the batch from what runs, by rank.
//  5. Lifetime policies say which kept runs leave for the cells that this takes.
#include "schedule/engine_policy.h"

#include <algorithm>

#include "schedule/admission/letting_in.h"
#include "schedule/admission/victims.h"
#include "schedule/admission/wished.h"
#include "schedule/fairness/going_first.h"
#include "schedule/policies.h"

namespace sluice {
namespace {

void rank_all(Round& round) {
  const PolicyTables& tables = policy_tables();
  const PolicyNames& names = round.snapshot.settings.names;
  OrderPolicy* usual = find_policy(tables.order, names.order, tables.order.front().policy);
  std::vector<std::vector<Candidate*>> mine(tables.order.size());
  for (Candidate& one : round.candidates) {
    OrderPolicy* order = find_policy(tables.order, one.view->policies.order, usual);
    for (std::size_t i = 0; i < tables.order.size(); ++i) {
      if (tables.order[i].policy == order) mine[i].push_back(&one);
    }
  }
  for (std::size_t i = 0; i < tables.order.size(); ++i) {
    if (!mine[i].empty()) tables.order[i].policy(round, mine[i]);
  }
  find_policy(tables.fairness, names.fairness, tables.fairness.front().policy)(round);
  for (std::size_t i = 0; i < round.ranking.size(); ++i) {
    round.ranking[i]->rank = static_cast<std::uint32_t>(i);
  }
}

std::uint32_t step_tokens(const Candidate& one) { return std::max(one.view->next_tokens, 1U); }

class Deciding {
 public:
  explicit Deciding(const ScheduleSnapshot& snapshot)
      : round_(snapshot), kept_((rank_all(round_), round_)) {
    const PoolView& pool = snapshot.pool;
    free_ = std::int64_t{pool.total_cells} - pool.used_cells - pool.cached_cells;
    for (Candidate* one : round_.ranking) {
      if (!one->waits) running_.push_back(one);
    }
  }

  ScheduleDecision run() {
    auto alone = std::ranges::find_if(
        running_, [](const Candidate* one) { return one->view->deterministic; });
    if (alone != running_.end()) {
      running_ = {*alone};
    } else if (!preempt_for_cells()) {
      let_in();
    }
    form_batch();
    make_room();
    bool still = decision_.admit.empty() && decision_.decode.empty() && decision_.prefill.empty();
    if (still && !decision_.moves.empty() && !round_.candidates.empty()) {
      decision_.decide_again_ns = round_.snapshot.now_ns;
    }
    return std::move(decision_);
  }

 private:
  std::int64_t cells() const {
    return std::max<std::int64_t>(free_ + kept_.freed_cells() + kept_.evictable_cells() - copied_,
                                  0);
  }

  // Cells that the next step of all that run takes at least.
  std::int64_t next_step() const {
    std::int64_t need = 0;
    for (const Candidate* one : running_) need += one->left_prompt == 0 ? step_tokens(*one) : 0;
    return std::max<std::int64_t>(need, running_.empty() ? 0 : 1);
  }

  bool preempt_for_cells() {
    std::int64_t missing = next_step() - cells();
    if (missing <= 0) return false;
    for (Candidate* victim : choose_victims(round_, running_, missing)) {
      decision_.preempt.push_back(victim->view->id);
      std::erase(running_, victim);
    }
    // What they held can leave with the next decision.
    if (!decision_.preempt.empty()) decision_.decide_again_ns = round_.snapshot.now_ns;
    return true;
  }

  void let_in() {
    WishedRoom room(round_);
    LettingIn letting(round_, kept_, room, std::move(running_));
    letting.run(decision_);
    running_ = letting.running();
    copied_ = letting.copied_cells();
  }

  void form_batch() {
    BatchInput input{.round = round_};
    input.cells = static_cast<std::uint32_t>(std::min<std::int64_t>(cells(), UINT32_MAX));
    bool alone = false;
    for (const Candidate* one : running_) {
      alone |= one->view->deterministic;
      (one->left_prompt == 0 && !one->waits ? input.decoding : input.prefilling).push_back(one);
    }
    const auto& rows = policy_tables().batch;
    const std::string& name = round_.snapshot.settings.names.batch;
    BatchPolicy* policy = find_policy(rows, name, rows.front().policy);
    if (alone) policy = find_policy(rows, "fixed", policy);
    policy(input, decision_);
  }

  void make_room() {
    std::int64_t need = copied_ - free_;
    for (const PrefillChunk& chunk : decision_.prefill) need += chunk.tokens;
    std::vector<std::uint64_t> decoding = decision_.decode;
    std::ranges::sort(decoding);
    for (const Candidate* one : running_) {
      if (std::ranges::binary_search(decoding, one->view->id)) need += step_tokens(*one);
    }
    kept_.leave_early(decision_.moves);
    kept_.make_room(need - kept_.freed_cells(), decision_.moves);
    if (!round_.candidates.empty()) return;
    auto again = kept_.bring_back(free_ + kept_.freed_cells(), decision_.moves);
    if (again) decision_.decide_again_ns = *again;
  }

  Round round_;
  KeptRuns kept_;
  ScheduleDecision decision_;
  std::vector<Candidate*> running_;  // by rank
  std::int64_t free_ = 0;            // cells that nothing uses and nothing is kept in
  std::int64_t copied_ = 0;          // cells that admitted requests bring back
};

}  // namespace

ScheduleDecision decide(const ScheduleSnapshot& snapshot) { return Deciding(snapshot).run(); }

std::vector<std::uint64_t> first_waiting(const ScheduleSnapshot& snapshot, std::size_t most) {
  Round round(snapshot);
  rank_all(round);
  std::vector<std::uint64_t> out;
  for (const Candidate* one : round.ranking) {
    if (out.size() >= most) break;
    if (one->waits) out.push_back(one->view->id);
  }
  return out;
}

}  // namespace sluice
