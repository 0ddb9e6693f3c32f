// URLs of the http tool: a base that the plan's author wrote, and a path and query that may be
// data. Data never changes the host and never climbs above the base. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "data/value.h"

namespace sluice {

// kSettingInvalid unless it is an absolute http or https URL.
Result<std::string> check_base_url(const std::string& url);

// `path` is plain text (it gets encoded here), "" for none; `query` is an object of scalars or
// lists of them, or null. kArgInvalid.
Result<std::string> join_url(const std::string& base, std::string_view path, const Value& query);

// Where a redirect leads: only to the same host, and never from https to http. kHttpStatus.
Result<std::string> redirect_target(const std::string& from, const std::string& location);

// Everything but unreserved characters as %XX; `keep` are kept too.
std::string percent_encode(std::string_view text, std::string_view keep = "");

}  // namespace sluice
