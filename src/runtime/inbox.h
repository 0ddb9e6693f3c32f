// What other processes tell a run through its durable inbox, and the text form in which they do.
// Pure; any thread.
#pragma once

#include <string>
#include <variant>

#include "base/error.h"
#include "data/value.h"
#include "journal/journal.h"

namespace sluice {

struct SignalMessage {
  std::string name;
  std::string task;  // TaskId text or "": the one that has waited longest
  Value value;
};
// What a person knows of a call in doubt.
struct ResolveMessage {
  enum class Verdict : std::uint8_t { kDone, kFailed, kRetry };
  std::string task;  // TaskId text as `runs show` has it
  Verdict verdict = Verdict::kFailed;
  Value output;  // kDone
  std::string reason;
};
struct CancelMessage {
  std::string reason;
};
using RunMessage = std::variant<SignalMessage, ResolveMessage, CancelMessage>;

// Kind and body for Journal::send.
std::pair<std::string, std::string> encode_message(const RunMessage& message);
Result<RunMessage> decode_message(const InboxMessage& message);  // kJournalDamaged

}  // namespace sluice
