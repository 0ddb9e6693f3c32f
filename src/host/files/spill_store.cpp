#include "host/files/spill_store.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <list>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/log.h"
#include "data/value_codec.h"
#include "host/files/spill_file.h"

namespace sluice {
namespace {

struct HashOfHash {
  std::size_t operator()(const Hash256& hash) const {
    std::size_t bits = 0;
    std::memcpy(&bits, hash.bytes.data(), sizeof bits);
    return bits;
  }
};

bool is_spilled(const Value& value) {
  return value.kind() == Value::Kind::kBlob && value.blob_media_type() == kSpilledMediaType;
}

struct Stored {
  std::optional<Value> resident;
  std::size_t memory_bytes = 0;
  std::optional<std::uint64_t> offset;  // in the file, once written
  std::size_t encoded_bytes = 0;
  bool secret = false;
  bool elsewhere = false;             // can be fetched again: it needs no place in the file
  std::list<Hash256>::iterator used;  // valid while resident
};

}  // namespace

struct SpillStore::Impl {
  explicit Impl(SpillOptions given) : options(std::move(given)), file(options.directory) {}

  SpillOptions options;
  SpillFile file;
  std::unordered_map<Hash256, Stored, HashOfHash> stored;
  std::list<Hash256> by_use;  // the one used last is at the front
  SpillStats stats;
  bool warned = false;
  // Large containers that were walked and hold nothing spilled, so that a list which every task
  // reads is walked once. Each is pinned, so its address stays its own.
  std::array<Value, 4> plain;
  std::size_t next_plain = 0;

  void make_resident(const Hash256& hash, Stored& entry, const Value& value) {
    entry.resident = value;
    by_use.push_front(hash);
    entry.used = by_use.begin();
    stats.resident_bytes += entry.memory_bytes;
  }

  // Moves the values that were not used for longest to the file until the bound holds.
  void shrink() {
    auto at = by_use.end();
    while (stats.resident_bytes > options.memory_bytes && at != by_use.begin()) {
      --at;
      Stored& entry = stored.find(*at)->second;
      if (!entry.elsewhere && (entry.secret || !write(entry))) continue;
      stats.resident_bytes -= entry.memory_bytes;
      entry.resident.reset();
      const Hash256 hash = *at;
      at = by_use.erase(at);
      if (entry.elsewhere) stored.erase(hash);
    }
    stats.peak_resident_bytes = std::max(stats.peak_resident_bytes, stats.resident_bytes);
  }

  bool write(Stored& entry) {
    if (entry.offset) return true;
    std::string bytes = encode_value(*entry.resident);
    auto offset = file.append(bytes);
    if (!offset) {
      // The run goes on with more memory than its bound rather than lose a value.
      if (!warned) log(LogLevel::kWarning, offset.error().to_string());
      warned = true;
      return false;
    }
    entry.offset = *offset;
    entry.encoded_bytes = bytes.size();
    stats.spilled_bytes += bytes.size();
    return true;
  }

  Result<Value> fetch(const Value& reference) {
    auto found = stored.find(reference.blob_hash());
    if (found == stored.end()) return fetch_elsewhere(reference);
    Stored& entry = found->second;
    if (entry.resident) {
      by_use.splice(by_use.begin(), by_use, entry.used);
      return *entry.resident;
    }
    auto bytes = file.read(*entry.offset, entry.encoded_bytes);
    if (!bytes) return std::unexpected(bytes.error());
    auto value = decode_value(*bytes);
    if (!value) return value;
    ++stats.loads_from_disk;
    make_resident(found->first, entry, *value);
    shrink();
    return value;
  }

  // A value of an earlier process. It may go from memory again at any time.
  Result<Value> fetch_elsewhere(const Value& reference) {
    if (!options.fetch) return fail(ErrorCode::kIo, "a spilled value is not in this run's store");
    auto bytes = options.fetch(reference.blob_hash());
    if (!bytes) return std::unexpected(bytes.error());
    auto value = decode_value(*bytes);
    if (!value) return value;
    ++stats.fetched;
    Stored& entry = stored[reference.blob_hash()];
    entry.memory_bytes = value->memory_bytes();
    entry.elsewhere = true;
    make_resident(reference.blob_hash(), entry, *value);
    shrink();
    return value;
  }

  bool known_plain(const Value& value) const {
    return std::ranges::any_of(plain, [&](const Value& pinned) {
      if (pinned.kind() != value.kind() || pinned.size() != value.size()) return false;
      return value.is_array() ? pinned.items().data() == value.items().data()
                              : pinned.members().data() == value.members().data();
    });
  }
  void remember_plain(const Value& value) {
    constexpr std::size_t kWorthRemembering = 64;
    if (value.size() < kWorthRemembering) return;
    plain[next_plain] = value;
    next_plain = (next_plain + 1) % plain.size();
  }
};

SpillStore::SpillStore(SpillOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
SpillStore::~SpillStore() = default;
SpillStats SpillStore::stats() const { return impl_->stats; }

Value SpillStore::keep(Value value, std::string* encoded) {
  using enum Value::Kind;
  const bool may_be_large = value.is_string() || value.is_array() || value.is_object() ||
                            value.kind() == kBlob || value.kind() == kVector;
  if (!may_be_large || is_spilled(value)) return value;
  const std::size_t bytes = value.memory_bytes();
  if (bytes <= impl_->options.large_bytes) return value;
  std::string text = encode_value(value);
  const Hash256 hash = sha256(text);
  const std::size_t size = text.size();
  if (encoded != nullptr) *encoded = std::move(text);
  auto [found, is_new] = impl_->stored.try_emplace(hash);
  if (is_new) {
    ++impl_->stats.values;
    found->second.memory_bytes = bytes;
    found->second.secret = value.labels().secret;
    impl_->make_resident(hash, found->second, value);
    impl_->shrink();
  }
  return Value::blob_reference(hash, kSpilledMediaType, size).with_labels(value.labels());
}

namespace {

// A container on the way down; `changed` once a child was replaced.
struct Walk {
  const Value* container;
  std::size_t next = 0;
  bool changed = false;
  std::vector<Value> items;
  std::vector<Value::Member> members;

  explicit Walk(const Value& value) : container(&value) {}

  bool at_end() const { return next == container->size(); }
  const Value& child() const {
    return container->is_array() ? container->items()[next] : container->members()[next].second;
  }
  void begin_change() {
    if (std::exchange(changed, true)) return;
    if (container->is_array()) {
      auto all = container->items();
      items.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(next));
    } else {
      auto all = container->members();
      members.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(next));
    }
  }
  void add(const Value& value, bool replaced) {
    if (replaced) begin_change();
    if (changed && container->is_array()) items.push_back(value);
    if (changed && container->is_object()) {
      members.emplace_back(container->members()[next].first, value);
    }
    ++next;
  }
  Value close() {
    if (!changed) return *container;
    Value made =
        container->is_array() ? Value::array(std::move(items)) : Value::object(std::move(members));
    Labels labels = container->labels();
    if (container->secret_only_inside()) labels.secret = false;
    return made.with_labels(labels);
  }
};

}  // namespace

Result<Value> SpillStore::load(const Value& value) {
  if (impl_->stored.empty() && !impl_->options.fetch) return value;
  if (is_spilled(value)) {
    auto fetched = impl_->fetch(value);
    return fetched ? load(*fetched) : fetched;  // one level: what is stored is never a reference
  }
  const bool container = value.is_array() || value.is_object();
  if (!container || impl_->known_plain(value)) return value;
  std::vector<Walk> stack;
  stack.emplace_back(value);
  while (true) {
    Walk& top = stack.back();
    if (top.at_end()) {
      Value done = top.close();
      const bool changed = top.changed;
      stack.pop_back();
      if (stack.empty()) {
        if (!changed) impl_->remember_plain(value);
        return done;
      }
      stack.back().add(done, changed);
      continue;
    }
    const Value& child = top.child();
    if (is_spilled(child)) {
      auto fetched = load(child);
      if (!fetched) return fetched;
      top.add(*fetched, true);
    } else if (child.is_array() || child.is_object()) {
      stack.emplace_back(child);
    } else {
      top.add(child, false);
    }
  }
}

}  // namespace sluice
