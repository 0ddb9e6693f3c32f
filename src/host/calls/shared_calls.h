// SharedCalls: the calls of one run whose results stand for those of equal calls (the advice
// `share_equal` of pure steps). The first call with some inputs is made; those that come while it
// runs wait for it, those that come later get its result. When it fails, each that waits makes its
// own, since a failure is no result; when it is cancelled, which says nothing about the others, one
// of them takes its place. Results are held in memory up to a bound, the ones used last; secrets
// among them never leave it. The run's thread only; nothing of it recurses into itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "data/hash.h"
#include "data/value.h"

namespace sluice {

class SharedCalls {
 public:
  struct Bounds {
    std::size_t results = 65'536;
    std::size_t bytes = 64 << 20;        // of all results
    std::size_t result_bytes = 1 << 20;  // a larger one goes to those that wait, and is let go
  };
  // What a call that has waited is told: the result, or null: make the call. `turn` is then what
  // `failed` wants to know; 0 makes it on its own account.
  struct Told {
    const Value* output = nullptr;
    std::uint64_t turn = 0;
  };
  // Gives false when the call that waited is gone. It starts nothing before it returns.
  using Waiter = std::function<bool(const Told& told)>;

  struct Answer {
    bool waits = false;           // `waiter` is called later, once
    std::optional<Value> output;  // the result is there
    std::uint64_t turn = 0;       // neither of both: the call is to be made
  };

  SharedCalls() = default;
  explicit SharedCalls(Bounds bounds) : bounds_(bounds) {}
  SharedCalls(const SharedCalls&) = delete;
  SharedCalls& operator=(const SharedCalls&) = delete;

  Answer ask(const Hash256& key, Waiter waiter);
  // A call that was to be made has given its result, on whatever account it was made.
  void succeeded(const Hash256& key, const Value& output);
  // It has not. Nothing happens for a turn that is not the key's any more.
  void failed(const Hash256& key, std::uint64_t turn, bool cancelled);

  std::size_t results() const { return by_use_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  using ByUse = std::list<Hash256>;  // the one used last is at the end
  struct Call {
    std::uint64_t turn = 0;  // of the call that runs; 0: it has ended well
    std::vector<Waiter> waiters;
    Value output;
    std::size_t bytes = 0;
    ByUse::iterator used;
  };
  using Calls = std::map<Hash256, Call>;

  void keep(Calls::iterator at, const Value& output);
  void pass_on(const Hash256& key);

  Bounds bounds_;
  Calls calls_;
  ByUse by_use_;  // of those that have ended
  std::size_t bytes_ = 0;
  std::uint64_t next_turn_ = 0;
};

}  // namespace sluice
