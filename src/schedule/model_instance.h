// ModelInstance: one engine or endpoint that serves a model. The embedded engine and the
// OpenAI-compatible client implement it and pass one contract suite (tests/contract).
//
// Threads: all methods may be called from any thread. Callbacks run on a thread of the instance,
// one at a time per request, never before `submit` has returned, and must not block.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "schedule/model_request.h"

namespace sluice {

struct ModelInfo {
  std::string id;                    // as the plan names it
  std::string description;           // "SmolLM2 135M Instruct, Q4_1, 2048 tokens"
  std::string file_hash;             // embedded: SHA-256 of the file, for journals; "" otherwise
  std::uint32_t context_tokens = 0;  // 0: unknown
  bool embedded = false;
  bool has_chat_template = false;
  bool can_embed = false;
};

// Gives `on_end` exactly once, also after cancel (kCancelled).
struct ModelCallbacks {
  std::function<void(std::string_view piece)> on_text;  // streaming; may be empty
  std::function<void(Result<ModelReply>)> on_end;
};

using RequestId = std::uint64_t;

class ModelInstance {
 public:
  virtual ~ModelInstance() = default;  // cancels what is open, then joins its threads
  virtual const ModelInfo& info() const = 0;
  virtual RequestId submit(ModelRequest request, ModelCallbacks callbacks) = 0;
  virtual void cancel(RequestId id) = 0;  // unknown or ended ids are ignored
  // A hint that a request beginning with these segments comes soon; may be ignored.
  virtual void prefetch(const ModelRequest& request) { (void)request; }
  // The program is done: its KV is dead.
  virtual void release(std::string_view program) { (void)program; }
  // One vector per text; kModelRefused when the instance cannot embed. Blocks.
  virtual Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts) = 0;
  // Tokens of a text as data; kModelRefused where unknown (remote). Blocks.
  virtual Result<std::size_t> count_tokens(std::string_view text) = 0;
};

}  // namespace sluice
