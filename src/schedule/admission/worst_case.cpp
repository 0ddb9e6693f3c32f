// admission: worst_case. A request is let in while its whole prompt and all tokens that it may
// generate fit beside the same of all that runs: nothing is ever preempted for want of cells, at
// the price of a pool that is mostly reserved and empty.
#include "schedule/policies.h"

namespace sluice {
namespace {

class WorstCase final : public RoomEstimate {
 public:
  explicit WorstCase(const Round& round)
      : free_(std::int64_t{round.snapshot.pool.total_cells} - round.snapshot.pool.used_cells) {
    for (const Candidate& one : round.candidates) {
      if (!one.waits) free_ -= still_takes(one);
    }
  }
  bool fits(const Candidate& one) const override { return takes(one) <= free_; }
  void add(const Candidate& one) override { free_ -= takes(one); }
  void remove(const Candidate& one) override { free_ += takes(one); }

 private:
  static std::int64_t still_takes(const Candidate& one) {
    return std::int64_t{one.left_prompt} + most_left(*one.view);
  }
  // Shared cells count once: those that nobody uses now become used. Of a running one: all that it
  // frees when it goes.
  static std::int64_t takes(const Candidate& one) {
    if (!one.waits) return still_takes(one) + one.view->own_cells;
    return still_takes(one) + one.view->host_tokens + one.view->shared_idle_tokens;
  }
  std::int64_t free_;
};

}  // namespace

std::unique_ptr<RoomEstimate> admit_worst_case(const Round& round) {
  return std::make_unique<WorstCase>(round);
}

}  // namespace sluice
