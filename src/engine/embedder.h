// Texts to vectors, in a llama context of its own that is made at the first use. Any thread; calls
// take turns. The model must outlive it.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/model_file.h"
#include "engine/vocabulary.h"

namespace sluice {

class Embedder {
 public:
  Embedder(llama_model* model, const Vocabulary& vocabulary, std::uint32_t context_tokens,
           std::uint32_t threads);

  // Mean of the token states (or what the model file asks for), of length 1. kPromptTooLong.
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts);

 private:
  Result<std::vector<float>> embed_one(const std::string& text);
  Result<void> open();

  llama_model* model_;
  const Vocabulary& vocabulary_;
  std::uint32_t context_tokens_;
  std::uint32_t threads_;
  std::mutex mutex_;
  ContextHandle context_;
};

}  // namespace sluice
