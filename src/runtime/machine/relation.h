// Relation: the slots of one step in one frame. Slots are kept in chunks; a chunk whose slots have
// all been consumed by every reader is freed, so memory follows the window, not the number of
// items.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/value.h"
#include "runtime/machine/path.h"

namespace sluice {

enum class SlotStatus : std::uint8_t {
  kUnopened,
  kWaiting,      // for `when`'s inputs, or for the body's when there is no `when`
  kWaitingBody,  // `when` held
  kBinding,
  kActive,  // has a Task: queued, calling, backing off, waiting, in doubt
  kDone,
  kSkipped,
  kFailed,
};
constexpr bool is_terminal(SlotStatus status) { return status >= SlotStatus::kDone; }

enum class RelationPhase : std::uint8_t { kPending, kOpen, kDone, kSkipped, kFailed };

class StateWriter;  // snapshot.h
class StateReader;

class Relation {
 public:
  static constexpr std::uint32_t kChunkSlots = 1024;

  RelationPhase phase = RelationPhase::kPending;
  std::uint32_t known = 0;   // items that exist so far
  bool closed = false;       // no more will come
  std::uint32_t opened = 0;  // tasks opened; <= known
  std::uint32_t prefix = 0;  // every slot below is terminal
  std::uint32_t terminal = 0;
  std::uint32_t failed = 0;
  std::uint32_t spilled = 0;       // slots whose value rests elsewhere
  bool keep_values = false;        // somebody reads the whole
  std::uint32_t slot_readers = 0;  // edges that read slot by slot
  PathPtr last_path;               // of the slot that ended last
  std::unique_ptr<Error> error;    // why the whole failed

  bool finished() const { return phase >= RelationPhase::kDone; }
  SlotStatus status(std::uint32_t item) const;
  void set_status(std::uint32_t item, SlotStatus status);
  // Null once released.
  const Value& value(std::uint32_t item) const;
  PathPtr path(std::uint32_t item) const;
  const Error* slot_error(std::uint32_t item) const;
  const Error* first_error() const;

  // Ends a slot; counts and the prefix follow.
  void finish(std::uint32_t item, SlotStatus status, Value value, PathPtr path);
  void set_slot_error(std::uint32_t item, Error error);
  // One slot reader is done with the slot.
  void consume(std::uint32_t item);
  // All slots as one array; skipped and failed ones are null, or `failed_fill`.
  Value whole(const Value* failed_fill) const;

  void save(StateWriter& writer) const;
  void load(StateReader& reader);

 private:
  struct Slot {
    Value value;
    SlotStatus status = SlotStatus::kUnopened;
    std::uint32_t consumed = 0;
  };
  struct Chunk {
    std::vector<Slot> slots;  // kChunkSlots, or 1 for a single step
    std::unique_ptr<std::array<PathPtr, kChunkSlots>> paths;
    std::uint32_t released = 0;
  };
  const Slot* find_slot(std::uint32_t item) const;
  Chunk& chunk_at(std::uint32_t item);
  void release(Chunk& chunk, std::uint32_t item);

  std::vector<std::unique_ptr<Chunk>> chunks_;  // null: not touched yet, or freed
  std::uint32_t scanned_chunks_ = 0;            // chunks that the prefix has passed
  std::unordered_map<std::uint32_t, Error> errors_;
  mutable Value whole_;
  mutable bool whole_cached_ = false;
  mutable Value filled_;  // whole() with the last fill
  mutable Value filled_with_;
  mutable bool filled_cached_ = false;
  std::uint32_t first_failed_ = 0;
};

}  // namespace sluice
