#include "tools/sql/sql_tool.h"

#include <boost/asio/post.hpp>
#include <deque>
#include <memory>
#include <utility>

#include "tools/basic_tool.h"
#include "tools/sql/sql_database.h"
#include "tools/work_gate.h"

namespace sluice {
namespace {

// The database and who is inside it; outlives the tool until the threads of the pool have seen that
// it is closed.
struct SqlSession {
  std::unique_ptr<SqlDatabase> database;
  WorkGate gate;
};

class SqlTool final : public ClosedTool {
 public:
  SqlTool(const ToolSettings& settings, std::unique_ptr<SqlDatabase> database)
      : ClosedTool("sql", settings), session_(std::make_shared<SqlSession>()) {
    session_->database = std::move(database);
  }

  ~SqlTool() override {
    calls().drop_all();
    // The file must be let go when this returns: another tool may open it next.
    session_->gate.close([this] { session_->database->interrupt(); });
    session_->database.reset();
  }

 private:
  void start(const OpenCallPtr& open) override {
    waiting_.push_back(open);
    next();
  }

  static SqlRequest request_of(const ToolCall& call) {
    SqlRequest request;
    const Value* sql = call.args.find("sql");
    const Value* args = call.args.find("args");
    const Value* tables = call.args.find("tables");
    request.sql = sql != nullptr && sql->is_string() ? std::string(sql->as_string()) : "";
    if (args != nullptr) request.args = *args;
    if (tables != nullptr) request.tables = *tables;
    request.max_bytes = call.max_bytes;
    return request;
  }

  void next() {
    while (!running_ && !waiting_.empty()) {
      auto open = waiting_.front();
      waiting_.pop_front();
      if (!open->ended()) run(open);
    }
  }

  void run(const OpenCallPtr& open) {
    const std::string& function = open->request().function;
    if (function != "query" && function != "exec") {
      return open->fail(
          Error(ErrorCode::kToolUnknown, "an sql tool has query and exec, not " + function));
    }
    running_ = true;
    session_->database->allow();
    open->leave();
    // Ends the call once the statement has really stopped.
    open->on_stop([session = session_] { session->database->interrupt(); });
    boost::asio::post(
        calls().environment().blocking, [this, session = session_, open, post = calls().poster()] {
          const WorkGate::Inside inside(session->gate);
          if (!inside.entered()) return;
          auto request = request_of(open->request());
          auto result = open->request().function == "query" ? session->database->query(request)
                                                            : session->database->exec(request);
          post([this, open, result = std::move(result)] { done(open, result); });
        });
  }

  void done(const OpenCallPtr& open, const Result<Value>& result) {
    running_ = false;
    if (result) {
      open->finish(*result);
    } else {
      open->fail(result.error());
    }
    next();
  }

  std::shared_ptr<SqlSession> session_;
  std::deque<OpenCallPtr> waiting_;
  bool running_ = false;
};

}  // namespace

Result<std::unique_ptr<Tool>> open_sql_tool(const ToolSettings& settings) {
  std::string name = setting_text(settings.values, "database");
  std::filesystem::path path;
  if (!name.empty() && name != ":memory:") path = setting_path(settings, "database", "");
  auto database = SqlDatabase::open(path, setting_text(settings.values, "init"));
  if (!database) return std::unexpected(database.error());
  return std::make_unique<SqlTool>(settings, std::move(*database));
}

}  // namespace sluice
