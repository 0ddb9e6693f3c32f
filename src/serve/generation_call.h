// What a client of /v1/chat/completions or /v1/completions asks, read from its JSON: model requests
// (one for each choice) and how the reply is to look. Strict: a parameter that is not known or not
// supported is an error that names it. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "data/hash.h"
#include "data/value.h"
#include "schedule/model_request.h"
#include "serve/api_error.h"

namespace sluice {

inline constexpr std::size_t kMostChoices = 128;  // of one call: prompts times n

struct GenerationCall {
  bool chat = true;
  std::string model;
  // One for each choice. Programs, tenants and priorities are as the client wrote them.
  std::vector<ModelRequest> requests;
  std::size_t choices_per_prompt = 1;  // `n`: usage counts a prompt once
  std::vector<std::string> echoes;     // what stands before each choice's text; may be empty
  bool stream = false;
  bool include_usage = false;
  bool logprobs = false;
  // `output` of the requests is {"tool", "arguments"}: a tool has to be called.
  bool forced_call = false;
  std::size_t earlier_calls = 0;  // tool calls in the conversation
  std::vector<Hash256> marks;     // of a chat: message_marks() of what the client wrote
  std::string cache_key;          // prompt_cache_key
  std::string user;
  bool last = false;                  // sluice.last: the program ends with this call
  bool says_return = false;           // whether it comes back need not be guessed
  std::uint64_t prompt_bytes = 0;     // of all prompts
  std::uint64_t tokens_expected = 0;  // a guess of what it will use, for rate limits
};

// `now_ns` is what deadlines in milliseconds count from.
ApiResult<GenerationCall> read_chat_call(const Value& body, SteadyNs now_ns);
ApiResult<GenerationCall> read_completion_call(const Value& body, SteadyNs now_ns);

}  // namespace sluice
