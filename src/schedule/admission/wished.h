// Admission where requests may ask for another policy than the engine's: each waiting request is
// let in by the estimate of the one that it wishes for; all estimates count everybody who runs.
// Lives for one call of decide(); one thread.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "schedule/policies.h"

namespace sluice {

class WishedRoom final : public RoomEstimate {
 public:
  explicit WishedRoom(const Round& round);

  bool fits(const Candidate& one) const override;
  void add(const Candidate& one) override;
  void remove(const Candidate& one) override;

 private:
  AdmissionPolicy* policy_of(const Candidate& one) const;

  AdmissionPolicy* usual_;
  // That of the engine first; others where somebody who waits asks for them.
  std::vector<std::pair<AdmissionPolicy*, std::unique_ptr<RoomEstimate>>> rooms_;
};

}  // namespace sluice
