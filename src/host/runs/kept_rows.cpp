#include "host/runs/kept_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "host/runs/batch_plan.h"
#include "host/runs/past_run.h"
#include "tools/table/table_tool.h"
#include "tools/table/table_writer.h"
#include "tools/table/work_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRowsInOneCommit = 1000;

std::string text_setting(const NamedSettings& tool, std::string_view key) {
  const Value* value = tool.settings.find(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
}

std::uint64_t tasks_done(const RunSummary& summary, std::string_view step) {
  const auto found = std::ranges::find(summary.steps, step, &StepSummary::id);
  return found == summary.steps.end() ? 0 : found->done;
}

std::unexpected<Error> changed(std::string what) {
  return fail(ErrorCode::kRunChanged, std::move(what));
}

bool is_put(const StartCall& start, const CallEnded& ended) {
  return start.call.task.frame == 0 && start.step != nullptr &&
         start.step->logical_ids.front() == kBatchPutStep &&
         std::holds_alternative<CallReturned>(ended.outcome);
}

// From the journal into the work file, in pieces.
class RowsOfJournal {
 public:
  RowsOfJournal(const KeptRows& kept, WorkFile& work) : kept_(kept), work_(work) {}

  Result<void> copy() {
    PastRunOptions options;
    options.on_call_end = [this](PastRun& past, const StartCall& start, const CallEnded& ended) {
      if (trouble_ && is_put(start, ended)) trouble_ = take(past, start);
    };
    auto read = PastRun::read(kept_.journal, kept_.run_id, options);
    if (!read) return std::unexpected(read.error());
    return trouble_ ? store() : trouble_;
  }

 private:
  Result<void> take(PastRun& past, const StartCall& start) {
    auto args = past.load(start.args);
    if (!args) return std::unexpected(args.error());
    rows_.push_back(row_of_put(*args));
    return rows_.size() < kRowsInOneCommit ? Result<void>() : store();
  }
  Result<void> store() {
    if (rows_.empty()) return {};
    return work_.put(std::exchange(rows_, {}));
  }

  const KeptRows& kept_;
  WorkFile& work_;
  std::vector<StoredRow> rows_;
  Result<void> trouble_;  // the first
};

// The work file that there is, if there is one: it may be this run's only.
Result<std::unique_ptr<WorkFile>> find_work_file(const KeptRows& kept, const fs::path& output) {
  const fs::path part = work_file_of(output);
  std::error_code ignored;
  if (!fs::exists(part, ignored)) return nullptr;
  auto work = WorkFile::open(output);
  if (!work) return work;
  auto run = (*work)->run();
  if (!run) return std::unexpected(run.error());
  if (!*run) return nullptr;
  if (**run == kept.run_id) return work;
  return changed(
      fmt::format("{} holds results of run {}; go on with that one first, or move the file away: "
                  "the rows that this run has done are in its journal",
                  part.string(), **run));
}

// Rows that are nowhere to be seen may have been thrown away because others took their place.
Result<void> check_output(const KeptRows& kept, const TableTarget& target) {
  auto there = output_exists(target);
  if (!there) return std::unexpected(there.error());
  if (!*there || kept.accept_changes) return {};
  return changed(
      fmt::format("{} is gone, and {} is there: another batch may have written it. Move "
                  "it away, or replace it with --accept-changes",
                  work_file_of(target.file).string(), target.file.string()));
}

std::string count_of_rows(std::uint64_t rows) {
  return fmt::format("{} row{}", rows, rows == 1 ? "" : "s");
}

// `before`: that the file had; `done`: that the run has.
Result<std::string> fill(const KeptRows& kept, WorkFile& work, const fs::path& part,
                         std::uint64_t before, std::uint64_t done) {
  if (auto copied = RowsOfJournal(kept, work).copy(); !copied) {
    return std::unexpected(copied.error());
  }
  auto now = work.rows();
  if (!now) return std::unexpected(now.error());
  const auto have = static_cast<std::uint64_t>(*now);
  if (have < done) {
    return changed(
        fmt::format("{} has lost rows that are done: {} of {} are left, and the journal of run {} "
                    "was compacted since and does not have the others. Put the file back, or begin "
                    "the batch anew with --force; nothing was done now",
                    part.string(), have, done, kept.run_id));
  }
  const std::string taken = count_of_rows(done - std::min(done, before));
  return before == 0
             ? fmt::format("{} was gone; its {} are taken from the journal", part.string(), taken)
             : fmt::format("{} had lost rows; {} are taken from the journal", part.string(), taken);
}

// A work file that is not there, or that nobody has begun.
Result<std::string> make_anew(const KeptRows& kept, const TableTarget& target, std::uint64_t done) {
  if (auto free = check_output(kept, target); !free) return std::unexpected(free.error());
  auto work = WorkFile::open(target.file);
  if (!work) return std::unexpected(work.error());
  Result<std::string> told;
  if (auto begun = (*work)->begin(kept.run_id); !begun) {
    told = std::unexpected(begun.error());
  } else if (done > 0) {
    told = fill(kept, **work, work_file_of(target.file), 0, done);
  }
  work->reset();
  if (!told) (void)remove_work_file(target.file);  // it was not there, and is of no use
  return told;
}

}  // namespace

std::optional<TableTarget> batch_output(const Plan& plan, const fs::path& work_dir) {
  for (std::string_view step : {kBatchBeginStep, kBatchPutStep, kBatchFinishStep}) {
    const Step* found = plan.find_step(step);
    const bool writes =
        found != nullptr && found->target == kBatchOutput && found->function == step;
    if (!writes) return std::nullopt;
  }
  const NamedSettings* tool = plan.find_tool(kBatchOutput);
  if (tool == nullptr || tool->kind != "table") return std::nullopt;
  const fs::path file = text_setting(*tool, "file");
  auto format = table_format_of(file, text_setting(*tool, "format"));
  if (file.empty() || !format) return std::nullopt;
  return TableTarget{work_dir / file, *format, text_setting(*tool, "table")};
}

Result<std::string> complete_kept_rows(const KeptRows& kept) {
  const auto target = batch_output(kept.plan, kept.work_dir);
  const bool keeps = target && tasks_done(kept.done, kBatchBeginStep) > 0 &&
                     tasks_done(kept.done, kBatchFinishStep) == 0;
  if (!keeps) return "";
  const std::uint64_t done = tasks_done(kept.done, kBatchPutStep);
  auto work = find_work_file(kept, target->file);
  if (!work) return std::unexpected(work.error());
  if (*work == nullptr) return make_anew(kept, *target, done);
  auto rows = (*work)->rows();
  if (!rows) return std::unexpected(rows.error());
  const auto have = static_cast<std::uint64_t>(*rows);
  if (have >= done) return "";
  return fill(kept, **work, work_file_of(target->file), have, done);
}

}  // namespace sluice
