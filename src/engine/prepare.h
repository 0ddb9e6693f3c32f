// Finds the weight format that computes fastest on this machine and keeps a copy of the model in
// it: converts (llama.cpp's quantizer), measures, states the loss. See weight_format.h for what is
// kept and docs/architecture/weight_formats.md for the bound.
//
// Blocks for half a minute with a small model; any thread, but nothing else should compute
// meanwhile. Two processes that prepare the same file do not disturb each other: the one that comes
// later waits and finds the work done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "engine/weight_format.h"
#include "engine/weight_loss.h"

namespace sluice {

struct PrepareOptions {
  std::filesystem::path folder;  // where copies are kept
  WeightPurpose purpose = WeightPurpose::kThroughput;
  std::optional<WeightFormat> format;  // only this one, whatever it loses
  double most_kl = 0.01;               // a copy that loses more is not chosen
  double least_top1 = 0.9;
  double least_gain = 1.05;          // over the file as it is
  bool again = false;                // also where a choice has been made
  double most_measure_s = 4;         // each format, about
  std::uint32_t loss_tokens = 1536;  // of the sample text
  std::uint32_t threads = 0;
  bool own_attention = true;
  std::function<void(std::string_view what)> on_step;
};

struct MeasuredFormat {
  WeightFormat format = WeightFormat::kAsIs;
  std::uint64_t bytes = 0;
  double prefill_tokens_s = 0;     // a prompt of 512 tokens
  double parallel_tokens_s = 0;    // 16 sequences at depth 256
  double single_tokens_s = 0;      // one at depth 256
  std::optional<WeightLoss> loss;  // where it was worth knowing
};

struct PrepareReport {
  WeightFormat chosen = WeightFormat::kAsIs;
  std::filesystem::path file;  // of the chosen weights; the source where it stays as it is
  std::string source_hash;
  bool made_before = false;  // nothing was measured now
  std::vector<MeasuredFormat> formats;
};

// kFileUnreadable, kModelLoad, kDiskFull, kIo.
Result<PrepareReport> prepare_weights(const std::filesystem::path& source,
                                      const PrepareOptions& options);
// Seconds that the formats are compared by: throughput: prompts of 512 tokens with 128 tokens of
// output each, 16 at a time; latency: one token.
double purpose_seconds(const MeasuredFormat& measured, WeightPurpose purpose);
Value to_value(const PrepareReport& report);

}  // namespace sluice
