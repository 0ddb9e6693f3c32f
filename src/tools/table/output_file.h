// OutputFile: a file that is there as a whole or not at all. It is written beside its place, made
// durable and renamed over it; without commit() nothing is left of it. Where it lies until then is
// named after its owner (a run), so it is nobody else's file; what a process that died has left
// there is written over by the same owner. Blocking; one thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tools/files/rooted_folder.h"

namespace sluice {

class OutputFile {
 public:
  // kIo, kDiskFull, kFileDenied.
  static Result<OutputFile> create(const std::filesystem::path& file, std::string_view owner);
  OutputFile(OutputFile&&) noexcept = default;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  Result<void> write(std::string_view bytes);
  Result<void> commit();

 private:
  OutputFile(std::filesystem::path file, std::filesystem::path temporary, FileHandle handle)
      : file_(std::move(file)), temporary_(std::move(temporary)), handle_(std::move(handle)) {}
  Result<void> flush();

  std::filesystem::path file_;
  std::filesystem::path temporary_;
  FileHandle handle_;  // invalid once committed, or moved from
  std::string buffer_;
};

// Where a file lies until it takes its place: FILE.OWNER.new.
std::filesystem::path place_before(const std::filesystem::path& file, std::string_view owner);
// What lies there, with all that SQLite may have beside it.
void remove_before(const std::filesystem::path& file, std::string_view owner);
// Names beside an output are longer than its own by at most so many bytes.
inline constexpr std::size_t kLongestEnd = 40;
// Makes `temporary` durable and renames it over `file`.
Result<void> move_into_place(const std::filesystem::path& temporary,
                             const std::filesystem::path& file);

}  // namespace sluice
