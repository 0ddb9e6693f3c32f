// ResultCache: outputs of calls, kept between runs in one SQLite file in the cache folder: of steps
// that ask for `cache`, and of model calls with the advice `reuse_results`. Keys are result keys
// together with the hash of the model's file. A cache that cannot be opened, read or written is a
// cache that misses; it never fails a run.
//
// Writes are grouped: what is put is found at once, and goes to the file when enough has come
// together, with the first put or find after a second, and at the end. The file is bounded: beyond
// `bytes` what was not used for longest goes, and so does what is older than it was put for. The
// run's thread only; other processes may use the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "data/hash.h"
#include "data/value.h"

namespace sluice {

class ResultCache {
 public:
  struct Bounds {
    std::uint64_t bytes = 256ULL << 20;     // of the file
    std::size_t result_bytes = 1 << 20;     // a larger one is not kept
    std::size_t group = 128;                // results that are written together
    std::size_t group_bytes = 4 << 20;      // or so many bytes of them
    std::int64_t group_ns = 1'000'000'000;  // or when the first has waited for so long
  };
  struct Found {
    Value output;
    bool earlier = false;  // kept before this cache was opened: by an earlier run
  };

  ResultCache(std::filesystem::path file, const Clock& clock);
  ResultCache(std::filesystem::path file, const Clock& clock, Bounds bounds);
  ~ResultCache();  // writes what is left
  ResultCache(const ResultCache&) = delete;
  ResultCache& operator=(const ResultCache&) = delete;

  // A value that is younger than `ttl_ms` (0: of any age).
  std::optional<Found> find(const Hash256& key, std::int64_t ttl_ms);
  // To be kept for `ttl_ms` (0: for ever), as far as there is room. Secrets are not stored.
  void put(const Hash256& key, const Value& output, std::int64_t ttl_ms);
  void flush();
  // Why the cache does not work, in one sentence; empty when it does. For one warning.
  const std::string& problem() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
