#include "tools/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <system_error>

#include "data/value.h"
#include "tools/text.h"

extern char** environ;

namespace sluice {
namespace {

constexpr std::size_t kErrorTailBytes = 4096;
constexpr std::size_t kErrorLineBytes = 8192;

void ignore_broken_pipes() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction current{};
    if (sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL) {
      signal(SIGPIPE, SIG_IGN);
    }
  });
}

// One of Asio's descriptors; it is gone afterwards whatever close has to say.
template <class Descriptor>
void close_quietly(Descriptor& descriptor) {
  boost::system::error_code ignored;
  static_cast<void>(descriptor.close(ignored));
}

// Closes what is still open when a start fails half way.
struct Pipes {
  std::array<std::array<int, 2>, 3> ends{{{-1, -1}, {-1, -1}, {-1, -1}}};
  ~Pipes() {
    for (auto& pipe : ends) {
      for (int& end : pipe) close_end(end);
    }
  }
  static void close_end(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
  bool open() {
    for (auto& pipe : ends) {
      if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return false;
    }
    return true;
  }
  int take(int pipe, int end) { return std::exchange(ends[pipe][end], -1); }
};

// posix_spawn's two attribute objects, freed together.
struct SpawnSetup {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSetup() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
};

std::vector<std::string> environment_of(const ChildOptions& options) {
  std::vector<std::string> result;
  for (char** entry = environ; !options.clear_environment && *entry != nullptr; ++entry) {
    std::string_view text(*entry);
    std::string_view name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, value] : options.environment) replaced = replaced || key == name;
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [key, value] : options.environment) {
    result.push_back(fmt::format("{}={}", key, value));
  }
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

Error start_error(const ChildOptions& options, int error) {
  const std::string& program = options.argv[0];
  std::string reason;
  std::error_code ignored;
  if (!options.work_dir.empty() && !std::filesystem::is_directory(options.work_dir, ignored)) {
    reason = fmt::format("its working directory {} does not exist", options.work_dir.string());
  } else if (error == ENOENT && program.contains(' ')) {
    reason =
        "there is no such program; there is no shell here, so write the command as a list, "
        "such as [\"sort\", \"-u\"]";
  } else if (error == ENOENT) {
    reason = program.contains('/') ? "there is no such file"
                                   : "it is not in PATH; install it or write its full path";
  } else if (error == EACCES) {
    reason = "it is not an executable file; check its permissions (chmod +x)";
  } else if (error == E2BIG) {
    reason = "its arguments are too long for the system; pass large data through stdin";
  } else {
    reason = std::generic_category().message(error);
  }
  return Error(ErrorCode::kToolStart, fmt::format("cannot start {}: {}", program, reason));
}

bool has_nul(const std::vector<std::string>& texts) {
  for (const auto& text : texts) {
    if (text.contains('\0')) return true;
  }
  return false;
}

}  // namespace

std::string ChildExit::to_string() const {
  if (signal == 0) return fmt::format("ended with exit code {}", code);
  const char* name = sigdescr_np(signal);
  return fmt::format("was killed by signal {} ({})", signal, name != nullptr ? name : "unknown");
}

Result<std::shared_ptr<Child>> Child::start(const boost::asio::any_io_executor& io,
                                            const ChildOptions& options) {
  ignore_broken_pipes();
  if (options.argv.empty() || options.argv[0].empty()) {
    return fail(ErrorCode::kToolStart, "no program is named; write it as the first of command");
  }
  std::vector<std::string> argv = options.argv;
  std::vector<std::string> environment = environment_of(options);
  if (has_nul(argv) || has_nul(environment)) {
    return fail(ErrorCode::kToolStart,
                "an argument or environment entry has a zero byte, which "
                "no process can be given; pass such data through stdin");
  }
  Pipes pipes;
  if (!pipes.open()) return std::unexpected(start_error(options, errno));

  SpawnSetup setup;
  posix_spawn_file_actions_adddup2(&setup.actions, pipes.ends[0][0], 0);
  posix_spawn_file_actions_adddup2(&setup.actions, pipes.ends[1][1], 1);
  posix_spawn_file_actions_adddup2(&setup.actions, pipes.ends[2][1], 2);
  posix_spawn_file_actions_addclosefrom_np(&setup.actions, 3);
  if (!options.work_dir.empty()) {
    posix_spawn_file_actions_addchdir_np(&setup.actions, options.work_dir.c_str());
  }
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setflags(&setup.attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&setup.attributes, 0);
  posix_spawnattr_setsigmask(&setup.attributes, &none);
  posix_spawnattr_setsigdefault(&setup.attributes, &all);

  pid_t pid = 0;
  int error = posix_spawnp(&pid, argv[0].c_str(), &setup.actions, &setup.attributes,
                           pointers(argv).data(), pointers(environment).data());
  if (error != 0) return std::unexpected(start_error(options, error));
  auto child = std::make_shared<Child>(
      io, pid, std::array<int, 3>{pipes.take(0, 1), pipes.take(1, 0), pipes.take(2, 0)});
  child->watch_exit();
  child->read_errors();
  return child;
}

Child::Child(const boost::asio::any_io_executor& io, pid_t pid, std::array<int, 3> pipes)
    : io_(io),
      pid_(pid),
      input_(io, pipes[0]),
      output_(io, pipes[1]),
      errors_(io, pipes[2]),
      exit_watch_(io),
      exit_timer_(io),
      grace_timer_(io) {}

Child::~Child() { abandon(); }

void Child::read_output(std::function<void(std::string_view)> handler) {
  output_.async_read_some(
      boost::asio::buffer(output_buffer_),
      [self = shared_from_this(), handler = std::move(handler)](boost::system::error_code failed,
                                                                std::size_t size) {
        if (self->abandoned_) return;
        handler(failed ? std::string_view() : std::string_view(self->output_buffer_.data(), size));
      });
}

void Child::write_input(std::string bytes) {
  if (!input_.is_open() || bytes.empty()) return;
  queued_bytes_ += bytes.size();
  input_queue_.push_back(std::move(bytes));
  if (input_queue_.size() == 1) write_next();
}

void Child::write_next() {
  boost::asio::async_write(
      input_, boost::asio::buffer(input_queue_.front()),
      [self = shared_from_this()](boost::system::error_code failed, std::size_t) {
        if (self->abandoned_) return;
        if (failed) {
          self->input_queue_.clear();
          self->queued_bytes_ = 0;
          self->close_after_queue_ = true;
        } else {
          self->queued_bytes_ -= self->input_queue_.front().size();
          self->input_queue_.pop_front();
        }
        if (!self->input_queue_.empty()) return self->write_next();
        if (self->close_after_queue_) self->close_input();
      });
}

void Child::close_input() {
  close_after_queue_ = true;
  if (!input_queue_.empty()) return;
  close_quietly(input_);
}

void Child::on_exit(std::function<void(const ChildExit&)> handler) {
  exit_handler_ = std::move(handler);
  if (!exit_) return;
  boost::asio::post(io_, [self = shared_from_this()] {
    if (auto call = std::exchange(self->exit_handler_, nullptr)) call(*self->exit_);
  });
}

std::string Child::error_tail() const { return one_line(error_tail_); }

void Child::watch_exit() {
  // A raw system call: the C library of Debian 12 has no pidfd_open of its own.
  int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  if (fd < 0) return poll_exit();
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  exit_watch_.assign(fd);
  exit_watch_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [weak = weak_from_this()](boost::system::error_code failed) {
                           auto self = weak.lock();
                           if (self && !failed && !self->abandoned_) self->reap();
                         });
}

// For kernels without pidfd.
void Child::poll_exit() {
  exit_timer_.expires_after(std::chrono::milliseconds(5));
  exit_timer_.async_wait([weak = weak_from_this()](boost::system::error_code failed) {
    auto self = weak.lock();
    if (self && !failed && !self->abandoned_) self->reap();
  });
}

void Child::reap() {
  // First look, then kill what is left of the group, then reap: until then the group's number
  // cannot belong to anybody else.
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) != 0 ||
      info.si_pid == 0) {
    return poll_exit();
  }
  signal_group(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  exit_ = info.si_code == CLD_EXITED ? ChildExit{.code = info.si_status}
                                     : ChildExit{.signal = info.si_status};
  close_quietly(exit_watch_);
  grace_timer_.cancel();
  if (auto handler = std::exchange(exit_handler_, nullptr)) handler(*exit_);
}

void Child::read_errors() {
  errors_.async_read_some(
      boost::asio::buffer(error_buffer_),
      [weak = weak_from_this()](boost::system::error_code failed, std::size_t size) {
        auto self = weak.lock();
        if (!self || failed || self->abandoned_) return;
        self->take_errors(std::string_view(self->error_buffer_.data(), size));
        self->read_errors();
      });
}

void Child::take_errors(std::string_view bytes) {
  error_tail_.append(bytes);
  if (error_tail_.size() > kErrorTailBytes) {
    error_tail_.erase(0, error_tail_.size() - kErrorTailBytes);
  }
  if (!error_line_) return;
  for (char c : bytes) {
    if (c != '\n') error_line_buffer_.push_back(c);
    if (c == '\n' || error_line_buffer_.size() >= kErrorLineBytes) {
      error_line_(error_line_buffer_);
      error_line_buffer_.clear();
    }
  }
}

void Child::signal_group(int signal) const { ::kill(-pid_, signal); }

void Child::terminate(int grace_ms) {
  if (exit_) return;
  signal_group(SIGTERM);
  signal_group(SIGCONT);  // a stopped process cannot hear
  grace_timer_.expires_after(std::chrono::milliseconds(grace_ms));
  grace_timer_.async_wait([weak = weak_from_this()](boost::system::error_code failed) {
    auto self = weak.lock();
    if (self && !failed) self->kill();
  });
}

void Child::kill() {
  if (!exit_) signal_group(SIGKILL);
}

bool Child::has_ended() const {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) != 0 ||
         info.si_pid != 0;
}

void Child::abandon(int grace_ms) {
  if (abandoned_) return;
  abandoned_ = true;
  if (!exit_ && grace_ms > 0) {
    close_quietly(input_);
    signal_group(SIGTERM);
    constexpr int kLookMs = 5;
    for (int waited = 0; waited < grace_ms && !has_ended(); waited += kLookMs) {
      ::usleep(kLookMs * 1000);
    }
  }
  if (!exit_) {
    signal_group(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    exit_ = ChildExit{.signal = SIGKILL};
  }
  exit_handler_ = nullptr;
  error_line_ = nullptr;
  close_quietly(input_);
  close_quietly(output_);
  close_quietly(errors_);
  close_quietly(exit_watch_);
  exit_timer_.cancel();
  grace_timer_.cancel();
}

}  // namespace sluice
