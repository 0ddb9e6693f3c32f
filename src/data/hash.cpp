#include "data/hash.h"

#include <openssl/evp.h>

#include "base/ensure.h"

namespace sluice {
namespace {

// Fetched once: looking an algorithm up by name costs more than hashing a short text.
const EVP_MD* sha256_algorithm() {
  static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  SLUICE_ENSURE(algorithm != nullptr, "OpenSSL has no SHA-256");
  return algorithm;
}

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

Context make_context() {
  Context context(EVP_MD_CTX_new());
  SLUICE_ENSURE(context != nullptr, "no memory for a hash");
  return context;
}

void start(EVP_MD_CTX* context) {
  SLUICE_ENSURE(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) == 1,
                "SHA-256 cannot start");
}

void update(EVP_MD_CTX* context, const void* bytes, std::size_t size) {
  SLUICE_ENSURE(EVP_DigestUpdate(context, bytes, size) == 1, "SHA-256 failed");
}

Hash256 finish_digest(EVP_MD_CTX* context) {
  Hash256 hash;
  unsigned size = 0;
  SLUICE_ENSURE(
      EVP_DigestFinal_ex(context, hash.bytes.data(), &size) == 1 && size == hash.bytes.size(),
      "SHA-256 failed");
  return hash;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string Hash256::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::optional<Hash256> Hash256::from_hex(std::string_view text) {
  Hash256 hash;
  if (text.size() != hash.bytes.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < hash.bytes.size(); ++i) {
    int high = hex_digit(text[2 * i]);
    int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    hash.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return hash;
}

Hash256 sha256(std::string_view bytes) {
  thread_local const Context context = make_context();
  start(context.get());
  update(context.get(), bytes.data(), bytes.size());
  return finish_digest(context.get());
}

struct Hasher::Impl {
  Context context = make_context();
};

Hasher::Hasher() : impl_(std::make_unique<Impl>()) { start(impl_->context.get()); }
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

Hasher& Hasher::bytes(std::string_view bytes) {
  update(impl_->context.get(), bytes.data(), bytes.size());
  return *this;
}

Hasher& Hasher::field(std::string_view bytes) {
  return field(static_cast<std::uint64_t>(bytes.size())).bytes(bytes);
}

Hasher& Hasher::field(std::uint64_t number) {
  char little_endian[8];
  for (char& byte : little_endian) {
    byte = static_cast<char>(number & 255);
    number >>= 8;
  }
  return bytes({little_endian, sizeof little_endian});
}

Hasher& Hasher::field(const Hash256& hash) {
  return field(
      std::string_view(reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size()));
}

Hash256 Hasher::finish() {
  Hash256 hash = finish_digest(impl_->context.get());
  start(impl_->context.get());
  return hash;
}

}  // namespace sluice
