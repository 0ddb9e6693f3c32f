// The KV memory of one llama context and what is in it: sequence ids, cells, and the prefixes that
// are kept for requests that may come, in the pool or in host memory. What the tree of prefixes
// (schedule/prefix_tree.h) accounts for is done to the context here, and nowhere else.
//
// Borrows the context and the counters. Owned by a lane; its thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "engine/engine_counters.h"
#include "engine/host_tier.h"
#include "schedule/prefix_tree.h"
#include "schedule/snapshot.h"

namespace sluice {

struct KvPoolOptions {
  std::uint32_t sequences = 0;   // ids that the context has
  std::uint32_t running = 0;     // of these: always to be had for requests that run
  bool share = true;             // prefixes; false: nothing is kept either
  std::uint64_t host_bytes = 0;  // budget
};

class KvPool {
 public:
  struct Opened {
    SequenceId sequence = -1;
    std::uint32_t shared = 0;       // tokens of the prompt that it holds already
    std::uint32_t copied_back = 0;  // of those: from host memory
  };

  KvPool(llama_context* context, const KvPoolOptions& options, EngineCounters& counters);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  PrefixTree::Match match(std::span<const Token> prompt) const;
  // A sequence for a request of `program`, with as much of `prompt` as is there.
  Opened open(std::span<const Token> prompt, std::string_view program, SteadyNs now_ns);
  // What llama_decode has put there.
  void append(SequenceId id, std::span<const Token> tokens) { tree_.append(id, tokens); }
  std::uint32_t length(SequenceId id) const { return tree_.length(id); }
  std::uint32_t own_cells(SequenceId id) const { return tree_.own_cells(id); }
  // The request runs no more: its first `length` cells are kept for whoever comes.
  void keep(SequenceId id, std::uint32_t length, KeptFor kept_for, SteadyNs now_ns);
  void close(SequenceId id);
  // After a decode that failed: takes out what is not accounted for. False when cells are missing:
  // the sequence cannot go on.
  bool repair(SequenceId id);

  // False when it cannot be done (now); nothing has changed then.
  bool move(const KvMove& move);
  // Frees cells by moving kept runs to host memory, or dropping them where that has no room, the
  // least recently used ones first, until `cells` are free. False: nothing is left to move.
  bool make_room(std::uint32_t cells);
  // Forgets what only this program has used.
  void release(std::string_view program);

  std::uint32_t total_cells() const { return total_cells_; }
  std::uint32_t free_cells() const {
    return total_cells_ - tree_.active_cells() - tree_.idle_cells();
  }
  PoolView view() const;
  std::vector<KeptRunView> kept_runs() const { return tree_.kept_runs(); }
  bool keeps_nothing() const { return tree_.idle_cells() == 0 && tree_.host_cells() == 0; }
  // Changes whenever match() could; not with append().
  std::uint64_t version() const { return tree_.version(); }
  // The tree, the context and the host memory agree; for tests.
  bool consistent() const;

 private:
  SequenceId take_sequence();
  void give_back(SequenceId id);
  void close_spare();
  bool evict_oldest();
  bool to_host(RunId run);
  bool to_pool(RunId run);
  void drop(RunId run);
  void cut(RunId run);
  bool restore(const PrefixTree::HostPart& part, std::span<const Token> prompt, SequenceId id);
  void drop_free_blobs();
  std::uint32_t idle_limit() const { return options_.sequences - options_.running - 1; }

  llama_context* context_;
  KvPoolOptions options_;
  EngineCounters& counters_;
  std::uint32_t total_cells_;
  PrefixTree tree_;
  HostTier host_;
  SequenceId scratch_;  // what is copied out or back passes through it
  std::vector<SequenceId> free_sequences_;
};

}  // namespace sluice
