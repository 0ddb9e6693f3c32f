#include "data/value_codec.h"

#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint8_t kFormatVersion = 1;
constexpr std::uint8_t kSecretFlag = 1;
constexpr std::uint8_t kUntrustedFlag = 2;
constexpr std::uint8_t kTenantFlag = 4;

void put_number(std::string& out, std::uint64_t number) {  // LEB128
  while (number >= 0x80) {
    out.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

void put_labels(std::string& out, const Value& value) {
  Labels labels = value.labels();
  // A secret that only lies inside comes back with the child that has it.
  if (value.secret_only_inside()) labels.secret = false;
  auto flags = static_cast<std::uint8_t>((labels.secret ? kSecretFlag : 0) |
                                         (labels.untrusted ? kUntrustedFlag : 0) |
                                         (labels.tenant != 0 ? kTenantFlag : 0));
  out.push_back(static_cast<char>(flags));
  if (labels.tenant != 0) put_number(out, labels.tenant);
}

void put_blob(std::string& out, const Value& value) {
  const auto& hash = value.blob_hash().bytes;
  out.append(reinterpret_cast<const char*>(hash.data()), hash.size());
  put_text(out, value.blob_media_type());
  put_number(out, value.blob_size());
  auto bytes = value.blob_bytes();
  out.push_back(bytes ? 1 : 0);
  if (bytes) out += *bytes;
}

// Everything but the children of a container.
void put_node(std::string& out, const Value& value) {
  out.push_back(static_cast<char>(value.kind()));
  put_labels(out, value);
  switch (value.kind()) {
    case Value::Kind::kNull:
      break;
    case Value::Kind::kBool:
      out.push_back(value.as_bool() ? 1 : 0);
      break;
    case Value::Kind::kInt:
      put_number(out, std::bit_cast<std::uint64_t>(value.as_int()));
      break;
    case Value::Kind::kDouble:
      put_number(out, std::bit_cast<std::uint64_t>(value.as_double()));
      break;
    case Value::Kind::kBigInt:
    case Value::Kind::kString:
      put_text(out, value.as_string());
      break;
    case Value::Kind::kArray:
      put_number(out, value.items().size());
      break;
    case Value::Kind::kObject:
      put_number(out, value.members().size());
      break;
    case Value::Kind::kBlob:
      put_blob(out, value);
      break;
    case Value::Kind::kVector: {
      auto floats = value.floats();
      put_number(out, floats.size());
      out.append(reinterpret_cast<const char*>(floats.data()), floats.size_bytes());
      break;
    }
  }
}

class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  Result<Value> decode() {
    if (take_byte() != kFormatVersion) return broken();
    std::vector<Frame> stack;
    while (true) {
      if (!stack.empty() && stack.back().remaining == 0) {
        Value done = stack.back().close();
        stack.pop_back();
        if (stack.empty()) return finish(std::move(done));
        stack.back().add(std::move(done));
        continue;
      }
      if (!stack.empty() && stack.back().is_object) stack.back().key = take_text();
      auto node = take_node();
      if (bad_ || !node) return broken();
      if (node->opens) {
        stack.push_back(std::move(node->frame));
      } else if (stack.empty()) {
        return finish(std::move(node->value));
      } else {
        stack.back().add(std::move(node->value));
      }
    }
  }

 private:
  struct Frame {
    bool is_object = false;
    std::uint64_t remaining = 0;
    Labels labels;
    std::string key;
    std::vector<Value> items;
    std::vector<Value::Member> members;

    void add(Value value) {
      --remaining;
      if (is_object) {
        members.emplace_back(std::move(key), std::move(value));
      } else {
        items.push_back(std::move(value));
      }
    }
    Value close() {
      Value value = is_object ? Value::object(std::move(members)) : Value::array(std::move(items));
      return labels.none() ? value : value.with_labels(labels);
    }
  };
  struct Node {
    bool opens = false;
    Value value;
    Frame frame;
  };

  static Result<Value> broken() { return fail(ErrorCode::kIo, "a stored value is damaged"); }
  Result<Value> finish(Value value) {
    if (bad_ || !rest_.empty()) return broken();
    return value;
  }

  std::uint8_t take_byte() {
    if (rest_.empty()) {
      bad_ = true;
      return 0;
    }
    auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return byte;
  }
  std::uint64_t take_number() {
    std::uint64_t number = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      std::uint8_t byte = take_byte();
      number |= std::uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80U) == 0) return number;
    }
    bad_ = true;
    return 0;
  }
  std::string_view take_bytes(std::uint64_t size) {
    if (size > rest_.size()) {
      bad_ = true;
      return {};
    }
    auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string take_text() { return std::string(take_bytes(take_number())); }

  Labels take_labels() {
    std::uint8_t flags = take_byte();
    Labels labels{(flags & kSecretFlag) != 0, (flags & kUntrustedFlag) != 0, 0};
    if ((flags & kTenantFlag) != 0) labels.tenant = static_cast<std::uint32_t>(take_number());
    return labels;
  }

  Value take_blob() {
    Hash256 hash;
    auto bytes = take_bytes(hash.bytes.size());
    if (bad_) return {};
    std::memcpy(hash.bytes.data(), bytes.data(), bytes.size());
    std::string media_type = take_text();
    std::uint64_t size = take_number();
    bool has_bytes = take_byte() == 1;
    if (bad_) return {};
    if (!has_bytes) return Value::blob_reference(hash, std::move(media_type), size);
    return Value::blob(std::string(take_bytes(size)), std::move(media_type));
  }

  Value take_vector() {
    std::uint64_t count = take_number();
    if (count > rest_.size() / sizeof(float)) {
      bad_ = true;
      return {};
    }
    std::vector<float> floats(count);
    auto bytes = take_bytes(count * sizeof(float));
    if (count > 0) std::memcpy(floats.data(), bytes.data(), bytes.size());
    return Value::vector(std::move(floats));
  }

  Value take_string() {
    auto text = Value::from_utf8(take_bytes(take_number()));
    if (!text) bad_ = true;
    return text ? *text : Value();
  }

  Value take_big_integer() {
    const std::string digits = take_text();
    const std::size_t first = digits.starts_with('-') ? 1 : 0;
    if (digits.size() == first ||
        digits.find_first_not_of("0123456789", first) != std::string::npos) {
      bad_ = true;
      return {};
    }
    return Value::big_integer(digits);
  }

  std::optional<Node> take_node() {
    auto kind = static_cast<Value::Kind>(take_byte());
    if (kind > Value::Kind::kVector) return std::nullopt;
    Labels labels = take_labels();
    Node node;
    if (kind == Value::Kind::kArray || kind == Value::Kind::kObject) {
      node.opens = true;
      node.frame.is_object = kind == Value::Kind::kObject;
      node.frame.remaining = take_number();
      node.frame.labels = labels;
      if (node.frame.remaining > rest_.size()) return std::nullopt;
      return node;
    }
    node.value = take_scalar(kind);
    if (!labels.none()) node.value = node.value.with_labels(labels);
    return node;
  }

  Value take_scalar(Value::Kind kind) {
    switch (kind) {
      case Value::Kind::kBool:
        return Value::boolean(take_byte() == 1);
      case Value::Kind::kInt:
        return Value::integer(std::bit_cast<std::int64_t>(take_number()));
      case Value::Kind::kDouble:
        return Value::number(std::bit_cast<double>(take_number()));
      case Value::Kind::kBigInt:
        return take_big_integer();
      case Value::Kind::kString:
        return take_string();
      case Value::Kind::kBlob:
        return take_blob();
      case Value::Kind::kVector:
        return take_vector();
      default:
        return {};
    }
  }

  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace

std::string encode_value(const Value& value) {
  struct Open {
    const Value* container;
    std::size_t next;
  };
  std::string out(1, static_cast<char>(kFormatVersion));
  std::vector<Open> stack;
  const Value* current = &value;
  while (true) {
    put_node(out, *current);
    if (current->is_array() || current->is_object()) stack.push_back({current, 0});
    current = nullptr;
    while (!stack.empty() && current == nullptr) {
      Open& open = stack.back();
      if (open.next == open.container->size()) {
        stack.pop_back();
      } else if (open.container->is_array()) {
        current = &open.container->items()[open.next++];
      } else {
        const auto& member = open.container->members()[open.next++];
        put_text(out, member.first);
        current = &member.second;
      }
    }
    if (current == nullptr) return out;
  }
}

Result<Value> decode_value(std::string_view bytes) { return Decoder(bytes).decode(); }

}  // namespace sluice
