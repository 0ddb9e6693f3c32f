// What a client of /v1/embeddings asks, read from its JSON. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "serve/api_error.h"

namespace sluice {

inline constexpr std::size_t kMostTexts = 2048;  // of one call

struct EmbeddingCall {
  std::string model;
  std::vector<std::string> texts;
  bool base64 = false;
};
ApiResult<EmbeddingCall> read_embedding_call(const Value& body, SteadyNs now_ns);

}  // namespace sluice
