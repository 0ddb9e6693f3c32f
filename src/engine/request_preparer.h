// From a ModelRequest to what the scheduler needs: chat template, tokens, grammar, limits. All that
// does not need the llama context, so that it runs beside the decode loop.
//
// Borrows the vocabulary and the template. prepare() may be called from one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/chat_template.h"
#include "engine/generation.h"
#include "engine/grammar.h"
#include "engine/vocabulary.h"
#include "schedule/model_request.h"

namespace sluice {

// Below every priority that a caller would choose.
inline constexpr std::int32_t kPrefetchPriority = -1'000'000'000;

class RequestPreparer {
 public:
  // `templ` null: the file carries none. `context_tokens`: of one request.
  RequestPreparer(const Vocabulary& vocabulary, const ChatTemplate* templ,
                  std::uint32_t context_tokens, bool deterministic, bool jump_forward);

  // kPromptTooLong, kModelRefused, kValueInvalid.
  Result<PreparedRequest> prepare(const ModelRequest& request, RequestId id,
                                  ModelCallbacks callbacks, SteadyNs arrived_ns);
  // A request that only computes what is known of its prompt: all before the first pending segment.
  Result<PreparedRequest> prepare_prefetch(ModelRequest request, RequestId id, SteadyNs arrived_ns);

 private:
  Result<std::vector<TextSegment>> prompt_text(const ModelRequest& request) const;
  std::size_t least_tokens(std::span<const TextSegment> text) const;
  Result<std::optional<Grammar>> grammar(const ModelRequest& request);

  const Vocabulary& vocabulary_;
  const ChatTemplate* template_;
  std::uint32_t context_tokens_;
  bool deterministic_;
  bool jump_forward_;
  std::size_t longest_token_;  // bytes
  GrammarCache grammars_;
};

}  // namespace sluice
