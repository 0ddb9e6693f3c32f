#include "journal/content_codec.h"

#include <zstd.h>

#include <optional>

namespace sluice {
namespace {

constexpr char kRaw = 0;
constexpr char kZstd = 1;
constexpr std::size_t kWorthTrying = 256;
constexpr int kLevel = 1;
// A frame that claims more is damaged: no content was ever that large.
constexpr unsigned long long kMostBytes = 1ULL << 33;

std::optional<std::string> decompress(std::string_view frame) {
  const auto size = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > kMostBytes) {
    return std::nullopt;
  }
  std::string bytes(size, '\0');
  const auto got = ZSTD_decompress(bytes.data(), bytes.size(), frame.data(), frame.size());
  if (ZSTD_isError(got) != 0 || got != size) return std::nullopt;
  return bytes;
}

}  // namespace

std::string encode_content(std::string_view bytes) {
  if (bytes.size() >= kWorthTrying) {
    std::string out(1 + ZSTD_compressBound(bytes.size()), kZstd);
    const auto size =
        ZSTD_compress(out.data() + 1, out.size() - 1, bytes.data(), bytes.size(), kLevel);
    if (ZSTD_isError(size) == 0 && size < bytes.size() - bytes.size() / 8) {
      out.resize(1 + size);
      return out;
    }
  }
  std::string out(1, kRaw);
  out += bytes;
  return out;
}

Result<std::string> decode_content(std::string_view stored, const Hash256& hash,
                                   std::string_view where) {
  std::optional<std::string> bytes;
  if (!stored.empty() && stored[0] == kRaw) {
    bytes = std::string(stored.substr(1));
  } else if (!stored.empty() && stored[0] == kZstd) {
    bytes = decompress(stored.substr(1));
  }
  if (!bytes || sha256(*bytes) != hash) {
    return fail(ErrorCode::kJournalDamaged, "content " + hash.hex() + " is damaged in " +
                                                std::string(where) +
                                                "; `sluice runs check` lists all that is");
  }
  return std::move(*bytes);
}

}  // namespace sluice
