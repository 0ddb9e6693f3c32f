// The rules beside the admission policy's:
//  - after Sluice's first engine: a request whose prefix a running one is computing right now is
//    passed over until that prefix is there to be shared (when that saves enough tokens);
//  - nobody is overtaken because it is large, but what a backfilling batch system would let pass
//    does: requests that take a small part of its time;
//  - from ThunderAgent, pausing of whole programs when the pool thrashes: what begins new does not
//    drive out what programs at their tools will come back to, when bringing that back costs a good
//    part of what the new one is worth and the machine has other work. Their flaw (smallest first:
//    a large program waited 404 s) cannot arise: the order is by age, and who has aged is let in;
//  - from FastSwitch: preemption moves cells, so it happens for a higher priority, or for a light
//    tenant's request against a heavy one's, and not otherwise.
#include "schedule/admission/letting_in.h"

#include <algorithm>

#include "schedule/admission/victims.h"
#include "schedule/fairness/going_first.h"

namespace sluice {
namespace {

constexpr double kPassingPart = 0.25;        // of the time of the one that does not fit
constexpr double kPausePart = 0.25;          // of its own time that driving others out may cost
constexpr std::uint32_t kMostForOthers = 3;  // so often is one preempted for equal priorities
constexpr std::size_t kTries = 16;           // that do not fit, before the rest is not looked at

}  // namespace

LettingIn::LettingIn(Round& round, KeptRuns& kept, RoomEstimate& room,
                     std::vector<Candidate*> running)
    : round_(round),
      kept_(kept),
      room_(room),
      running_(std::move(running)),
      highest_prefill_(std::numeric_limits<std::int64_t>::min()),
      sequences_(round.snapshot.pool.sequences_free) {
  const PoolView& pool = round.snapshot.pool;
  free_ = std::int64_t{pool.total_cells} - pool.used_cells - pool.cached_cells;
  for (const Candidate* one : running_) {
    if (one->left_prompt > 0) highest_prefill_ = std::max(highest_prefill_, level_of(*one));
  }
}

// Runs come back from host memory as a whole, also when the request begins with a part of one.
std::int64_t LettingIn::brings_back(const Candidate& one) const {
  std::int64_t host = one.view->host_tokens;
  return host == 0 ? 0 : std::max(host, kept_.host_cells_before(one.view->kept_run));
}

bool LettingIn::worth_waiting(const Candidate& one) const {
  const RequestView& view = *one.view;
  if (view.prefix_group != 0 && groups_.contains(view.prefix_group)) {
    return one.left_prompt > kWorthWaiting;
  }
  bool soon = view.soon_shared_tokens > one.found_tokens + kWorthWaiting;
  // Not for the prompt of somebody who himself waits behind lower priorities, nor for ever.
  return soon && level_of(one) <= highest_prefill_ && !one.aged;
}

bool LettingIn::paused(const Candidate& one) const {
  if (one.aged || running_.empty() || one.found_tokens > 0) return false;
  std::int64_t out =
      std::int64_t{one.left_prompt} + one.left_output + copied_ - free_ - kept_.freed_cells();
  for (const Candidate* running : running_) out += running->left_prompt;
  return out > 0 && kept_.loss_s(out) > kPausePart * one.own_s;
}

bool LettingIn::gives_way(const Candidate& victim, const Candidate& to) const {
  if (victim.view->deterministic || victim.waits) return false;
  if (level_of(victim) < level_of(to)) return true;
  if (victim.view->preempted >= kMostForOthers || level_of(victim) > level_of(to)) return false;
  // It has not begun to answer and would come after it.
  bool later = victim.rank > to.rank && victim.left_prompt > 0 && !to.view->program.empty() &&
               victim.view->program != to.view->program;
  return later || (to.light && !victim.light);
}

void LettingIn::preempt(Candidate* victim, ScheduleDecision& decision) {
  decision.preempt.push_back(victim->view->id);
  room_.remove(*victim);
  std::erase(running_, victim);
}

// A place among those that run, and a sequence.
bool LettingIn::places_for(const Candidate& one, ScheduleDecision& decision) {
  if (sequences_ == 0) {
    std::uint32_t freed = one.view->prefetch ? 0 : kept_.free_sequences(1, decision.moves);
    if (freed == 0) return false;
    sequences_ += freed;
  }
  if (running_.size() < round_.snapshot.max_running) return true;
  for (auto at = running_.rbegin(); at != running_.rend(); ++at) {
    if (!gives_way(**at, one)) continue;
    preempt(*at, decision);
    return true;
  }
  return false;
}

bool LettingIn::room_for(const Candidate& one, ScheduleDecision& decision) {
  if (running_.empty() || room_.fits(one)) return true;
  std::vector<Candidate*> victims;
  for (auto at = running_.rbegin(); at != running_.rend() && !room_.fits(one); ++at) {
    if (!gives_way(**at, one) || (*at)->view->own_cells == 0) continue;
    victims.push_back(*at);
    room_.remove(**at);
  }
  bool fits = room_.fits(one);
  for (Candidate* victim : victims) {
    room_.add(*victim);
    if (fits) preempt(victim, decision);
  }
  return fits;
}

LettingIn::Answer LettingIn::consider(Candidate& one, ScheduleDecision& decision) {
  const RequestView& view = *one.view;
  if (view.deterministic && !running_.empty()) return Answer::kNobodyElse;
  if (blocked_) {
    bool small = one.own_s <= kPassingPart * blocked_->own_s;
    if (blocked_->aged || blocked_->view->deterministic || !small) return Answer::kPassedOver;
  }
  if (worth_waiting(one)) return Answer::kPassedOver;
  if (view.prefetch &&
      std::int64_t{one.left_prompt} + brings_back(one) + copied_ > free_ + kept_.freed_cells()) {
    return Answer::kPassedOver;  // nobody is driven out for what may come
  }
  // Its own prefix cannot make room for it, nor give it a sequence.
  std::vector<int> protecting = kept_.protect(view.kept_run);
  if (can_begin(one, decision)) {
    admit(one, decision);
    return view.deterministic ? Answer::kNobodyElse : Answer::kIn;
  }
  kept_.unprotect(protecting);
  return Answer::kBlocked;
}

bool LettingIn::can_begin(const Candidate& one, ScheduleDecision& decision) {
  // What it copies back needs cells at once.
  std::int64_t room = free_ + kept_.freed_cells() + kept_.evictable_cells();
  if (copied_ + brings_back(one) > room) {
    // Not even alone: its own prefix in the pool is in the way. The rest is computed again.
    if (running_.empty() && one.view->kept_run) {
      kept_.forget_in_host(*one.view->kept_run, decision.moves);
    }
    return false;
  }
  return !paused(one) && room_for(one, decision) && places_for(one, decision);
}

void LettingIn::admit(Candidate& one, ScheduleDecision& decision) {
  const RequestView& view = *one.view;
  decision.admit.push_back(view.id);
  if (view.prefix_group != 0) groups_.insert(view.prefix_group);
  room_.add(one);
  copied_ += brings_back(one);
  sequences_ -= 1;
  auto at = std::ranges::upper_bound(running_, one.rank, {}, &Candidate::rank);
  running_.insert(at, &one);
}

void LettingIn::run(ScheduleDecision& decision) {
  std::size_t tries = 0;
  for (Candidate* one : round_.ranking) {
    if (!one->waits) continue;
    Answer answer = consider(*one, decision);
    if (answer == Answer::kNobodyElse) return;
    if (answer == Answer::kIn) continue;
    if (answer == Answer::kBlocked && !blocked_) blocked_ = one;
    if (++tries >= kTries) return;
  }
}

}  // namespace sluice
