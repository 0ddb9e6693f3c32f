#include "tools/open_call.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

namespace sluice {
namespace {

// Whatever a tool gives comes from outside.
Value from_outside(const Value& value) { return value.with_labels(Labels{.untrusted = true}); }

}  // namespace

OpenCall::OpenCall(OpenCalls& owner, CallId id, ToolCall request, ToolCallbacks callbacks)
    : owner_(&owner),
      id_(id),
      request_(std::move(request)),
      callbacks_(std::move(callbacks)),
      timer_(owner.environment().io) {}

void OpenCall::leave() {
  if (left_ || ended_) return;
  left_ = true;
  if (request_.timeout_ms > 0) start_timer(request_.timeout_ms);
}

void OpenCall::start_timer(std::int64_t timeout_ms) {
  remaining_ms_ = timeout_ms;
  timer_started_ns_ = owner_->environment().clock->steady_ns();
  timer_.expires_after(std::chrono::milliseconds(timeout_ms));
  timer_.async_wait([self = shared_from_this()](boost::system::error_code failed) {
    if (failed || self->ended_ || self->owner_ == nullptr || self->paused_) return;
    self->stop(Error(ErrorCode::kTimeout, fmt::format("{} took longer than its timeout of {} ms",
                                                      self->label(), self->request_.timeout_ms)));
  });
}

void OpenCall::pause_timer() {
  if (!left_ || request_.timeout_ms <= 0) return;
  std::int64_t passed_ns = owner_->environment().clock->steady_ns() - timer_started_ns_;
  remaining_ms_ = std::max<std::int64_t>(1, remaining_ms_ - passed_ns / kNsPerMs);
  timer_.cancel();
}

bool OpenCall::emit(Value item) {
  if (ended_ || stopping()) return false;
  if (!callbacks_.on_item) return true;
  // Whoever takes the item may cancel the call, which ends it: both have to outlive that.
  const auto self = shared_from_this();
  auto on_item = std::move(callbacks_.on_item);
  const bool more = on_item(from_outside(std::move(item)));
  if (ended_) return false;
  callbacks_.on_item = std::move(on_item);
  if (!more && !stopping()) {
    paused_ = true;
    pause_timer();
  }
  return !paused_ && !stopping();
}

void OpenCall::progress(double done, double total, std::string_view message) {
  if (!ended_ && !stopping() && callbacks_.on_progress) {
    callbacks_.on_progress(done, total, message);
  }
}

void OpenCall::finish(Value output) {
  if (stop_reason_) return end(std::unexpected(ToolFailure{*stop_reason_, left_}));
  end(ToolReply{.output = from_outside(std::move(output)), .left = left_});
}

void OpenCall::fail(Error error, bool unknown) {
  if (stop_reason_) return end(std::unexpected(ToolFailure{*stop_reason_, left_}));
  end(std::unexpected(ToolFailure{std::move(error), left_, unknown}));
}

void OpenCall::stop(Error reason) {
  if (ended_ || stop_reason_) return;
  stop_reason_ = std::move(reason);
  timer_.cancel();
  auto hook = std::exchange(stop_hook_, nullptr);
  if (hook) return hook();
  fail(*stop_reason_);
}

void OpenCall::resume() {
  if (ended_ || !paused_) return;
  paused_ = false;
  if (stopping()) return;
  if (left_ && request_.timeout_ms > 0) start_timer(remaining_ms_);
  owner_->post([self = shared_from_this()] {
    if (self->ended_ || self->paused_ || self->stopping() || !self->resume_hook_) return;
    auto hook = self->resume_hook_;  // it may end the call, which clears the member
    hook();
  });
}

void OpenCall::end(std::expected<ToolReply, ToolFailure> result) {
  if (ended_) return;
  auto self = shared_from_this();
  OpenCalls* owner = owner_;
  auto on_end = std::move(callbacks_.on_end);
  drop();
  if (owner == nullptr) return;
  owner->open_.erase(id_);
  // Always in a later turn: nobody is called back from inside call, cancel or resume.
  if (on_end) {
    owner->post([on_end = std::move(on_end), result = std::move(result)]() mutable {
      on_end(std::move(result));
    });
  }
}

void OpenCall::drop() {
  ended_ = true;
  owner_ = nullptr;
  timer_.cancel();
  callbacks_ = {};
  stop_hook_ = nullptr;
  resume_hook_ = nullptr;
}

OpenCalls::OpenCalls(const ToolEnvironment& environment) : environment_(environment) {}

OpenCalls::~OpenCalls() { drop_all(); }

CallId OpenCalls::begin(ToolCall request, ToolCallbacks callbacks,
                        std::function<void(const OpenCallPtr&)> start) {
  CallId id = next_id_++;
  auto open = std::make_shared<OpenCall>(*this, id, std::move(request), std::move(callbacks));
  open_.emplace(id, open);
  post([open, start = std::move(start)] {
    if (!open->ended()) start(open);
  });
  return id;
}

void OpenCalls::cancel(CallId id) {
  auto found = open_.find(id);
  if (found == open_.end()) return;
  auto open = found->second;
  open->stop(Error(ErrorCode::kCancelled, open->label() + " was cancelled"));
}

void OpenCalls::resume(CallId id) {
  auto found = open_.find(id);
  if (found == open_.end()) return;
  auto open = found->second;
  open->resume();
}

void OpenCalls::drop_all() {
  *alive_ = false;
  auto open = std::move(open_);
  open_.clear();
  for (auto& [id, call] : open) call->drop();
}

OpenCalls::Poster OpenCalls::poster() const {
  return [io = environment_.io, alive = alive_](std::function<void()> work) {
    boost::asio::post(io, [alive, work = std::move(work)] {
      if (*alive) work();
    });
  };
}

}  // namespace sluice
