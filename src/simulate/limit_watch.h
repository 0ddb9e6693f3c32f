// LimitWatch: whether the calls that one process has under way keep the limits of their plan. One
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/effect.h"

namespace sluice {

class LimitWatch {
 public:
  explicit LimitWatch(std::uint32_t concurrency) : concurrency_(concurrency) {}
  // What it breaks, or "".
  std::string begin(const StartCall& start);
  void end(const CallRef& call);

 private:
  struct Under {
    const PhysicalStep* step;
    bool streaming;
  };
  std::uint32_t concurrency_;
  std::map<CallRef, Under> calls_;
};

}  // namespace sluice
