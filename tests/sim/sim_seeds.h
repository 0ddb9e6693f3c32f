// How much to simulate, from the environment, and how a failure is told. For tests/sim and
// bench/soak.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "simulate/shrink.h"
#include "simulate/world.h"

namespace sluice::testing {

inline bool long_tests() { return std::getenv("SLUICE_TEST_LONG") != nullptr; }

inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == 0 ? otherwise : std::strtoull(text, nullptr, 10);
}

// The commit of the sources, from .git in the checkout; "" elsewhere.
inline std::string commit_of_sources() {
  const char* root = std::getenv("SLUICE_SOURCE_DIR");
  const std::filesystem::path git = std::filesystem::path(root == nullptr ? "." : root) / ".git";
  auto first_line = [](const std::filesystem::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
  };
  const std::string head = first_line(git / "HEAD");
  constexpr std::string_view kRef = "ref: ";
  if (!head.starts_with(kRef)) return head.substr(0, 12);
  return first_line(git / head.substr(kRef.size())).substr(0, 12);
}

// What a person needs of a seed that failed: the smallest world that fails alike.
inline std::string told_small(const Scenario& scenario, const WorldReport& report) {
  const Shrunk small = shrink(scenario, report);
  return failure_text(small.scenario, small.report, commit_of_sources());
}

}  // namespace sluice::testing
