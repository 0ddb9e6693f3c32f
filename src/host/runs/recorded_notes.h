// What optimizer passes did for a run, as its journal keeps it: for people, who want to know later
// why the plan ran as it did. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/value.h"
#include "optimize/optimizer.h"

namespace sluice {

// A PassNote that owns its pass's name: that may be one which this program no longer knows.
struct RecordedNote {
  std::string pass;
  bool refused = false;
  std::string step, text;
  std::optional<double> saved_calls, saved_trips, saved_tokens, saved_s;

  PassNote note() const;  // its `pass` points here
  friend bool operator==(const RecordedNote&, const RecordedNote&) = default;
};

// A header is small: of a plan with more notes the others are not kept.
inline constexpr std::size_t kMostRecordedNotes = 500;

std::vector<RecordedNote> recorded_notes(std::span<const PassNote> notes);
Value encode_notes(std::span<const RecordedNote> notes);
// nullopt: there are none, as in a journal of an older program. What is no note is left out.
std::optional<std::vector<RecordedNote>> decode_notes(const Value* notes);

}  // namespace sluice
