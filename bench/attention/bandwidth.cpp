#include "bench/attention/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

#include "bench/attention/measure.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBytes = std::size_t{256} << 20;  // far more than any cache
constexpr int kPasses = 9;

using Lanes [[gnu::vector_size(64)]] = std::uint64_t;
constexpr std::size_t kLanesAStep = 8;

std::uint64_t sum(std::span<const Lanes> numbers) {
  Lanes sums[kLanesAStep] = {};
  for (std::size_t i = 0; i + kLanesAStep <= numbers.size(); i += kLanesAStep) {
    for (std::size_t j = 0; j < kLanesAStep; ++j) sums[j] += numbers[i + j];
  }
  Lanes all = {};
  for (const Lanes& some : sums) all += some;
  std::uint64_t total = 0;
  for (std::size_t lane = 0; lane < 8; ++lane) total += all[lane];
  return total;
}

}  // namespace

double read_bandwidth(int threads) {
  const std::size_t share = kBytes / sizeof(Lanes) / static_cast<std::size_t>(threads);
  std::vector<std::uint64_t> memory(kBytes / 8 + 8, 1);
  auto* aligned = reinterpret_cast<std::byte*>(memory.data());
  aligned += 64 - reinterpret_cast<std::uintptr_t>(aligned) % 64;
  const auto* numbers = reinterpret_cast<const Lanes*>(aligned);
  std::atomic<std::uint64_t> total = 0;  // so that no sum is left out
  double best = 0;
  double start = 0;
  std::barrier line(threads);
  auto read = [&](int thread) {
    for (int pass = 0; pass < kPasses; ++pass) {
      line.arrive_and_wait();
      if (thread == 0) start = seconds_now();
      total += sum({numbers + static_cast<std::size_t>(thread) * share, share});
      line.arrive_and_wait();
      if (thread != 0) continue;
      const auto bytes = static_cast<double>(share * static_cast<std::size_t>(threads) * 64);
      best = std::max(best, bytes / (seconds_now() - start));
    }
  };
  std::vector<std::jthread> workers;
  for (int thread = 0; thread < threads; ++thread) workers.emplace_back(read, thread);
  workers.clear();
  if (total == 0) fail("memory that was filled with ones sums up to nothing");
  return best;
}

}  // namespace sluice::bench
