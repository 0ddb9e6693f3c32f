// Bytes in rows: how the work file keeps them, and what they are in formats that have none. Pure;
// any thread.
#pragma once

#include "data/value.h"

namespace sluice {

// Blobs, at any depth, as JSON that `with_blobs_back` makes blobs of again. Those whose bytes are
// not in memory, and secret ones, stay as they are.
Value with_blobs_as_json(const Value& value);
Value with_blobs_back(const Value& value);
// Blobs, at any depth, as base 64.
Value with_blobs_as_text(const Value& value);

}  // namespace sluice
