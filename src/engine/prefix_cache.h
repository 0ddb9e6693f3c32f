// Which tokens are in which cells of the KV pool: a tree of runs of cells, one node per run, where
// a resident sequence is a path from the root. Sequences that share a prefix share its nodes, so
// the cell counts are exact (shared cells count once) and the pool never overflows.
//
// Pure bookkeeping: the decode loop does the same to the llama context. A sequence is active (a
// request runs on it) or idle (kept for a request that may come). Owned by one lane; one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "schedule/snapshot.h"

namespace sluice {

using Token = std::int32_t;

class PrefixCache {
 public:
  struct Match {
    SequenceId sequence = -1;       // -1: nothing matches
    std::uint32_t tokens = 0;       // of the prefix that it holds
    std::uint32_t idle_tokens = 0;  // of those: in cells that only idle sequences hold
  };
  struct Eviction {
    SequenceId sequence = -1;
    std::uint32_t keep = 0;  // tokens that stay; 0: the whole sequence goes
  };

  PrefixCache();
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  Match match(std::span<const Token> tokens) const;
  // A new active sequence whose first `shared` cells are those of `source`.
  void open(SequenceId id, SequenceId source = -1, std::uint32_t shared = 0);
  void append(SequenceId id, std::span<const Token> tokens);
  void truncate(SequenceId id, std::uint32_t length);
  void make_idle(SequenceId id);
  void close(SequenceId id);

  bool contains(SequenceId id) const { return sequences_.contains(id); }
  bool idle(SequenceId id) const { return sequences_.at(id).idle; }
  std::uint32_t length(SequenceId id) const { return sequences_.at(id).length; }
  // Some other sequence holds every cell of this one: closing it frees no cell.
  bool redundant(SequenceId id) const;
  std::uint32_t active_cells() const { return active_cells_; }
  std::uint32_t idle_cells() const { return idle_cells_; }
  std::size_t idle_sequences() const { return idle_sequences_; }
  // The least recently used run of cells at the end of an idle sequence.
  std::optional<Eviction> oldest_idle() const;
  // Counts everything again from the tree; for tests.
  bool consistent() const;

 private:
  struct Node;
  struct Sequence {
    Node* end = nullptr;
    std::uint32_t length = 0;
    bool idle = false;
  };

  void count(const Node& node, std::int64_t sign);
  void hold(Node* node, bool active, int change);
  void split(Node* node, std::size_t at);
  void drop_unheld(Node* node);
  void touch(Node* node);
  std::uint64_t tick_ = 0;
  std::unique_ptr<Node> root_;
  std::map<SequenceId, Sequence> sequences_;
  std::uint32_t active_cells_ = 0;
  std::uint32_t idle_cells_ = 0;
  std::size_t idle_sequences_ = 0;
};

}  // namespace sluice
