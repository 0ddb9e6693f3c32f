// Journal: the durable event log of runs. Records are opaque here. Contract (tests/contract):
// - records of one run keep their order and get consecutive sequence numbers from 1;
// - `append` returns at once; `on_durable` is called once all up to that number will survive;
// - a reader sees only what is durable; values over a limit are in the content store before the
//   record that names them.
// Any thread; callbacks on a thread of the journal or inside append, never blocking.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/hash.h"
#include "data/value.h"

namespace sluice {

using JournalSeq = std::uint64_t;

struct JournalRecord {
  std::uint16_t type = 0;     // the runtime's event type
  std::uint16_t version = 1;  // of that type's body
  std::string body;
};

enum class JournaledRunState : std::uint8_t { kOpen, kEnded };

struct JournaledRun {
  std::string run_id;
  JournaledRunState state = JournaledRunState::kOpen;
  WallNs started_ns = 0;
  JournalSeq last_seq = 0;
};

// The right to append to one run: a fencing epoch. A later owner makes earlier leases fail.
struct RunLease {
  std::string run_id;
  std::uint64_t epoch = 0;
};

class Journal {
 public:
  virtual ~Journal() = default;

  // Creates the run, or takes it over from a dead owner. kJournal when a live owner has it.
  virtual Result<RunLease> open_run(std::string_view run_id, WallNs now) = 0;
  // Returns the number of the last record. Errors: kJournal (fenced), kDiskFull, kIo.
  virtual Result<JournalSeq> append(const RunLease& lease, std::span<const JournalRecord> records,
                                    std::function<void(Result<JournalSeq>)> on_durable) = 0;
  virtual Result<void> end_run(const RunLease& lease) = 0;

  // From `first` on, in order; the visitor returns false to stop.
  virtual Result<void> read(std::string_view run_id, JournalSeq first,
                            const std::function<bool(JournalSeq, const JournalRecord&)>& visit) = 0;
  virtual Result<std::vector<JournaledRun>> list_runs() = 0;

  // Content store: bytes by SHA-256. put is idempotent.
  virtual Result<Hash256> put_content(std::string_view bytes) = 0;
  virtual Result<std::string> get_content(const Hash256& hash) = 0;
};

// Nothing survives the process; for --no-journal and for tests.
std::unique_ptr<Journal> make_memory_journal();

}  // namespace sluice
