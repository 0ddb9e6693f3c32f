// The checksum of one record: 32 bits of XXH3 over what it says and where it stands, so that bytes
// that changed, and whole records that moved, are seen. Part of the stores' format.
#pragma once

#include <cstdint>
#include <string_view>

#include "journal/journal.h"

namespace sluice {

// Of a run, computed once: its share of the checksums of its records.
std::uint64_t checksum_seed(std::string_view run_id);

std::uint32_t record_checksum(std::uint64_t run_seed, JournalSeq seq, std::uint16_t type,
                              std::uint16_t version, std::string_view body);

inline constexpr std::size_t kChecksumBytes = 4;
// The body with its checksum behind it, as stores keep it.
void append_checked(std::string& out, std::uint64_t run_seed, JournalSeq seq,
                    const JournalRecord& record);
// The body within `stored`; nullopt when it is damaged.
std::optional<std::string_view> checked_body(std::string_view stored, std::uint64_t run_seed,
                                             JournalSeq seq, std::uint16_t type,
                                             std::uint16_t version);

// kJournalDamaged, in words for people.
Error damaged_record(std::string_view where, std::string_view run_id, JournalSeq seq,
                     std::string_view what);

}  // namespace sluice
