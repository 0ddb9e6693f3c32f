// What a model is asked, and what it is told about the program behind the question. Pure data.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "data/expr.h"
#include "data/schema.h"
#include "data/value.h"
#include "schedule/policy_settings.h"

namespace sluice {

struct ModelMessage {
  std::string role;          // system, user, assistant, tool
  std::string content;       // data: never becomes special tokens
  Value tool_calls;          // assistant: [{id, name, arguments}]; null: none
  std::string tool_call_id;  // tool
};

struct ModelTool {
  std::string name;
  std::string description;
  Value parameters;  // JSON Schema
};

// temperature 0 is greedy (the default): equal prompts give equal text but for near ties.
struct Sampling {
  std::uint32_t max_tokens = 512;
  double temperature = 0;
  double top_p = 1;
  std::optional<std::uint64_t> seed;
  std::vector<std::string> stop;
  std::uint32_t top_logprobs = 0;
  bool logprobs = false;
};

// A piece of a prompt: known now, or still pending (a step's result that is not there yet; the
// engine may prefill all that stands before it).
struct PromptSegment {
  TextSegment text;
  bool pending = false;
};

// What the plan knows about the future of this request. All optional: a plain client gives none.
struct ProgramHints {
  std::string program;  // run id: requests of one program share KV lifetimes and fairness
  std::string task;     // TaskId text
  std::string tenant;
  std::int32_t priority = 0;  // higher first
  std::uint32_t rank = 0;     // longest remaining path in steps
  std::optional<SteadyNs> deadline_ns;
  std::optional<std::uint32_t> expected_tokens;  // of output
  std::optional<double> remaining_path_s;        // rank in seconds, where known
  std::optional<SteadyNs> returns_at_ns;  // when the program is expected back with a longer prompt
  // It comes back with a longer prompt, nobody knows when (a tool call is next): keep what it
  // wrote.
  bool returns = false;
  std::string next_tool;  // what the program does until then, for its times; "" unknown
  PolicyNames policies;   // wishes; empty: as the instance's settings say
};

struct ModelRequest {
  // Exactly one of both is used: messages (chat template) or prompt segments (as they stand).
  std::vector<ModelMessage> messages;
  std::vector<PromptSegment> prompt;
  std::vector<ModelTool> tools;
  Sampling sampling;
  SchemaPtr output;            // JSON of this schema is enforced while decoding; null: free text
  std::string regex;           // "": none; else the text is enforced to match
  bool deterministic = false;  // bit-equal text: fixed batch shape, no shared prefix
  ProgramHints hints;
  std::int64_t timeout_ms = 0;  // 0: none
  std::string idempotency_key;  // for servers that take one
};

struct ModelUsage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t cached_tokens = 0;  // of prompt_tokens: not computed again
  std::uint64_t completion_tokens = 0;
  double usd = 0;  // set where the instance knows its price; else whoever asked does
};

enum class FinishReason : std::uint8_t { kStop, kLength, kToolCalls };

struct TokenLogprob {
  std::string token;
  double logprob = 0;
  bool forced = false;  // the grammar left no choice: it says nothing about the model
  std::vector<std::pair<std::string, double>> top;
};

struct ModelReply {
  std::string text;
  Value json;        // set when `output` was asked: parsed and enforced
  Value tool_calls;  // [{id, name, arguments (object)}] or null
  FinishReason finish = FinishReason::kStop;
  ModelUsage usage;
  ModelUsage earlier;  // of another model that was asked before and whose answer was not taken
  std::vector<TokenLogprob> logprobs;
};

}  // namespace sluice
