#include "host/runs/past_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/ids.h"
#include "base/overloaded.h"
#include "host/resources/admit.h"
#include "runtime/recovery_impl.h"

namespace sluice {
namespace {

constexpr std::size_t kMostCandidates = 10'000;
constexpr std::size_t kRecordsAtOnce = 4096;
constexpr std::size_t kBytesAtOnce = 4 << 20;

// Both the summary and who else looks on.
class TwoSinks final : public TraceSink {
 public:
  TwoSinks(TraceSink& first, TraceSink* second) : first_(first), second_(second) {}
  void on_trace(const TraceEvent& event) override {
    first_.on_trace(event);
    if (second_ != nullptr) second_->on_trace(event);
  }
  void restored(std::string_view folded) override {
    first_.restored(folded);
    if (second_ != nullptr) second_->restored(folded);
  }

 private:
  TraceSink& first_;
  TraceSink* second_;
};

}  // namespace

struct PastRun::Impl {
  Impl(Journal& from, std::string id, PastRunOptions given)
      : journal(from),
        run_id(std::move(id)),
        options(std::move(given)),
        values(values_of(from)),
        sinks(fold, options.trace) {}

  PastRun* self = nullptr;
  Journal& journal;
  std::string run_id;
  PastRunOptions options;
  SpillStore values;
  SummaryFold fold;
  TwoSinks sinks;
  JournaledRun journaled;
  RunHeader header;
  RecordedPlan plan;
  Redactor redactor;
  std::vector<PhysicalPlanPtr> adopted;
  std::unique_ptr<Recovery> recovery;
  std::vector<RunSegment> segments;
  std::vector<NoteRecord> notes;
  JournalSeq last_seq = 0;

  Result<void> begin(const Record& record) {
    const RunHeader* found = header_in(record);
    if (found == nullptr) {
      return fail(ErrorCode::kJournalDamaged,
                  fmt::format("the journal of run {} does not begin with its header", run_id));
    }
    header = *found;
    auto read = read_recorded_plan(header);
    if (!read) return std::unexpected(read.error());
    plan = std::move(*read);
    redactor = redactor_of(header, *plan.plan);
    AdoptPlan adopt = [this](const AdmitPlan& admit, const Value& recorded) {
      auto found = adopt_by_reading(values)(admit, recorded);
      if (found) adopted.push_back(*found);
      return found;
    };
    recovery =
        std::make_unique<Recovery>(plan.physical, values, &sinks, std::move(adopt), options.check);
    if (options.on_call_end) {
      recovery->on_call_end([this](const StartCall& start, const CallEnded& ended) {
        options.on_call_end(*self, start, ended);
      });
    }
    segments.push_back({header.program, "", header.wall_ns, 0, record.at});
    return {};
  }

  void note(const Record& record) {
    segments.back().until_ns = std::max(segments.back().until_ns, record.at);
    std::visit(Overloaded{
                   [&](const RunResumedRecord& resumed) {
                     segments.push_back(
                         {resumed.program, resumed.owner, resumed.wall_ns, record.at, record.at});
                   },
                   [&](const NoteRecord& said) { notes.push_back(said); },
                   [](const auto&) {},
               },
               record.body);
  }

  Result<void> take(JournalSeq seq, const JournalRecord& bytes) {
    auto record = decode_record(bytes);
    if (!record) return std::unexpected(record.error());
    // A snapshot stands for all before it: a run that was compacted meanwhile begins anew.
    if (recovery == nullptr || std::holds_alternative<SnapshotRecord>(record->body)) {
      if (auto begun = begin(*record); !begun) return begun;
    }
    if (auto taken = recovery->take(seq, bytes); !taken) return taken;
    last_seq = seq;
    note(*record);
    if (options.on_record) options.on_record(seq, *record);
    return {};
  }
};

PastRun::PastRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) { impl_->self = this; }
PastRun::~PastRun() = default;

Result<std::unique_ptr<PastRun>> PastRun::read(Journal& journal, const std::string& run_id,
                                               const PastRunOptions& options) {
  std::unique_ptr<PastRun> run(new PastRun(std::make_unique<Impl>(journal, run_id, options)));
  auto count = run->read_on();
  if (!count) return std::unexpected(count.error());
  if (run->impl_->recovery == nullptr) {
    return std::unexpected(never_begun(run_id));
  }
  return run;
}

// In pieces: a journal may not be asked for contents while it is being read.
Result<std::size_t> PastRun::read_on() {
  Impl& run = *impl_;
  auto journaled = run.journal.find_run(run.run_id);
  if (!journaled) return std::unexpected(journaled.error());
  run.journaled = std::move(*journaled);
  std::size_t count = 0;
  std::vector<std::pair<JournalSeq, JournalRecord>> piece;
  do {
    piece.clear();
    std::size_t bytes = 0;
    const JournalSeq next = run.last_seq + 1;
    auto read =
        run.journal.read(run.run_id, next, [&](JournalSeq seq, const JournalRecord& record) {
          bytes += record.body.size();
          // A live run may have been compacted since: its snapshot stands for what is known.
          if (seq >= next) piece.emplace_back(seq, record);
          return piece.size() < kRecordsAtOnce && bytes < kBytesAtOnce;
        });
    for (const auto& [seq, record] : piece) {
      if (auto taken = run.take(seq, record); !taken) return std::unexpected(taken.error());
      ++count;
      if (run.recovery->difference()) return count;
    }
    if (!read) return std::unexpected(read.error());
  } while (!piece.empty());
  return count;
}

const JournaledRun& PastRun::journaled() const { return impl_->journaled; }
const RunHeader& PastRun::header() const { return impl_->header; }
const RecordedPlan& PastRun::plan() const { return impl_->plan; }
RunState& PastRun::state() { return impl_->recovery->state(); }
const RunSummary& PastRun::summary() const { return impl_->fold.summary(); }
Recovery& PastRun::recovery() { return *impl_->recovery; }
const std::vector<PhysicalPlanPtr>& PastRun::adopted() const { return impl_->adopted; }
const std::vector<RunSegment>& PastRun::segments() const { return impl_->segments; }
const std::optional<RunEndedRecord>& PastRun::ended() const { return impl_->recovery->ended(); }
RunOutcome PastRun::outcome() {
  const RunEndedRecord& ended = *impl_->recovery->ended();
  RunOutcome outcome = state().outcome(ended.status);
  if (const auto& end = impl_->recovery->inside().core->open.end) outcome = *end;
  outcome.status = ended.status;
  outcome.result = ended.result;
  return outcome;
}
const std::vector<NoteRecord>& PastRun::notes() const { return impl_->notes; }
JournalSeq PastRun::last_seq() const { return impl_->last_seq; }
std::uint64_t PastRun::last_message() const { return impl_->recovery->last_message(); }
const Redactor& PastRun::redactor() const { return impl_->redactor; }
Result<Value> PastRun::load(const Value& value) { return impl_->values.load(value); }

SpillOptions values_of(Journal& journal) {
  SpillOptions options;
  std::error_code ignored;
  options.directory = std::filesystem::temp_directory_path(ignored);
  options.fetch = [&journal](const Hash256& hash) { return journal.content(hash); };
  return options;
}

AdoptPlan adopt_by_reading(ValueStore& values) {
  return [&values](const AdmitPlan& admit, const Value& recorded) -> Result<PhysicalPlanPtr> {
    AdmitPlan loaded = admit;
    for (Value* value : {&loaded.plan, &loaded.args}) {
      auto whole = values.load(*value);
      if (!whole) return std::unexpected(whole.error());
      *value = std::move(*whole);
    }
    return read_adopted(loaded, recorded);
  };
}

Redactor redactor_of(const RunHeader& header, const Plan& plan) {
  Redactor redactor;
  SecretSources sources;
  if (auto surroundings = decode_surroundings(header.settings)) {
    sources.work_dir = surroundings->work_dir;
  }
  learn_secrets(plan, sources, redactor);
  if (const char* key = std::getenv("OPENAI_API_KEY")) redactor.learn(key);
  return redactor;
}

Result<JournaledRun> find_run(Journal& journal, const std::string& name) {
  if (name != "last") {
    auto exact = journal.find_run(name);
    if (exact || exact.error().code() != ErrorCode::kRunUnknown) return exact;
  }
  auto runs = journal.list_runs({.limit = name == "last" ? 1 : kMostCandidates});
  if (!runs) return std::unexpected(runs.error());
  if (name == "last") {
    if (!runs->empty()) return runs->front();
    return fail(ErrorCode::kRunUnknown, "the journal has no runs yet");
  }
  std::vector<const JournaledRun*> fitting;
  std::vector<std::string> ids;
  for (const JournaledRun& run : *runs) {
    if (!name.empty() && run.run_id.starts_with(name)) fitting.push_back(&run);
    ids.push_back(run.run_id);
  }
  if (fitting.size() == 1) return *fitting.front();
  if (fitting.size() > 1) {
    return fail(
        ErrorCode::kRunUnknown,
        fmt::format("{} runs begin with {}: {}, {}{}", fitting.size(), name, fitting[0]->run_id,
                    fitting[1]->run_id, fitting.size() > 2 ? ", ..." : ""));
  }
  const std::string close = closest_name(name, ids);
  return fail(ErrorCode::kRunUnknown,
              fmt::format("the journal has no run {}{}; sluice runs lists them", name,
                          close.empty() ? "" : fmt::format("; did you mean {}?", close)));
}

}  // namespace sluice
