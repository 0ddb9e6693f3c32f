#include "runtime/recorded_plan.h"

#include <fmt/format.h>

#include <utility>

#include "plan/parse.h"
#include "plan/physical_codec.h"

namespace sluice {

Result<RecordedPlan> read_recorded_plan(const RunHeader& header) {
  if (header.files.empty()) {
    return fail(ErrorCode::kJournalDamaged, "the run's header has no plan");
  }
  ParseOptions options;
  options.read_file = [&header](std::string_view name) -> Result<std::string> {
    for (std::size_t i = 1; i < header.files.size(); ++i) {
      if (header.files[i].first == name) return header.files[i].second;
    }
    return fail(ErrorCode::kFileUnreadable, fmt::format("{} is not in the journal", name));
  };
  ParsedPlan parsed = parse_plan(header.files[0].second, header.files[0].first, options);
  if (parsed.plan == nullptr || parsed.diagnostics.has_errors()) {
    std::string first;
    for (const Diagnostic& finding : parsed.diagnostics.all()) {
      if (finding.severity != Severity::kError) continue;
      first = format_diagnostic(finding, {header.files[0].first});
      break;
    }
    return fail(ErrorCode::kRunChanged,
                fmt::format("this program ({}) does not take the plan that {} took: {}",
                            SLUICE_VERSION, header.program, first));
  }
  auto physical = decode_physical(header.physical, parsed.plan);
  if (!physical) return std::unexpected(physical.error());
  return RecordedPlan{parsed.plan, std::move(*physical)};
}

const RunHeader* header_in(const Record& record) {
  if (const auto* header = std::get_if<RunHeader>(&record.body)) return header;
  if (const auto* snapshot = std::get_if<SnapshotRecord>(&record.body)) return &snapshot->header;
  return nullptr;
}

Error never_begun(std::string_view run_id) {
  return {ErrorCode::kRunUnknown,
          fmt::format("the process of run {} ended before the run began: nothing was done; run it "
                      "anew",
                      run_id)};
}

Result<RunHeader> read_run_header(Journal& journal, const std::string& run_id) {
  Result<RunHeader> header = std::unexpected(never_begun(run_id));
  auto read = journal.read(run_id, 1, [&](JournalSeq, const JournalRecord& bytes) {
    auto record = decode_record(bytes);
    if (!record) {
      header = std::unexpected(record.error());
    } else if (const RunHeader* found = header_in(*record)) {
      header = *found;
    }
    return false;
  });
  if (!read) return std::unexpected(read.error());
  return header;
}

}  // namespace sluice
