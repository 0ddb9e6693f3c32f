// The kinds of ModelInstance that the contract suite runs over. One real model serves both: the
// embedded engine, and the same engine behind HTTP for the OpenAI client.
#pragma once

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine/engine.h"
#include "models/openai_client.h"
#include "tests/models/model_routes.h"

namespace sluice::test {

inline constexpr std::uint32_t kContractContext = 1024;

// A thing under test; `open` makes another client or engine that the test may destroy.
class InstanceKind {
 public:
  virtual ~InstanceKind() = default;
  virtual ModelInstance& instance() = 0;
  virtual std::unique_ptr<ModelInstance> open() = 0;
};

inline std::unique_ptr<ModelInstance> open_contract_engine() {
  const char* file = std::getenv("SLUICE_TEST_MODEL");
  if (!file) throw std::runtime_error("SLUICE_TEST_MODEL names no model file; run through ctest");
  auto engine = open_engine({.id = "embedded", .file = file, .context_tokens = kContractContext});
  if (!engine) throw std::runtime_error(engine.error().to_string());
  return std::move(*engine);
}

inline ModelInstance& contract_engine() {
  static std::unique_ptr<ModelInstance> engine = open_contract_engine();
  return *engine;
}

class EmbeddedKind final : public InstanceKind {
 public:
  ModelInstance& instance() override { return contract_engine(); }
  std::unique_ptr<ModelInstance> open() override { return open_contract_engine(); }
};

class OpenAiKind final : public InstanceKind {
 public:
  OpenAiKind() : server_(ModelRoutes(contract_engine())), client_(open()) {}
  ModelInstance& instance() override { return *client_; }
  std::unique_ptr<ModelInstance> open() override {
    auto client = open_openai_client({.id = "remote", .url = server_.url(), .model = "smollm2"});
    if (!client) throw std::runtime_error(client.error().to_string());
    return std::move(*client);
  }

 private:
  LoopbackServer server_;
  std::unique_ptr<ModelInstance> client_;
};

}  // namespace sluice::test
