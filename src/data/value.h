// Value: an immutable handle to JSON, to a blob or to a packed float vector. 16 bytes; small
// scalars live in the handle, the rest in a shared node with an atomic reference count. Copying
// is cheap and thread-safe; a Value may be read from any thread. Labels travel in the handle.
// No call here recurses: values may be nested as deep as memory allows.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ensure.h"
#include "base/error.h"
#include "data/hash.h"
#include "data/labels.h"

namespace sluice {

namespace detail {
// What every shared node begins with; the kinds of nodes are in value.cpp.
struct ValueNode {
  std::atomic<std::uint64_t> references{1};
};
// Frees a node that nothing refers to any more, and what only it referred to.
void destroy_value_node(ValueNode* node, std::uint8_t kind) noexcept;
}  // namespace detail

class Value {
 public:
  enum class Kind : std::uint8_t {
    kNull,
    kBool,
    kInt,     // fits int64
    kBigInt,  // an integer outside int64: its decimal digits, all kept
    kDouble,  // finite, not an integer literal; NaN and infinity do not exist
    kString,  // valid UTF-8
    kArray,
    kObject,  // keeps insertion order; keys are unique
    kBlob,    // bytes known by hash, media type and size; the bytes may be elsewhere
    kVector,  // packed float32
  };
  using Member = std::pair<std::string, Value>;

  Value() = default;  // null
  ~Value() { release(); }
  Value(const Value& other)
      : raw_(other.raw_), kind_(other.kind_), flags_(other.flags_), tenant_(other.tenant_) {
    if (has_node()) node_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Value(Value&& other) noexcept
      : raw_(other.raw_), kind_(other.kind_), flags_(other.flags_), tenant_(other.tenant_) {
    other.forget();
  }
  Value& operator=(const Value& other) {
    if (this != &other) *this = Value(other);
    return *this;
  }
  Value& operator=(Value&& other) noexcept {
    if (this == &other) return *this;
    Value old(std::move(*this));  // freed last: `other` may live inside it
    raw_ = other.raw_;
    kind_ = other.kind_;
    flags_ = other.flags_;
    tenant_ = other.tenant_;
    other.forget();
    return *this;
  }

  static Value boolean(bool value) {
    Value result;
    result.kind_ = Kind::kBool;
    result.bool_ = value;
    return result;
  }
  static Value integer(std::int64_t value) {
    Value result;
    result.kind_ = Kind::kInt;
    result.int_ = value;
    return result;
  }
  // Digits with an optional minus sign; becomes kInt where it fits.
  static Value big_integer(std::string_view digits);
  // A finite number; a NaN or an infinity becomes null (callers check first where it matters).
  static Value number(double value);
  // `text` must be valid UTF-8: checked, and replaced by an EnsureFailure only in our own code.
  // For bytes from outside use from_utf8.
  static Value string(std::string_view text);
  static Result<Value> from_utf8(std::string_view bytes);  // kUtf8Invalid
  static Value array(std::vector<Value> items);
  // Later duplicates replace earlier ones.
  static Value object(std::vector<Member> members);
  // A blob whose bytes are held in memory.
  static Value blob(std::string bytes, std::string media_type);
  // A blob that is only named (its bytes are in a content store or a spill file).
  static Value blob_reference(Hash256 sha256, std::string media_type, std::uint64_t size);
  static Value vector(std::vector<float> numbers);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  bool is_bool() const { return kind_ == Kind::kBool; }
  bool is_int() const { return kind_ == Kind::kInt; }
  bool is_number() const {
    return kind_ == Kind::kInt || kind_ == Kind::kDouble || kind_ == Kind::kBigInt;
  }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_array() const { return kind_ == Kind::kArray; }
  bool is_object() const { return kind_ == Kind::kObject; }

  // Preconditions: the kind fits (SLUICE_ENSURE).
  bool as_bool() const {
    SLUICE_ENSURE(kind_ == Kind::kBool, "as_bool of another kind");
    return bool_;
  }
  std::int64_t as_int() const {
    SLUICE_ENSURE(kind_ == Kind::kInt, "as_int of another kind");
    return int_;
  }
  double as_double() const;            // any number; infinite for a kBigInt beyond a double's range
  std::string_view as_string() const;  // kString; kBigInt gives its digits
  std::span<const Value> items() const;     // kArray
  std::span<const Member> members() const;  // kObject
  std::span<const float> floats() const;    // kVector
  // kBlob
  const Hash256& blob_hash() const;
  std::string_view blob_media_type() const;
  std::uint64_t blob_size() const;
  std::optional<std::string_view> blob_bytes() const;  // nullopt when only named

  // Length of a string (code points), array, object, vector or blob (bytes); 0 otherwise.
  std::size_t size() const;
  // A member of an object; nullptr when absent or not an object. O(1) beyond 8 members.
  const Value* find(std::string_view key) const;

  // A container carries the union of its children's labels and those added with with_labels.
  Labels labels() const { return {(flags_ & kSecret) != 0, (flags_ & kUntrusted) != 0, tenant_}; }
  Value with_labels(Labels more) const;  // union; containers keep their children as they are
  // True when the label secret comes from children only: they are redacted, not the whole.
  bool secret_only_inside() const { return (flags_ & kSecretInside) != 0; }

  // JSON equality: 1 == 1.0; objects without regard to order; labels are not compared. Numbers
  // are equal when their canonical forms are (see canonical_json), so equal values hash equally.
  friend bool operator==(const Value& a, const Value& b);

  // Bytes held by this value and what it points to, shared nodes counted in full. Approximate.
  std::size_t memory_bytes() const;

 private:
  static constexpr std::uint8_t kSecret = 1;
  static constexpr std::uint8_t kUntrusted = 2;
  static constexpr std::uint8_t kSecretInside = 4;  // kSecret stems from children alone
  static constexpr unsigned kNodeKinds =
      1U << static_cast<unsigned>(Kind::kBigInt) | 1U << static_cast<unsigned>(Kind::kString) |
      1U << static_cast<unsigned>(Kind::kArray) | 1U << static_cast<unsigned>(Kind::kObject) |
      1U << static_cast<unsigned>(Kind::kBlob) | 1U << static_cast<unsigned>(Kind::kVector);

  Value(Kind kind, detail::ValueNode* node) : node_(node), kind_(kind) {}
  bool has_node() const { return (kNodeKinds >> static_cast<unsigned>(kind_) & 1U) != 0; }
  void release() noexcept {
    if (has_node() && node_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      detail::destroy_value_node(node_, static_cast<std::uint8_t>(kind_));
    }
  }
  void forget() noexcept {
    raw_ = 0;
    kind_ = Kind::kNull;
    flags_ = 0;
    tenant_ = 0;
  }
  void take_child_labels(const Value& child);
  template <class Node>
  const Node& node_as(Kind kind) const;
  friend void detail::destroy_value_node(detail::ValueNode* node, std::uint8_t kind) noexcept;

  union {
    bool bool_;
    std::int64_t int_;
    double double_;
    detail::ValueNode* node_;
    std::uint64_t raw_ = 0;
  };
  Kind kind_ = Kind::kNull;
  std::uint8_t flags_ = 0;
  std::uint32_t tenant_ = 0;
};
static_assert(sizeof(Value) == 16);

// Exact for every pair of numbers, whatever their kinds: -1, 0 or 1. Both must be numbers.
int compare_numbers(const Value& a, const Value& b);

// "null", "boolean", "integer", "number", "string", "array", "object", "blob", "vector".
std::string_view kind_name(Value::Kind kind);
// The same with its article: "null", "a boolean", "an integer".
std::string_view kind_with_article(Value::Kind kind);

// Whether the bytes are UTF-8 as RFC 3629 has it: no surrogates, no overlong forms.
bool valid_utf8(std::string_view bytes);
// The offset of the first byte that is not; bytes.size() when all is well.
std::size_t utf8_valid_prefix(std::string_view bytes);

}  // namespace sluice
