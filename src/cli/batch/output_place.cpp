#include "cli/batch/output_place.h"

#include <fmt/format.h>

#include <optional>
#include <system_error>

#include "host/files/journal_place.h"
#include "tools/table/output_file.h"
#include "tools/table/work_file.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;
constexpr std::size_t kLongestName = 255;

// Without links in its folders, as far as they are there.
fs::path in_real_folder(const fs::path& file) {
  std::error_code failed;
  const fs::path folder = fs::weakly_canonical(file.parent_path(), failed);
  return failed ? file.lexically_normal() : folder / file.filename();
}

Result<fs::path> behind_links(const std::string& given) {
  std::error_code failed;
  if (fs::exists(given, failed)) {
    // What is no file in a folder (a pipe) has no other name.
    fs::path real = fs::canonical(given, failed);
    return failed ? fs::absolute(given, failed).lexically_normal() : real;
  }
  fs::path file = in_real_folder(fs::absolute(given, failed));
  for (int links = 0; links < kMostLinks; ++links) {
    if (!fs::is_symlink(file, failed)) return file;
    const fs::path next = fs::read_symlink(file, failed);
    if (failed) break;
    file = in_real_folder(next.is_absolute() ? next : file.parent_path() / next);
  }
  return fail(ErrorCode::kIo,
              fmt::format("cannot write {}: its links lead round in a circle", given));
}

Error still_wanted(const EarlierResults& asked, const std::string& run) {
  return Error(ErrorCode::kUsage,
               fmt::format("run {0} of {1} stopped before its end; go on with: sluice resume{2} "
                           "{0} (or begin anew with --force)",
                           run, asked.output.string(), journal_argument(asked.options)));
}

// Whoever recorded the run may go on with it.
Error recorded_elsewhere(const EarlierResults& asked, const std::string& run) {
  const std::string where = asked.journal == nullptr
                                ? "which --no-journal cannot look up"
                                : fmt::format("which the journal {} does not have",
                                              shown_place(journal_place(asked.options.place)));
  return Error(ErrorCode::kUsage,
               fmt::format("{0} holds results of run {1}, {2}; go on with that run where it was "
                           "recorded (sluice resume {1}), or begin anew with --force",
                           work_file_of(asked.output).string(), run, where));
}

// The run whose results are there and may go; nullopt: there are none.
Result<std::optional<std::string>> run_to_clear(const EarlierResults& asked) {
  auto run = run_of_work_file(asked.output);
  if (!run || !*run || asked.force) return run;
  if (asked.journal == nullptr) return std::unexpected(recorded_elsewhere(asked, **run));
  auto found = asked.journal->find_run(**run);
  if (found && found->state != JournaledRunState::kOpen) return run;
  if (found) return std::unexpected(still_wanted(asked, **run));
  const bool unknown = found.error().code() == ErrorCode::kRunUnknown;
  return std::unexpected(unknown ? recorded_elsewhere(asked, **run) : found.error());
}

}  // namespace

Result<fs::path> output_place(const std::string& given) {
  auto place = behind_links(given);
  if (!place) return place;
  if (place->filename().native().size() + kLongestEnd > kLongestName) {
    return fail(ErrorCode::kUsage,
                fmt::format("the name of the output is too long: files beside it have names that "
                            "are longer by up to {} bytes, and {} may be had",
                            kLongestEnd, kLongestName));
  }
  return place;
}

Result<void> check_earlier_results(const EarlierResults& asked) {
  auto run = run_to_clear(asked);
  return run ? Result<void>() : std::unexpected(run.error());
}

Result<void> clear_earlier_results(const EarlierResults& asked) {
  auto run = run_to_clear(asked);
  if (!run) return std::unexpected(run.error());
  if (*run) remove_before(asked.output, **run);
  return remove_work_file(asked.output);
}

}  // namespace sluice::cli
