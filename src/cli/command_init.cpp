// sluice init: a plan to start from that runs as it stands.
#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/result_output.h"
#include "cli/starter_plan.h"

namespace sluice::cli {
namespace {

namespace fs = std::filesystem;

int init_command(const fs::path& folder) {
  std::error_code status;
  for (const StarterFile& file : kStarterFiles) {
    const fs::path target = folder / file.name;
    if (fs::exists(target, status)) {
      return end_with(
          Error(ErrorCode::kUsage,
                fmt::format("{} is there already and stays as it is; name another folder: "
                            "sluice init DIR",
                            target.string())));
    }
  }
  for (const StarterFile& file : kStarterFiles) {
    const fs::path target = folder / file.name;
    fs::create_directories(target.parent_path().empty() ? fs::path(".") : target.parent_path(),
                           status);
    if (status) {
      return end_with(
          Error(ErrorCode::kIo, fmt::format("cannot make the folder {}: {}",
                                            target.parent_path().string(), status.message())));
    }
    auto written = write_file(target.string(), file.text);
    if (!written) return end_with(written.error());
  }
  const std::string plan = (folder / "plan.yaml").lexically_normal().string();
  const std::string text = fmt::format(
      "wrote {} and two notes for it to read\n"
      "next: sluice run {}\n",
      plan, plan);
  return print_text(text);
}

}  // namespace

void add_init(CLI::App& app, int& status) {
  auto folder = std::make_shared<std::string>(".");
  app.add_option("DIR", *folder,
                 "The folder to write it to; made when missing (default: this one)");
  app.footer(
      "Example:\n"
      "  sluice init hello && sluice run hello/plan.yaml\n");
  app.callback([folder, &status] { status = init_command(*folder); });
}

}  // namespace sluice::cli
