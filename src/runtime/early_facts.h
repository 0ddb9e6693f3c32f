// EarlyFacts: records about something that the state machine has not decided yet. A newer program
// may decide in another order than the one that wrote the journal: what the older one learnt then
// is kept here by its name and given once it is asked for. One thread.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/error.h"
#include "runtime/effect.h"
#include "runtime/record.h"

namespace sluice {

class EarlyFacts {
 public:
  void keep(Record record);
  // What is known of the thing that this effect asks for, in order; it is taken out.
  std::vector<Record> take(const RunEffect& effect);
  bool empty() const { return facts_.empty(); }

  std::string encode() const;
  Result<void> decode(std::string_view bytes);

  // What a fact is about: a call, a task's plan, a wait or a timer.
  using Key = std::tuple<int, CallRef, std::uint64_t>;
  static std::optional<Key> key_of(const Record& record);
  static Key call_key(const CallRef& call);
  static Key plan_key(const TaskRef& task);
  static Key wait_key(const CallRef& call);
  static Key timer_key(std::uint64_t timer);
  static const CallRef* call_of(const Key& key);  // null: not about a call

 private:
  static std::optional<Key> key_of(const RunEffect& effect);
  std::map<Key, std::vector<Record>> facts_;
};

}  // namespace sluice
