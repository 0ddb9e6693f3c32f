// An instance elsewhere: any server that speaks the OpenAI routes (chat completions, completions,
// embeddings). libcurl multi on one thread of its own; connections are reused.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/error.h"
#include "schedule/model_instance.h"

namespace sluice {

struct OpenAiOptions {
  std::string id = "default";
  std::string url;    // "http://127.0.0.1:8080/v1"
  std::string model;  // sent as `model`
  std::string key;    // bearer; "" sends none. A secret: never logged
  std::int64_t connect_timeout_ms = 10'000;
  std::int64_t timeout_ms = 600'000;
  std::uint32_t max_connections = 64;
  std::uint64_t max_bytes = 64ull << 20;  // of one reply
  bool verify_tls = true;
};

Result<std::unique_ptr<ModelInstance>> open_openai_client(const OpenAiOptions& options);

}  // namespace sluice
