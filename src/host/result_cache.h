// ResultCache: outputs of steps that ask for `cache`, kept between runs in one SQLite file in the
// cache folder. Keys are result keys together with the hash of the model's file. A cache that
// cannot be opened, read or written is a cache that misses; it never fails a run. The run's thread
// only; other processes may use the same file.
#pragma once

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
  ResultCache(std::filesystem::path file, const Clock& clock);
  ~ResultCache();

  // A value that is younger than `ttl_ms` (0: of any age).
  std::optional<Value> find(const Hash256& key, std::int64_t ttl_ms);
  void put(const Hash256& key, const Value& output);  // secrets are not stored
  // Why the cache does not work, in one sentence; empty when it does. For one warning.
  const std::string& problem() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
