// Life: whether a simulated process is alive, and the chances at which it may die. Inside of
// simulate/. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "simulate/scenario.h"

namespace sluice {

// The chances of a whole world, over all of its processes.
class DeathPlan {
 public:
  explicit DeathPlan(std::vector<Crash> crashes) : crashes_(std::move(crashes)) {}
  // Null: whoever asks lives on.
  const Crash* chance() {
    ++points_;
    if (calm_ || next_ >= crashes_.size() || crashes_[next_].point > points_) return nullptr;
    return &crashes_[next_++];
  }
  std::uint64_t points() const { return points_; }
  std::uint64_t crashes() const { return next_; }
  void calm() { calm_ = true; }

 private:
  std::vector<Crash> crashes_;
  std::uint64_t points_ = 0;
  std::size_t next_ = 0;
  bool calm_ = false;
};

class Life {
 public:
  // `died` is told at once, in the middle of whatever goes on: it must only note it.
  Life(DeathPlan& plan, std::function<void(bool power)> died)
      : plan_(plan), died_(std::move(died)) {}

  bool alive() const { return alive_; }
  // A chance to die. True: alive afterwards.
  bool chance() {
    if (!alive_) return false;
    if (const Crash* crash = plan_.chance()) {
      alive_ = false;
      died_(crash->power);
    }
    return alive_;
  }
  void die() { alive_ = false; }

 private:
  DeathPlan& plan_;
  std::function<void(bool power)> died_;
  bool alive_ = true;
};

}  // namespace sluice
