// Loading a GGUF file: what is wrong with a file that is not one is said before libllama sees it.
// The only place that sets libllama's log callback. Any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.h"

struct llama_model;
struct llama_context;

namespace sluice {

struct ModelDeleter {
  void operator()(llama_model* model) const;
};
using ModelHandle = std::unique_ptr<llama_model, ModelDeleter>;

struct ContextDeleter {
  void operator()(llama_context* context) const;
};
using ContextHandle = std::unique_ptr<llama_context, ContextDeleter>;

// kFileUnreadable, or kModelLoad with what the file seems to be.
Result<void> check_gguf(const std::filesystem::path& file);
Result<ModelHandle> load_model(const std::filesystem::path& file);
Result<std::string> hash_file(const std::filesystem::path& file);  // SHA-256 in hex
// libllama's last complaint on this thread since the last call, "" when there was none.
std::string take_llama_complaint();

}  // namespace sluice
