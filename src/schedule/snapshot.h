// What an engine's scheduler sees and what it decides. Plain structs: the same policy runs in the
// real engine and in the simulator. Units: tokens and cells (a cell of the KV pool holds one
// token), nanoseconds of the steady clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cost/instance_cost.h"
#include "schedule/policy_settings.h"

namespace sluice {

class ReturnTimes;  // schedule/lifetime/return_times.h

using SequenceId = std::int32_t;
using Token = std::int32_t;

// A request is waiting (it holds no cells: new, or preempted, with all that it has generated as
// part of its prompt), computing its prompt, or decoding.
enum class RequestPhase : std::uint8_t { kWaiting, kPrefill, kDecode };

struct RequestView {
  std::uint64_t id = 0;
  RequestPhase phase = RequestPhase::kWaiting;
  std::uint32_t prompt_tokens = 0;    // to compute before it decodes; with what it had generated
                                      // before it was preempted
  std::uint32_t computed_tokens = 0;  // of the prompt: in the pool already, shared ones included
  // Of a waiting request: what it would find now.
  std::uint32_t shared_tokens = 0;       // prefix in the pool
  std::uint32_t shared_idle_tokens = 0;  // of shared_tokens: in cells that nobody uses now
  std::uint32_t host_tokens = 0;         // after shared_tokens: prefix that can be copied back
  std::uint32_t soon_shared_tokens = 0;  // prefix that a running request has or is computing now
  // KeptRunView in which that prefix ends (that of host_tokens where there are any). All that
  // stands in front of it is kept with it as long as the request may be admitted.
  std::optional<std::uint64_t> kept_run;
  std::uint64_t prefix_group = 0;  // waiting requests that begin alike have the same; 0: not known
  std::uint32_t own_cells = 0;     // of a running one: cells that no other request holds
  std::uint32_t next_tokens = 1;   // of a decoding one: tokens that its next step takes (more
                                   // than one where a grammar forces text)
  std::uint32_t generated_tokens = 0;  // also before a preemption
  std::uint32_t max_tokens = 0;        // most that it may generate, in all
  std::optional<std::uint32_t> expected_tokens;
  std::string program;
  std::string tenant;
  std::int32_t priority = 0;
  std::uint32_t rank = 0;                  // longest remaining path of its program, in steps
  std::optional<double> remaining_path_s;  // the same in seconds, where the plan knows it
  SteadyNs arrived_ns = 0;                 // of the request
  SteadyNs program_since_ns = 0;           // of its program's first request
  std::optional<SteadyNs> deadline_ns;     // of the program
  std::optional<SteadyNs> returns_at_ns;   // when its program is expected back after it
  bool returns = false;                    // expected back, also where nobody knows when
  std::uint32_t preempted = 0;             // how often
  bool deterministic = false;
  bool prefetch = false;  // only computes its prompt, for a request that will come
  // What this request asks for: order, admission, lifetime. A batch serves all requests at once
  // and fairness is between them: these two are the engine's.
  PolicyNames policies;
};

// A run of cells that no running request uses: it ends a kept prefix, or several kept prefixes
// branch after it. Children can only be used with their parents, so parents leave last.
struct KeptRunView {
  std::uint64_t id = 0;
  std::optional<std::uint64_t> parent;  // also kept; nullopt: a running request holds it, or none
  std::uint32_t start = 0;              // tokens in front of it
  std::uint32_t cells = 0;
  bool in_host = false;    // copied to host memory; its cells are free
  std::uint32_t used = 0;  // how often a request began with it
  SteadyNs used_ns = 0;    // last time
  // Of the program that is expected back with it, the first of them.
  std::string program;
  std::string tenant;
  SteadyNs program_since_ns = 0;  // of that program's first request
  std::optional<SteadyNs> returns_at_ns;
  bool returns = false;                   // expected back, also where nobody knows when
  std::string next_tool;                  // what that program does meanwhile; "" unknown
  std::optional<SteadyNs> idle_since_ns;  // since when that program computes nothing here
  std::optional<PolicyNames> policies;
};

struct PoolView {
  std::uint32_t total_cells = 0;
  std::uint32_t used_cells = 0;    // by running requests, shared cells once
  std::uint32_t cached_cells = 0;  // kept runs in the pool; may be evicted
  std::uint32_t sequences_free = 0;
  std::uint64_t host_budget_bytes = 0;
  std::uint64_t host_used_bytes = 0;
};

// Weighted service that somebody has had; see schedule/service_ledger.h.
struct ServiceView {
  std::string name;
  double weight = 1;   // share that it is due
  double service = 0;  // virtual: already divided by weight, lifted when it comes back
};

struct ScheduleSnapshot {
  SteadyNs now_ns = 0;
  std::vector<RequestView> requests;  // arrival order
  std::vector<KeptRunView> kept;      // parents before children
  PoolView pool;
  std::vector<ServiceView> tenants;  // those with requests here
  std::vector<ServiceView> programs;
  std::vector<std::uint32_t> output_history;  // lengths of the last outputs, latest last
  std::uint32_t batch_tokens = 512;           // most tokens in one batch
  std::uint32_t max_running = 32;
  PolicySettings settings;
  // Borrowed for the call. Null: InstanceCost::defaults(); nothing learned yet.
  const InstanceCost* cost = nullptr;
  const ReturnTimes* return_times = nullptr;
  std::uint64_t random_seed = 0;  // for policies that draw; the same seed gives the same decision
};

struct PrefillChunk {
  std::uint64_t request = 0;
  std::uint32_t tokens = 0;
};

enum class KvAction : std::uint8_t { kDrop, kMoveToHost, kMoveToPool };

struct KvMove {
  std::uint64_t run = 0;  // KeptRunView::id
  KvAction action = KvAction::kDrop;
};

// Carried out in this order: preempt, moves, admit, then the batch.
struct ScheduleDecision {
  std::vector<std::uint64_t> preempt;  // running requests that wait again; what they hold is kept
                                       // as idle runs, for `moves` of the next decision
  std::vector<KvMove> moves;           // children before parents when they leave the pool
  std::vector<std::uint64_t> admit;    // waiting requests that get a sequence now
  std::vector<std::uint64_t> decode;   // requests that decode in the next batch
  std::vector<PrefillChunk> prefill;   // chunks in the next batch, after the decode tokens
  bool abortable = false;              // prefill only: worth breaking off for a new arrival
  // When to decide again although nothing has happened (a prefix to drop or to bring back);
  // nullopt: not before the next arrival or batch.
  std::optional<SteadyNs> decide_again_ns;
};

}  // namespace sluice
