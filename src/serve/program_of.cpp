#include "serve/program_of.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "data/json.h"

namespace sluice {
namespace {

// Shorter prompts say too little: "Hello" begins too many.
constexpr std::size_t kLeastPromptBytes = 64;

Hash256 next_mark(const Hash256& before, std::string_view role, std::string_view content,
                  std::string_view tool_call_id, const Value& calls) {
  Hasher hasher;
  hasher.field(before).field(role).field(content).field(tool_call_id);
  if (calls.is_array()) {
    for (const Value& call : calls.items()) {  // ids and spacing may change on the way
      const Value* name = call.find("name");
      const Value* arguments = call.find("arguments");
      hasher.field(canonical_json(name != nullptr ? *name : Value()));
      hasher.field(canonical_json(arguments != nullptr ? *arguments : Value()));
    }
  }
  return hasher.finish();
}

Hash256 scoped(const Hash256& scope, const Hash256& mark) {
  return Hasher().field(scope).field(mark).finish();
}

// A hash of every prefix of a text in one walk: a polynomial modulo 2^61 - 1.
class PrefixWalk {
 public:
  void take(std::string_view bytes) {
    for (char c : bytes) {
      const __uint128_t next =
          static_cast<__uint128_t>(hash_) * kBase + static_cast<unsigned char>(c) + 1;
      const auto folded =
          static_cast<std::uint64_t>(next & kPrime) + static_cast<std::uint64_t>(next >> 61);
      hash_ = folded >= kPrime ? folded - kPrime : folded;
    }
    bytes_ += bytes.size();
  }
  Hash256 mark(const Hash256& scope) const {
    return Hasher().field(scope).field(std::uint64_t{bytes_}).field(hash_).finish();
  }

 private:
  static constexpr std::uint64_t kPrime = (std::uint64_t{1} << 61) - 1;
  static constexpr std::uint64_t kBase = 1'000'003ULL * 2'147'483'647ULL % kPrime;
  std::uint64_t hash_ = 0;
  std::size_t bytes_ = 0;
};

// Programs of one tenant and model meet, others never.
Hash256 scope_of(const GenerationCall& call, std::string_view tenant) {
  return Hasher().field(tenant).field(call.model).field(std::uint64_t{call.chat}).finish();
}

std::string_view prompt_text(const GenerationCall& call, std::size_t index) {
  return call.requests[index].prompt.front().text.text;
}

}  // namespace

std::vector<Hash256> message_marks(std::span<const ModelMessage> messages) {
  std::vector<Hash256> marks;
  marks.reserve(messages.size());
  Hash256 before;
  for (const ModelMessage& message : messages) {
    before =
        next_mark(before, message.role, message.content, message.tool_call_id, message.tool_calls);
    marks.push_back(before);
  }
  return marks;
}

const std::string* ProgramIndex::find(const Hash256& mark) {
  auto found = by_mark_.find(mark);
  if (found == by_mark_.end()) return nullptr;
  oldest_first_.splice(oldest_first_.end(), oldest_first_, found->second.place);
  return &found->second.program;
}

void ProgramIndex::forget_oldest() {
  auto oldest = by_mark_.find(oldest_first_.front());
  if (const std::size_t bytes = oldest->second.prompt_bytes; bytes != 0) {
    auto length = prompt_lengths_.find(bytes);
    if (--length->second == 0) prompt_lengths_.erase(length);
  }
  by_mark_.erase(oldest);
  oldest_first_.pop_front();
}

void ProgramIndex::remember(const Hash256& mark, const std::string& program,
                            std::size_t prompt_bytes) {
  auto [at, added] = by_mark_.try_emplace(mark);
  at->second.program = program;
  if (!added) {
    oldest_first_.splice(oldest_first_.end(), oldest_first_, at->second.place);
    return;
  }
  at->second.place = oldest_first_.insert(oldest_first_.end(), mark);
  at->second.prompt_bytes = prompt_bytes;
  if (prompt_bytes != 0) ++prompt_lengths_[prompt_bytes];
  if (by_mark_.size() > most_marks_) forget_oldest();
}

std::string ProgramIndex::new_program() { return fmt::format("prefix:{}", next_++); }

ProgramGuess ProgramIndex::named(std::string_view kind, std::string_view tenant,
                                 std::string_view name) {
  ProgramGuess guess{.program = fmt::format("{}:{}:{}", kind, tenant, name)};
  const Hash256 mark = sha256(guess.program);
  guess.seen_before = find(mark) != nullptr;
  remember(mark, guess.program, 0);
  return guess;
}

// The longest beginning of the conversation that was a whole request, or one with its reply.
ProgramGuess ProgramIndex::by_messages(const GenerationCall& call, const Hash256& scope) {
  ProgramGuess guess;
  const std::size_t count = call.marks.size();
  for (std::size_t i = count; i-- > 1 && !guess.seen_before;) {
    const std::string* found = find(scoped(scope, call.marks[i - 1]));
    if (found == nullptr) continue;
    guess = {.program = *found, .seen_before = true};
  }
  if (!guess.seen_before) guess.program = new_program();
  if (count > 0) remember(scoped(scope, call.marks.back()), guess.program, 0);
  return guess;
}

ProgramGuess ProgramIndex::by_prompt(std::string_view prompt, const Hash256& scope) {
  ProgramGuess guess;
  PrefixWalk walk;
  std::size_t walked = 0;
  for (const auto& [length, marks] : prompt_lengths_) {
    if (length >= prompt.size()) break;
    walk.take(prompt.substr(walked, length - walked));
    walked = length;
    if (const std::string* found = find(walk.mark(scope))) {
      guess = {.program = *found, .seen_before = true};  // the longest is the last
    }
  }
  if (!guess.seen_before) guess.program = new_program();
  if (prompt.size() >= kLeastPromptBytes) {
    walk.take(prompt.substr(walked));
    remember(walk.mark(scope), guess.program, prompt.size());
  }
  return guess;
}

ProgramGuess ProgramIndex::program_of(const GenerationCall& call, std::size_t index,
                                      std::string_view tenant) {
  const std::string& stated = call.requests[index].hints.program;
  if (!stated.empty()) return named("program", tenant, stated);
  if (!call.cache_key.empty()) return named("key", tenant, call.cache_key);
  if (!call.user.empty()) return named("user", tenant, call.user);
  const Hash256 scope = scope_of(call, tenant);
  return call.chat ? by_messages(call, scope) : by_prompt(prompt_text(call, index), scope);
}

void ProgramIndex::replied(const GenerationCall& call, std::size_t index, std::string_view tenant,
                           const std::string& program, const ModelReply& reply) {
  const Hash256 scope = scope_of(call, tenant);
  if (call.chat) {
    if (call.marks.empty()) return;
    const Hash256 mark =
        next_mark(call.marks.back(), "assistant", reply.text, "", reply.tool_calls);
    remember(scoped(scope, mark), program, 0);
    return;
  }
  const std::string_view prompt = prompt_text(call, index);
  if (prompt.size() + reply.text.size() < kLeastPromptBytes) return;
  PrefixWalk walk;
  walk.take(prompt);
  walk.take(reply.text);
  remember(walk.mark(scope), program, prompt.size() + reply.text.size());
}

}  // namespace sluice
