#include "host/runs/run_gc.h"

#include <algorithm>
#include <map>
#include <set>

namespace sluice {

namespace {

// A fork that has not ended asks the run that it came from again when it is taken up; that one, a
// fork itself, asks its own.
std::set<std::string> wanted_by_forks(const std::vector<JournaledRun>& runs) {
  std::map<std::string, std::string> origin;
  for (const JournaledRun& run : runs) origin[run.run_id] = run.card.forked_from;
  std::set<std::string> wanted;
  for (const JournaledRun& run : runs) {
    if (run.state == JournaledRunState::kEnded) continue;
    std::string from = run.card.forked_from;
    while (!from.empty() && wanted.insert(from).second) {
      auto next = origin.find(from);
      from = next == origin.end() ? "" : next->second;
    }
  }
  return wanted;
}

}  // namespace

std::vector<JournaledRun> runs_to_delete(std::vector<JournaledRun> runs, const GcRules& rules,
                                         WallNs now) {
  std::uint64_t bytes = 0;
  for (const JournaledRun& run : runs) bytes += run.bytes;
  const std::set<std::string> wanted = wanted_by_forks(runs);
  std::erase_if(runs, [&](const JournaledRun& run) {
    const bool ended = run.state == JournaledRunState::kEnded;
    return !ended && !(rules.abandoned && run.owner.empty());
  });
  std::erase_if(runs, [&](const JournaledRun& run) { return wanted.contains(run.run_id); });
  std::ranges::sort(runs, {}, [](const JournaledRun& run) { return run.card.updated_ns; });
  std::vector<JournaledRun> gone;
  for (JournaledRun& run : runs) {
    const bool old = rules.older_than_ns && now - run.card.updated_ns > *rules.older_than_ns;
    const bool too_many = rules.keep_bytes && bytes > *rules.keep_bytes;
    if (!old && !too_many) continue;
    bytes -= std::min(bytes, run.bytes);
    gone.push_back(std::move(run));
  }
  return gone;
}

}  // namespace sluice
