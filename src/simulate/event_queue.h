// EventQueue: virtual time. What is to happen waits here and happens one after the other; what
// falls on one moment happens in an order that the seed chose. Everything belongs to somebody: the
// world (kWorld), or a process whose things never happen once it has died. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/random.h"

namespace sluice {

class EventQueue {
 public:
  using Owner = std::uint32_t;
  static constexpr Owner kWorld = 0;

  // `slow_posts`: a process may be busy for a while before it gets to what was posted to it.
  EventQueue(std::uint64_t seed, bool slow_posts) : random_(seed), slow_posts_(slow_posts) {}

  SteadyNs now() const { return now_; }
  std::uint64_t happened() const { return happened_; }
  void after(Owner owner, std::int64_t delay_ns, std::function<void()> work);
  // Soon, in the order of the calls of this owner.
  void post(Owner owner, std::function<void()> work);
  // Nothing of this owner's happens any more.
  void forget(Owner owner) { gone_.insert(owner); }
  // Lets the next thing happen. False: nothing waits.
  bool step();
  // A number for each thing that happened and when: equal worlds have equal ones.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  struct Entry {
    SteadyNs at;
    std::uint64_t tie;
    std::uint64_t number;
    Owner owner;
    std::function<void()> work;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const;
  };

  Random random_;
  bool slow_posts_;
  SteadyNs now_ = 1;
  std::uint64_t number_ = 0;
  std::uint64_t happened_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::vector<Entry> heap_;
  std::set<Owner> gone_;
  std::map<Owner, SteadyNs> posted_;  // when the last post of each comes
};

}  // namespace sluice
