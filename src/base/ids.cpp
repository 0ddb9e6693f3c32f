#include "base/ids.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr std::string_view kCrockford = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t kTimeDigits = 9;
constexpr std::size_t kChanceDigits = 7;
// Names longer than this are never a slip of the finger for one another.
constexpr std::size_t kLongestCompared = 256;

void append_base32(std::string& text, std::uint64_t number, std::size_t digits) {
  for (std::size_t i = digits; i-- > 0;) text += kCrockford[number >> (5 * i) & 31];
}

}  // namespace

std::string make_run_id(WallNs now, Random& random) {
  std::string id;
  id.reserve(kTimeDigits + kChanceDigits);
  append_base32(id, static_cast<std::uint64_t>(std::max<WallNs>(now, 0) / kNsPerMs), kTimeDigits);
  append_base32(id, random.next(), kChanceDigits);
  return id;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  std::size_t longest = std::max(a.size(), b.size());
  if (longest > kLongestCompared || a.empty() || b.empty()) return longest;
  // Three rows are enough: optimal string alignment looks back two.
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace sluice
