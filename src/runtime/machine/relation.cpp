#include "runtime/machine/relation.h"

#include <algorithm>
#include <utility>

namespace sluice {

namespace {
const Value kNullValue{};
}

Relation::Chunk& Relation::chunk_at(std::uint32_t item) {
  std::uint32_t index = item / kChunkSlots;
  if (index >= chunks_.size()) chunks_.resize(index + 1);
  std::unique_ptr<Chunk>& chunk = chunks_[index];
  if (!chunk) {
    chunk = std::make_unique<Chunk>();
    // The only slot of a single step should not cost a thousand.
    chunk->slots.resize(closed && known <= 1 ? 1 : kChunkSlots);
  }
  if (chunk->slots.size() <= item % kChunkSlots) chunk->slots.resize(kChunkSlots);
  return *chunk;
}

const Relation::Slot* Relation::find_slot(std::uint32_t item) const {
  std::uint32_t index = item / kChunkSlots;
  if (index >= chunks_.size() || !chunks_[index]) return nullptr;
  const std::vector<Slot>& slots = chunks_[index]->slots;
  return item % kChunkSlots < slots.size() ? &slots[item % kChunkSlots] : nullptr;
}

SlotStatus Relation::status(std::uint32_t item) const {
  if (const Slot* slot = find_slot(item)) return slot->status;
  // A freed chunk lies below the prefix: its slots ended and every reader has seen them.
  return item < prefix ? SlotStatus::kDone : SlotStatus::kUnopened;
}

void Relation::set_status(std::uint32_t item, SlotStatus status) {
  chunk_at(item).slots[item % kChunkSlots].status = status;
}

const Value& Relation::value(std::uint32_t item) const {
  const Slot* slot = find_slot(item);
  return slot ? slot->value : kNullValue;
}

PathPtr Relation::path(std::uint32_t item) const {
  std::uint32_t index = item / kChunkSlots;
  if (index >= chunks_.size() || !chunks_[index] || !chunks_[index]->paths) return nullptr;
  return (*chunks_[index]->paths)[item % kChunkSlots];
}

const Error* Relation::slot_error(std::uint32_t item) const {
  auto found = errors_.find(item);
  return found == errors_.end() ? nullptr : &found->second;
}

const Error* Relation::first_error() const {
  if (error) return error.get();
  auto first = errors_.find(first_failed_);
  return first == errors_.end() ? nullptr : &first->second;
}

void Relation::set_slot_error(std::uint32_t item, Error why) {
  first_failed_ = errors_.empty() ? item : std::min(first_failed_, item);
  errors_.insert_or_assign(item, std::move(why));
}

void Relation::finish(std::uint32_t item, SlotStatus status, Value value, PathPtr path) {
  Chunk& chunk = chunk_at(item);
  std::uint32_t offset = item % kChunkSlots;
  Slot& slot = chunk.slots[offset];
  slot.status = status;
  ++terminal;
  if (status == SlotStatus::kFailed) ++failed;
  if (path) {
    last_path = later_path(path, last_path);
    if (slot_readers > 0) {
      if (!chunk.paths) chunk.paths = std::make_unique<std::array<PathPtr, kChunkSlots>>();
      (*chunk.paths)[offset] = std::move(path);
    }
  }
  if (value.kind() == Value::Kind::kBlob) ++spilled;
  if (keep_values || slot_readers > 0) slot.value = std::move(value);
  while (prefix < known && is_terminal(this->status(prefix))) ++prefix;
  for (; scanned_chunks_ < prefix / kChunkSlots; ++scanned_chunks_) {
    std::unique_ptr<Chunk>& behind = chunks_[scanned_chunks_];
    if (behind && behind.get() != &chunk && behind->released >= kChunkSlots) behind.reset();
  }
  // A reader that was skipped early may be done with the slot already.
  if (!keep_values && slot.consumed >= slot_readers) release(chunk, item);
}

void Relation::consume(std::uint32_t item) {
  std::uint32_t index = item / kChunkSlots;
  if (item >= known || index >= chunks_.size() || !chunks_[index]) return;
  Chunk& chunk = *chunks_[index];
  if (item % kChunkSlots >= chunk.slots.size()) return;
  Slot& slot = chunk.slots[item % kChunkSlots];
  ++slot.consumed;
  if (slot.consumed != slot_readers || keep_values) return;
  if (is_terminal(slot.status)) release(chunk, item);
}

void Relation::release(Chunk& chunk, std::uint32_t item) {
  std::uint32_t offset = item % kChunkSlots;
  chunk.slots[offset].value = Value();
  if (chunk.paths) (*chunk.paths)[offset] = nullptr;
  if (failed > 16 && item != first_failed_) errors_.erase(item);
  std::uint32_t first = item - offset;
  // Only behind the prefix: status() must go on telling the truth about slots still open.
  if (++chunk.released >= kChunkSlots && prefix >= first + kChunkSlots) {
    chunks_[item / kChunkSlots].reset();
  }
}

Value Relation::whole(const Value* failed_fill) const {
  if (!failed_fill && whole_cached_) return whole_;
  if (failed_fill && filled_cached_ && *failed_fill == filled_with_) return filled_;
  std::vector<Value> items;
  items.reserve(known);
  for (std::uint32_t item = 0; item < known; ++item) {
    bool fill = failed_fill && status(item) == SlotStatus::kFailed;
    items.push_back(fill ? *failed_fill : value(item));
  }
  Value array = Value::array(std::move(items));
  if (failed_fill) {
    filled_ = array;
    filled_with_ = *failed_fill;
    filled_cached_ = finished();
    return array;
  }
  whole_ = array;
  whole_cached_ = finished();
  return array;
}

}  // namespace sluice
