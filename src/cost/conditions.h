// The conditions of a plan's steps, operand by operand: what a `when` demands, what is known to
// hold already when it is evaluated, and under which hash its selectivity is remembered. Pure; any
// thread.
//
// The hash of an operand is its meaning: its text with the meaning of a step in place of the
// step's id, and what its step maps over. So it stays the same where a pass moves the operand to
// another step of the same rows, and where a user renames steps. Lists are remembered in the same
// way, by the meaning of the for_each that goes over them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/hash.h"
#include "plan/physical.h"

namespace sluice {

// A set of small numbers.
class BitSet {
 public:
  void add(std::uint32_t number);
  void add_all(const BitSet& other);
  bool has(std::uint32_t number) const;
  // Calls visit(number) in rising order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t word = 0; word < words_.size(); ++word) {
      for (std::uint64_t left = words_[word]; left != 0; left &= left - 1) {
        visit(static_cast<std::uint32_t>(word * 64) +
              static_cast<std::uint32_t>(__builtin_ctzll(left)));
      }
    }
  }

 private:
  std::vector<std::uint64_t> words_;
};

struct StepConditions {
  std::vector<std::uint32_t> own;    // operands of its `when` in order, into PlanConditions::keys
  std::vector<std::uint32_t> fresh;  // of these: not known to hold when it is evaluated
  Hash256 together;                  // of all fresh ones; zero: none
  Hash256 items;                     // the meaning of its for_each; zero: none
  BitSet whole;                      // what holds where the step has tasks at all
  BitSet task;                       // what holds where one of its tasks goes on
};

struct PlanConditions {
  std::vector<Hash256> keys;        // of all operands, each once
  std::uint32_t always = kNoIndex;  // the operand `true`, where a pass has put one
  std::vector<StepConditions> steps;
};

PlanConditions conditions_of(const PhysicalPlan& plan);

// An operand as it was written: what is asked early is `(x) is possible`, and the same condition
// as x.
std::string demanded(std::string_view operand);

}  // namespace sluice
