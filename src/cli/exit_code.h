// What the process tells its caller when it ends. Pure.
#pragma once

#include "base/error.h"
#include "runtime/effect.h"

namespace sluice::cli {

enum ExitCode : int {
  kGood = 0,
  kRunFailed = 1,   // input and output of the machine included
  kPlanWrong = 2,   // or its parameters
  kUsageWrong = 3,  // or a path that cannot be read
  kResumable = 4,   // only doubt or a spent budget is left
  kInterrupted = 130,
};

inline ExitCode exit_code_of(RunStatus status) {
  switch (status) {
    case RunStatus::kSucceeded:
      return kGood;
    case RunStatus::kFailed:
      return kRunFailed;
    case RunStatus::kInterrupted:
      return kInterrupted;
    case RunStatus::kCancelled:
      return kInterrupted;
    case RunStatus::kInDoubt:
      return kResumable;
    case RunStatus::kBudgetSpent:
      return kResumable;
  }
  return kRunFailed;
}

// Of an error that kept a command from doing its work.
inline ExitCode exit_code_of(const Error& error) {
  if (error.code() == ErrorCode::kUsage || error.code() == ErrorCode::kFileUnreadable) {
    return kUsageWrong;
  }
  return error.klass() == ErrorClass::kPlan ? kPlanWrong : kRunFailed;
}

}  // namespace sluice::cli
