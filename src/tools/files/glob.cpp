#include "tools/files/glob.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/log.h"
#include "data/json.h"
#include "data/value.h"

namespace sluice {
namespace {

constexpr std::size_t kMaxDepth = 256;

// Bytes of the UTF-8 character at the front; 1 for a byte that begins none.
std::size_t character_size(std::string_view text) {
  auto lead = static_cast<unsigned char>(text.front());
  std::size_t size = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  return std::min(size, text.size());
}

struct Step {
  std::size_t pattern = 0;  // bytes taken from the pattern; 0: no match
  std::size_t name = 0;
};

// `[a-z]` at the front of `pattern` against the character at the front of `name`.
Step match_class(std::string_view pattern, std::string_view name) {
  std::size_t at = 1;
  bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  if (negated) ++at;
  std::string_view character = name.substr(0, character_size(name));
  bool inside = false;
  for (std::size_t first = at; at < pattern.size(); first = 0) {
    if (pattern[at] == ']' && at != first) break;
    std::string_view low = pattern.substr(at, character_size(pattern.substr(at)));
    std::string_view high = low;
    at += low.size();
    if (at + 1 < pattern.size() && pattern[at] == '-' && pattern[at + 1] != ']') {
      high = pattern.substr(at + 1, character_size(pattern.substr(at + 1)));
      at += 1 + high.size();
    }
    // UTF-8 sorts by its bytes as its characters do.
    inside = inside || (low <= character && character <= high);
  }
  if (at >= pattern.size()) {  // no ]: a plain [
    return name.front() == '[' ? Step{1, 1} : Step{};
  }
  return inside != negated ? Step{at + 1, character.size()} : Step{};
}

Step match_one(std::string_view pattern, std::string_view name) {
  switch (pattern.front()) {
    case '?':
      return {1, character_size(name)};
    case '[':
      return match_class(pattern, name);
    case '\\':
      if (pattern.size() > 1) return pattern[1] == name.front() ? Step{2, 1} : Step{};
      [[fallthrough]];
    default:
      return pattern.front() == name.front() ? Step{1, 1} : Step{};
  }
}

bool has_wildcard(std::string_view segment) {
  return segment.find_first_of("*?[\\") != std::string_view::npos;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

class Search {
 public:
  Search(const RootedFolder& folder, std::vector<std::string_view> segments,
         std::uint64_t max_bytes, const std::atomic<bool>& stopped)
      : folder_(folder), segments_(std::move(segments)), max_bytes_(max_bytes), stopped_(stopped) {}

  Result<std::vector<std::string>> run() {
    visit("", 0, 0);
    if (error_) return std::unexpected(*error_);
    std::ranges::sort(found_);
    auto repeated = std::ranges::unique(found_);  // two ** may find a file twice
    found_.erase(repeated.begin(), repeated.end());
    return std::move(found_);
  }

 private:
  struct Entry {
    std::string name;
    unsigned char type;
  };

  static std::string below(const std::string& path, std::string_view name) {
    return path.empty() ? std::string(name) : fmt::format("{}/{}", path, name);
  }

  bool given_up() {
    if (!error_ && stopped_) error_ = Error(ErrorCode::kCancelled, "the search was stopped");
    return error_.has_value();
  }

  // All that matches from segment `index` on, in the folder `path`.
  void visit(const std::string& path, std::size_t index, std::size_t depth) {
    if (given_up() || depth > kMaxDepth) return;
    std::string_view segment = segments_[index];
    bool last = index + 1 == segments_.size();
    if (segment == "**") return visit_any_depth(path, index, depth);
    if (!has_wildcard(segment)) {
      std::string next = below(path, segment);
      if (last) return take_if_file(next, DT_UNKNOWN);
      return visit(next, index + 1, depth + 1);
    }
    for (const Entry& entry : entries(path)) {
      if (given_up()) return;
      if (!glob_matches(segment, entry.name)) continue;
      std::string next = below(path, entry.name);
      if (last) {
        take_if_file(next, entry.type);
      } else if (entry.type != DT_REG) {
        visit(next, index + 1, depth + 1);
      }
    }
  }

  void visit_any_depth(const std::string& path, std::size_t index, std::size_t depth) {
    bool last = index + 1 == segments_.size();
    if (!last) visit(path, index + 1, depth + 1);
    for (const Entry& entry : entries(path)) {
      if (given_up()) return;
      if (entry.name.starts_with('.')) continue;
      std::string next = below(path, entry.name);
      if (last) take_if_file(next, entry.type);
      if (is_folder(next, entry.type)) visit_any_depth_below(next, index, depth + 1);
    }
  }

  void visit_any_depth_below(const std::string& path, std::size_t index, std::size_t depth) {
    if (!given_up() && depth <= kMaxDepth) visit_any_depth(path, index, depth);
  }

  bool is_folder(const std::string& path, unsigned char type) const {
    if (type != DT_UNKNOWN) return type == DT_DIR;
    return folder_.open_file(path, O_PATH | O_DIRECTORY | O_NOFOLLOW).has_value();
  }

  void take_if_file(const std::string& path, unsigned char type) {
    if (type != DT_REG && type != DT_LNK && type != DT_UNKNOWN) return;
    if (type != DT_REG) {
      struct stat status{};
      auto handle = folder_.open_file(path, O_PATH);
      if (!handle || ::fstat(handle->get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    }
    if (!valid_utf8(path)) {
      return log(LogLevel::kWarning, "glob leaves out a file whose name is not UTF-8");
    }
    bytes_ += path.size();
    if (max_bytes_ > 0 && bytes_ > max_bytes_) {
      error_ = Error(ErrorCode::kToolTooLarge,
                     fmt::format("the pattern matches more than {} bytes of names; make it "
                                 "narrower, or raise max_bytes",
                                 max_bytes_));
      return;
    }
    found_.push_back(path);
  }

  // A folder that cannot be read has no entries, as in a shell.
  std::vector<Entry> entries(const std::string& path) const {
    std::vector<Entry> result;
    auto handle = folder_.open_file(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (!handle) return result;
    std::unique_ptr<DIR, CloseFolder> stream(::fdopendir(handle->get()));
    if (!stream) return result;
    handle->release();
    while (const dirent* entry = ::readdir(stream.get())) {
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") result.push_back({std::string(name), entry->d_type});
    }
    return result;
  }

  const RootedFolder& folder_;
  std::vector<std::string_view> segments_;
  std::uint64_t max_bytes_;
  const std::atomic<bool>& stopped_;
  std::uint64_t bytes_ = 0;
  std::vector<std::string> found_;
  std::optional<Error> error_;
};

}  // namespace

bool glob_matches(std::string_view segment, std::string_view name) {
  if (name.starts_with('.') && !segment.starts_with('.') && !segment.starts_with("\\.")) {
    return false;
  }
  // The last star and where the name stood then: on a misfit it takes one character more.
  std::optional<std::pair<std::string_view, std::string_view>> star;
  while (true) {
    if (!segment.empty() && segment.front() == '*') {
      segment.remove_prefix(1);
      star = {segment, name};
      continue;
    }
    if (segment.empty() && name.empty()) return true;
    Step step = segment.empty() || name.empty() ? Step{} : match_one(segment, name);
    if (step.pattern > 0) {
      segment.remove_prefix(step.pattern);
      name.remove_prefix(step.name);
      continue;
    }
    if (!star || star->second.empty()) return false;
    star->second.remove_prefix(character_size(star->second));
    segment = star->first;
    name = star->second;
  }
}

Result<std::vector<std::string>> glob_files(const RootedFolder& folder, std::string_view pattern,
                                            std::uint64_t max_bytes,
                                            const std::atomic<bool>& stopped) {
  std::string shown = preview(Value::string(pattern));
  if (pattern.starts_with('/')) {
    return fail(ErrorCode::kFileDenied,
                fmt::format("the pattern {} is absolute; write it from the tool's root", shown));
  }
  std::vector<std::string_view> segments;
  std::string_view rest = pattern;
  while (true) {
    std::size_t slash = rest.find('/');
    std::string_view segment = rest.substr(0, slash);
    if (segment == "..") {
      return fail(ErrorCode::kFileDenied,
                  fmt::format("the pattern {} leads out of the tool's root", shown));
    }
    bool repeated = segment == "**" && !segments.empty() && segments.back() == "**";
    if (!segment.empty() && segment != "." && !repeated) segments.push_back(segment);
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (segments.empty() || pattern.contains('\0') || pattern.ends_with('/')) {
    return fail(ErrorCode::kArgInvalid, fmt::format("the pattern {} names no file", shown));
  }
  return Search(folder, std::move(segments), max_bytes, stopped).run();
}

}  // namespace sluice
