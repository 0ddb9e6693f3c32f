// One running MCP server: JSON-RPC over the standard input and output of a child process, from the
// handshake to its death. It never comes back to life; McpTool starts another. I/O executor only.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "tools/child.h"
#include "tools/process/line_splitter.h"

namespace sluice {

using McpRequestId = std::int64_t;

class McpConnection : public std::enable_shared_from_this<McpConnection> {
 public:
  // `result` of the answer, its size in bytes, or an error: kToolDied, kToolStart before the
  // handshake, kArgInvalid or kToolFailed for an error answer.
  using OnAnswer = std::function<void(Result<Value> result, std::size_t bytes)>;
  using OnProgress = std::function<void(double done, double total, std::string_view message)>;

  static Result<std::shared_ptr<McpConnection>> start(const boost::asio::any_io_executor& io,
                                                      const ChildOptions& program,
                                                      std::string label);
  McpConnection(const boost::asio::any_io_executor& io, std::shared_ptr<Child> child,
                std::string label);
  ~McpConnection();

  // Called once: after the handshake, or with kToolStart when there will be none.
  void when_ready(std::function<void(Result<void>)> handler);
  bool ready() const { return ready_; }
  bool dead() const { return dead_; }
  const std::string& protocol_version() const { return protocol_version_; }
  pid_t pid() const { return child_->pid(); }

  McpRequestId request(std::string_view method, const Value& params, OnAnswer on_answer);
  // The id of the next request, for a progress token inside its own parameters.
  McpRequestId next_id() const { return next_id_; }
  void on_progress(McpRequestId id, OnProgress handler);
  // Tells the server; the answer is not waited for.
  void cancel(McpRequestId id, std::string_view reason);
  // Ends the server; nothing is called back any more.
  void close();

 private:
  struct Pending {
    OnAnswer on_answer;
    OnProgress on_progress;
  };

  void begin();
  void send(const Value& message);
  void notify(std::string_view method, const Value& params);
  void read();
  void take_line(std::string_view line);
  void take_message(const Value& message, std::size_t bytes);
  void take_request(const Value& id, std::string_view method);
  void take_notification(std::string_view method, const Value& params);
  void take_answer(const Value& message, std::size_t bytes);
  void take_handshake(const Result<Value>& answer);
  void fail_handshake(const std::string& why);
  void die(const std::string& how);

  std::shared_ptr<Child> child_;
  std::string label_;
  LineSplitter lines_;
  boost::asio::steady_timer handshake_timer_;
  std::map<McpRequestId, Pending> pending_;
  std::vector<std::function<void(Result<void>)>> waiting_;
  std::string protocol_version_;
  McpRequestId next_id_ = 1;
  bool ready_ = false;
  bool dead_ = false;
  bool closed_ = false;
};

}  // namespace sluice
