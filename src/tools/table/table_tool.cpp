#include "tools/table/table_tool.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "tools/basic_tool.h"
#include "tools/table/finished_table.h"
#include "tools/table/row_stream.h"
#include "tools/table/work_file.h"
#include "tools/work_gate.h"

namespace sluice {
namespace {

constexpr std::size_t kRowsInOneCommit = 1000;

// The writing side, and who is inside it; outlives the tool until the threads of the pool have seen
// that it is closed.
struct WritingSide {
  TableTarget target;
  std::unique_ptr<WorkFile> work;  // opened at the first need
  WorkGate gate;
  std::atomic<bool> stopped{false};

  Result<WorkFile*> open() {
    if (!work) {
      auto opened = WorkFile::open(target.file);
      if (!opened) return std::unexpected(opened.error());
      work = std::move(*opened);
    }
    return work.get();
  }
};

const Value* argument(const Value& args, std::string_view key) {
  const Value* value = args.find(key);
  return value != nullptr && !value->is_null() ? value : nullptr;
}

std::string text_argument(const Value& args, std::string_view key) {
  const Value* value = argument(args, key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

bool flag_argument(const Value& args, std::string_view key) {
  const Value* value = argument(args, key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

std::int64_t count_argument(const Value& args, std::string_view key) {
  const Value* value = argument(args, key);
  return value != nullptr && value->is_int() ? value->as_int() : 0;
}

Value text_list(const std::vector<std::string>& texts) {
  std::vector<Value> items;
  for (const std::string& text : texts) {
    items.push_back(Value::from_utf8(text).value_or(Value::string("?")));
  }
  return Value::array(std::move(items));
}

Result<Value> finish(WritingSide& side, const Value& args) {
  auto work = side.open();
  if (!work) return std::unexpected(work.error());
  FinishOptions options;
  const bool arrival = text_argument(args, "order") == "arrival";
  options.order = arrival ? WorkFile::Order::kArrival : WorkFile::Order::kRow;
  options.keep_null = flag_argument(args, "keep_null");
  if (const Value* columns = argument(args, "columns"); columns && columns->is_array()) {
    for (const Value& name : columns->items()) options.columns.push_back(argument_text(name));
  }
  auto done = write_finished(**work, side.target, options, side.stopped);
  if (!done) return std::unexpected(done.error());
  const std::string file = side.target.file.string();
  return Value::object({{"file", Value::from_utf8(file).value_or(Value())},
                        {"rows", Value::integer(done->counts.rows)},
                        {"written", Value::integer(done->written)},
                        {"errors", Value::integer(done->counts.errors)},
                        {"empty", Value::integer(done->counts.empty)},
                        {"first_errors", text_list(done->first_errors)}});
}

Result<Value> perform(WritingSide& side, const ToolCall& call) {
  if (call.function == "finish") return finish(side, call.args);
  if (call.function == "tidy") {
    side.work.reset();
    auto removed = remove_work_file(side.target.file);
    return removed ? Result<Value>(Value()) : std::unexpected(removed.error());
  }
  auto work = side.open();
  if (!work) return std::unexpected(work.error());
  const std::string run = text_argument(call.args, "run");
  if (run.empty()) return fail(ErrorCode::kArgInvalid, "begin needs the id of its run");
  auto begun = (*work)->begin(run);
  return begun ? Result<Value>(Value()) : std::unexpected(begun.error());
}

Result<Value> put(WritingSide& side, const std::vector<OpenCallPtr>& calls) {
  auto work = side.open();
  if (!work) return std::unexpected(work.error());
  std::vector<StoredRow> rows;
  rows.reserve(calls.size());
  for (const OpenCallPtr& call : calls) rows.push_back(row_of_put(call->request().args));
  auto stored = (*work)->put(rows);
  return stored ? Result<Value>(Value()) : std::unexpected(stored.error());
}

class TableTool final : public ClosedTool {
 public:
  TableTool(const ToolSettings& settings, std::shared_ptr<const RowStreamSetup> reading,
            std::shared_ptr<WritingSide> writing)
      : ClosedTool("table", settings), reading_(std::move(reading)), writing_(std::move(writing)) {}

  ~TableTool() override {
    calls().drop_all();
    for (const auto& weak : streams_) {
      if (auto stream = weak.lock()) stream->stop();
    }
    if (!writing_) return;
    // The work file must be let go when this returns: the run may be taken up at once.
    writing_->gate.close([this] { writing_->stopped = true; });
    writing_->work.reset();
  }

 private:
  static bool writes(std::string_view function) {
    return function == "begin" || function == "put" || function == "finish" || function == "tidy";
  }

  void start(const OpenCallPtr& open) override {
    const std::string& function = open->request().function;
    if (function == "rows") {
      const auto limit = count_argument(open->request().args, "limit");
      const auto& environment = calls().environment();
      auto stream = std::make_shared<RowStream>(open, reading_, static_cast<std::uint64_t>(limit),
                                                environment.blocking, calls().poster());
      std::erase_if(streams_, [](const auto& weak) { return weak.expired(); });
      streams_.push_back(stream);
      return stream->start();
    }
    if (!writes(function)) {
      return open->fail(
          Error(ErrorCode::kToolUnknown,
                "a table tool has rows, begin, put, finish and tidy, not " + function));
    }
    if (!writing_) {
      return open->fail(
          Error(ErrorCode::kFileDenied,
                fmt::format("cannot write {}: the tool may only read; set write: true",
                            reading_->source.file.string())));
    }
    waiting_.push_back(open);
    next();
  }

  // Rows that came together are stored together; all else goes by itself, in its turn.
  std::vector<OpenCallPtr> take_group() {
    std::vector<OpenCallPtr> group;
    while (!waiting_.empty() && group.size() < kRowsInOneCommit) {
      OpenCallPtr open = waiting_.front();
      const bool is_row = open->request().function == "put";
      if (!group.empty() && !is_row) break;
      waiting_.pop_front();
      if (open->ended()) continue;
      group.push_back(std::move(open));
      if (!is_row) break;
    }
    return group;
  }

  void next() {
    if (running_) return;
    auto group = take_group();
    if (group.empty()) return;
    running_ = true;
    for (const OpenCallPtr& open : group) open->leave();
    boost::asio::post(
        calls().environment().blocking, [this, side = writing_, group, post = calls().poster()] {
          const WorkGate::Inside inside(side->gate);
          if (!inside.entered()) return;
          const bool rows = group.front()->request().function == "put";
          auto result = rows ? put(*side, group) : perform(*side, group.front()->request());
          post([this, group, result = std::move(result)] { done(group, result); });
        });
  }

  void done(const std::vector<OpenCallPtr>& group, const Result<Value>& result) {
    running_ = false;
    for (const OpenCallPtr& open : group) {
      if (result) {
        open->finish(*result);
      } else {
        open->fail(result.error());
      }
    }
    next();
  }

  std::shared_ptr<const RowStreamSetup> reading_;
  std::vector<std::weak_ptr<RowStream>> streams_;
  std::shared_ptr<WritingSide> writing_;  // null: it may only read
  std::deque<OpenCallPtr> waiting_;
  bool running_ = false;
};

}  // namespace

StoredRow row_of_put(const Value& args) {
  StoredRow row;
  row.row = count_argument(args, "row");
  if (const Value* value = argument(args, "value")) row.value = *value;
  if (const Value* error = argument(args, "error")) row.error = argument_text(*error);
  if (const Value* input = argument(args, "input")) row.input = *input;
  return row;
}

Result<std::unique_ptr<Tool>> open_table_tool(const ToolSettings& settings) {
  const Value& values = settings.values;
  const std::filesystem::path file = setting_path(settings, "file", "");
  auto format = table_format_of(file, setting_text(values, "format"));
  if (!format) return fail(ErrorCode::kSettingInvalid, format.error().message());
  auto reading = std::make_shared<RowStreamSetup>();
  reading->source = {file, *format, setting_text(values, "query"), setting_text(values, "table")};
  reading->whole = setting_flag(values, "whole", false);
  reading->hold_after = settings.environment.hold_rows_after;
  if (const Value* schemas = values.find("columns")) {
    auto columns = table_columns_of(*schemas);
    if (!columns) return std::unexpected(columns.error());
    reading->columns = std::move(*columns);
  }
  std::shared_ptr<WritingSide> writing;
  if (setting_flag(values, "write", false)) {
    writing = std::make_shared<WritingSide>();
    writing->target = {file, *format, setting_text(values, "table")};
  }
  return std::make_unique<TableTool>(settings, std::move(reading), std::move(writing));
}

}  // namespace sluice
