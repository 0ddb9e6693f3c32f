#include "engine/host_tier.h"

#include <llama.h>

#include <algorithm>
#include <new>

#include "base/failpoint.h"

namespace sluice {
namespace {

// Tells blobs apart whose bytes were damaged or mixed up: some words of the whole length. Reading
// all of a blob once more would cost a third of the copy.
std::uint64_t spot_check(const std::uint8_t* data, std::size_t size) {
  std::uint64_t sum = size;
  std::size_t step = std::max<std::size_t>(1, size / 64);
  for (std::size_t at = 0; at < size; at += step) sum = sum * 0x9E3779B97F4A7C15ULL + data[at];
  return sum;
}

}  // namespace

bool HostTier::holds(SequenceId sequence, std::uint32_t start, std::uint32_t end) const {
  llama_memory_t memory = llama_get_memory(context_);
  return llama_memory_seq_pos_min(memory, sequence) == static_cast<llama_pos>(start) &&
         llama_memory_seq_pos_max(memory, sequence) + 1 == static_cast<llama_pos>(end);
}

std::uint64_t HostTier::size_of(SequenceId sequence) const {
  return llama_state_seq_get_size_ext(context_, sequence, 0);
}

std::optional<BlobId> HostTier::save(SequenceId sequence, std::uint32_t start, std::uint32_t end) {
  if (failpoint(Failpoint::kKvNotSaved) || !holds(sequence, start, end)) return std::nullopt;
  std::size_t size = size_of(sequence);
  if (size == 0 || used_bytes_ + size > budget_bytes_) return std::nullopt;
  Blob blob{.size = size, .start = start, .end = end};
  blob.data.reset(new (std::nothrow) std::uint8_t[size]);
  if (!blob.data) return std::nullopt;
  if (llama_state_seq_get_data_ext(context_, blob.data.get(), size, sequence, 0) != size) {
    return std::nullopt;
  }
  blob.check = spot_check(blob.data.get(), size);
  used_bytes_ += size;
  BlobId id = next_++;
  blobs_.emplace(id, std::move(blob));
  return id;
}

bool HostTier::restore(BlobId id, SequenceId sequence) {
  const Blob& blob = blobs_.at(id);
  bool read = !failpoint(Failpoint::kKvNotRestored) &&
              spot_check(blob.data.get(), blob.size) == blob.check &&
              llama_state_seq_set_data_ext(context_, blob.data.get(), blob.size, sequence, 0) ==
                  blob.size &&
              holds(sequence, blob.start, blob.end);
  if (!read) llama_memory_seq_rm(llama_get_memory(context_), sequence, -1, -1);
  return read;
}

void HostTier::drop(BlobId id) {
  auto found = blobs_.find(id);
  if (found == blobs_.end()) return;
  used_bytes_ -= found->second.size;
  blobs_.erase(found);
}

}  // namespace sluice
