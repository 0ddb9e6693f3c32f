#include "host/runs/run_service.h"

#include <fmt/format.h>

#include <memory>
#include <optional>
#include <utility>

#include "base/ids.h"
#include "base/random.h"
#include "host/files/temp_dir.h"
#include "host/runs/live_run.h"
#include "host/runs/past_run.h"
#include "host/runs/run_fork.h"

namespace sluice {
namespace {

std::unexpected<RunRefused> refused(Error error) {
  return std::unexpected(RunRefused{{}, std::move(error)});
}

std::string new_run_id() {
  Random random(system_seed());
  return make_run_id(system_clock().wall_ns(), random);
}

// What the run began with, but for what the caller wants otherwise.
RunSettings as_before(const RunSettings& settings, const ResumeRequest& request,
                      const RunSurroundings& before) {
  RunSettings again = settings;
  if (!request.other_work_dir && !before.work_dir.empty()) again.work_dir = before.work_dir;
  if (!request.other_model) {
    again.models.location = before.default_model;
    again.models.name = before.default_model_name;
  }
  return again;
}

Result<bool> has_end(Journal& journal, const JournaledRun& run) {
  Result<bool> ended = false;
  auto read = journal.read(run.run_id, run.last_seq, [&](JournalSeq, const JournalRecord& bytes) {
    auto record = decode_record(bytes);
    if (record) {
      ended = std::holds_alternative<RunEndedRecord>(record->body);
    } else {
      ended = std::unexpected(record.error());
    }
    return true;
  });
  if (!read) return std::unexpected(read.error());
  return ended;
}

// The process of a run that had come to its end died before it told the store: that is all that is
// left to do, and how it ended is in the journal.
Result<std::optional<RunReport>> close_when_ended(Journal& journal, const RunLease& lease,
                                                  const JournaledRun& run, RunObserver& observer) {
  auto ended = has_end(journal, run);
  if (!ended) return std::unexpected(ended.error());
  if (!*ended) return std::nullopt;
  auto past = PastRun::read(journal, run.run_id);
  if (!past) return std::unexpected(past.error());
  const RunEndedRecord& end = *(*past)->ended();
  auto result = (*past)->load(end.result);
  if (!result) return std::unexpected(result.error());
  RunReport report;
  report.run_id = run.run_id;
  report.plan_files = (*past)->plan().plan->files;
  report.journaled = true;
  report.outcome = (*past)->outcome();
  report.outcome.result = std::move(*result);
  report.summary = (*past)->summary();
  RunCard card = run.card;
  card.status = run_status_name(end.status);
  if (card.note.empty() && !end.errors.empty()) card.note = end.errors.front();
  card.updated_ns = system_clock().wall_ns();
  if (auto closed = journal.close_run(lease, card, JournaledRunState::kEnded); !closed) {
    return std::unexpected(closed.error());
  }
  observer.use_redactor(&(*past)->redactor());
  observer.on_notice("the run had ended; its process died before it could say so");
  observer.use_redactor(nullptr);
  return report;
}

// Of a fork: its results from the other run, and the keys that its calls have. To cancel a run
// without undoing anything takes neither.
Result<std::shared_ptr<const ReuseTable>> what_it_took_over(Journal& journal,
                                                            const ResumeRequest& request,
                                                            const RunHeader& header,
                                                            const RecordedPlan& plan) {
  if (request.cancel && !plan.plan->undo) return nullptr;
  return reuse_of_fork(journal, header, *plan.physical);
}

}  // namespace

std::expected<RunReport, RunRefused> run_plan(const RunRequest& request,
                                              const RunSettings& settings, RunObserver& observer) {
  auto temp = TempDir::make();
  if (!temp) return refused(temp.error());
  LiveRun run(new_run_id(), &request, nullptr, settings, observer, *temp);
  return run.run();
}

std::expected<RunReport, RunRefused> resume_run(const ResumeRequest& request,
                                                const RunSettings& settings,
                                                RunObserver& observer) {
  Journal& journal = *settings.journal;
  auto temp = TempDir::make();
  if (!temp) return refused(temp.error());
  auto header = read_run_header(journal, request.run_id);
  if (!header) return refused(header.error());
  auto before = decode_surroundings(header->settings);
  if (!before) return refused(before.error());
  auto plan = read_recorded_plan(*header);
  if (!plan) return refused(plan.error());
  // Nobody else may take it up while models are being loaded.
  auto lease = journal.take_over(request.run_id);
  if (!lease) return refused(lease.error());
  auto journaled = journal.find_run(request.run_id);
  if (!journaled) return refused(journaled.error());
  // As it was: whoever comes next can take it up.
  auto give_back = [&] {
    return journal.close_run(*lease, journaled->card, JournaledRunState::kOpen);
  };
  auto at_end = close_when_ended(journal, *lease, *journaled, observer);
  if (at_end && *at_end) return std::move(**at_end);
  auto reuse = at_end ? what_it_took_over(journal, request, *header, *plan)
                      : std::unexpected(at_end.error());
  if (!reuse) {
    (void)give_back();
    return refused(reuse.error());
  }
  const TakenRun taken{
      request,          *journaled,       *lease, std::move(*header), std::move(*before),
      std::move(*plan), std::move(*reuse)};
  const RunSettings again = as_before(settings, request, taken.before);
  LiveRun run(request.run_id, nullptr, &taken, again, observer, *temp);
  auto report = run.run();
  const bool never_begun = !report || !report->resumed;
  if (never_begun) (void)give_back();
  return report;
}

}  // namespace sluice
