#include "host/files/journal_place.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "journal/group_commit.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

bool is_file(const std::string& place) {
  return !place.starts_with("postgres://") && !place.starts_with("postgresql://") &&
         !place.starts_with("memory:");
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::unexpected<Error> not_opened(const std::string& place, const Error& why) {
  return std::unexpected(
      Error(why.code(), fmt::format("the journal {} cannot be opened; name another with --journal "
                                    "or SLUICE_JOURNAL",
                                    shown_place(place)))
          .with_cause(why));
}

// Runs hold what plans were given: nobody else's business.
Result<void> make_folder(const fs::path& folder) {
  if (folder.empty()) return {};
  std::error_code problem;
  if (fs::is_directory(folder, problem)) return {};
  fs::create_directories(folder, problem);
  if (problem) {
    return fail(ErrorCode::kIo,
                fmt::format("cannot make the folder {}: {}", folder.string(), problem.message()));
  }
  ::chmod(folder.c_str(), 0700);
  return {};
}

}  // namespace

std::string journal_place(const std::string& given) {
  if (!given.empty()) return given;
  if (std::string place = environment("SLUICE_JOURNAL"); !place.empty()) return place;
  fs::path state = environment("XDG_STATE_HOME");
  if (state.empty()) {
    const std::string home = environment("HOME");
    state = fs::path(home.empty() ? "." : home) / ".local" / "state";
  }
  return state / "sluice" / "journal.db";
}

std::string shown_place(const std::string& place) {
  if (is_file(place)) return place;
  std::string text = place;
  const std::size_t user = text.find("//") + 2;
  const std::size_t host_end = std::min(text.find_first_of("/?", user), text.size());
  const std::size_t at = text.rfind('@', host_end);
  const std::size_t colon = text.find(':', user);
  if (at != std::string::npos && colon < at && at >= user) {
    text.replace(colon + 1, at - colon - 1, "***");
  }
  constexpr std::string_view kKey = "password=";
  const std::size_t query = text.find('?');
  const std::size_t key = query == std::string::npos ? query : text.find(kKey, query);
  if (key == std::string::npos) return text;
  const std::size_t value = key + kKey.size();
  return text.replace(value, std::min(text.find('&', value), text.size()) - value, "***");
}

bool nothing_recorded_yet(const std::string& given) {
  if (!given.empty() || !environment("SLUICE_JOURNAL").empty()) return false;
  std::error_code problem;
  return !fs::exists(journal_place(given), problem) && !problem;
}

Result<std::unique_ptr<Journal>> open_run_journal(const std::string& place) {
  if (is_file(place)) {
    if (auto made = make_folder(fs::path(place).parent_path()); !made) {
      return not_opened(place, made.error());
    }
  }
  auto journal = open_journal(place);
  if (!journal) return not_opened(place, journal.error());
  return journal;
}

Result<std::unique_ptr<Journal>> open_existing_journal(const std::string& place) {
  std::error_code ignored;
  if (is_file(place) && !fs::exists(place, ignored)) {
    return fail(
        ErrorCode::kRunUnknown,
        fmt::format("there is no journal at {}: no run was recorded there", shown_place(place)));
  }
  return open_run_journal(place);
}

std::string process_owner() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return fmt::format("pid {} on {}", ::getpid(), host.data());
}

}  // namespace sluice
