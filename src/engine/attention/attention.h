// Our own kernel for attention on the CPU (ggml's op FLASH_ATTN_EXT), in place of ggml's. It plugs
// into ggml's CPU backend as an extra buffer type that holds no buffers: the backend offers every
// op of a graph to it first and computes what it declines by itself. What it is, and why:
// docs/architecture/attention.md.
#pragma once

#include <cstdint>

namespace sluice {

// Plugs the kernel in, once per process, before the first model is loaded. Any thread. From then on
// it computes every attention op that it declares, in every graph on the CPU.
void install_attention();

// Whose kernel computes the graphs that this thread starts while the object lives; the scopes of a
// thread nest. Without one: ours, where it is installed. For settings, benchmarks and tests.
class AttentionScope {
 public:
  explicit AttentionScope(bool ours);
  ~AttentionScope();
  AttentionScope(const AttentionScope&) = delete;
  AttentionScope& operator=(const AttentionScope&) = delete;

 private:
  int before_;
};

// What has been computed since the program started; any thread.
struct AttentionStats {
  std::uint64_t ops = 0;        // by our kernel
  std::uint64_t declined = 0;   // ops that we declare, but a scope left to ggml
  std::uint64_t work_maps = 0;  // masks read: one per batch and kind of mask, not per layer
};
AttentionStats attention_stats();

// The vector instructions in use, for reports: "AVX3_ZEN4".
const char* attention_target();

}  // namespace sluice
