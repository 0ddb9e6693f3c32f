// Who may use the server: keys with their tenant and limits, read from a JSON file. Only hashes of
// keys are held. Immutable once read; any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/hash.h"

namespace sluice {

struct ApiKey {
  std::string name;                     // for logs and metrics
  std::string tenant;                   // of its requests; the name unless the file says otherwise
  std::uint64_t max_in_flight = 0;      // requests at a time; 0: as many as the server takes
  std::uint64_t tokens_per_minute = 0;  // prompt and answer; 0: no limit
  std::int32_t max_priority = 0;        // higher wishes are cut to it
  bool any_tenant = false;              // may name another tenant in `sluice.tenant`
  double weight = 1;                    // of its tenant's share
};

class ApiKeys {
 public:
  // {"keys": [{"name", "key" or "sha256", "tenant", "max_in_flight", "tokens_per_minute",
  // "max_priority", "any_tenant", "weight"}]}. kUsage with the field that is wrong.
  static Result<ApiKeys> parse(std::string_view text, std::string_view file);
  static Result<ApiKeys> read(const std::filesystem::path& file);

  bool empty() const { return keys_.empty(); }
  const std::vector<ApiKey>& keys() const { return keys_; }
  // By the header Authorization ("Bearer sk-..."); nullptr for any that is not a key's.
  const ApiKey* find(std::string_view authorization) const;
  std::map<std::string, double> tenant_weights() const;

 private:
  std::vector<ApiKey> keys_;
  std::map<Hash256, std::size_t> by_hash_;
};

}  // namespace sluice
