#include "simulate/sim_values.h"

#include <utility>
#include <vector>

#include "data/value_codec.h"

namespace sluice {
namespace {

constexpr std::size_t kLargeBytes = 120;

bool is_spilled(const Value& value) {
  return value.kind() == Value::Kind::kBlob && value.blob_media_type() == kSpilledMediaType;
}

}  // namespace

Value SimValues::keep(Value value, std::string* encoded) {
  const bool may_be_large = value.is_string() || value.is_array() || value.is_object();
  if (!spills_ || !may_be_large || value.memory_bytes() < kLargeBytes) return value;
  std::string bytes = encode_value(value);
  const Hash256 hash = sha256(bytes);
  const std::size_t size = bytes.size();
  if (encoded != nullptr) *encoded = std::move(bytes);
  const Labels labels = value.labels();
  kept_[hash] = std::move(value);
  return Value::blob_reference(hash, kSpilledMediaType, size).with_labels(labels);
}

Result<Value> SimValues::load(const Value& value) {
  if (is_spilled(value)) {
    auto found = kept_.find(value.blob_hash());
    if (found != kept_.end()) return found->second;
    Result<std::string> bytes = fetch_(value.blob_hash());
    if (!bytes) return std::unexpected(bytes.error());
    Result<Value> whole = decode_value(*bytes);
    if (whole) kept_[value.blob_hash()] = *whole;
    return whole;
  }
  // Values of the simulator's plans are two or three deep.
  if (value.is_array()) {
    std::vector<Value> items;
    for (const Value& item : value.items()) {
      Result<Value> whole = load(item);
      if (!whole) return whole;
      items.push_back(*std::move(whole));
    }
    return Value::array(std::move(items)).with_labels(value.labels());
  }
  if (value.is_object()) {
    std::vector<Value::Member> members;
    for (const auto& [name, member] : value.members()) {
      Result<Value> whole = load(member);
      if (!whole) return whole;
      members.emplace_back(name, *std::move(whole));
    }
    return Value::object(std::move(members)).with_labels(value.labels());
  }
  return value;
}

}  // namespace sluice
