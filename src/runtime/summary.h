// Folds the trace of a run into what a person wants to know: per step counts, tokens and time, and
// the critical path of the realized graph, computed as the run goes on (memory grows with steps,
// not with items). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/trace.h"

namespace sluice {

class WireReader;

struct StepSummary {
  std::string id;  // "sub/ask" for a step of a sub-plan
  std::string operator_name;
  std::uint64_t known = 0;  // tasks so far
  bool closed = false;      // no more will come
  std::uint64_t done = 0, skipped = 0, failed = 0, in_doubt = 0, running = 0;
  std::uint64_t waiting = 0;  // tasks of a `wait` that wait now
  std::uint64_t undone = 0;   // finished tasks that were undone since
  std::uint64_t calls = 0, retries = 0, cached = 0;
  // Of `cached`: answered by an equal call of this run, by what earlier runs have kept.
  std::uint64_t equal = 0, earlier = 0;
  std::uint64_t hedged = 0;  // calls beside which a second attempt was started
  Usage usage;
  std::int64_t busy_ns = 0;  // sum over calls
  SteadyNs first_ns = 0, last_ns = 0;
};

struct RunSummary {
  std::vector<StepSummary> steps;  // plan order, sub-plan steps after their caller
  Usage usage;
  SteadyNs start_ns = 0, end_ns = 0;
  std::vector<CriticalHop> critical_path;  // in time order; calls only
};

// The run's summary so far; the critical path comes with the end of the run.
class SummaryFold final : public TraceSink {
 public:
  SummaryFold();
  ~SummaryFold() override;
  void on_trace(const TraceEvent& event) override;
  const RunSummary& summary() const;
  // For snapshots of long runs: the summary as bytes, and back into a new fold.
  std::string save() const;
  void restored(std::string_view folded) override;

 private:
  struct Impl;
  static void take_plans(WireReader& in, std::uint8_t format, Impl& into);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
