// Who owns a run, and what stores say when somebody else does, in the same words for all of them.
// `place`: the store, as people know it. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace sluice {

// "pid 412 on host", of this process.
std::string name_of_this_process();

Error unknown_run(std::string_view run_id, std::string_view place);  // kRunUnknown
// To who wants to take a run over, or to delete it.
Error ended_run(std::string_view run_id);                                // kRunEnded
Error busy_run(std::string_view run_id, std::string_view owner);         // kRunBusy
Error run_not_deleted(std::string_view run_id, std::string_view owner);  // kRunBusy
Error deaf_run(std::string_view run_id);                                 // kRunEnded: for messages
// To who had the lease: kJournal.
Error fenced_run(std::string_view run_id);
Error deleted_run(std::string_view run_id, std::string_view place);
Error closed_run(std::string_view run_id);

}  // namespace sluice
