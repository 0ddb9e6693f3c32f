// Goes through the blocks of one .test file and compares, or writes down what came (update).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/plans/plan_runner.h"
#include "tests/plans/test_file.h"

namespace sluice::plantest {

// What did not hold, one text each with file and line. With `update` the expectations of `file` are
// replaced by what came, and nothing is reported but what could not be run at all.
std::vector<std::string> run_test_file(TestFile& file, const Variation& variation, bool update);

}  // namespace sluice::plantest
