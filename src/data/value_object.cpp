// The members of an object and how one is found by name.
#include <bit>

#include "base/random.h"
#include "data/value_node.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace sluice::detail {
namespace {

// Of this process only, so that names from outside cannot be chosen to collide. The order of the
// members never depends on it.
std::uint64_t hash_name(std::string_view name) {
  static const std::uint64_t seed = system_seed();
  return XXH3_64bits_withSeed(name.data(), name.size(), seed);
}

}  // namespace

const Value::Member* ObjectNode::find(std::string_view key) const {
  if (!slots) {
    for (const auto& member : members) {
      if (member.first == key) return &member;
    }
    return nullptr;
  }
  for (std::size_t slot = hash_name(key) & slot_mask; slots[slot] != 0;
       slot = (slot + 1) & slot_mask) {
    const auto& member = members[slots[slot] - 1];
    if (member.first == key) return &member;
  }
  return nullptr;
}

void ObjectNode::adopt(std::vector<Value::Member> list) {
  if (list.size() <= kLinearMembers) {
    adopt_few(std::move(list));
  } else {
    adopt_many(std::move(list));
  }
}

void ObjectNode::adopt_few(std::vector<Value::Member> list) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::size_t same = 0;
    while (same < kept && list[same].first != list[i].first) ++same;
    if (same < kept) {
      list[same].second = std::move(list[i].second);
    } else {
      if (kept != i) list[kept] = std::move(list[i]);
      ++kept;
    }
  }
  list.resize(kept);
  members = std::move(list);
}

void ObjectNode::adopt_many(std::vector<Value::Member> list) {
  SLUICE_ENSURE(list.size() < std::size_t{1} << 31, "an object with more than 2^31 members");
  slot_mask = std::bit_ceil(list.size() * 2) - 1;
  slots = std::make_unique<std::uint32_t[]>(slot_mask + 1);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::size_t slot = hash_name(list[i].first) & slot_mask;
    while (slots[slot] != 0 && list[slots[slot] - 1].first != list[i].first) {
      slot = (slot + 1) & slot_mask;
    }
    if (slots[slot] != 0) {
      list[slots[slot] - 1].second = std::move(list[i].second);
      continue;
    }
    if (kept != i) list[kept] = std::move(list[i]);
    slots[slot] = static_cast<std::uint32_t>(++kept);
  }
  list.resize(kept);
  members = std::move(list);
}

}  // namespace sluice::detail
