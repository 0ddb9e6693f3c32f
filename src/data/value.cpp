#include "data/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "data/value_node.h"

namespace sluice {

using detail::ArrayNode;
using detail::BlobNode;
using detail::ContainerNode;
using detail::ObjectNode;
using detail::TextNode;
using detail::ValueNode;
using detail::VectorNode;

namespace {

TextNode* make_text(std::string_view text) {
  void* memory = ::operator new(sizeof(TextNode) + text.size());
  auto* node = new (memory) TextNode;
  node->size = text.size();
  if (!text.empty()) std::memcpy(node->bytes(), text.data(), text.size());
  return node;
}

}  // namespace

namespace detail {

// Containers whose last handle goes away are chained through next_dead instead of recursed into.
void destroy_value_node(ValueNode* node, std::uint8_t kind_number) noexcept {
  switch (static_cast<Value::Kind>(kind_number)) {
    case Value::Kind::kBigInt:
    case Value::Kind::kString:
      static_cast<TextNode*>(node)->~TextNode();
      ::operator delete(node);
      return;
    case Value::Kind::kBlob:
      delete static_cast<BlobNode*>(node);
      return;
    case Value::Kind::kVector:
      delete static_cast<VectorNode*>(node);
      return;
    case Value::Kind::kArray:
    case Value::Kind::kObject:
      break;
    default:
      return;
  }
  auto* dead = static_cast<ContainerNode*>(node);
  dead->next_dead = nullptr;
  auto let_go = [&dead](Value& child) {
    if (!child.is_array() && !child.is_object()) return;
    auto* container = static_cast<ContainerNode*>(child.node_);
    child.forget();
    if (container->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    container->next_dead = dead;
    dead = container;
  };
  while (dead != nullptr) {
    ContainerNode* current = dead;
    dead = current->next_dead;
    if (current->is_object) {
      auto* object = static_cast<ObjectNode*>(current);
      for (auto& member : object->members) let_go(member.second);
      delete object;
    } else {
      auto* array = static_cast<ArrayNode*>(current);
      for (auto& item : array->items) let_go(item);
      delete array;
    }
  }
}

}  // namespace detail

template <class Node>
const Node& Value::node_as(Kind kind) const {
  SLUICE_ENSURE(kind_ == kind, "a value read as another kind");
  return *static_cast<const Node*>(node_);
}

Value Value::big_integer(std::string_view digits) {
  bool negative = digits.starts_with('-');
  std::string_view magnitude = digits.substr(negative ? 1 : 0);
  SLUICE_ENSURE(!magnitude.empty() &&
                    std::ranges::all_of(magnitude, [](char c) { return c >= '0' && c <= '9'; }),
                "big_integer needs decimal digits");
  while (magnitude.size() > 1 && magnitude.front() == '0') magnitude.remove_prefix(1);
  std::string text = (negative ? "-" : "") + std::string(magnitude);
  std::int64_t small = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), small);
  if (error == std::errc()) return integer(small);
  return {Kind::kBigInt, make_text(text)};
}

Value Value::number(double value) {
  Value result;
  if (!std::isfinite(value)) return result;
  result.kind_ = Kind::kDouble;
  result.double_ = value;
  return result;
}

Value Value::string(std::string_view text) {
  SLUICE_ENSURE(valid_utf8(text), "Value::string needs valid UTF-8; use from_utf8 for other bytes");
  return {Kind::kString, make_text(text)};
}

Result<Value> Value::from_utf8(std::string_view bytes) {
  std::size_t valid = utf8_valid_prefix(bytes);
  if (valid != bytes.size()) {
    return fail(ErrorCode::kUtf8Invalid, "the text is not valid UTF-8 at byte " +
                                             std::to_string(valid + 1) +
                                             "; convert it, or keep it as a blob");
  }
  return Value(Kind::kString, make_text(bytes));
}

void Value::take_child_labels(const Value& child) {
  if (child.flags_ == 0 && child.tenant_ == 0) return;
  Labels all = labels() | child.labels();
  flags_ = static_cast<std::uint8_t>((all.secret ? kSecret | kSecretInside : 0) |
                                     (all.untrusted ? kUntrusted : 0));
  tenant_ = all.tenant;
}

Value Value::array(std::vector<Value> items) {
  auto* node = new ArrayNode;
  node->items = std::move(items);
  Value result(Kind::kArray, node);
  for (const auto& item : node->items) result.take_child_labels(item);
  return result;
}

Value Value::object(std::vector<Member> members) {
  auto* node = new ObjectNode;
  node->is_object = true;
  Value result(Kind::kObject, node);
  node->adopt(std::move(members));
  for (const auto& member : node->members) result.take_child_labels(member.second);
  return result;
}

Value Value::blob(std::string bytes, std::string media_type) {
  auto* node = new BlobNode;
  Value result(Kind::kBlob, node);
  node->hash = sha256(bytes);
  node->media_type = std::move(media_type);
  node->size = bytes.size();
  node->bytes = std::move(bytes);
  return result;
}

Value Value::blob_reference(Hash256 sha256, std::string media_type, std::uint64_t size) {
  auto* node = new BlobNode;
  Value result(Kind::kBlob, node);
  node->hash = sha256;
  node->media_type = std::move(media_type);
  node->size = size;
  return result;
}

Value Value::vector(std::vector<float> numbers) {
  auto* node = new VectorNode;
  node->numbers = std::move(numbers);
  return {Kind::kVector, node};
}

double Value::as_double() const {
  switch (kind_) {
    case Kind::kInt:
      return static_cast<double>(int_);
    case Kind::kDouble:
      return double_;
    case Kind::kBigInt: {
      std::string_view digits = as_string();
      double number = 0;
      auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
      if (error == std::errc()) return number;
      double infinity = std::numeric_limits<double>::infinity();
      return digits.front() == '-' ? -infinity : infinity;
    }
    default:
      SLUICE_ENSURE(false, "as_double of another kind");
  }
  return 0;
}

std::string_view Value::as_string() const {
  SLUICE_ENSURE(kind_ == Kind::kString || kind_ == Kind::kBigInt, "as_string of another kind");
  return static_cast<const TextNode*>(node_)->view();
}

std::span<const Value> Value::items() const { return node_as<ArrayNode>(Kind::kArray).items; }

std::span<const Value::Member> Value::members() const {
  return node_as<ObjectNode>(Kind::kObject).members;
}

std::span<const float> Value::floats() const { return node_as<VectorNode>(Kind::kVector).numbers; }

const Hash256& Value::blob_hash() const { return node_as<BlobNode>(Kind::kBlob).hash; }

std::string_view Value::blob_media_type() const {
  return node_as<BlobNode>(Kind::kBlob).media_type;
}

std::uint64_t Value::blob_size() const { return node_as<BlobNode>(Kind::kBlob).size; }

std::optional<std::string_view> Value::blob_bytes() const {
  const auto& bytes = node_as<BlobNode>(Kind::kBlob).bytes;
  if (!bytes) return std::nullopt;
  return std::string_view(*bytes);
}

std::size_t Value::size() const {
  switch (kind_) {
    case Kind::kString: {
      // Every byte but a continuation byte begins a character.
      std::size_t count = 0;
      for (char c : as_string()) count += static_cast<signed char>(c) >= -64 ? 1 : 0;
      return count;
    }
    case Kind::kArray:
      return items().size();
    case Kind::kObject:
      return members().size();
    case Kind::kVector:
      return floats().size();
    case Kind::kBlob:
      return blob_size();
    default:
      return 0;
  }
}

const Value* Value::find(std::string_view key) const {
  if (kind_ != Kind::kObject) return nullptr;
  const Member* member = static_cast<const ObjectNode*>(node_)->find(key);
  return member ? &member->second : nullptr;
}

Value Value::with_labels(Labels more) const {
  Value result = *this;
  Labels all = labels() | more;
  bool inside = secret_only_inside() && !more.secret;
  result.flags_ = static_cast<std::uint8_t>(
      (all.secret ? kSecret : 0) | (inside ? kSecretInside : 0) | (all.untrusted ? kUntrusted : 0));
  result.tenant_ = all.tenant;
  return result;
}

std::size_t Value::memory_bytes() const {
  std::size_t total = sizeof(Value);
  std::vector<const Value*> pending = {this};
  while (!pending.empty()) {
    const Value& value = *pending.back();
    pending.pop_back();
    switch (value.kind_) {
      case Kind::kBigInt:
      case Kind::kString:
        total += sizeof(TextNode) + value.as_string().size();
        break;
      case Kind::kBlob:
        total += sizeof(BlobNode) + value.blob_bytes().value_or("").size();
        break;
      case Kind::kVector:
        total += sizeof(VectorNode) + value.floats().size_bytes();
        break;
      case Kind::kArray: {
        const auto& items = value.node_as<ArrayNode>(Kind::kArray).items;
        total += sizeof(ArrayNode) + items.capacity() * sizeof(Value);
        for (const auto& item : items) pending.push_back(&item);
        break;
      }
      case Kind::kObject: {
        const auto& node = value.node_as<ObjectNode>(Kind::kObject);
        total += sizeof(ObjectNode) + node.members.capacity() * sizeof(Member);
        if (node.slots) total += (node.slot_mask + 1) * sizeof(std::uint32_t);
        for (const auto& [name, member] : node.members) {
          // Short names live inside std::string itself.
          if (name.capacity() > 15) total += name.capacity() + 1;
          pending.push_back(&member);
        }
        break;
      }
      default:
        break;
    }
  }
  return total;
}

std::string_view kind_with_article(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::kNull:
      return "null";
    case Value::Kind::kBool:
      return "a boolean";
    case Value::Kind::kInt:
    case Value::Kind::kBigInt:
      return "an integer";
    case Value::Kind::kDouble:
      return "a number";
    case Value::Kind::kString:
      return "a string";
    case Value::Kind::kArray:
      return "an array";
    case Value::Kind::kObject:
      return "an object";
    case Value::Kind::kBlob:
      return "a blob";
    case Value::Kind::kVector:
      return "a vector";
  }
  return "null";
}

std::string_view kind_name(Value::Kind kind) {
  std::string_view words = kind_with_article(kind);
  std::size_t space = words.find(' ');
  return space == std::string_view::npos ? words : words.substr(space + 1);
}

}  // namespace sluice
