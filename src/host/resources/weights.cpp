#include "host/resources/weights.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <system_error>

#include "data/hash.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::string_view setting() {
  const char* given = std::getenv("SLUICE_WEIGHTS");
  return given == nullptr ? "" : given;
}

// Made once for a file and its state: a preparation that failed is not begun again and again.
bool first_mark(const fs::path& folder, const FileIdentity& source) {
  Hasher hasher;
  hasher.field(source.path).field(source.bytes);
  hasher.field(static_cast<std::uint64_t>(source.modified_ns));
  std::error_code error;
  fs::create_directories(folder, error);
  const fs::path mark = folder / (hasher.finish().hex().substr(0, 16) + ".begun");
  const int made = ::open(mark.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (made >= 0) ::close(made);
  return made >= 0;
}

bool spawn_preparation(const std::string& file) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  if (::posix_spawn_file_actions_init(&actions) != 0) return false;
  if (::posix_spawnattr_init(&attributes) != 0) {
    ::posix_spawn_file_actions_destroy(&actions);
    return false;
  }
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  for (int stream : {0, 1, 2}) {
    ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  }
  std::string program = "/proc/self/exe";
  std::array<std::string, 6> words{"sluice", "models", "prepare", "--background", "--", file};
  std::array<char*, 7> arguments{};
  for (std::size_t i = 0; i < words.size(); ++i) arguments[i] = words[i].data();
  pid_t child = 0;
  const int failed =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  return failed == 0;
}

}  // namespace

fs::path prepared_folder(const fs::path& cache_dir) { return cache_dir / "models" / "prepared"; }
fs::path calibration_folder(const fs::path& cache_dir) { return cache_dir / "calibration"; }

Result<WeightChoice> weight_choice() {
  return setting().empty() ? WeightChoice{} : parse_weight_choice(setting());
}

Result<fs::path> weights_for(const fs::path& source, const fs::path& cache_dir,
                             std::span<const std::string> kept_hashes) {
  auto choice = weight_choice();
  if (!choice) return std::unexpected(choice.error());
  auto chosen = choose_weights(source, prepared_folder(cache_dir), *choice, kept_hashes);
  if (!chosen) return std::unexpected(chosen.error());
  return chosen->file;
}

std::optional<std::string> prepare_in_background(const fs::path& source, const fs::path& cache_dir,
                                                 bool person_reads) {
  auto choice = weight_choice();
  if (!choice || !choice->automatic) return std::nullopt;
  if (setting().empty() && !person_reads) return std::nullopt;
  const fs::path folder = prepared_folder(cache_dir);
  auto identity = identify_file(source);
  if (!identity || fs::path(identity->path).parent_path() == folder) return std::nullopt;
  if (find_choice(source, folder, choice->purpose)) return std::nullopt;
  if (!first_mark(folder, *identity) || !spawn_preparation(identity->path)) return std::nullopt;
  return fmt::format(
      "looking for the weight format of {} that computes fastest here, in the background and for "
      "later processes; SLUICE_WEIGHTS=as-is turns that off",
      source.filename().string());
}

}  // namespace sluice
