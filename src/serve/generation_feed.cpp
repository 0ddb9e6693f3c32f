#include "serve/generation_feed.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace sluice {

namespace asio = boost::asio;

GenerationFeed::GenerationFeed(asio::io_context& io, Options options)
    : io_(io), options_(std::move(options)), timer_(io), news_(options_.choices) {}

// With the lock held: one message on the way to the I/O thread carries all that came before it.
void GenerationFeed::changed() {
  if (std::exchange(posted_, true)) return;
  asio::post(io_, [self = shared_from_this()] { self->wake(); });
}

ModelCallbacks GenerationFeed::callbacks(std::size_t choice) {
  auto self = shared_from_this();
  return {.on_text =
              [self, choice](std::string_view piece) {
                std::lock_guard lock(self->mutex_);
                if (!self->first_text_ns_) {
                  self->first_text_ns_ = self->options_.clock->steady_ns();
                }
                self->waiting_bytes_ += piece.size();
                self->overflow_ |= self->waiting_bytes_ > self->options_.most_waiting_bytes;
                if (!self->overflow_) self->news_[choice].text += piece;
                self->changed();
              },
          .on_end =
              [self, choice](Result<ModelReply> result) {
                std::lock_guard lock(self->mutex_);
                self->news_[choice].end = std::move(result);
                self->ends_.push_back(choice);
                self->changed();
              }};
}

void GenerationFeed::wake() {
  std::vector<std::size_t> ends;
  bool overflow = false;
  {
    std::lock_guard lock(mutex_);
    posted_ = false;
    ends.swap(ends_);
    overflow = overflow_;
  }
  if (overflow && !std::exchange(too_slow_, true) && options_.overflowed) options_.overflowed();
  for (std::size_t choice : ends) options_.ended(choice);
  ended_ += ends.size();
  if (ended_ == options_.choices) {  // nothing more comes: whoever is held by these may go
    options_.ended = {};
    options_.overflowed = {};
  }
  awake_ = true;
  timer_.cancel();
}

void GenerationFeed::stop() {
  stopped_ = true;
  awake_ = true;
  timer_.cancel();
}

asio::awaitable<bool> GenerationFeed::wait(std::chrono::milliseconds most) {
  if (!awake_) {
    timer_.expires_after(most);
    co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return std::exchange(awake_, false);
}

std::vector<GenerationFeed::News> GenerationFeed::take() {
  std::vector<News> taken(options_.choices);
  std::lock_guard lock(mutex_);
  taken.swap(news_);
  waiting_bytes_ = 0;
  return taken;
}

std::optional<SteadyNs> GenerationFeed::first_text_ns() const {
  std::lock_guard lock(mutex_);
  return first_text_ns_;
}

}  // namespace sluice
