#include "runtime/inbox.h"

#include <fmt/format.h>

#include "base/overloaded.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr std::string_view kVerdicts[] = {"done", "failed", "retry"};

Value text_of(const std::string& text) {
  Result<Value> value = Value::from_utf8(text);
  return value ? *value : Value::string("");
}

std::string text_at(const Value& body, std::string_view key) {
  const Value* member = body.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

Value value_at(const Value& body, std::string_view key) {
  const Value* member = body.find(key);
  return member == nullptr ? Value() : *member;
}

// What goes out must come back: secrets in an answer are the person's own to send.
std::string body_text(std::vector<Value::Member> members) {
  return to_json(Value::object(std::move(members)), {.indent = 0, .redact_secrets = false});
}

std::unexpected<Error> damaged(const InboxMessage& message, std::string_view what) {
  return fail(ErrorCode::kJournalDamaged,
              fmt::format("message {} of the inbox is damaged: {}", message.id, what));
}

Result<RunMessage> decode_resolve(const InboxMessage& message, const Value& body) {
  ResolveMessage resolve;
  resolve.task = text_at(body, "task");
  resolve.reason = text_at(body, "reason");
  resolve.output = value_at(body, "output");
  const std::string verdict = text_at(body, "verdict");
  for (std::size_t i = 0; i < std::size(kVerdicts); ++i) {
    if (verdict != kVerdicts[i]) continue;
    resolve.verdict = static_cast<ResolveMessage::Verdict>(i);
    return resolve;
  }
  return damaged(message, "it has no verdict");
}

}  // namespace

std::pair<std::string, std::string> encode_message(const RunMessage& message) {
  return std::visit(Overloaded{
                        [](const SignalMessage& signal) -> std::pair<std::string, std::string> {
                          return {"signal", body_text({{"name", text_of(signal.name)},
                                                       {"task", text_of(signal.task)},
                                                       {"value", signal.value}})};
                        },
                        [](const ResolveMessage& resolve) -> std::pair<std::string, std::string> {
                          const auto verdict = static_cast<std::size_t>(resolve.verdict);
                          return {"resolve",
                                  body_text({{"task", text_of(resolve.task)},
                                             {"verdict", Value::string(kVerdicts[verdict])},
                                             {"output", resolve.output},
                                             {"reason", text_of(resolve.reason)}})};
                        },
                        [](const CancelMessage& cancel) -> std::pair<std::string, std::string> {
                          return {"cancel", body_text({{"reason", text_of(cancel.reason)}})};
                        },
                    },
                    message);
}

Result<RunMessage> decode_message(const InboxMessage& message) {
  Result<Value> body = parse_json(message.body);
  if (!body || !body->is_object()) return damaged(message, "its body is not a JSON object");
  if (message.kind == "signal") {
    SignalMessage signal{text_at(*body, "name"), text_at(*body, "task"), value_at(*body, "value")};
    if (signal.name.empty()) return damaged(message, "it names no signal");
    return signal;
  }
  if (message.kind == "resolve") return decode_resolve(message, *body);
  if (message.kind == "cancel") return CancelMessage{text_at(*body, "reason")};
  return damaged(message, fmt::format("{} is no kind of message", message.kind));
}

}  // namespace sluice
