// One record of every type, with everything in it that a record of that type can have.
#pragma once

#include <string>
#include <vector>

#include "runtime/record.h"

namespace sluice::testing {

struct RecordSample {
  std::string name;  // of its files in tests/runtime/golden
  Record record;
};
std::vector<RecordSample> record_samples();

}  // namespace sluice::testing
