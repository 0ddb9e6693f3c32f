// DecisionDigest: a running fingerprint of everything that the state machine decided. Two runs of
// the same program over the same events have the same one; a replay compares them. Not secure, not
// for values from outside. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/effect.h"

namespace sluice {

// Fast and well mixed; the same on every machine of the same byte order.
std::uint64_t mix_number(std::uint64_t chain, std::uint64_t number);
std::uint64_t mix_bytes(std::uint64_t chain, std::string_view bytes);

class DecisionDigest {
 public:
  void add(const RunEffect& effect);
  // What was decided so far, never 0; the chain goes on from exactly this.
  std::uint32_t mark();
  void restart(std::uint64_t chain) { chain_ = chain; }
  std::uint64_t chain() const { return chain_; }  // for a snapshot: it changes nothing

 private:
  std::uint64_t chain_ = 1;
};

// One decision in words: "start a call: task reply[3], key 1f2e...".
std::string describe_effect(const RunEffect& effect);

}  // namespace sluice
