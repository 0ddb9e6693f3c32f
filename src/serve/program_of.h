// Which program a request belongs to, where its client does not say: by prompt_cache_key, by user,
// else by prefix: a chat whose messages extend those of an earlier request belongs to the program
// of that, and so does a prompt that extends an earlier one. Remembers hashes only, the latest of a
// bounded number. Names of different tenants never meet. Pure; one thread.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/hash.h"
#include "schedule/model_request.h"
#include "serve/generation_call.h"

namespace sluice {

// For each message the hash of the conversation up to it.
std::vector<Hash256> message_marks(std::span<const ModelMessage> messages);

struct ProgramGuess {
  std::string program;
  bool seen_before = false;  // an earlier request of it was here
};

class ProgramIndex {
 public:
  explicit ProgramIndex(std::size_t most_marks = 65'536) : most_marks_(most_marks) {}

  // The program of the call's request number `index`, which is remembered.
  ProgramGuess program_of(const GenerationCall& call, std::size_t index, std::string_view tenant);
  // The reply that a client will send back as the next message, or within the next prompt.
  void replied(const GenerationCall& call, std::size_t index, std::string_view tenant,
               const std::string& program, const ModelReply& reply);
  std::size_t size() const { return by_mark_.size(); }

 private:
  struct Mark {
    std::string program;
    std::size_t prompt_bytes = 0;  // of a prompt in place of messages
    std::list<Hash256>::iterator place;
  };
  const std::string* find(const Hash256& mark);
  void remember(const Hash256& mark, const std::string& program, std::size_t prompt_bytes);
  void forget_oldest();
  ProgramGuess named(std::string_view kind, std::string_view scope, std::string_view name);
  ProgramGuess by_messages(const GenerationCall& call, const Hash256& scope);
  ProgramGuess by_prompt(std::string_view prompt, const Hash256& scope);
  std::string new_program();

  std::size_t most_marks_;
  std::uint64_t next_ = 1;
  std::map<Hash256, Mark> by_mark_;
  std::list<Hash256> oldest_first_;
  std::map<std::size_t, std::size_t> prompt_lengths_;  // of marks, and how many have it
};

}  // namespace sluice
