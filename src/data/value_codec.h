// Bytes of a Value and back, everything kept: labels, blobs with their bytes, vectors, the order of
// members. For the journal, spill files and the result cache, not for other programs. Neither
// direction recurses. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

std::string encode_value(const Value& value);
// Refuses bytes that encode_value did not write: kIo.
Result<Value> decode_value(std::string_view bytes);

}  // namespace sluice
