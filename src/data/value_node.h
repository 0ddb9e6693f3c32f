// The shared nodes behind Value handles, one struct per kind. Only value*.cpp may include this.
// A node belongs to the handles that refer to it; the last one frees it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/value.h"

namespace sluice::detail {

// Text of kString and digits of kBigInt: the bytes follow the node in the same allocation.
struct TextNode : ValueNode {
  std::size_t size = 0;

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  std::string_view view() const { return {reinterpret_cast<const char*>(this + 1), size}; }
};

// What arrays and objects begin with: the link by which dead containers wait to be freed.
struct ContainerNode : ValueNode {
  ContainerNode* next_dead = nullptr;
  bool is_object = false;
};

struct ArrayNode : ContainerNode {
  std::vector<Value> items;
};

struct ObjectNode : ContainerNode {
  std::vector<Value::Member> members;
  // Open addressing, a power of two of slots, at most half full: member index plus one, 0 is free.
  // Null up to kLinearMembers members.
  std::unique_ptr<std::uint32_t[]> slots;
  std::size_t slot_mask = 0;

  static constexpr std::size_t kLinearMembers = 8;
  const Value::Member* find(std::string_view key) const;
  // Takes `list` over and drops duplicates: the first keeps its place, the last gives the value.
  void adopt(std::vector<Value::Member> list);

 private:
  void adopt_few(std::vector<Value::Member> list);
  void adopt_many(std::vector<Value::Member> list);
};

struct BlobNode : ValueNode {
  Hash256 hash;
  std::string media_type;
  std::uint64_t size = 0;
  std::optional<std::string> bytes;
};

struct VectorNode : ValueNode {
  std::vector<float> numbers;
};

}  // namespace sluice::detail
