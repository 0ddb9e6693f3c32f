#include "engine/attention/huge_pages.h"

#ifdef __linux__
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#endif

namespace sluice {

#ifdef __linux__
void prefer_huge_pages(void* memory, std::size_t bytes) {
  constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20;
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, Linux 6.1
  const auto begin = reinterpret_cast<std::uintptr_t>(memory);
  const std::uintptr_t first = (begin + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (begin + bytes) / kHugePage * kHugePage;
  if (first >= last) return;
  void* at = static_cast<std::byte*>(memory) + (first - begin);
  if (madvise(at, last - first, MADV_HUGEPAGE) != 0) return;
  madvise(at, last - first, kCollapse);  // else the system does it in its own time
}
#else
void prefer_huge_pages(void*, std::size_t) {}
#endif

}  // namespace sluice
