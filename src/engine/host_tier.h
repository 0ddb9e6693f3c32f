// KV that has left the pool: a blob of host memory for each run of cells, within a budget of bytes.
// A blob is what libllama saves of a sequence; it is read back into a context of the same shape and
// model only, and this tier lives no longer than its context.
//
// Owned by a KvPool; its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

#include "schedule/prefix_tree.h"

struct llama_context;  // NOLINT(readability-identifier-naming): the library's own name

namespace sluice {

class HostTier {
 public:
  // `context` is borrowed.
  HostTier(llama_context* context, std::uint64_t budget_bytes)
      : context_(context), budget_bytes_(budget_bytes) {}

  // Bytes that a blob of all that `sequence` holds takes.
  std::uint64_t size_of(SequenceId sequence) const;
  // Copies all that `sequence` holds, positions [start, end). nullopt: beyond the budget, no
  // memory, or not all was there.
  std::optional<BlobId> save(SequenceId sequence, std::uint32_t start, std::uint32_t end);
  // Copies a blob back; what `sequence` held before is gone. False: the pool has no room, or what
  // came back is not what was saved; the sequence is empty then.
  bool restore(BlobId blob, SequenceId sequence);
  void drop(BlobId blob);

  std::uint64_t bytes(BlobId blob) const { return blobs_.at(blob).size; }
  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t budget_bytes() const { return budget_bytes_; }

 private:
  struct Blob {
    std::unique_ptr<std::uint8_t[]> data;
    std::size_t size = 0;
    std::uint32_t start = 0;
    std::uint32_t end = 0;
    std::uint64_t check = 0;
  };
  bool holds(SequenceId sequence, std::uint32_t start, std::uint32_t end) const;

  llama_context* context_;
  std::uint64_t budget_bytes_;
  std::uint64_t used_bytes_ = 0;
  BlobId next_ = 1;
  std::unordered_map<BlobId, Blob> blobs_;
};

}  // namespace sluice
