// How stores keep a content: one byte that says how, then the bytes, compressed (zstd) when that
// pays. Part of the stores' format.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "data/hash.h"

namespace sluice {

std::string encode_content(std::string_view bytes);
// The bytes again; kJournalDamaged when they do not have this hash.
Result<std::string> decode_content(std::string_view stored, const Hash256& hash,
                                   std::string_view where);

}  // namespace sluice
