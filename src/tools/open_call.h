// The calls of one tool that have not ended: timer, cancellation, back pressure and "exactly once"
// are the same for every kind and live here. A kind owns one OpenCalls; an OpenCall is shared by
// it and by the operations that work for the call. I/O executor only.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "data/value.h"
#include "tools/tool.h"

namespace sluice {

class OpenCalls;

class OpenCall : public std::enable_shared_from_this<OpenCall> {
 public:
  OpenCall(OpenCalls& owner, CallId id, ToolCall request, ToolCallbacks callbacks);

  const ToolCall& request() const { return request_; }
  CallId id() const { return id_; }
  // What messages call it; the function's name when not set.
  void set_label(std::string label) { label_ = std::move(label); }
  const std::string& label() const { return label_.empty() ? request_.function : label_; }
  bool ended() const { return ended_; }
  // Cancelled or out of time; on_end waits until the kind has let go of the call.
  bool stopping() const { return stop_reason_.has_value(); }
  bool paused() const { return paused_; }

  // From here on the call may have had its effect, and its timeout runs. While the consumer of a
  // stream has paused the call, the clock stands still.
  void leave();
  // Takes that back when it turns out that nothing went out.
  void never_left() { left_ = false; }

  // What a kind does when the call is cancelled or out of time: stop the work, then finish or
  // fail the call (whatever it says, on_end reports the reason of the stop). Without a hook the
  // call ends at once.
  void on_stop(std::function<void()> hook) { stop_hook_ = std::move(hook); }
  // Called, in its own turn, when a paused consumer wants more.
  void on_resume(std::function<void()> hook) { resume_hook_ = std::move(hook); }

  // Hands an item over. False: read no further until the resume hook is called.
  bool emit(Value item);
  void progress(double done, double total, std::string_view message);

  // The first of these ends the call; later ones are ignored.
  void finish(Value output);
  // `unknown`: see ToolFailure.
  void fail(Error error, bool unknown = false);

  // For OpenCalls.
  void stop(Error reason);
  void resume();
  void drop();

 private:
  void start_timer(std::int64_t timeout_ms);
  void pause_timer();
  void end(std::expected<ToolReply, ToolFailure> result);

  OpenCalls* owner_;  // null once dropped
  CallId id_;
  ToolCall request_;
  std::string label_;
  ToolCallbacks callbacks_;
  boost::asio::steady_timer timer_;
  std::int64_t remaining_ms_ = 0;  // of the timeout when the timer stands still
  std::int64_t timer_started_ns_ = 0;
  std::function<void()> stop_hook_;
  std::function<void()> resume_hook_;
  std::optional<Error> stop_reason_;
  bool left_ = false;
  bool paused_ = false;
  bool ended_ = false;
};

using OpenCallPtr = std::shared_ptr<OpenCall>;

class OpenCalls {
 public:
  explicit OpenCalls(const ToolEnvironment& environment);
  ~OpenCalls();  // drops what is open: none of its callbacks is called any more
  OpenCalls(const OpenCalls&) = delete;
  OpenCalls& operator=(const OpenCalls&) = delete;

  // Registers a call; `start` runs in a later turn of the I/O executor, unless it was cancelled.
  CallId begin(ToolCall request, ToolCallbacks callbacks,
               std::function<void(const OpenCallPtr&)> start);
  void cancel(CallId id);
  void resume(CallId id);
  void drop_all();
  std::size_t size() const { return open_.size(); }

  const ToolEnvironment& environment() const { return environment_; }
  // Runs `work` in a later turn, unless the tool is gone by then.
  void post(std::function<void()> work) { poster()(std::move(work)); }
  // The same for other threads; it may outlive the tool, but not the I/O executor.
  using Poster = std::function<void(std::function<void()>)>;
  Poster poster() const;

 private:
  friend class OpenCall;
  ToolEnvironment environment_;
  std::unordered_map<CallId, OpenCallPtr> open_;
  CallId next_id_ = 1;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sluice
