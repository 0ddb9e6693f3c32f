// What the process tells its caller when it ends. Pure.
#pragma once

#include <string_view>

#include "base/error.h"
#include "runtime/effect.h"

namespace sluice::cli {

enum ExitCode : int {
  kGood = 0,
  kRunFailed = 1,   // input and output of the machine included
  kPlanWrong = 2,   // or its parameters
  kUsageWrong = 3,  // or a path that cannot be read, or a run that is not there
  kResumable = 4,   // in doubt, a budget that is spent, a sample: a person has to decide
  kBusy = 5,        // another live process has the run
  kInterrupted = 130,
};

// For --help.
inline constexpr std::string_view kExitCodesText =
    "Exit codes: 0 good, 1 the run failed, 2 the plan or its parameters are wrong, 3 usage, a "
    "path\n"
    "that cannot be read or a run that is not there, 4 a person has to decide (a call in doubt, a\n"
    "spent budget, rows behind a sample), 5 another live process has the run, 130 interrupted or\n"
    "cancelled\n";

inline ExitCode exit_code_of(RunStatus status) {
  switch (status) {
    case RunStatus::kSucceeded:
      return kGood;
    case RunStatus::kFailed:
      return kRunFailed;
    case RunStatus::kInterrupted:
    case RunStatus::kCancelled:
      return kInterrupted;
    case RunStatus::kInDoubt:
    case RunStatus::kBudgetSpent:
      return kResumable;
  }
  return kRunFailed;
}

// Of an error that kept a command from doing its work.
inline ExitCode exit_code_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kUsage:
    case ErrorCode::kFileUnreadable:
    case ErrorCode::kFileMissing:
    case ErrorCode::kFileDenied:
    case ErrorCode::kTableInvalid:
    case ErrorCode::kRunUnknown:
    case ErrorCode::kRunEnded:
    case ErrorCode::kRunChanged:
    case ErrorCode::kSignalUnknown:
    case ErrorCode::kSignalInvalid:
    case ErrorCode::kTaskUnknown:
      return kUsageWrong;
    case ErrorCode::kRunBusy:
      return kBusy;
    default:
      return error.klass() == ErrorClass::kPlan ? kPlanWrong : kRunFailed;
  }
}

}  // namespace sluice::cli
