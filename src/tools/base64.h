// Base 64 with padding (RFC 4648), for bytes inside JSON. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);  // kToolOutput

}  // namespace sluice
