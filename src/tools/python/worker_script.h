// The Python text of the worker, compiled into the program. Constant.
#pragma once

#include <string_view>

namespace sluice {

inline constexpr std::string_view kPythonWorkerScript =
#include "tools/python/worker.py"
    ;

}  // namespace sluice
