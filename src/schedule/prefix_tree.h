// Which tokens are in which cells of the KV pool, and which are in host memory: a tree of runs of
// cells, one node per run, where a sequence of the pool is a path from the root. Sequences that
// share a prefix share its runs, so the counts are exact (shared cells count once) and the pool
// never overflows. A run in host memory hangs below the run or the root that it continues; no run
// in the pool hangs below one in host memory.
//
// Pure bookkeeping: engine/kv_pool.h does the same to the llama context and owns the bytes in host
// memory (a blob each, named by a number). A sequence is active (a request runs on it) or idle
// (kept for a request that may come). One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "schedule/snapshot.h"

namespace sluice {

using RunId = std::uint64_t;
using BlobId = std::uint64_t;

// What is known about who comes back to a kept prefix.
struct KeptFor {
  std::string program;
  std::string tenant;
  std::optional<SteadyNs> returns_at_ns;
  bool returns = false;
  std::string next_tool;
  std::optional<PolicyNames> policies;
  // Of the kept tokens: the request's prompt. A request of the program that begins with all of it
  // is its return, also where it then goes on in another way than what was kept. 0: not known.
  std::uint32_t prompt = 0;

  bool expected() const { return returns || returns_at_ns.has_value(); }
};

class PrefixTree {
 public:
  struct HostPart {
    RunId run = 0;
    std::uint32_t tokens = 0;  // of the run, from its beginning
  };
  struct Match {
    SequenceId sequence = -1;       // that holds the part in the pool; -1: none there
    std::uint32_t tokens = 0;       // of the prefix, in the pool
    std::uint32_t idle_tokens = 0;  // of those: in cells that only idle sequences hold
    std::uint32_t host_tokens = 0;  // after `tokens`, in host memory
    std::vector<HostPart> host;     // these, in order; only the last may be a part of its run
    std::optional<RunId> kept_run;  // where it ends, when nobody active holds that
  };
  struct Run {
    std::optional<RunId> parent;  // nullopt: it begins at the root
    std::uint32_t start = 0;
    std::uint32_t cells = 0;
    bool in_host = false;
    bool active = false;
    bool pool_leaf = false;        // in the pool, and no run in the pool continues it
    std::vector<SequenceId> ends;  // sequences that end with it
    BlobId blob = 0;               // of one in host memory
  };

  PrefixTree();
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // The longest prefix that is there; among equals the one with most in the pool. A part of a run
  // in host memory counts when it is at least half of the run: a run is copied as a whole.
  Match match(std::span<const Token> tokens) const;

  // A new active sequence of `program` whose first `shared` cells are those of `source`. What the
  // program was expected with there is used, or will not be (KeptFor::prompt).
  void open(SequenceId id, SequenceId source = -1, std::uint32_t shared = 0,
            std::string_view program = {}, SteadyNs now_ns = 0);
  // The same for nobody: an idle one, to hold a run that comes back from host memory.
  void open_idle(SequenceId id, SequenceId source = -1, std::uint32_t shared = 0);
  void append(SequenceId id, std::span<const Token> tokens);
  // What hung behind the cut in host memory and has lost its prefix goes too.
  void truncate(SequenceId id, std::uint32_t length);
  // It runs no more; its cells are kept for whoever comes (`kept_for`).
  void make_idle(SequenceId id, KeptFor kept_for = {}, SteadyNs now_ns = 0);
  void close(SequenceId id);

  // A run that nobody active holds and that no run in the pool continues: its cells become free.
  // Its bytes are in `blob`. The sequences that ended with it end before it now (some then hold
  // nothing, or nothing of their own: see redundant()).
  void move_to_host(RunId run, BlobId blob, std::uint64_t bytes);
  // A run in host memory whose parent is where sequence `id` ends: `id` holds its cells from now.
  // The blob is free.
  void move_to_pool(RunId run, SequenceId id);
  // It is about to be used: the last to leave.
  void touch(RunId run);
  // Forgets a kept run: one in host memory with all that continues it, or one in the pool that no
  // run in the pool continues. What is known of who comes back goes to its parent.
  void drop(RunId run);
  // Blobs that nobody names any more, since the last call.
  std::vector<BlobId> take_free_blobs();

  bool contains(SequenceId id) const { return sequences_.contains(id); }
  bool idle(SequenceId id) const { return sequences_.at(id).idle; }
  std::uint32_t length(SequenceId id) const { return sequences_.at(id).length; }
  // Some other sequence holds every cell of this one: closing it frees no cell.
  bool redundant(SequenceId id) const;
  // Idle sequences that are redundant.
  std::vector<SequenceId> spare_sequences() const;
  // Cells that no other sequence holds.
  std::uint32_t own_cells(SequenceId id) const;
  std::uint32_t active_cells() const { return active_cells_; }
  std::uint32_t idle_cells() const { return idle_cells_; }
  std::uint32_t host_cells() const { return host_cells_; }
  std::uint64_t host_bytes() const { return host_bytes_; }
  std::size_t idle_sequences() const { return idle_sequences_; }

  std::optional<Run> run(RunId run) const;
  SequenceId holder(RunId run) const;  // a sequence that holds it; -1: it is in host memory
  // All runs that no active sequence holds, parents before children. `idle_since_ns` is not known
  // here.
  std::vector<KeptRunView> kept_runs() const;
  // The least recently used one that can leave: in the pool, or in host memory.
  std::optional<RunId> oldest_in_pool() const;
  std::optional<RunId> oldest_in_host() const;
  // Kept runs that only this program has used, children before parents.
  std::vector<RunId> runs_of(std::string_view program) const;
  // Changes whenever a match could; not with append().
  std::uint64_t version() const { return version_; }
  // Counts everything again from the tree; for tests.
  bool consistent() const;

 private:
  struct Node;
  struct Sequence {
    Node* end = nullptr;
    std::uint32_t length = 0;
    bool idle = false;
    std::string program;
  };

  Node* new_node(Node* parent, std::uint32_t start);
  Node* kept_node(RunId run) const;
  Node* leaf_in_pool(RunId run) const;
  void count(const Node& node, std::int64_t sign);
  void hold(Node* node, bool active, int change);
  void split(Node* node, std::size_t at);
  Node* shared_end(SequenceId source, std::uint32_t shared);
  void forget_missed(Node* end, std::string_view program);
  void end_at(SequenceId id, Node* node);
  void end_before(Node& leaf);
  void use(Node* node, std::string_view program, SteadyNs now_ns);
  void drop_unheld(Node* node);
  void remove(Node* node);

  std::uint64_t tick_ = 0;
  std::uint64_t version_ = 1;
  RunId next_run_ = 1;
  std::unique_ptr<Node> root_;
  std::map<SequenceId, Sequence> sequences_;
  std::unordered_map<RunId, Node*> runs_;
  std::vector<BlobId> free_blobs_;
  std::uint32_t active_cells_ = 0;
  std::uint32_t idle_cells_ = 0;
  std::uint32_t host_cells_ = 0;
  std::uint64_t host_bytes_ = 0;
  std::size_t idle_sequences_ = 0;
};

}  // namespace sluice
