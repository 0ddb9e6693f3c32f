// What is known of a step's earlier tasks, by the meaning of the step (its hash) and not by its
// name. Collected from a run's trace, kept between runs by a StatisticsStore. Plain data; one
// thread.
//
// Conditions, and lists that a for_each goes over, are kept by meanings of their own
// (conditions.h) in the same table: a pass may move a condition to another step. Their entries have
// `conditions` and `held`, or `items`, only.
#pragma once

#include <map>
#include <optional>

#include "base/error.h"
#include "cost/sketch.h"
#include "data/hash.h"
#include "data/value.h"

namespace sluice {

struct StepStatistics {
  std::uint64_t tasks = 0;  // that were bound and asked (done or failed)
  std::uint64_t failed = 0;
  std::uint64_t conditions = 0;   // evaluations of its `when`
  std::uint64_t held = 0;         // ... that were true
  std::uint64_t calls = 0;        // that were really made
  std::uint64_t equal_calls = 0;  // calls whose inputs an earlier call of the run had had
  std::uint64_t cached = 0;
  QuantileSketch seconds;        // of a call, alone: what it took from start to end
  QuantileSketch prompt_tokens;  // of a call
  QuantileSketch completion_tokens;
  QuantileSketch items;  // a for_each: how many it had; a stream: how many it gave
  double usd = 0;        // of all calls
  // Prompt tokens of all calls that an engine did not compute again (a shared prefix).
  std::uint64_t shared_tokens = 0;

  void merge(const StepStatistics& other);
  void age();
  Value to_json() const;
  static Result<StepStatistics> from_json(const Value& json);
};

using StatisticsTable = std::map<Hash256, StepStatistics>;

// Where statistics live between runs. Implementations are in host/.
class StatisticsStore {
 public:
  virtual ~StatisticsStore() = default;
  virtual std::optional<StepStatistics> find(const Hash256& step) const = 0;
  // Adds to what is there. Never fails a run: what cannot be written is lost, `problem` says why.
  virtual void add(const StatisticsTable& table) = 0;
  virtual std::string problem() const = 0;  // "" when there is none
};

}  // namespace sluice
