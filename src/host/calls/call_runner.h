// CallRunner: carries calls out: a StartCall becomes a call of a tool, a model or a code worker,
// and its end a CallEnded. Every end is posted, never delivered from inside `begin` or `cancel`.
// The run's thread only; what calls back after the runner is gone finds nobody.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/calls/bulk_calls.h"
#include "host/calls/call_outcome.h"
#include "host/calls/call_targets.h"
#include "host/calls/hedge_budget.h"
#include "host/calls/host_services.h"
#include "host/calls/open_calls.h"
#include "host/calls/shared_calls.h"
#include "host/calls/step_lengths.h"
#include "runtime/event.h"
#include "runtime/host.h"

namespace sluice {

class CallRunner : public std::enable_shared_from_this<CallRunner> {
 public:
  using Deliver = std::function<void(Event event)>;
  using Probed = std::function<void(CallProbed probed)>;

  // References outlive the runner; so does what the callbacks use.
  CallRunner(boost::asio::io_context& io, const HostServices& services, const CallTargets& targets,
             Deliver deliver, Probed probed);
  ~CallRunner();

  void begin(const StartCall& start);
  void cancel(const CallRef& call);
  void resume(const CallRef& call);
  void probe(const StartCall& start);
  // Until `release`, calls that begin wait.
  void hold() { holding_ = true; }
  void release();

 private:
  // `work` on the run's thread unless the runner is gone by then.
  template <class Work>
  void later(Work work) {
    boost::asio::post(io_, [weak = weak_from_this(), work = std::move(work)]() mutable {
      if (auto self = weak.lock()) work(*self);
    });
  }
  Result<void> load(StartCall& start) const;

  void dispatch(const HostCallPtr& call);
  void make(const HostCallPtr& call);
  void end(const HostCallPtr& call, CallOutcome outcome);
  void end_failed(const HostCallPtr& call, Error error) {
    end(call, CallOutcome::failed(std::move(error)));
  }
  static bool has_tools(const HostCall& call);
  static bool runs_here(const ModelEntry& model);
  static bool reuses(const HostCall& call);
  static bool may_hedge(const HostCall& call);
  bool find_kept(const HostCallPtr& call);
  bool leave_to_equal(const HostCallPtr& call);
  void tell_equals(HostCall& call, const CallOutcome& outcome);

  void begin_tool(const HostCallPtr& call);
  void begin_wanted(const HostCallPtr& call);
  void begin_undo(const HostCallPtr& call);
  void begin_code(const HostCallPtr& call);
  void begin_model(const HostCallPtr& call);
  void begin_table(const HostCallPtr& call);
  void table_ended(const HostCallPtr& call, Result<Value> output);

  // Starts the call, or keeps it until one of the function's places is free.
  void pass_gate(const HostCallPtr& call, CallGate& gate, std::uint32_t places,
                 std::function<void()> start);
  void leave_gate(HostCall& call);
  void send(const HostCallPtr& call, const ToolTarget& target, SchemaPtr output);
  void go(const HostCallPtr& call, Tool& tool, ToolCall request, SchemaPtr output, Effect effect);
  CallId start_attempt(const HostCallPtr& call, ToolCall request, SchemaPtr output, Effect effect);
  bool item(HostCallPtr call, const Value& value);
  void cancel_attempts(HostCall& call);
  RequestId submit_attempt(const HostCallPtr& call, ModelRequest request);
  // `second` is called when the call takes too long.
  void hedge(const HostCallPtr& call, std::function<void()> second);
  void attempt_ended(const HostCallPtr& call, CallOutcome outcome);
  void limit_time(const HostCallPtr& call);
  // `lost`: what it took although it failed.
  void model_ended(const HostCallPtr& call, Result<ModelReply> reply, const ModelUsage& lost);
  void prefetch_next_turn(const HostCall& call, const ModelReply& reply) const;

  boost::asio::io_context& io_;
  const HostServices& services_;
  const CallTargets& targets_;
  Deliver deliver_;
  Probed probed_;
  HostCalls calls_;
  std::unordered_map<const FunctionSpec*, CallGate> gates_;
  StepLengths lengths_;
  SharedCalls shared_;
  std::shared_ptr<BulkCalls> bulk_;
  HedgeBudget hedges_;
  bool holding_ = false;
  std::vector<HostCallPtr> held_;
};

}  // namespace sluice
