// One call of rows(): a table read on the blocking executor piece by piece, handed over as items
// while its consumer wants them. I/O executor, but for what the name says.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "tools/open_call.h"
#include "tools/table/cell.h"
#include "tools/table/table_reader.h"

namespace sluice {

struct RowStreamSetup {
  TableSource source;
  std::vector<TableColumn> columns;
  bool whole = false;            // each item has the row as it is in the file under "$row"
  std::uint64_t hold_after = 0;  // a stream gives no more, and does not end; 0: no bound
};

class RowStream : public std::enable_shared_from_this<RowStream> {
 public:
  // `limit`: 0 for all rows.
  RowStream(OpenCallPtr call, std::shared_ptr<const RowStreamSetup> setup, std::uint64_t limit,
            boost::asio::any_io_executor blocking, OpenCalls::Poster post);
  void start();
  // Whatever is read now ends soon; the call is the caller's to end.
  void stop();

 private:
  // What one look into the table gave.
  struct Piece {
    std::vector<Value> items;
    bool at_end = false;
    std::optional<Error> failure;
  };

  Piece read_piece();  // on the blocking executor, one at a time
  Value item_of(const Value& row) const;
  void read_more();
  void take(Piece piece);
  void pump();
  bool give(Value item);

  OpenCallPtr call_;
  std::shared_ptr<const RowStreamSetup> setup_;
  std::uint64_t limit_;
  boost::asio::any_io_executor blocking_;
  OpenCalls::Poster post_;
  std::atomic<bool> stopped_{false};

  std::mutex reader_mutex_;              // while the reader comes, goes, or is interrupted
  std::unique_ptr<TableReader> reader_;  // of the blocking executor
  std::uint64_t read_ = 0;               // likewise

  std::deque<Value> waiting_;
  std::vector<Value> all_;  // of a call that is no stream
  std::uint64_t given_ = 0;
  std::uint64_t given_bytes_ = 0;
  bool reading_ = false;
  bool at_end_ = false;
  std::optional<Error> failure_;
};

}  // namespace sluice
