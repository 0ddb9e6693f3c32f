// Records: what the journal keeps of a run, as typed facts, and their bytes. The header comes
// first, then, in the order in which they happened: events as the state machine was given them,
// intents of `once` calls, and marks where a process took the run up. Record types and body
// versions are never reused: a newer program reads every older body (tests/runtime/golden holds one
// of each). Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "journal/journal.h"
#include "runtime/effect.h"
#include "runtime/event.h"

namespace sluice {

enum class RecordType : std::uint16_t {
  kHeader = 1,
  kResumed = 2,
  kIntent = 3,
  kEnded = 4,
  kSnapshot = 5,
  kNote = 6,
  // Events.
  kRunStarted = 16,
  kCallEnded = 17,
  kItemEmitted = 18,
  kPlanAdmitted = 19,
  kPlanRefused = 20,
  kTimerFired = 21,
  kWaitBegan = 22,
  kSignalReceived = 23,
  kCancelRequested = 24,
  kCallResumed = 25,
  kStepReplanned = 26,
};
std::string_view record_type_name(RecordType type);

// What a run is, for whoever takes it up.
struct RunHeader {
  std::string run_id;
  std::string program;                                     // version of the program that made it
  std::vector<std::pair<std::string, std::string>> files;  // name and text; [0] is the plan
  Value physical;                                          // encode_physical of the plan as it runs
  Value settings;           // the host's: work folder, models with their identities, passes (host/)
  WallNs wall_ns = 0;       // when it began
  std::string forked_from;  // run id or ""
  std::string fork_step;
};

// A process took the run up again.
struct RunResumedRecord {
  std::string program;
  std::string owner;  // for people: "pid 412 on host"
  WallNs wall_ns = 0;
};

// A `once` call is about to leave; withdrawn: it did not leave after all.
struct IntentRecord {
  CallRef call;
  bool withdrawn = false;
};

struct RunEndedRecord {
  RunStatus status = RunStatus::kSucceeded;
  std::vector<std::string> errors;  // as text
  Value result;
};

// The state at one moment; every record before it may be gone.
struct SnapshotRecord {
  RunHeader header;
  std::string state;    // RunState::snapshot
  std::string effects;  // what was open then (open_effects.h)
  std::string trace;    // what lists and `runs show` had folded by then
  std::uint64_t last_message = 0;
};

// Words for people in the journal: a notice, or why the run stopped here.
struct NoteRecord {
  std::string text;
  WallNs wall_ns = 0;
  std::uint64_t message = 0;  // of the inbox: this is all that came of it; 0: none
};

// An event as journaled: plans by their encoded form, and what a replay needs to enter it at the
// same moment.
struct EventRecord {
  Event event;               // of PlanAdmitted and StepReplanned the plan is read later
  Value admitted;            // kPlanAdmitted, kStepReplanned: encode_physical
  std::uint32_t rounds = 0;  // of binds since the event before, when it did not wait for their end
  std::uint32_t digest = 0;  // of all decisions before this event; 0: not known
  // Of the inbox, that led to this event; 0: none. Signals and cancels have it inside.
  std::uint64_t message = 0;
};

struct Record {
  SteadyNs at = 0;
  std::variant<RunHeader, RunResumedRecord, IntentRecord, RunEndedRecord, SnapshotRecord,
               NoteRecord, EventRecord>
      body;
};

JournalRecord encode_record(const Record& record);
// kJournalDamaged for bytes that no version wrote; kJournal for a type or version from the future.
Result<Record> decode_record(const JournalRecord& record);
// One line of JSON for `runs export`; secrets redacted.
std::string record_json(JournalSeq seq, const Record& record);

RecordType record_type(const Record& record);
// The inbox message that a record is about; 0: none.
std::uint64_t record_message(const Record& record);

}  // namespace sluice
