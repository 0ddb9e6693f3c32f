#include "base/program_identity.h"

#include <elf.h>
#include <link.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

std::string hex(std::span<const unsigned char> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

constexpr std::size_t aligned(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// A segment of notes: header, name and bytes, each padded to four.
std::string build_id_in(std::span<const unsigned char> notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) header;
    std::memcpy(&header, notes.data(), sizeof(header));
    notes = notes.subspan(sizeof(header));
    const std::size_t name = aligned(header.n_namesz);
    const std::size_t all = name + aligned(header.n_descsz);
    if (all > notes.size()) return "";
    const bool gnu = header.n_namesz == 4 && std::memcmp(notes.data(), "GNU", 4) == 0;
    if (gnu && header.n_type == NT_GNU_BUILD_ID) return hex(notes.subspan(name, header.n_descsz));
    notes = notes.subspan(all);
  }
  return "";
}

// The first object is the program itself; the others are libraries.
int look_into_program(dl_phdr_info* info, std::size_t, void* found) {
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* start = reinterpret_cast<const unsigned char*>(info->dlpi_addr + segment.p_vaddr);
    std::string id = build_id_in({start, segment.p_memsz});
    if (id.empty()) continue;
    *static_cast<std::string*>(found) = std::move(id);
    break;
  }
  return 1;  // look no further
}

std::string read_identity() {
  std::string id;
  dl_iterate_phdr(&look_into_program, &id);
  if (!id.empty()) return id;
  struct stat status{};
  if (::stat("/proc/self/exe", &status) != 0) return "unknown";
  return std::to_string(status.st_size) + "-" + std::to_string(status.st_mtim.tv_sec) + "-" +
         std::to_string(status.st_mtim.tv_nsec);
}

}  // namespace

const std::string& program_identity() {
  static const std::string identity = read_identity();
  return identity;
}

}  // namespace sluice
