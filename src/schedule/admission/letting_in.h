// Lets waiting requests in, in the order of the ranking, while the admission policy says that they
// fit: who waits for a prefix that is being computed, who may pass one that does not fit, whose
// program is paused, and who is preempted for whom. Lives for one call of decide(); one thread.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "schedule/lifetime/kept_runs.h"
#include "schedule/policies.h"

namespace sluice {

class LettingIn {
 public:
  LettingIn(Round& round, KeptRuns& kept, RoomEstimate& room, std::vector<Candidate*> running);

  void run(ScheduleDecision& decision);
  // By rank; without those preempted, with those admitted.
  const std::vector<Candidate*>& running() const { return running_; }
  std::int64_t copied_cells() const { return copied_; }  // cells that admitted ones bring back

 private:
  enum class Answer : std::uint8_t { kIn, kPassedOver, kBlocked, kNobodyElse };
  Answer consider(Candidate& one, ScheduleDecision& decision);
  std::int64_t brings_back(const Candidate& one) const;
  bool worth_waiting(const Candidate& one) const;
  bool paused(const Candidate& one) const;
  bool can_begin(const Candidate& one, ScheduleDecision& decision);
  bool places_for(const Candidate& one, ScheduleDecision& decision);
  bool room_for(const Candidate& one, ScheduleDecision& decision);
  bool gives_way(const Candidate& victim, const Candidate& to) const;
  void preempt(Candidate* victim, ScheduleDecision& decision);
  void admit(Candidate& one, ScheduleDecision& decision);

  Round& round_;
  KeptRuns& kept_;
  RoomEstimate& room_;
  std::vector<Candidate*> running_;
  std::set<std::uint64_t> groups_;  // of those admitted now
  const Candidate* blocked_ = nullptr;
  std::int64_t highest_prefill_;  // level of the first running one that computes its prompt
  std::int64_t free_;             // cells that nothing uses and nothing is kept in
  std::int64_t copied_ = 0;
  std::uint32_t sequences_;
};

}  // namespace sluice
