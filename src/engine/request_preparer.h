// From a ModelRequest to what the scheduler needs: chat template, tokens, grammar, limits. All that
// does not need the llama context, so that it runs beside the decode loop.
//
// Borrows the vocabulary and the template. prepare() may be called from one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/chat_template.h"
#include "engine/generation.h"
#include "engine/grammar.h"
#include "engine/vocabulary.h"
#include "schedule/model_request.h"

namespace sluice {

class RequestPreparer {
 public:
  // `templ` null: the file carries none. `context_tokens`: of one request.
  RequestPreparer(const Vocabulary& vocabulary, const ChatTemplate* templ,
                  std::uint32_t context_tokens, bool deterministic);

  // kPromptTooLong, kModelRefused, kValueInvalid.
  Result<PreparedRequest> prepare(const ModelRequest& request, RequestId id,
                                  ModelCallbacks callbacks, SteadyNs arrived_ns);

 private:
  Result<std::vector<TextSegment>> prompt_text(const ModelRequest& request) const;
  Result<std::optional<Grammar>> grammar(const ModelRequest& request);

  const Vocabulary& vocabulary_;
  const ChatTemplate* template_;
  std::uint32_t context_tokens_;
  bool deterministic_;
  GrammarCache grammars_;
};

}  // namespace sluice
