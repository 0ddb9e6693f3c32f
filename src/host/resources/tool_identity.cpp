#include "host/resources/tool_identity.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <system_error>

#include "data/hash.h"
#include "data/json.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostRead = 1 << 20;  // a larger file is known by its size and its time
constexpr std::size_t kLongestPath = 4'096;

void add_file(Hasher& hasher, const fs::path& file) {
  std::error_code none;
  if (!fs::is_regular_file(file, none) || none) return;
  const std::uintmax_t size = fs::file_size(file, none);
  if (none) return;
  hasher.field(file.string()).field(size);
  if (size > kMostRead) {
    const auto time = fs::last_write_time(file, none).time_since_epoch().count();
    hasher.field(static_cast<std::uint64_t>(time));
    return;
  }
  std::ifstream input(file, std::ios::binary);
  hasher.field(std::string{std::istreambuf_iterator<char>(input), {}});
}

// Every text that is the name of a file: scripts stand behind the names of interpreters.
void add_files(Hasher& hasher, const Value& setting, const fs::path& work_dir) {
  if (setting.is_array()) {
    for (const Value& item : setting.items()) add_files(hasher, item, work_dir);
  } else if (setting.is_object()) {
    for (const auto& [name, value] : setting.members()) add_files(hasher, value, work_dir);
  } else if (setting.is_string()) {
    const std::string_view text = setting.as_string();
    const bool path = !text.empty() && text.size() < kLongestPath &&
                      text.find_first_of(std::string_view("\0\n", 2)) == std::string_view::npos;
    if (path) add_file(hasher, (work_dir / text).lexically_normal());
  }
}

// The folder where the words of a program's command start: that of `cwd`, if it has one.
fs::path program_folder(const Value& settings, const fs::path& work_dir) {
  const Value* folder = settings.find("cwd");
  return folder != nullptr && folder->is_string() ? work_dir / folder->as_string() : work_dir;
}

}  // namespace

std::string tool_identity(std::string_view kind, const Value& settings, const fs::path& work_dir) {
  constexpr std::array<std::string_view, 3> kPrograms{"process", "python", "mcp"};
  Hasher hasher;
  hasher.field(kind).field(content_hash(settings));
  // An address means the same everywhere.
  if (kind != "http") hasher.field(work_dir.lexically_normal().string());
  if (std::ranges::find(kPrograms, kind) != kPrograms.end()) {
    add_files(hasher, settings, work_dir);
    const fs::path inside = program_folder(settings, work_dir);
    if (inside != work_dir) add_files(hasher, settings, inside);
  }
  return hasher.finish().hex();
}

}  // namespace sluice
