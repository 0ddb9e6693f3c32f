#include "tools/table/row_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kRowsAtOnce = 256;
constexpr std::size_t kBytesAtOnce = 4 << 20;
constexpr const char* kWholeRow = "$row";

}  // namespace

RowStream::RowStream(OpenCallPtr call, std::shared_ptr<const RowStreamSetup> setup,
                     std::uint64_t limit, boost::asio::any_io_executor blocking,
                     OpenCalls::Poster post)
    : call_(std::move(call)),
      setup_(std::move(setup)),
      limit_(limit),
      blocking_(std::move(blocking)),
      post_(std::move(post)) {}

void RowStream::start() {
  auto self = shared_from_this();
  call_->leave();
  // A disk that does not answer must not hold the call: it ends now, the thread when it can.
  call_->on_stop([self] {
    self->stop();
    self->call_->finish(Value());
  });
  call_->on_resume([self] { self->pump(); });
  read_more();
}

void RowStream::stop() {
  stopped_ = true;
  std::lock_guard lock(reader_mutex_);
  if (reader_) reader_->interrupt();
}

void RowStream::read_more() {
  reading_ = true;
  boost::asio::post(blocking_, [self = shared_from_this()] {
    auto piece = std::make_shared<Piece>(self->read_piece());
    self->post_([self, piece] { self->take(std::move(*piece)); });
  });
}

Value RowStream::item_of(const Value& row) const {
  const Value item = read_row(setup_->columns, row, reader_->cells_are_text());
  if (!setup_->whole) return item;
  std::vector<Value::Member> members(item.members().begin(), item.members().end());
  members.emplace_back(kWholeRow, row);
  return Value::object(std::move(members));
}

RowStream::Piece RowStream::read_piece() {
  Piece piece;
  if (!reader_) {
    auto opened = open_table(setup_->source);
    if (!opened) {
      piece.failure = opened.error();
      return piece;
    }
    std::lock_guard lock(reader_mutex_);
    reader_ = std::move(*opened);
  }
  std::size_t bytes = 0;
  while (piece.items.size() < kRowsAtOnce && bytes < kBytesAtOnce && !stopped_) {
    if (limit_ > 0 && read_ >= limit_) {
      piece.at_end = true;
      break;
    }
    auto row = reader_->next();
    if (!row) piece.failure = row.error();
    piece.at_end = !row || !*row;
    if (piece.at_end) break;
    ++read_;
    piece.items.push_back(item_of(**row));
    bytes += piece.items.back().memory_bytes();
  }
  if (piece.at_end) {
    std::lock_guard lock(reader_mutex_);
    reader_.reset();
  }
  return piece;
}

void RowStream::take(Piece piece) {
  reading_ = false;
  std::ranges::move(piece.items, std::back_inserter(waiting_));
  at_end_ = piece.at_end;
  failure_ = std::move(piece.failure);
  pump();
}

// False: no more for now.
bool RowStream::give(Value item) {
  const std::uint64_t limit = call_->request().max_bytes;
  const std::uint64_t bytes = limit > 0 ? item.memory_bytes() : 0;
  const bool streaming = call_->request().streaming;
  // A stream is bounded by its consumer; only a single row of it can be too large.
  given_bytes_ = streaming ? bytes : given_bytes_ + bytes;
  if (limit > 0 && given_bytes_ > limit) {
    call_->fail(Error(ErrorCode::kToolTooLarge,
                      fmt::format("{} of the table {} over {} bytes; raise max_bytes of the tool{}",
                                  streaming ? "a row" : "the rows", streaming ? "is" : "are", limit,
                                  streaming ? "" : ", or read it with a for_each")));
    return false;
  }
  ++given_;
  if (streaming) return call_->emit(std::move(item));
  all_.push_back(std::move(item));
  return true;
}

void RowStream::pump() {
  const bool streaming = call_->request().streaming;
  while (!waiting_.empty()) {
    if (call_->ended() || call_->paused() || call_->stopping()) return;
    if (streaming && setup_->hold_after > 0 && given_ >= setup_->hold_after) return;
    Value item = std::move(waiting_.front());
    waiting_.pop_front();
    if (!give(std::move(item))) return;
  }
  if (reading_ || call_->ended() || call_->stopping()) return;
  if (failure_) return call_->fail(*failure_);
  if (at_end_) return call_->finish(streaming ? Value() : Value::array(std::move(all_)));
  read_more();
}

}  // namespace sluice
