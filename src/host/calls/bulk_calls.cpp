#include "host/calls/bulk_calls.h"

#include <algorithm>
#include <utility>

#include "host/calls/bulk_form.h"
#include "host/calls/tool_call.h"

namespace sluice {

// Calls that are out together.
struct BulkGroup {
  const FunctionSpec* function = nullptr;
  const void* step = nullptr;
  Tool* tool = nullptr;
  CallId id = 0;
  std::vector<BulkCalls::Member> members;

  bool all_left() const {
    return std::ranges::all_of(members, [](const auto& member) { return member.call->ended; });
  }
};

bool BulkCalls::may_carry(const StartCall& start, const FunctionSpec& function) {
  if (start.step->advice.bulk < 2 || function.bulk < 2) return false;
  if (start.undo || start.streaming || !start.wanted.is_null()) return false;
  return !function.streams && function.effect <= Effect::kRead;
}

void BulkCalls::add(const HostCallPtr& call, const ToolTarget& target, ToolCall request,
                    SchemaPtr output) {
  const FunctionSpec* function = target.function;
  tools_[function] = target.tool;
  const std::size_t bytes = request.args.memory_bytes();
  const BulkQueue<Member>::Limits limits{
      .most = std::min(call->start.step->advice.bulk, function->bulk),
      .places = function->concurrency};
  if (queue_.add(function, call->start.step, limits, {call, std::move(request), std::move(output)},
                 bytes)) {
    look_later(function);
  }
}

void BulkCalls::look_later(const FunctionSpec* function) {
  ways_.later([weak = weak_from_this(), function] {
    if (auto self = weak.lock()) self->look(function);
  });
}

void BulkCalls::look(const FunctionSpec* function) {
  ToolEntry* tool = tools_.at(function);
  for (BulkQueue<Member>::Group& taken : queue_.take(function)) {
    auto group = std::make_shared<BulkGroup>();
    group->function = function;
    group->step = taken.step;
    group->tool = tool->tool.get();
    group->members = std::move(taken.members);
    // Cancelled while they waited.
    std::erase_if(group->members, [](const Member& member) { return member.call->ended; });
    if (group->members.empty()) {
      came_back(*group, true);
    } else {
      send(group);
    }
  }
}

void BulkCalls::send(const std::shared_ptr<BulkGroup>& group) {
  const bool one = group->members.size() == 1;
  ToolCallbacks callbacks;
  callbacks.on_item = [](const Value&) { return true; };
  callbacks.on_end = [weak = weak_from_this(), group,
                      one](std::expected<ToolReply, ToolFailure> reply) {
    auto self = weak.lock();
    if (!self) return;
    if (one) return self->one_ended(group, std::move(reply));
    self->all_ended(group, std::move(reply));
  };
  if (one) {  // a plain call, to be cancelled like one
    HostCall& call = *group->members.front().call;
    call.tool = group->tool;
    call.tool_call = group->tool->call(group->members.front().request, std::move(callbacks));
    return;
  }
  std::vector<const ToolCall*> requests;
  for (const Member& member : group->members) {
    requests.push_back(&member.request);
    member.call->bulk = group;
  }
  const std::string& kind = tools_.at(group->function)->kind;
  group->id =
      group->tool->call(bulk_request(kind, *group->function, requests), std::move(callbacks));
}

// Behind the ends of its calls, so that those that they make room for go out together.
void BulkCalls::came_back(const BulkGroup& group, bool well) {
  if (queue_.came_back(group.function, group.step, well)) look_later(group.function);
}

void BulkCalls::one_ended(const std::shared_ptr<BulkGroup>& group,
                          std::expected<ToolReply, ToolFailure> reply) {
  const Member& member = group->members.front();
  ways_.end(member.call, tool_outcome(member.output, group->function->effect, std::move(reply)));
  came_back(*group, true);
}

void BulkCalls::all_ended(const std::shared_ptr<BulkGroup>& group,
                          std::expected<ToolReply, ToolFailure> reply) {
  for (const Member& member : group->members) member.call->bulk.reset();
  Result<BulkItems> items = fail(ErrorCode::kInternal, "");
  if (reply) {
    items = bulk_items(reply->output, group->members.size(), group->function->max_bytes);
  } else {
    items = std::unexpected(reply.error().error);
  }
  const bool well = items.has_value() || group->all_left();
  if (items) {
    give(*group, *items);
  } else {
    again_one_by_one(*group, items.error());
  }
  came_back(*group, well);
}

void BulkCalls::give(const BulkGroup& group, const BulkItems& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Member& member = group.members[i];
    if (member.call->ended) continue;
    if (items[i]) {
      ways_.end(member.call,
                tool_outcome(member.output, group.function->effect, ToolReply{*items[i]}));
    } else {
      ways_.end(member.call, CallOutcome::failed(items[i].error()));
    }
  }
}

void BulkCalls::again_one_by_one(BulkGroup& group, const Error& error) {
  bool due = false;
  for (Member& member : group.members) {
    if (member.call->ended) continue;
    if (!goes_one_by_one()) {
      ways_.end(member.call, CallOutcome::failed(error));
      continue;
    }
    due |= queue_.add_alone(group.function, group.step, std::move(member));
  }
  if (due) look_later(group.function);
}

void BulkCalls::left(HostCall& call) {
  const std::shared_ptr<BulkGroup> group = std::exchange(call.bulk, {}).lock();
  if (group && group->all_left()) group->tool->cancel(group->id);
}

}  // namespace sluice
