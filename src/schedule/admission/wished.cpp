#include "schedule/admission/wished.h"

#include <algorithm>

namespace sluice {

WishedRoom::WishedRoom(const Round& round) {
  const auto rows = policy_tables().admission;
  usual_ = find_policy(rows, round.snapshot.settings.names.admission, rows.front().policy);
  rooms_.emplace_back(usual_, usual_(round));
  for (const Candidate& one : round.candidates) {
    if (!one.waits || one.view->policies.admission.empty()) continue;
    AdmissionPolicy* wished = policy_of(one);
    const bool known =
        std::ranges::any_of(rooms_, [&](const auto& room) { return room.first == wished; });
    if (!known) rooms_.emplace_back(wished, wished(round));
  }
}

AdmissionPolicy* WishedRoom::policy_of(const Candidate& one) const {
  return find_policy(policy_tables().admission, one.view->policies.admission, usual_);
}

bool WishedRoom::fits(const Candidate& one) const {
  AdmissionPolicy* wished = policy_of(one);
  auto room = std::ranges::find_if(rooms_, [&](const auto& each) { return each.first == wished; });
  return (room == rooms_.end() ? rooms_.front() : *room).second->fits(one);
}

void WishedRoom::add(const Candidate& one) {
  for (auto& [policy, room] : rooms_) room->add(one);
}

void WishedRoom::remove(const Candidate& one) {
  for (auto& [policy, room] : rooms_) room->remove(one);
}

}  // namespace sluice
