// What an engine says about the choices of one call, carried from its threads to the I/O thread.
// Callbacks never block: text gathers here while the client is slow. Held by the callbacks and by
// the route; all methods but the callbacks themselves are for the I/O thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "schedule/model_instance.h"

namespace sluice {

class GenerationFeed : public std::enable_shared_from_this<GenerationFeed> {
 public:
  struct News {
    std::string text;  // since the last time
    std::optional<Result<ModelReply>> end;
  };
  struct Options {
    std::size_t choices = 1;
    std::size_t most_waiting_bytes = 0;  // beyond, text is lost: the client is too slow
    const Clock* clock = nullptr;
    std::function<void(std::size_t choice)> ended;  // I/O thread, once for each choice
    std::function<void()> overflowed;               // I/O thread, once
  };
  GenerationFeed(boost::asio::io_context& io, Options options);

  ModelCallbacks callbacks(std::size_t choice);

  // False when nothing came for so long.
  boost::asio::awaitable<bool> wait(std::chrono::milliseconds most);
  std::vector<News> take();  // one for each choice
  // Ends the wait: the client has gone, or the server does.
  void stop();
  bool stopped() const { return stopped_; }
  std::optional<SteadyNs> first_text_ns() const;

 private:
  void changed();
  void wake();

  boost::asio::io_context& io_;
  Options options_;
  boost::asio::steady_timer timer_;
  bool awake_ = false;  // something came since the last wait
  bool stopped_ = false;
  bool too_slow_ = false;
  std::size_t ended_ = 0;

  mutable std::mutex mutex_;
  std::vector<News> news_;
  std::vector<std::size_t> ends_;  // choices whose `ended` is still to be called
  std::size_t waiting_bytes_ = 0;
  std::optional<SteadyNs> first_text_ns_;
  bool overflow_ = false;
  bool posted_ = false;
};

}  // namespace sluice
