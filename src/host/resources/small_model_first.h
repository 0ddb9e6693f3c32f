// SmallModelFirst: two models that answer as one. A request goes to the first one; its answer is
// taken when it was sure enough of it, else the second one, the step's own, is asked the same. The
// reply says what both have cost. Where the pass small_model_first advises it, CallRunner calls
// this in place of the step's model and knows nothing of it.
//
// Threads: as every ModelInstance. The second model is asked from a callback of the first one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cost/prices.h"
#include "schedule/model_instance.h"

namespace sluice {

// The mean log probability of the tokens that the model chose; 0 where a grammar left it no choice
// at all. nullopt: the reply does not tell.
std::optional<double> mean_logprob(const ModelReply& reply);

class SmallModelFirst final : public ModelInstance {
 public:
  // One of the two; it outlives this.
  struct Model {
    ModelInstance* instance = nullptr;
    ModelPrice price;
  };
  // What has come of it so far.
  struct Counts {
    std::uint64_t asked = 0;    // requests that went to the first model
    std::uint64_t taken = 0;    // its answers that were
    std::uint64_t failed = 0;   // ... that were errors
    std::uint64_t untold = 0;   // ... without log probabilities
    std::string first_failure;  // in words
  };

  SmallModelFirst(Model first, Model own, double least_logprob);
  ~SmallModelFirst() override;
  SmallModelFirst(const SmallModelFirst&) = delete;
  SmallModelFirst& operator=(const SmallModelFirst&) = delete;

  const ModelInfo& info() const override;
  // What is streamed or offers tools goes to the second model at once.
  RequestId submit(ModelRequest request, ModelCallbacks callbacks) override {
    return submit(std::move(request), std::move(callbacks), nullptr);
  }
  // The same; `lost`, unless null, is given what a request that fails took all the same, before it
  // ends.
  RequestId submit(ModelRequest request, ModelCallbacks callbacks,
                   std::shared_ptr<ModelUsage> lost);
  void cancel(RequestId id) override;
  void prefetch(const ModelRequest& request) override;
  void release(std::string_view program) override;
  Result<std::vector<std::vector<float>>> embed(const std::vector<std::string>& texts) override;
  Result<std::size_t> count_tokens(std::string_view text) override;

  Counts counts() const;

 private:
  // Outlives this as long as a model still has a callback of ours.
  class Work;
  std::shared_ptr<Work> work_;
};

}  // namespace sluice
