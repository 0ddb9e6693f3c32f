// Starts the real program (SLUICE_BIN) and tells what it did. One test at a time.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace sluice::cli {

struct ProgramResult {
  int exit_code = -1;  // 128 + signal when one ended it
  std::string out;
  std::string err;
};

struct ProgramInput {
  std::string directory = ".";
  std::map<std::string, std::string> environment;  // added to ours; "" takes away
  int interrupt_after_ms = 0;                      // 0: never
  int interrupts = 1;                              // that far apart
};

// "" when SLUICE_BIN is not set or no program: tests are skipped then.
std::string program_path();
ProgramResult run_program(const std::vector<std::string>& arguments,
                          const ProgramInput& input = {});

}  // namespace sluice::cli
