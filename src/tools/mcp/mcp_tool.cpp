#include "tools/mcp/mcp_tool.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tools/basic_tool.h"
#include "tools/mcp/mcp_connection.h"
#include "tools/mcp/mcp_content.h"

namespace sluice {
namespace {

constexpr std::int64_t kFirstBackoffMs = 100;
constexpr std::int64_t kMaxBackoffMs = 10'000;
constexpr std::size_t kMaxFunctions = 10'000;
constexpr int kMaxPages = 1000;

class McpTool final : public BasicTool {
 public:
  McpTool(const ToolSettings& settings, ChildOptions program)
      : BasicTool(settings.environment),
        backoff_timer_(settings.environment.io),
        program_(std::move(program)),
        label_("tool " + settings.id) {}

  ~McpTool() override {
    calls().drop_all();
    backoff_timer_.cancel();
    if (connection_) connection_->close();
  }

  void discover(std::function<void(Result<std::vector<FunctionSpec>>)> on_functions) override {
    calls().post([this, on_functions = std::move(on_functions)] {
      with_server([this, on_functions](Result<void> ready) {
        if (!ready) return on_functions(std::unexpected(ready.error()));
        list_page("", std::make_shared<Listing>(Listing{{}, on_functions, 0}));
      });
    });
  }

 private:
  using OnReady = std::function<void(Result<void>)>;
  struct Listing {
    std::vector<FunctionSpec> functions;
    std::function<void(Result<std::vector<FunctionSpec>>)> on_functions;
    int pages = 0;
  };

  void start(const OpenCallPtr& open) override {
    with_server([this, open](Result<void> ready) {
      if (open->ended()) return;
      if (!ready) return open->fail(ready.error());
      send(open);
    });
  }

  // Now when the server is there; else once it is. A server that keeps failing is started again
  // only after a wait that doubles.
  void with_server(OnReady on_ready) {
    if (connection_ && connection_->ready() && !connection_->dead()) return on_ready({});
    waiting_.push_back(std::move(on_ready));
    if (starting_) return;
    starting_ = true;
    if (connection_ && connection_->ready() && !answered_) ++failures_;
    connection_.reset();
    answered_ = false;
    if (failures_ <= 1) return start_server();
    std::int64_t wait_ms = std::min(kMaxBackoffMs, kFirstBackoffMs << std::min(failures_ - 2, 16));
    backoff_timer_.expires_after(std::chrono::milliseconds(wait_ms));
    // Through the poster: the timer may have fired already when the tool goes.
    backoff_timer_.async_wait([this, post = calls().poster()](boost::system::error_code failed) {
      if (!failed) post([this] { start_server(); });
    });
  }

  void start_server() {
    auto started = McpConnection::start(calls().environment().io, program_, label_);
    if (!started) return server_is(std::unexpected(started.error()));
    connection_ = std::move(*started);
    connection_->when_ready([this](Result<void> ready) { server_is(std::move(ready)); });
  }

  void server_is(Result<void> ready) {
    starting_ = false;
    if (!ready) ++failures_;
    for (auto& handler : std::exchange(waiting_, {})) handler(ready);
  }

  void server_answered() {
    failures_ = 0;
    answered_ = true;
  }

  void list_page(const std::string& cursor, const std::shared_ptr<Listing>& listing) {
    Value params = cursor.empty() ? Value() : Value::object({{"cursor", Value::string(cursor)}});
    connection_->request("tools/list", params, [this, listing](Result<Value> page, std::size_t) {
      if (!page) return listing->on_functions(std::unexpected(page.error()));
      server_answered();
      const Value* tools = page->find("tools");
      if (tools != nullptr && tools->is_array()) {
        for (const Value& tool : tools->items()) {
          if (auto spec = mcp_function(tool)) listing->functions.push_back(std::move(*spec));
        }
      }
      const Value* next = page->find("nextCursor");
      bool more = next != nullptr && next->is_string() && !next->as_string().empty();
      if (!more) return listing->on_functions(std::move(listing->functions));
      if (++listing->pages >= kMaxPages || listing->functions.size() > kMaxFunctions) {
        return listing->on_functions(
            fail(ErrorCode::kToolOutput, "the server lists tools without end"));
      }
      list_page(std::string(next->as_string()), listing);
    });
  }

  void send(const OpenCallPtr& open) {
    const ToolCall& request = open->request();
    auto connection = connection_;
    std::vector<Value::Member> meta = {{"progressToken", Value::integer(connection->next_id())}};
    if (!request.idempotency_key.empty()) {
      meta.emplace_back("idempotencyKey", Value::string(request.idempotency_key));
    }
    Value params =
        Value::object({{"name", Value::string(request.function)},
                       {"arguments", request.args.is_object() ? request.args : Value::object({})},
                       {"_meta", Value::object(std::move(meta))}});
    open->leave();
    auto id = connection->request(
        "tools/call", params,
        [this, open](Result<Value> answer, std::size_t bytes) { take(open, answer, bytes); });
    connection->on_progress(id, [open](double done, double total, std::string_view message) {
      open->progress(done, total, message);
    });
    open->on_stop([connection, id, weak = std::weak_ptr<OpenCall>(open)] {
      connection->cancel(id, "cancelled or out of time");
      if (auto call = weak.lock()) call->finish(Value());
    });
  }

  void take(const OpenCallPtr& open, const Result<Value>& answer, std::size_t bytes) {
    if (!answer) {
      bool died = answer.error().code() == ErrorCode::kToolDied;
      return open->fail(
          died ? Error(ErrorCode::kToolDied, "the MCP server " + answer.error().message())
               : answer.error());
    }
    server_answered();
    std::uint64_t limit = open->request().max_bytes;
    if (limit > 0 && bytes > limit) {
      return open->fail(Error(ErrorCode::kToolTooLarge,
                              fmt::format("the answer has {} bytes, over the limit of {}; ask for "
                                          "less, or raise max_bytes",
                                          bytes, limit)));
    }
    auto output = mcp_output(*answer);
    if (output) {
      open->finish(std::move(*output));
    } else {
      open->fail(output.error());
    }
  }

  boost::asio::steady_timer backoff_timer_;
  ChildOptions program_;
  std::string label_;
  std::shared_ptr<McpConnection> connection_;
  std::vector<OnReady> waiting_;
  int failures_ = 0;       // starts in a row after which nothing was answered
  bool answered_ = false;  // the server that runs has answered something
  bool starting_ = false;
};

}  // namespace

Result<std::unique_ptr<Tool>> open_mcp_tool(const ToolSettings& settings) {
  auto program = setting_program(settings);
  if (!program) return std::unexpected(program.error());
  return std::make_unique<McpTool>(settings, std::move(*program));
}

}  // namespace sluice
