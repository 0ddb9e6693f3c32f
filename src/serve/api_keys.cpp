#include "serve/api_keys.h"

#include <fmt/format.h>

#include "data/json.h"
#include "host/files/read_file.h"
#include "serve/request_fields.h"

namespace sluice {
namespace {

constexpr std::size_t kMostNameBytes = 128;
constexpr std::size_t kLeastKeyBytes = 8;
constexpr std::size_t kMostKeyBytes = 4096;
constexpr std::int64_t kMostCount = 1'000'000'000;
constexpr std::int64_t kMostPriority = 1000;
constexpr std::string_view kBearer = "Bearer ";

std::optional<Hash256> read_hash(RequestFields& reader) {
  auto plain = reader.text("key", kMostKeyBytes);
  auto hashed = reader.text("sha256", 64);
  if (plain.has_value() == hashed.has_value()) {
    reader.wrong("key", fmt::format("`{}` or `sha256` has to be there, and not both",
                                    reader.path_of("key")));
    return std::nullopt;
  }
  if (plain) {
    if (plain->size() < kLeastKeyBytes) {
      reader.wrong(
          "key", fmt::format("`{}` has less than {} bytes", reader.path_of("key"), kLeastKeyBytes));
    }
    return sha256(*plain);
  }
  auto hash = Hash256::from_hex(*hashed);
  if (!hash) {
    reader.wrong("sha256", fmt::format("`{}` must be 64 hexadecimal digits in lower case",
                                       reader.path_of("sha256")));
  }
  return hash;
}

ApiKey read_key(RequestFields& reader) {
  ApiKey key;
  reader.require("name");
  key.name = reader.text("name", kMostNameBytes).value_or("");
  key.tenant = reader.text("tenant", kMostNameBytes).value_or(key.name);
  key.max_in_flight =
      static_cast<std::uint64_t>(reader.integer("max_in_flight", 0, kMostCount).value_or(0));
  key.tokens_per_minute =
      static_cast<std::uint64_t>(reader.integer("tokens_per_minute", 0, kMostCount).value_or(0));
  key.max_priority = static_cast<std::int32_t>(
      reader.integer("max_priority", -kMostPriority, kMostPriority).value_or(0));
  key.any_tenant = reader.boolean("any_tenant").value_or(false);
  key.weight = reader.number("weight", 1e-3, 1e6).value_or(1);
  return key;
}

}  // namespace

Result<ApiKeys> ApiKeys::parse(std::string_view text, std::string_view file) {
  auto json = parse_json(text, {.max_depth = 16});
  if (!json) {
    return std::unexpected(
        Error(ErrorCode::kUsage, fmt::format("{} holds no keys", file)).with_cause(json.error()));
  }
  RequestProblem problem;
  RequestFields reader(*json, "", problem);
  ApiKeys out;
  reader.require("keys");
  reader.each("keys", 100'000, [&](const Value& item, const std::string& path) {
    RequestFields entry(item, path, problem);
    ApiKey key = read_key(entry);
    auto hash = read_hash(entry);
    entry.finish();
    if (problem.any() || !hash) return;
    if (!out.by_hash_.emplace(*hash, out.keys_.size()).second) {
      problem.say(path, fmt::format("`{}` is the same key as another", path));
    }
    out.keys_.push_back(std::move(key));
  });
  reader.finish();
  if (!problem.any() && out.keys_.empty()) problem.say("keys", "`keys` holds none");
  if (problem.any()) {
    return fail(ErrorCode::kUsage, fmt::format("{}: {}", file, problem.first().message));
  }
  return out;
}

Result<ApiKeys> ApiKeys::read(const std::filesystem::path& file) {
  auto text = read_file(file, std::uint64_t{64} << 20);
  if (!text) return std::unexpected(text.error());
  return parse(*text, file.string());
}

const ApiKey* ApiKeys::find(std::string_view authorization) const {
  if (!authorization.starts_with(kBearer)) return nullptr;
  authorization.remove_prefix(kBearer.size());
  if (authorization.empty() || authorization.size() > kMostKeyBytes) return nullptr;
  // Compared by hash: how long it takes says nothing about the keys.
  auto found = by_hash_.find(sha256(authorization));
  return found == by_hash_.end() ? nullptr : &keys_[found->second];
}

std::map<std::string, double> ApiKeys::tenant_weights() const {
  std::map<std::string, double> weights;
  for (const ApiKey& key : keys_) {
    double& weight = weights[key.tenant];
    weight = std::max(weight, key.weight);
  }
  return weights;
}

}  // namespace sluice
