#include "host/calls/shared_calls.h"

#include <utility>

#include "base/failpoint.h"

namespace sluice {

SharedCalls::Answer SharedCalls::ask(const Hash256& key, Waiter waiter) {
  const auto [at, is_new] = calls_.try_emplace(key);
  Call& call = at->second;
  Answer answer;
  if (is_new) {
    answer.turn = call.turn = ++next_turn_;
  } else if (call.turn == 0) {
    by_use_.splice(by_use_.end(), by_use_, call.used);
    answer.output = call.output;
    if (failpoint(Failpoint::kShareLastUsed)) answer.output = calls_.at(by_use_.front()).output;
  } else {
    call.waiters.push_back(std::move(waiter));
    answer.waits = true;
  }
  return answer;
}

void SharedCalls::succeeded(const Hash256& key, const Value& output) {
  const auto [at, is_new] = calls_.try_emplace(key);
  if (!is_new && at->second.turn == 0) return;  // one like it was faster
  const std::vector<Waiter> waiters = std::exchange(at->second.waiters, {});
  keep(at, output);
  const Told told{.output = &output};
  for (const Waiter& waiter : waiters) waiter(told);
}

void SharedCalls::keep(Calls::iterator at, const Value& output) {
  const std::size_t bytes = output.memory_bytes();
  if (bytes > bounds_.result_bytes || bounds_.results == 0) {
    calls_.erase(at);
    return;
  }
  Call& call = at->second;
  call.turn = 0;
  call.output = output;
  call.bytes = bytes;
  call.used = by_use_.insert(by_use_.end(), at->first);
  bytes_ += bytes;
  while (bytes_ > bounds_.bytes || by_use_.size() > bounds_.results) {
    const auto oldest = calls_.find(by_use_.front());
    bytes_ -= oldest->second.bytes;
    calls_.erase(oldest);
    by_use_.pop_front();
  }
}

void SharedCalls::failed(const Hash256& key, std::uint64_t turn, bool cancelled) {
  const auto at = calls_.find(key);
  if (at == calls_.end() || turn == 0 || at->second.turn != turn) return;
  if (cancelled) return pass_on(key);
  const std::vector<Waiter> waiters = std::move(at->second.waiters);
  calls_.erase(at);
  if (failpoint(Failpoint::kShareForgetsWaiters)) return;
  const Value nothing = Value();
  const Told told{.output = failpoint(Failpoint::kShareFailures) ? &nothing : nullptr};
  for (const Waiter& waiter : waiters) waiter(told);
}

// The turn goes to the first that is still there; the rest goes on waiting.
void SharedCalls::pass_on(const Hash256& key) {
  const auto at = calls_.find(key);
  Call& call = at->second;
  while (!call.waiters.empty()) {
    const Waiter next = std::move(call.waiters.front());
    call.waiters.erase(call.waiters.begin());
    call.turn = ++next_turn_;
    if (next(Told{.turn = call.turn})) return;
  }
  calls_.erase(at);
}

}  // namespace sluice
