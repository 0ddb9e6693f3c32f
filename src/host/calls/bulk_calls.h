// BulkCalls: carries out the calls of a live run that may go out together (the advice `bulk`): it
// collects them, sends each group as one call of the tool, and gives every task its own end. A
// group of one is a plain call. A group that fails as a whole is made again call by call. A task
// that is cancelled while a group carries it no longer waits; when nobody waits the group is
// cancelled too. The run's thread only; what calls back after it is gone finds nobody.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "host/calls/bulk_form.h"
#include "host/calls/bulk_queue.h"
#include "host/calls/call_outcome.h"
#include "host/calls/call_targets.h"
#include "host/calls/open_calls.h"
#include "tools/tool.h"

namespace sluice {

class BulkCalls : public std::enable_shared_from_this<BulkCalls> {
 public:
  // Of the runner that owns it; never called when that is gone.
  struct Ways {
    std::function<void(std::function<void()> work)> later;  // in a later turn
    std::function<void(const HostCallPtr& call, CallOutcome outcome)> end;
  };
  explicit BulkCalls(Ways ways) : ways_(std::move(ways)) {}

  // Whether a call of the step to the function may be given to `add`.
  static bool may_carry(const StartCall& start, const FunctionSpec& function);
  // `output`: the schema of its result, null for none.
  void add(const HostCallPtr& call, const ToolTarget& target, ToolCall request, SchemaPtr output);
  // The call has ended before its group has.
  void left(HostCall& call);

 private:
  struct Member {
    HostCallPtr call;
    ToolCall request;
    SchemaPtr output;
  };
  friend struct BulkGroup;

  void look_later(const FunctionSpec* function);
  void look(const FunctionSpec* function);
  void send(const std::shared_ptr<BulkGroup>& group);
  void came_back(const BulkGroup& group, bool well);
  void one_ended(const std::shared_ptr<BulkGroup>& group,
                 std::expected<ToolReply, ToolFailure> reply);
  void all_ended(const std::shared_ptr<BulkGroup>& group,
                 std::expected<ToolReply, ToolFailure> reply);
  void give(const BulkGroup& group, const BulkItems& items);
  void again_one_by_one(BulkGroup& group, const Error& error);

  Ways ways_;
  BulkQueue<Member> queue_;
  std::map<const FunctionSpec*, ToolEntry*> tools_;
};

}  // namespace sluice
