#include "runtime/task_ref.h"

namespace sluice {

namespace {

constexpr std::uint64_t kFrameSeed = 0x6672'616d'6573'2121;

// The finishing step of splitmix64 (Steele, Lea and Flood): every bit in reaches every bit out.
std::uint64_t mix(std::uint64_t bits) {
  bits ^= bits >> 30;
  bits *= 0xBF58'476D'1CE4'E5B9;
  bits ^= bits >> 27;
  bits *= 0x94D0'49BB'1331'11EB;
  return bits ^ bits >> 31;
}

std::uint64_t add(std::uint64_t hash, std::uint64_t bits) {
  return mix(hash + 0x9E37'79B9'7F4A'7C15 + bits);
}

}  // namespace

// Never to be changed: journals hold what it gives.
std::uint64_t call_hash(const CallRef& call, std::uint64_t seed) {
  std::uint64_t hash = add(mix(seed), call.task.frame);
  hash = add(hash, std::uint64_t{call.task.step} << 32 | call.task.item);
  hash = add(hash, std::uint64_t{call.round} << 32 | call.attempt);
  return add(hash, std::uint64_t{call.turn} << 16 | call.call);
}

std::uint64_t frame_id(const CallRef& caller) {
  const std::uint64_t id = call_hash(caller, kFrameSeed);
  return id == 0 ? 1 : id;
}

}  // namespace sluice
