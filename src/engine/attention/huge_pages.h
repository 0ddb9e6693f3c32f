// Large pages for the KV pool. Attention reads all of it for every token, and with pages of 4 KiB a
// good part of the time goes into finding them.
#pragma once

#include <cstddef>

namespace sluice {

// Asks the system to back this memory with huge pages, at once where it can. What it holds stays
// as it is; nothing happens where the system has none. Any thread.
void prefer_huge_pages(void* memory, std::size_t bytes);

}  // namespace sluice
