#include "host/files/read_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> unreadable(std::string message) {
  return fail(ErrorCode::kFileUnreadable, std::move(message));
}

// Names of the plans and files beside a missing one, for "did you mean".
std::string close_sibling(const fs::path& file) {
  std::vector<std::string> names;
  std::error_code ignored;
  fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    names.push_back(at->path().filename().string());
    if (names.size() == 1000) break;
  }
  std::string best = closest_name(file.filename().string(), names);
  return best.empty() ? best : (file.parent_path() / best).string();
}

std::unexpected<Error> cannot_open(const fs::path& file, int reason) {
  if (reason == EACCES || reason == EPERM) {
    return unreadable(fmt::format("no permission to read {}; look at its rights with: ls -l {}",
                                  file.string(), file.string()));
  }
  if (reason == ENOENT || reason == ENOTDIR) {
    std::string close = close_sibling(file);
    return unreadable(
        close.empty() ? fmt::format("there is no file {}", file.string())
                      : fmt::format("there is no file {}; did you mean {}?", file.string(), close));
  }
  return unreadable(fmt::format("cannot open {}: {}", file.string(), std::strerror(reason)));
}

struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number > 0) ::close(number);
  }
};

std::string plan_inside(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator at(folder, ignored), end; !ignored && at != end;
       at.increment(ignored)) {
    auto extension = at->path().extension();
    if (extension == ".yaml" || extension == ".yml") return at->path().string();
  }
  return "";
}

struct KnownBytes {
  std::string_view prefix;
  std::string_view what;
};
constexpr std::array<KnownBytes, 8> kNotPlans{{
    {"%PDF-", "a PDF document"},
    {"PK\x03\x04", "a ZIP archive (or an office document)"},
    {"\x1f\x8b", "a gzip archive"},
    {"GGUF", "a model file; give it with --model"},
    {"\x7f"
     "ELF",
     "a program"},
    {"\x89PNG", "a picture"},
    {"\xff\xd8\xff", "a picture"},
    {"SQLite format 3", "an SQLite database"},
}};

}  // namespace

Result<std::string> read_file(const fs::path& file, std::size_t max_bytes) {
  Descriptor input;
  if (file == "-") {
    input.number = 0;
  } else {
    // Never waits for a writer of a pipe that nobody opens.
    input.number = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (input.number < 0) return cannot_open(file, errno);
    struct stat status{};
    if (::fstat(input.number, &status) == 0 && S_ISDIR(status.st_mode)) {
      std::string inside = plan_inside(file);
      return unreadable(inside.empty() ? fmt::format("{} is a directory, not a file", file.string())
                                       : fmt::format("{} is a directory; did you mean {}?",
                                                     file.string(), inside));
    }
    if (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode)) {
      return unreadable(fmt::format("{} is not a regular file", file.string()));
    }
    ::fcntl(input.number, F_SETFL, 0);
  }
  std::string bytes;
  std::array<char, 1 << 16> buffer;
  while (true) {
    ssize_t count = ::read(input.number, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return unreadable(fmt::format("cannot read {}: {}", file.string(), std::strerror(errno)));
    if (count == 0) return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(count));
    if (bytes.size() > max_bytes) {
      return unreadable(fmt::format("{} is larger than {} bytes", file.string(), max_bytes));
    }
  }
}

Result<std::string> read_plan_file(const fs::path& file) {
  std::error_code ignored;
  if (file != "-" && fs::is_regular_file(file, ignored) &&
      fs::file_size(file, ignored) > kMaxPlanBytes && !ignored) {
    return fail(ErrorCode::kPlanTooLarge,
                fmt::format("a plan has at most {} MiB, this file has {:.1f}; give data as --input "
                            "or with a files tool, not inside the plan",
                            kMaxPlanBytes >> 20,
                            static_cast<double>(fs::file_size(file, ignored)) / (1 << 20)));
  }
  auto text = read_file(file, kMaxPlanBytes);
  if (!text) return text;
  for (const auto& known : kNotPlans) {
    if (text->starts_with(known.prefix)) {
      return fail(ErrorCode::kPlanSyntax,
                  fmt::format("this is {}; a plan is YAML or JSON text (sluice init writes one to "
                              "start from)",
                              known.what));
    }
  }
  if (text->find('\0') != std::string::npos) {
    return fail(ErrorCode::kPlanSyntax,
                "this is not text; a plan is YAML or JSON text in UTF-8 (sluice init writes one to "
                "start from)");
  }
  return text;
}

}  // namespace sluice
