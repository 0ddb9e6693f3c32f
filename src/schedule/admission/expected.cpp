// admission: expected (the default). From Past-Future: draw the output length of every running
// request from what was generated lately, find the peak of cells over the moments at which they
// end, and let a request in when the worst peak of several draws stays within a part of the pool.
//
// Better: what the plan expects of a request replaces the draw; cells that several share count
// once, and only a request's own are freed by its end; what fits even at worst needs no draw; and
// a request that was preempted twice counts at its worst from then on, so that nothing is driven
// out again and again by an estimate that does not suit it.
#include <algorithm>
#include <array>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr std::size_t kDraws = 5;
constexpr std::uint32_t kTwice = 2;

class Expected final : public RoomEstimate {
 public:
  explicit Expected(const Round& round) : round_(round), held_(round.snapshot.pool.used_cells) {
    double part = std::clamp(round.snapshot.settings.fill, 0.05, 1.0);
    most_ = static_cast<std::int64_t>(part * round.snapshot.pool.total_cells);
    for (const Candidate& one : round.candidates) {
      if (one.waits) continue;
      held_ += one.left_prompt;
      growth_ += most_left(*one.view);
      running_.push_back(&one);
    }
  }

  bool fits(const Candidate& one) const override {
    std::int64_t held = held_ + takes_now(one);
    if (held + growth_ + most_left(*one.view) <= most_) return true;
    if (held > most_) return false;
    draw();
    for (std::size_t draw = 0; draw < kDraws; ++draw) {
      if (peak_with(draw, future(one, draw), held) > most_) return false;
    }
    return true;
  }

  void add(const Candidate& one) override {
    held_ += takes_now(one);
    growth_ += most_left(*one.view);
    running_.push_back(&one);
    if (!drawn_) return;
    for (std::size_t draw = 0; draw < kDraws; ++draw) {
      Future mine = future(one, draw);
      lines_[draw].insert(std::ranges::upper_bound(lines_[draw], mine), mine);
    }
  }

  void remove(const Candidate& one) override {
    held_ -= takes_now(one);
    growth_ -= most_left(*one.view);
    std::erase(running_, &one);
    for (std::size_t draw = 0; drawn_ && draw < kDraws; ++draw) {
      auto& line = lines_[draw];
      auto at = std::ranges::find(line, future(one, draw));
      if (at != line.end()) line.erase(at);
    }
  }

 private:
  // Tokens that it generates until it ends, and the cells that its end frees then.
  struct Future {
    std::int64_t left = 0;
    std::int64_t frees = 0;
    friend auto operator<=>(const Future&, const Future&) = default;
  };

  // Of a running one: with the cells that only it holds.
  static std::int64_t takes_now(const Candidate& one) {
    if (!one.waits) return std::int64_t{one.left_prompt} + one.view->own_cells;
    return std::int64_t{one.left_prompt} + one.view->host_tokens + one.view->shared_idle_tokens;
  }

  Future future(const Candidate& one, std::size_t draw) const {
    const RequestView& view = *one.view;
    std::uint32_t left = most_left(view);
    if (view.preempted < kTwice) {
      Random random(round_.snapshot.random_seed ^ (view.id * kDraws + draw));
      left = round_.lengths.draw_left(view, random);
    }
    return {.left = left, .frees = takes_now(one)};
  }

  // Not before it is needed: mostly all fits at worst.
  void draw() const {
    if (drawn_) return;
    drawn_ = true;
    for (std::size_t draw = 0; draw < kDraws; ++draw) {
      for (const Candidate* one : running_) lines_[draw].push_back(future(*one, draw));
      std::ranges::sort(lines_[draw]);
    }
  }

  // All that run generate one token a step; when the one with the least left ends, the others have
  // grown by as much.
  std::int64_t peak_with(std::size_t draw, Future more, std::int64_t held) const {
    const auto& line = lines_[draw];
    auto still = static_cast<std::int64_t>(line.size()) + 1;
    std::int64_t freed = 0;
    std::int64_t peak = held;
    bool taken = false;
    for (std::size_t i = 0; still > 0; --still) {
      bool mine = !taken && (i == line.size() || more < line[i]);
      const Future& next = mine ? more : line[i];
      peak = std::max(peak, held - freed + still * next.left);
      freed += next.frees;
      taken |= mine;
      i += mine ? 0 : 1;
    }
    return peak;
  }

  const Round& round_;
  std::int64_t most_ = 0;
  std::int64_t held_;        // by what runs, with the rest of its prompts
  std::int64_t growth_ = 0;  // at worst
  std::vector<const Candidate*> running_;
  mutable bool drawn_ = false;
  mutable std::array<std::vector<Future>, kDraws> lines_;  // of what runs, the first to end first
};

}  // namespace

std::unique_ptr<RoomEstimate> admit_expected(const Round& round) {
  return std::make_unique<Expected>(round);
}

}  // namespace sluice
