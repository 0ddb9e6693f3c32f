#include "journal/record_checksum.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "base/failpoint.h"

namespace sluice {

std::uint64_t checksum_seed(std::string_view run_id) {
  return XXH3_64bits(run_id.data(), run_id.size());
}

std::uint32_t record_checksum(std::uint64_t run_seed, JournalSeq seq, std::uint16_t type,
                              std::uint16_t version, std::string_view body) {
  const std::uint64_t place =
      seq * 0x9e3779b97f4a7c15ULL + (std::uint64_t{type} << 16 | version) * 0xc2b2ae3d27d4eb4fULL;
  return static_cast<std::uint32_t>(
      XXH3_64bits_withSeed(body.data(), body.size(), run_seed ^ place));
}

void append_checked(std::string& out, std::uint64_t run_seed, JournalSeq seq,
                    const JournalRecord& record) {
  const auto sum = record_checksum(run_seed, seq, record.type, record.version, record.body);
  out += record.body;
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(sum >> shift & 0xff);
}

std::optional<std::string_view> checked_body(std::string_view stored, std::uint64_t run_seed,
                                             JournalSeq seq, std::uint16_t type,
                                             std::uint16_t version) {
  if (stored.size() < kChecksumBytes) return std::nullopt;
  const std::string_view body = stored.substr(0, stored.size() - kChecksumBytes);
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kChecksumBytes; ++i) {
    sum |= static_cast<std::uint32_t>(static_cast<unsigned char>(stored[body.size() + i]))
           << (8 * i);
  }
  if (sum != record_checksum(run_seed, seq, type, version, body) &&
      !failpoint(Failpoint::kChecksumIgnored)) {
    return std::nullopt;
  }
  return body;
}

Error damaged_record(std::string_view where, std::string_view run_id, JournalSeq seq,
                     std::string_view what) {
  return Error(ErrorCode::kJournalDamaged,
               fmt::format("record {} of run {} {} in {}; what is before it is whole, and "
                           "`sluice runs check` lists all that is not",
                           seq, run_id, what, where));
}

}  // namespace sluice
