// JSON equality, without recursion.
#include <cmath>

#include "data/number_text.h"
#include "data/value.h"

namespace sluice {
namespace {

using Kind = Value::Kind;
constexpr double kTwoTo53 = 9007199254740992.0;

// Below 2^53 the exact numbers are compared. Beyond it doubles have gaps and their canonical text
// stands for the number, so that equality and the content hash say the same.
bool equal_to_double(const Value& integer, double number) {
  if (std::fabs(number) < kTwoTo53) {
    return integer.is_int() && number == std::trunc(number) &&
           static_cast<std::int64_t>(number) == integer.as_int();
  }
  std::string text;
  append_ecmascript_number(text, number);
  return text == (integer.is_int() ? std::to_string(integer.as_int()) : integer.as_string());
}

bool equal_numbers(const Value& a, const Value& b) {
  bool a_double = a.kind() == Kind::kDouble;
  bool b_double = b.kind() == Kind::kDouble;
  if (a_double && b_double) return a.as_double() == b.as_double();
  if (a_double) return equal_to_double(b, a.as_double());
  if (b_double) return equal_to_double(a, b.as_double());
  if (a.kind() != b.kind()) return false;
  return a.is_int() ? a.as_int() == b.as_int() : a.as_string() == b.as_string();
}

bool equal_vectors(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

bool equal_blobs(const Value& a, const Value& b) {
  return a.blob_hash() == b.blob_hash() && a.blob_size() == b.blob_size() &&
         a.blob_media_type() == b.blob_media_type();
}

using Pairs = std::vector<std::pair<const Value*, const Value*>>;

// Compares what can be compared at once; containers of equal size are put on `pending`.
bool equal_so_far(const Value& a, const Value& b, Pairs& pending) {
  if (a.is_number() && b.is_number()) return equal_numbers(a, b);
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::kNull:
      return true;
    case Kind::kBool:
      return a.as_bool() == b.as_bool();
    case Kind::kString:
      return a.as_string() == b.as_string();
    case Kind::kBlob:
      return equal_blobs(a, b);
    case Kind::kVector:
      return equal_vectors(a.floats(), b.floats());
    default:
      break;
  }
  if (a.size() != b.size()) return false;
  pending.emplace_back(&a, &b);
  return true;
}

bool equal_children(const Value& a, const Value& b, Pairs& pending) {
  if (a.is_array()) {
    if (a.items().data() == b.items().data()) return true;  // the same node
    for (std::size_t i = 0; i < a.items().size(); ++i) {
      if (!equal_so_far(a.items()[i], b.items()[i], pending)) return false;
    }
    return true;
  }
  if (a.members().data() == b.members().data()) return true;
  for (std::size_t i = 0; i < a.members().size(); ++i) {
    const auto& [name, member] = a.members()[i];
    const auto& same_place = b.members()[i];
    const Value* other = same_place.first == name ? &same_place.second : b.find(name);
    if (other == nullptr || !equal_so_far(member, *other, pending)) return false;
  }
  return true;
}

}  // namespace

bool operator==(const Value& a, const Value& b) {
  Pairs pending;
  if (!equal_so_far(a, b, pending)) return false;
  while (!pending.empty()) {
    auto [left, right] = pending.back();
    pending.pop_back();
    if (!equal_children(*left, *right, pending)) return false;
  }
  return true;
}

}  // namespace sluice
