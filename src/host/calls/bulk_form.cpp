#include "host/calls/bulk_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "data/json.h"

namespace sluice {
namespace {

constexpr std::uint64_t kMostBytes = 256ULL << 20;  // of a whole answer, unless one may be larger

// Some servers have no lists: their list is a text, or the one member of an object.
std::optional<Value> list_of(const Value& output) {
  if (output.is_array()) return output;
  if (output.is_string()) {
    auto parsed = parse_json(output.as_string());
    return parsed && parsed->is_array() ? std::optional(std::move(*parsed)) : std::nullopt;
  }
  if (output.is_object() && output.members().size() == 1) {
    const Value& only = output.members()[0].second;
    return only.is_array() ? std::optional(only) : std::nullopt;
  }
  return std::nullopt;
}

std::unexpected<Error> misshapen(const Value& item) {
  return fail(ErrorCode::kToolOutput,
              fmt::format("an item of a bulk call is {{output: V}} or {{error: {{message, "
                          "retryable}}}}, not {}",
                          preview(item)));
}

Result<Value> failed_item(const Value& error, const Value& item) {
  const Value* message = error.find("message");
  if (message == nullptr || !message->is_string()) return misshapen(item);
  const Value* retryable = error.find("retryable");
  const bool again = retryable != nullptr && retryable->is_bool() && retryable->as_bool();
  return fail(again ? ErrorCode::kToolFailed : ErrorCode::kToolOutput,
              std::string(message->as_string()));
}

Result<Value> item_of(const Value& item, std::uint64_t max_bytes) {
  if (!item.is_object() || item.members().size() != 1) return misshapen(item);
  if (const Value* error = item.find("error")) return failed_item(*error, item);
  const Value* output = item.find("output");
  if (output == nullptr) return misshapen(item);
  // Few come near the bound: only those are written out to be measured.
  const bool near = max_bytes > 0 && output->memory_bytes() > max_bytes / 4;
  if (near && to_json(*output, {.redact_secrets = false}).size() > max_bytes) {
    return fail(ErrorCode::kToolTooLarge,
                fmt::format("its item of a bulk call is larger than {} bytes", max_bytes));
  }
  return *output;
}

// One item's error has become everybody's.
void spread_failure(BulkItems& items) {
  auto failed = std::ranges::find_if(items, [](const auto& item) { return !item.has_value(); });
  if (failed == items.end()) return;
  const Error error = failed->error();
  for (Result<Value>& item : items) item = std::unexpected(error);
}

}  // namespace

ToolCall bulk_request(std::string_view kind, const FunctionSpec& function,
                      std::span<const ToolCall* const> calls) {
  std::vector<Value> args;
  args.reserve(calls.size());
  for (const ToolCall* call : calls) args.push_back(call->args);
  Value given = Value::object({{"calls", Value::array(std::move(args))}});
  if (kind == "process") given = Value::object({{"stdin", std::move(given)}});
  if (kind == "http") given = Value::object({{"body", std::move(given)}});
  ToolCall bulk;
  bulk.function = function.name;
  bulk.args = std::move(given);
  bulk.task = fmt::format("{} and {} more", calls.front()->task, calls.size() - 1);
  bulk.idempotency_key = calls.front()->idempotency_key + "/bulk";
  bulk.timeout_ms = calls.front()->timeout_ms;
  const std::uint64_t most = function.max_bytes;
  if (most > 0) {
    const std::uint64_t room = std::max(most, kMostBytes);
    bulk.max_bytes = most > room / calls.size() ? room : most * calls.size();
  }
  return bulk;
}

Result<BulkItems> bulk_items(const Value& output, std::size_t count, std::uint64_t max_bytes) {
  const std::optional<Value> list = list_of(output);
  if (!list || list->size() != count) {
    return fail(ErrorCode::kToolOutput,
                fmt::format("a bulk call of {} gives a list of {} items, not {}", count, count,
                            preview(output)));
  }
  BulkItems items;
  items.reserve(count);
  for (const Value& item : list->items()) items.push_back(item_of(item, max_bytes));
  if (failpoint(Failpoint::kBulkMixesItems)) std::ranges::reverse(items);
  if (failpoint(Failpoint::kBulkFailsTogether)) spread_failure(items);
  return items;
}

bool goes_one_by_one() { return !failpoint(Failpoint::kBulkNotOneByOne); }

}  // namespace sluice
