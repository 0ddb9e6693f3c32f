// A child process on the I/O executor: started without a shell, in a process group of its own,
// with no file descriptor of ours but its three pipes. Its whole group is killed when it is told
// to end, when its first process has ended, and when this object goes; it is always reaped.
// I/O executor only. Starting the first child makes this process ignore SIGPIPE, so that a child
// that closes its input gives an error instead of ending us.
#pragma once

#include <sys/types.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace sluice {

struct ChildOptions {
  std::vector<std::string> argv;  // argv[0] is looked up in PATH when it has no slash
  std::filesystem::path work_dir;
  bool clear_environment = false;  // else: ours, and `environment` over it
  std::vector<std::pair<std::string, std::string>> environment;
};

struct ChildExit {
  int code = 0;  // when signal is 0
  int signal = 0;
  std::string to_string() const;  // "ended with exit code 3", "was killed by signal 9 (Killed)"
};

class Child : public std::enable_shared_from_this<Child> {
 public:
  // kToolStart with a sentence that says what to do.
  static Result<std::shared_ptr<Child>> start(const boost::asio::any_io_executor& io,
                                              const ChildOptions& options);
  Child(const boost::asio::any_io_executor& io, pid_t pid, std::array<int, 3> pipes);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  bool running() const { return !exit_; }

  // Reads once. `handler` gets some bytes, or "" at the end of the output. Not again before it was
  // called: that is the back pressure.
  void read_output(std::function<void(std::string_view)> handler);
  // Queued; errors are silent (the exit tells). close_input takes effect after what is queued.
  void write_input(std::string bytes);
  void close_input();
  std::size_t queued_input_bytes() const { return queued_bytes_; }
  // Called once in a later turn, also when the child has ended already.
  void on_exit(std::function<void(const ChildExit&)> handler);
  // Each whole line that the child writes to its standard error, as it comes.
  void on_error_line(std::function<void(std::string_view)> handler) {
    error_line_ = std::move(handler);
  }
  // The last lines of its standard error, for messages; valid UTF-8, one line.
  std::string error_tail() const;

  // SIGTERM to the group, SIGKILL after the grace.
  void terminate(int grace_ms);
  void kill();
  // Kills, reaps and forgets all handlers. Waits for the kernel, not for the child's consent; with
  // a grace the child is first asked (end of input, SIGTERM) and given that long.
  void abandon(int grace_ms = 0);

 private:
  void watch_exit();
  void poll_exit();
  void reap();
  void read_errors();
  void take_errors(std::string_view bytes);
  void write_next();
  void signal_group(int signal) const;
  bool has_ended() const;

  boost::asio::any_io_executor io_;
  pid_t pid_;
  boost::asio::posix::stream_descriptor input_;
  boost::asio::posix::stream_descriptor output_;
  boost::asio::posix::stream_descriptor errors_;
  boost::asio::posix::stream_descriptor exit_watch_;  // a pidfd; closed where there is none
  boost::asio::steady_timer exit_timer_;
  boost::asio::steady_timer grace_timer_;
  std::optional<ChildExit> exit_;
  std::function<void(const ChildExit&)> exit_handler_;
  std::function<void(std::string_view)> error_line_;
  std::deque<std::string> input_queue_;
  std::size_t queued_bytes_ = 0;
  bool close_after_queue_ = false;
  bool abandoned_ = false;
  std::array<char, 65536> output_buffer_;
  std::array<char, 4096> error_buffer_;
  std::string error_line_buffer_;
  std::string error_tail_;
};

}  // namespace sluice
