// The last check of what a model wrote, the same for every kind of instance. Pure; any thread.
#pragma once

#include "base/error.h"
#include "data/schema.h"
#include "data/value.h"

namespace sluice {

// kOutputInvalid when `output` does not fit `schema`.
Result<void> check_model_output(const Schema& schema, const Value& output);

}  // namespace sluice
