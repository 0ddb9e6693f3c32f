#include "journal/run_owner.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

namespace sluice {

std::string name_of_this_process() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("pid {} on {}", getpid(), host.data());
}

Error unknown_run(std::string_view run_id, std::string_view place) {
  return Error(ErrorCode::kRunUnknown, fmt::format("the journal {} has no run {}", place, run_id));
}

Error ended_run(std::string_view run_id) {
  return Error(ErrorCode::kRunEnded,
               fmt::format("run {} has ended; fork it to go on from one of its steps", run_id));
}

Error busy_run(std::string_view run_id, std::string_view owner) {
  return Error(ErrorCode::kRunBusy,
               fmt::format("run {} is owned by {}, which is alive; stop it first, or let it go on",
                           run_id, owner));
}

Error run_not_deleted(std::string_view run_id, std::string_view owner) {
  return Error(ErrorCode::kRunBusy,
               fmt::format("run {} is owned by {}, which is alive; stop it before its records are "
                           "deleted",
                           run_id, owner));
}

Error deaf_run(std::string_view run_id) {
  return Error(ErrorCode::kRunEnded, fmt::format("run {} has ended and hears nothing", run_id));
}

Error fenced_run(std::string_view run_id) {
  return Error(ErrorCode::kJournal,
               fmt::format("run {} was taken over by another process; this one stops", run_id));
}

Error deleted_run(std::string_view run_id, std::string_view place) {
  return Error(ErrorCode::kJournal,
               fmt::format("run {} was deleted from the journal {}", run_id, place));
}

Error closed_run(std::string_view run_id) {
  return Error(ErrorCode::kJournal, fmt::format("run {} has ended and takes nothing more", run_id));
}

}  // namespace sluice
