#include "cli/result_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "data/json.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

std::unexpected<Error> cannot_write(const std::string& file, std::string_view why) {
  return fail(ErrorCode::kIo, fmt::format("cannot write {}: {}", file, why));
}

}  // namespace

Result<void> check_writable(const std::string& file) {
  std::error_code ignored;
  const fs::path folder = folder_of(file);
  if (fs::is_directory(file, ignored))
    return cannot_write(file, "it is a directory; name a file in it");
  if (!fs::is_directory(folder, ignored)) {
    return cannot_write(file, fmt::format("there is no folder {}; make it with: mkdir -p {}",
                                          folder.string(), folder.string()));
  }
  // A device or a pipe is written as it is; a file is replaced, for which its folder must allow it.
  const bool exists = fs::exists(file, ignored);
  const bool special = exists && !fs::is_regular_file(file, ignored);
  const fs::path& needed = special ? fs::path(file) : folder;
  if (::access(needed.c_str(), W_OK) != 0) {
    return cannot_write(
        file,
        fmt::format("no permission to write in {}; choose another place with -o", needed.string()));
  }
  return {};
}

Result<void> write_file(const std::string& file, std::string_view text) {
  std::error_code status;
  const bool special = fs::exists(file, status) && !fs::is_regular_file(file, status);
  const std::string target = special ? file : fmt::format("{}.{}.part", file, ::getpid());
  std::ofstream out(target, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) {
    const int reason = errno;
    if (!special) fs::remove(target, status);
    return cannot_write(file, std::strerror(reason));
  }
  if (special) return {};
  fs::rename(target, file, status);
  if (!status) return {};
  const std::string why = status.message();
  fs::remove(target, status);
  return cannot_write(file, why);
}

std::string result_text(const Value& result) {
  std::string text = result.is_string() && !result.labels().secret ? std::string(result.as_string())
                                                                   : to_json(result, {.indent = 2});
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace sluice::cli
