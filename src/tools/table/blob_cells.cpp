#include "tools/table/blob_cells.h"

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/base64.h"

namespace sluice {
namespace {

// The only member of the object that stands for a blob. Names that could be taken for it get one
// more dollar while they are kept.
constexpr std::string_view kBytes = "$bytes";

bool looks_like_bytes(std::string_view name) {
  const std::size_t dollars = std::min(name.find_first_not_of('$'), name.size());
  return dollars > 0 && name.substr(dollars) == kBytes.substr(1);
}

// What takes the place of a value; nullopt: it stays, and what is in it is looked at.
using Change = std::function<std::optional<Value>(const Value&)>;
using Rename = std::string (*)(const std::string&);

std::string same_name(const std::string& name) { return name; }
std::string kept_name(const std::string& name) {
  return looks_like_bytes(name) ? "$" + name : name;
}
std::string own_name(const std::string& name) {
  return looks_like_bytes(name) ? name.substr(1) : name;
}

Value changed(const Value& value, const Change& change, Rename rename) {
  if (auto other = change(value)) return other->with_labels(value.labels());
  if (value.is_array()) {
    std::vector<Value> items;
    items.reserve(value.items().size());
    for (const Value& item : value.items()) items.push_back(changed(item, change, rename));
    return Value::array(std::move(items)).with_labels(value.labels());
  }
  if (!value.is_object()) return value;
  std::vector<Value::Member> members;
  members.reserve(value.members().size());
  for (const auto& [name, member] : value.members()) {
    members.emplace_back(rename(name), changed(member, change, rename));
  }
  return Value::object(std::move(members)).with_labels(value.labels());
}

bool any_in(const Value& value, const std::function<bool(const Value&)>& holds) {
  if (holds(value)) return true;
  if (value.is_array()) {
    return std::ranges::any_of(value.items(),
                               [&](const Value& item) { return any_in(item, holds); });
  }
  return value.is_object() && std::ranges::any_of(value.members(), [&](const auto& member) {
           return any_in(member.second, holds);
         });
}

bool is_open_blob(const Value& value) {
  return value.kind() == Value::Kind::kBlob && value.blob_bytes() && !value.labels().secret;
}

bool names_bytes(const Value& value) {
  return value.is_object() && std::ranges::any_of(value.members(), [](const auto& member) {
           return looks_like_bytes(member.first);
         });
}

std::optional<Value> kept_bytes(const Value& value) {
  if (!value.is_object() || value.members().size() != 1) return std::nullopt;
  const auto& [name, member] = value.members().front();
  if (name != kBytes || !member.is_string()) return std::nullopt;
  auto bytes = from_base64(member.as_string());
  if (!bytes) return std::nullopt;
  return Value::blob(std::move(*bytes), "application/octet-stream");
}

Value text_of(const Value& blob) { return Value::string(to_base64(*blob.blob_bytes())); }

}  // namespace

Value with_blobs_as_json(const Value& value) {
  auto matters = [](const Value& at) { return is_open_blob(at) || names_bytes(at); };
  if (!any_in(value, matters)) return value;
  return changed(
      value,
      [](const Value& at) -> std::optional<Value> {
        if (!is_open_blob(at)) return std::nullopt;
        return Value::object({{std::string(kBytes), text_of(at)}});
      },
      kept_name);
}

Value with_blobs_back(const Value& value) {
  if (!any_in(value, names_bytes)) return value;
  return changed(value, kept_bytes, own_name);
}

Value with_blobs_as_text(const Value& value) {
  if (!any_in(value, is_open_blob)) return value;
  return changed(
      value,
      [](const Value& at) -> std::optional<Value> {
        if (!is_open_blob(at)) return std::nullopt;
        return text_of(at);
      },
      same_name);
}

}  // namespace sluice
