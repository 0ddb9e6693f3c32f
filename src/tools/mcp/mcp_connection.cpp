#include "tools/mcp/mcp_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "data/json.h"
#include "tools/text.h"

namespace sluice {
namespace {

// Ours first: what we ask for. The rest we can talk as well.
constexpr std::array<std::string_view, 4> kProtocolVersions = {"2025-11-25", "2025-06-18",
                                                               "2025-03-26", "2024-11-05"};
constexpr std::chrono::seconds kHandshakeTime{60};  // a first start may install packages
constexpr std::uint64_t kMaxLineBytes = 256ull << 20;
constexpr int kCloseGraceMs = 300;
constexpr std::int64_t kMethodNotFound = -32601;
constexpr std::int64_t kInvalidParams = -32602;

std::string_view text_of(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string_view();
}

Value message_with(std::string_view method, const Value& params) {
  std::vector<Value::Member> members = {{"jsonrpc", Value::string("2.0")},
                                        {"method", Value::string(method)}};
  if (!params.is_null()) members.emplace_back("params", params);
  return Value::object(std::move(members));
}

Value with_id(const Value& message, McpRequestId id) {
  std::vector<Value::Member> members(message.members().begin(), message.members().end());
  members.insert(members.begin() + 1, {"id", Value::integer(id)});
  return Value::object(std::move(members));
}

Value handshake_params() {
  return Value::object(
      {{"protocolVersion", Value::string(kProtocolVersions[0])},
       {"capabilities",
        Value::object({{"roots", Value::object({{"listChanged", Value::boolean(false)}})}})},
       {"clientInfo", Value::object({{"name", Value::string("sluice")},
                                     {"title", Value::string("Sluice")},
                                     {"version", Value::string(SLUICE_VERSION)}})}});
}

Error answered_error(const Value& error) {
  const Value* code = error.find("code");
  bool arguments = code != nullptr && code->is_int() && code->as_int() == kInvalidParams;
  std::string words = one_line_start(text_of(error, "message"), 500);
  return Error(arguments ? ErrorCode::kArgInvalid : ErrorCode::kToolFailed,
               fmt::format("the server refused: {}", words.empty() ? "no reason given" : words));
}

double number_of(const Value& object, std::string_view key) {
  const Value* value = object.find(key);
  return value != nullptr && value->is_number() ? value->as_double() : 0;
}

}  // namespace

Result<std::shared_ptr<McpConnection>> McpConnection::start(const boost::asio::any_io_executor& io,
                                                            const ChildOptions& program,
                                                            std::string label) {
  auto child = Child::start(io, program);
  if (!child) return std::unexpected(child.error());
  auto connection = std::make_shared<McpConnection>(io, std::move(*child), std::move(label));
  connection->begin();
  return connection;
}

McpConnection::McpConnection(const boost::asio::any_io_executor& io, std::shared_ptr<Child> child,
                             std::string label)
    : child_(std::move(child)),
      label_(std::move(label)),
      lines_(kMaxLineBytes),
      handshake_timer_(io) {}

McpConnection::~McpConnection() { close(); }

void McpConnection::begin() {
  std::weak_ptr<McpConnection> weak = weak_from_this();
  child_->on_exit([weak](const ChildExit& exit) {
    if (auto self = weak.lock()) self->die(exit.to_string());
  });
  child_->on_error_line([label = label_](std::string_view line) {
    log(LogLevel::kInfo, label + ": " + one_line_start(line, 500));
  });
  handshake_timer_.expires_after(kHandshakeTime);
  handshake_timer_.async_wait([weak](boost::system::error_code failed) {
    auto self = weak.lock();
    if (self && !failed) {
      self->fail_handshake(fmt::format("it did not answer within {} s", kHandshakeTime.count()));
    }
  });
  request("initialize", handshake_params(), [weak](const Result<Value>& answer, std::size_t) {
    if (auto self = weak.lock()) self->take_handshake(answer);
  });
  read();
}

void McpConnection::take_handshake(const Result<Value>& answer) {
  if (!answer) {
    return fail_handshake(answer.error().code() == ErrorCode::kToolDied
                              ? "it " + answer.error().message()
                              : answer.error().message());
  }
  protocol_version_ = text_of(*answer, "protocolVersion");
  if (std::ranges::find(kProtocolVersions, protocol_version_) == kProtocolVersions.end()) {
    return fail_handshake(
        fmt::format("it speaks revision \"{}\" of the protocol, and Sluice {} to {}",
                    one_line_start(protocol_version_, 40), kProtocolVersions.back(),
                    kProtocolVersions.front()));
  }
  handshake_timer_.cancel();
  ready_ = true;
  notify("notifications/initialized", Value());
  for (auto& handler : std::exchange(waiting_, {})) handler({});
}

void McpConnection::fail_handshake(const std::string& why) {
  auto waiting = std::exchange(waiting_, {});
  auto self = shared_from_this();  // a handler may let go of us
  close();
  for (auto& handler : waiting) {
    handler(fail(ErrorCode::kToolStart, fmt::format("the MCP server did not start: {}", why)));
  }
}

void McpConnection::when_ready(std::function<void(Result<void>)> handler) {
  waiting_.push_back(std::move(handler));
}

McpRequestId McpConnection::request(std::string_view method, const Value& params,
                                    OnAnswer on_answer) {
  McpRequestId id = next_id_++;
  pending_[id].on_answer = std::move(on_answer);
  send(with_id(message_with(method, params), id));
  return id;
}

void McpConnection::on_progress(McpRequestId id, OnProgress handler) {
  auto found = pending_.find(id);
  if (found != pending_.end()) found->second.on_progress = std::move(handler);
}

void McpConnection::cancel(McpRequestId id, std::string_view reason) {
  if (pending_.erase(id) == 0 || dead_) return;
  notify("notifications/cancelled",
         Value::object({{"requestId", Value::integer(id)}, {"reason", Value::string(reason)}}));
}

void McpConnection::notify(std::string_view method, const Value& params) {
  send(message_with(method, params));
}

void McpConnection::send(const Value& message) {
  if (!dead_) child_->write_input(to_json(message, {.redact_secrets = false}) + "\n");
}

void McpConnection::read() {
  std::weak_ptr<McpConnection> weak = weak_from_this();
  child_->read_output([weak](std::string_view bytes) {
    auto self = weak.lock();
    if (!self || self->dead_ || bytes.empty()) return;  // at its end on_exit tells the rest
    self->lines_.add(bytes);
    while (auto line = self->lines_.next()) {
      self->take_line(*line);
      if (self->dead_) return;
    }
    if (self->lines_.too_long()) {
      self->child_->kill();
      return self->die(fmt::format("sent a message over {} bytes", kMaxLineBytes));
    }
    self->read();
  });
}

void McpConnection::take_line(std::string_view line) {
  if (line.empty()) return;
  auto message = parse_json(line);
  if (!message) {
    return log(LogLevel::kWarning,
               fmt::format("{}: a line that is no message: {}", label_, one_line_start(line)));
  }
  if (!message->is_array()) return take_message(*message, line.size());
  // Revision 2025-03-26 allowed batches.
  for (const Value& part : message->items()) take_message(part, line.size());
}

void McpConnection::take_message(const Value& message, std::size_t bytes) {
  if (!message.is_object() || dead_) return;
  const Value* id = message.find("id");
  std::string_view method = text_of(message, "method");
  if (method.empty()) return take_answer(message, bytes);
  if (id != nullptr && !id->is_null()) return take_request(*id, method);
  const Value* params = message.find("params");
  take_notification(method, params != nullptr ? *params : Value());
}

void McpConnection::take_request(const Value& id, std::string_view method) {
  std::vector<Value::Member> answer = {{"jsonrpc", Value::string("2.0")}, {"id", id}};
  if (method == "ping") {
    answer.emplace_back("result", Value::object({}));
  } else if (method == "roots/list") {
    // What a server may touch is what its command line says.
    answer.emplace_back("result", Value::object({{"roots", Value::array({})}}));
  } else {
    std::string words = "Sluice does not offer " + one_line_start(method, 60);
    answer.emplace_back("error", Value::object({{"code", Value::integer(kMethodNotFound)},
                                                {"message", Value::string(words)}}));
  }
  send(Value::object(std::move(answer)));
}

void McpConnection::take_notification(std::string_view method, const Value& params) {
  if (method == "notifications/progress") {
    const Value* token = params.find("progressToken");
    auto found =
        token != nullptr && token->is_int() ? pending_.find(token->as_int()) : pending_.end();
    if (found == pending_.end() || !found->second.on_progress) return;
    auto handler = found->second.on_progress;
    handler(number_of(params, "progress"), number_of(params, "total"), text_of(params, "message"));
  } else if (method == "notifications/message") {
    const Value* data = params.find("data");
    log(LogLevel::kInfo, fmt::format("{}: {}", label_, data != nullptr ? preview(*data, 500) : ""));
  }
}

void McpConnection::take_answer(const Value& message, std::size_t bytes) {
  const Value* id = message.find("id");
  auto found = id != nullptr && id->is_int() ? pending_.find(id->as_int()) : pending_.end();
  if (found == pending_.end()) return;  // cancelled before, or not ours
  auto on_answer = std::move(found->second.on_answer);
  pending_.erase(found);
  const Value* result = message.find("result");
  const Value* error = message.find("error");
  if (error != nullptr && error->is_object()) {
    return on_answer(std::unexpected(answered_error(*error)), bytes);
  }
  if (result == nullptr) {
    return on_answer(fail(ErrorCode::kToolOutput, "the server's answer has no result"), bytes);
  }
  on_answer(*result, bytes);
}

void McpConnection::die(const std::string& how) {
  if (dead_) return;
  dead_ = true;
  auto self = shared_from_this();
  handshake_timer_.cancel();
  std::string words = child_->error_tail();
  std::string message = fmt::format("{}{}{}", how, words.empty() ? "" : ": ", words);
  for (auto& [id, pending] : std::exchange(pending_, {})) {
    pending.on_answer(fail(ErrorCode::kToolDied, message), 0);
  }
  close();
}

void McpConnection::close() {
  if (closed_) return;
  closed_ = true;
  dead_ = true;
  pending_.clear();
  waiting_.clear();
  handshake_timer_.cancel();
  child_->abandon(kCloseGraceMs);
}

}  // namespace sluice
