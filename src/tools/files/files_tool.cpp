#include "tools/files/files_tool.h"

#include <fmt/format.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "data/json.h"
#include "tools/basic_tool.h"
#include "tools/files/file_content.h"
#include "tools/files/glob.h"
#include "tools/files/rooted_folder.h"

namespace sluice {
namespace {

struct FilesSetup {
  std::shared_ptr<RootedFolder> folder;
  bool may_write = false;
};

std::string text_of(const Value& args, std::string_view key) {
  const Value* value = args.find(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

std::uint64_t count_of(const Value& args, std::string_view key) {
  const Value* value = args.find(key);
  return value != nullptr && value->is_int() && value->as_int() > 0
             ? static_cast<std::uint64_t>(value->as_int())
             : 0;
}

// A head that ends in the middle of a character ends before it.
void drop_partial_character(std::string& text) {
  std::size_t valid = utf8_valid_prefix(text);
  if (text.size() - valid < 4) text.resize(valid);
}

Result<Value> glob(const FilesSetup& setup, const ToolCall& call,
                   const std::atomic<bool>& stopped) {
  std::string pattern = text_of(call.args, "pattern");
  auto found = glob_files(*setup.folder, pattern, call.max_bytes, stopped);
  if (!found) return std::unexpected(found.error());
  std::uint64_t limit = count_of(call.args, "limit");
  if (limit > 0 && found->size() > limit) found->resize(limit);
  std::vector<Value> paths;
  paths.reserve(found->size());
  for (const auto& path : *found) paths.push_back(Value::string(path));
  return Value::array(std::move(paths));
}

Result<Value> read(const FilesSetup& setup, const ToolCall& call,
                   const std::atomic<bool>& stopped) {
  std::string path = text_of(call.args, "path");
  auto file = setup.folder->open_regular(path);
  if (!file) return std::unexpected(file.error());
  const Value* gz = call.args.find("gz");
  bool packed = gz != nullptr && gz->is_bool() ? gz->as_bool() : path.ends_with(".gz");
  ReadLimits limits{.max_bytes = call.max_bytes, .head_bytes = count_of(call.args, "max_bytes")};
  auto bytes = read_content(*file, path, packed, limits, stopped);
  if (!bytes) return std::unexpected(bytes.error());
  if (text_of(call.args, "as") == "blob") {
    return Value::blob(std::move(*bytes), "application/octet-stream");
  }
  if (text_of(call.args, "encoding") == "latin-1") {
    return Value::string(latin1_to_utf8(*bytes));
  }
  if (limits.head_bytes > 0 && bytes->size() == limits.head_bytes) drop_partial_character(*bytes);
  auto text = Value::from_utf8(*bytes);
  if (text) return text;
  return std::unexpected(Error(ErrorCode::kUtf8Invalid,
                               fmt::format("{} is not UTF-8 text; pass encoding: latin-1 for old "
                                           "text, or as: blob",
                                           path))
                             .with_cause(text.error()));
}

Result<Value> write(const FilesSetup& setup, const ToolCall& call) {
  std::string path = text_of(call.args, "path");
  if (!setup.may_write) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("cannot write {}: the tool may only read; set write: true if it is to "
                            "write below {}",
                            preview(Value::string(path)), setup.folder->root().string()));
  }
  const Value* text = call.args.find("text");
  auto bytes = body_bytes(text != nullptr ? *text : Value::string(""));
  if (!bytes) return std::unexpected(bytes.error());
  if (call.max_bytes > 0 && bytes->size() > call.max_bytes) {
    return fail(ErrorCode::kToolTooLarge,
                fmt::format("the text for {} has {} bytes, and max_bytes is {}", path,
                            bytes->size(), call.max_bytes));
  }
  auto written = setup.folder->write(path, *bytes, call.idempotency_key);
  if (!written) return std::unexpected(written.error());
  return Value::object({{"path", Value::string(path)},
                        {"bytes", Value::integer(static_cast<std::int64_t>(bytes->size()))}});
}

Result<Value> perform(const FilesSetup& setup, const ToolCall& call,
                      const std::atomic<bool>& stopped) {
  if (call.function == "glob") return glob(setup, call, stopped);
  if (call.function == "read") return read(setup, call, stopped);
  if (call.function == "write") return write(setup, call);
  return fail(ErrorCode::kToolUnknown,
              "a files tool has glob, read and write, not " + call.function);
}

class FilesTool final : public ClosedTool {
 public:
  FilesTool(const ToolSettings& settings, FilesSetup setup)
      : ClosedTool("files", settings), setup_(std::move(setup)) {}

  ~FilesTool() override {
    calls().drop_all();
    for (auto& weak : running_) {
      if (auto stopped = weak.lock()) *stopped = true;
    }
  }

 private:
  void start(const OpenCallPtr& open) override {
    open->leave();
    auto stopped = std::make_shared<std::atomic<bool>>(false);
    std::erase_if(running_, [](const auto& weak) { return weak.expired(); });
    running_.push_back(stopped);
    // A disk that does not answer must not hold the call: it ends now, the thread when it can.
    open->on_stop([stopped, weak = std::weak_ptr<OpenCall>(open)] {
      *stopped = true;
      if (auto call = weak.lock()) call->finish(Value());
    });
    boost::asio::post(calls().environment().blocking,
                      [setup = setup_, open, stopped, post = calls().poster()] {
                        auto result = perform(setup, open->request(), *stopped);
                        post([open, result = std::move(result)] {
                          if (result) {
                            open->finish(*result);
                          } else {
                            open->fail(result.error());
                          }
                        });
                      });
  }

  FilesSetup setup_;
  // Set when the tool goes, so that no search outlives it.
  std::vector<std::weak_ptr<std::atomic<bool>>> running_;
};

}  // namespace

Result<std::unique_ptr<Tool>> open_files_tool(const ToolSettings& settings) {
  auto folder = RootedFolder::open(setting_path(settings, "root", "."));
  if (!folder) return std::unexpected(folder.error());
  return std::make_unique<FilesTool>(
      settings, FilesSetup{std::move(*folder), setting_flag(settings.values, "write", false)});
}

}  // namespace sluice
