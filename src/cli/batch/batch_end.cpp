#include "cli/batch/batch_end.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "cli/exit_code.h"
#include "cli/numbers_text.h"
#include "cli/result_output.h"
#include "cli/trace_json.h"
#include "host/runs/batch_plan.h"

namespace sluice::cli {
namespace {

// What any run tells, with what to do about a batch.
int trouble(const std::expected<RunReport, RunRefused>& report, const RunWatcher& watcher,
            const BatchWatcher& batch, BatchEnd end) {
  end.told.when_failed =
      "next: mend what is wrong, then run the batch again with --force; what the rows cost is in: "
      "sluice runs show" +
      end.context.journal + " last\n";
  if (report && !report->ended) {
    const std::uint64_t left = end.context.rows - std::min(end.context.rows, batch.rows_through());
    end.told.left =
        fmt::format("the other {} of {} rows", count_text(left), count_text(end.context.rows));
  }
  return finish_run(report, end.live.output, std::move(end.told), end.sources, watcher);
}

}  // namespace

int conclude_batch(const std::expected<RunReport, RunRefused>& report, const RunWatcher& watcher,
                   const BatchWatcher& batch, BatchEnd end) {
  if (report && !report->ended && batch.stopped()) {
    write_err(watcher.clean(batch_stop_text(*report, batch, end.context)));
    return batch.stopped() == BatchWatcher::Stop::kAllFailed ? kRunFailed : kResumable;
  }
  const auto result = report && report->outcome.status == RunStatus::kSucceeded
                          ? read_batch_result(report->outcome.result)
                          : std::nullopt;
  if (!result) return trouble(report, watcher, batch, std::move(end));
  const OutputOptions& output = end.live.output;
  if (!output.quiet && !output.json) {
    write_err(watcher.clean(batch_end_text(*report, *result, end.context)));
  }
  if (output.json) (void)write_out(watcher.clean(result_line(*report)) + "\n");
  const bool all_failed = result->rows > 0 && result->errors == result->rows;
  if (all_failed) write_err("every row failed\n");
  return all_failed ? kRunFailed : kGood;
}

}  // namespace sluice::cli
