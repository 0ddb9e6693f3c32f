// SHA-256 (OpenSSL), for content hashes, step hashes and result keys. Never for hash tables.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

struct Hash256 {
  std::array<std::uint8_t, 32> bytes{};

  std::string hex() const;                                        // 64 lower-case digits
  static std::optional<Hash256> from_hex(std::string_view text);  // exactly what hex() gives
  bool zero() const { return *this == Hash256{}; }
  friend auto operator<=>(const Hash256&, const Hash256&) = default;
};

Hash256 sha256(std::string_view bytes);

// Feeds a hash piece by piece; `field` frames each piece with its length so that
// ("ab","c") and ("a","bc") differ. One thread.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  Hasher& bytes(std::string_view bytes);
  Hasher& field(std::string_view bytes);
  Hasher& field(std::uint64_t number);
  Hasher& field(const Hash256& hash);
  Hash256 finish();  // and starts anew

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
