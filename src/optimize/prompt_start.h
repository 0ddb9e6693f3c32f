// How the prompt of a model step begins, as far as the plan tells it: its pieces in the order in
// which the model reads them. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "plan/logical.h"

namespace sluice {

struct PromptPiece {
  std::string text;       // as written
  bool constant = false;  // it reads nothing
};

// Empty: nothing is known of how the prompt begins (a model with tools puts more before it, or the
// messages are only known at run time).
std::vector<PromptPiece> prompt_start(const Step& step);

// Bytes that every prompt of the step begins with.
std::size_t constant_bytes(const std::vector<PromptPiece>& pieces);

}  // namespace sluice
