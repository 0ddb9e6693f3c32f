// CardFold: keeps what lists show of a run up to date while its trace goes by to the run's own
// sink, and the summary that a snapshot takes along. One thread.
#pragma once

#include <string>

#include "journal/journal.h"
#include "runtime/summary.h"
#include "runtime/trace.h"

namespace sluice {

class CardFold final : public TraceSink {
 public:
  explicit CardFold(TraceSink* next) : next_(next) {}

  void on_trace(const TraceEvent& event) override;
  void restored(std::string_view folded) override;

  void fill(RunCard& card) const;
  std::uint64_t waiting() const;
  std::string save() const { return summary_.save(); }
  // Changes whenever a card would say something else than a moment ago.
  std::uint64_t version() const { return version_; }

 private:
  TraceSink* next_;
  SummaryFold summary_;
  std::string first_error_;
  std::uint64_t version_ = 0;
};

}  // namespace sluice
