// SpillStore: the run's large values. A value over 64 KiB is kept once, by the hash of its content;
// while all of them fit the memory bound they stay as they are, beyond it the ones that were not
// used for longest go to one spill file. The file has no name: it is gone with the process, however
// that ends. Values labelled secret never reach it. Values of an earlier process, which the journal
// has, come back through `fetch`. The run's thread only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "runtime/value_store.h"

namespace sluice {

struct SpillOptions {
  std::size_t large_bytes = 64 << 10;       // values above go by hash
  std::size_t memory_bytes = 256ull << 20;  // of large values held in memory
  std::filesystem::path directory;          // where the spill file is made
  // The bytes (encode_value) of a value that this store never saw; unset: there are none.
  std::function<Result<std::string>(const Hash256& hash)> fetch;
};

struct SpillStats {
  std::size_t resident_bytes = 0;
  std::size_t peak_resident_bytes = 0;
  std::uint64_t spilled_bytes = 0;  // written to the file
  std::uint64_t values = 0;
  std::uint64_t loads_from_disk = 0;
  std::uint64_t fetched = 0;  // through SpillOptions::fetch
};

class SpillStore final : public ValueStore {
 public:
  explicit SpillStore(SpillOptions options);
  ~SpillStore() override;

  Value keep(Value value, std::string* encoded = nullptr) override;
  Result<Value> load(const Value& value) override;
  SpillStats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
