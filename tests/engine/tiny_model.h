// A model file with the vocabulary and the chat template of the test model and tiny random weights:
// what it writes means nothing, but it computes a hundred times as fast. For tests of what happens
// to requests, not of what they say.
#pragma once

#include <filesystem>

namespace sluice::test {

// Written once per process, removed at its end.
const std::filesystem::path& tiny_model_file();

}  // namespace sluice::test
