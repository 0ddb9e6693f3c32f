// The calls of one run that have not ended, as the Asio host sees them. The run's thread only.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>

#include "data/hash.h"
#include "data/schema.h"
#include "host/calls/call_targets.h"
#include "runtime/effect.h"
#include "runtime/event.h"
#include "schedule/model_instance.h"
#include "tools/tool.h"

namespace sluice {

struct BulkGroup;
struct CallGate;

struct HostCall {
  StartCall start;  // its values loaded
  const StepTarget* target = nullptr;
  Tool* tool = nullptr;  // that it went to
  std::uint64_t tool_call = 0;
  ModelInstance* model = nullptr;
  RequestId request = 0;
  std::unique_ptr<boost::asio::steady_timer> timer;  // time limit of a model call
  std::int64_t timeout_ms = 0;
  bool timed_out = false;
  // A table that another thread works on: true tells it to stop.
  std::shared_ptr<std::atomic<bool>> stop_table;
  bool ended = false;                    // its end is on the way to the inbox
  bool stopping = false;                 // no other attempt begins
  std::uint32_t credit = kStreamCredit;  // items before it pauses
  bool paused = false;
  SchemaPtr item_schema;             // of each item of a streaming function
  CallGate* gate = nullptr;          // whose place it holds
  std::optional<Hash256> cache_key;  // where its output is to be kept
  std::int64_t cache_ttl_ms = 0;     // and for how long; 0: for ever
  std::weak_ptr<BulkGroup> bulk;     // that carries it now: whoever is to answer it holds it
  // Set: equal calls of the run wait for what becomes of it, or it waits for one of them.
  std::optional<Hash256> shared_key;
  std::uint64_t shared_turn = 0;  // it is the one that the others wait for
  // Hedging: a second attempt beside the one above, to the same tool or model.
  std::unique_ptr<boost::asio::steady_timer> hedge_timer;
  std::uint64_t second = 0;    // its id there
  bool hedged = false;         // it was started
  std::uint32_t attempts = 1;  // that have not ended
  Usage spent;                 // by attempts that have ended
};
using HostCallPtr = std::shared_ptr<HostCall>;

// The places of one tool function for calls that models ask for. The run's own limits count steps;
// a model may ask one step for many tools at once.
struct CallGate {
  struct Waiting {
    HostCallPtr call;
    std::function<void()> start;
  };
  std::uint32_t running = 0;
  std::deque<Waiting> waiting;
};

struct CallRefHash {
  std::size_t operator()(const CallRef& ref) const {
    return static_cast<std::size_t>(call_hash(ref));
  }
};
using HostCalls = std::unordered_map<CallRef, HostCallPtr, CallRefHash>;

}  // namespace sluice
