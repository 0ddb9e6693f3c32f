// Logging for operators of Sluice (not the run's trace, which is data). Off below `warning` unless
// SLUICE_LOG or --log names a level. Any thread may call it. Never pass a secret value.
#pragma once

#include <optional>
#include <string_view>

namespace sluice {

enum class LogLevel { kTrace, kDebug, kInfo, kWarning, kError, kOff };

// "trace", "debug", "info", "warning", "error", "off"; nullopt for anything else.
std::optional<LogLevel> log_level_from_name(std::string_view name);
void set_log_level(LogLevel level);
void log(LogLevel level, std::string_view message);

}  // namespace sluice
