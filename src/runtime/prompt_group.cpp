#include "runtime/prompt_group.h"

#include <algorithm>
#include <string_view>

namespace sluice {
namespace {

constexpr int kMostDepth = 8;  // messages in lists of lists; what is deeper says nothing

// FNV-1a: a wrong guess costs order and nothing else.
class Start {
 public:
  explicit Start(std::uint32_t bytes) : left_(bytes) {}

  void text(std::string_view text) {
    for (const char byte : text.substr(0, left_)) mix(static_cast<unsigned char>(byte));
    left_ -= static_cast<std::uint32_t>(std::min<std::size_t>(left_, text.size()));
  }
  // Texts with their borders, so that a role does not run into the words behind it.
  void value(const Value& value, int depth) {
    if (left_ == 0 || depth > kMostDepth) return;
    if (value.is_string()) {
      text(value.as_string());
      mix(0);
    } else if (value.is_array()) {
      for (const Value& item : value.items()) this->value(item, depth + 1);
    } else if (value.is_object()) {
      for (const Value::Member& member : value.members()) this->value(member.second, depth + 1);
    }
  }
  std::uint64_t number() const { return hash_ == 0 ? 1 : hash_; }

 private:
  void mix(unsigned char byte) {
    hash_ ^= byte;
    hash_ *= 0x100000001B3ULL;
  }

  std::uint64_t hash_ = 0xCBF29CE484222325ULL;
  std::uint32_t left_;
};

}  // namespace

std::uint64_t prompt_group(const PhysicalStep& step, const Value& with) {
  Start model(static_cast<std::uint32_t>(step.resource.size()));
  model.text(step.resource);
  Start prompt(step.advice.group_bytes);
  const Value* asked = with.find("prompt");
  if (asked == nullptr || asked->is_null()) asked = with.find("messages");
  if (asked != nullptr) prompt.value(*asked, 0);
  const std::uint64_t number = prompt.number() ^ (model.number() << 1U);
  return number == 0 ? 1 : number;
}

}  // namespace sluice
