#include "plan/step_order.h"

#include <functional>
#include <queue>

namespace sluice {

std::vector<std::uint32_t> order_by_needs(const std::vector<std::vector<std::uint32_t>>& needs) {
  std::vector<std::vector<std::uint32_t>> behind(needs.size());
  std::vector<std::size_t> missing(needs.size(), 0);
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t i = 0; i < needs.size(); ++i) {
    missing[i] = needs[i].size();
    for (std::uint32_t need : needs[i]) behind[need].push_back(i);
    if (missing[i] == 0) ready.push(i);
  }
  std::vector<std::uint32_t> order;
  order.reserve(needs.size());
  while (!ready.empty()) {
    std::uint32_t next = ready.top();
    ready.pop();
    order.push_back(next);
    for (std::uint32_t reader : behind[next]) {
      if (--missing[reader] == 0) ready.push(reader);
    }
  }
  return order;
}

}  // namespace sluice
