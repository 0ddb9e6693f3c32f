#include "host/runs/live_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "base/random.h"
#include "host/files/journal_place.h"
#include "host/resources/cost_inputs.h"
#include "host/resources/weights.h"
#include "host/runs/batch_plan.h"
#include "host/runs/kept_rows.h"
#include "plan/lower.h"
#include "plan/parse.h"
#include "plan/physical_codec.h"
#include "verify/verify.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

constexpr int kInterruptedStatus = 130;
constexpr std::size_t kBlockingThreads = 8;
constexpr std::chrono::milliseconds kInboxEvery{200};

bool has_code(const Plan& plan) {
  for (const Step& step : plan.steps) {
    const bool may_produce_code =
        step.limits &&
        std::ranges::find(step.limits->operators, "code") != step.limits->operators.end();
    if (step.op == OperatorKind::kCode || may_produce_code) return true;
  }
  return std::ranges::any_of(plan.plans, [](const auto& inner) {
    return inner.second != nullptr && has_code(*inner.second);
  });
}

// What people call the plan: its file without the folders around it.
std::string plan_name(const PlanTexts& texts) {
  if (texts.empty()) return "";
  const std::string name = std::filesystem::path(texts.front().first).filename();
  return name.empty() ? texts.front().first : name;
}

// A run goes on with the weights that it began with, whatever has been prepared since.
std::vector<std::string> kept_hashes(const TakenRun* taken) {
  std::vector<std::string> hashes;
  if (taken == nullptr) return hashes;
  for (const RunModel& model : taken->before.models) hashes.push_back(model.identity);
  return hashes;
}

}  // namespace

LiveRun::LiveRun(std::string run_id, const RunRequest* request, const TakenRun* taken,
                 const RunSettings& settings, RunObserver& observer, TempDir& temp)
    : request_(request),
      taken_(taken),
      settings_(settings),
      observer_(observer),
      temp_(temp),
      pool_(kBlockingThreads),
      environment_(make_environment()),
      resources_({settings.models, settings.threads, kept_hashes(taken)}, environment_),
      cache_(settings.cache_dir / "results.sqlite", system_clock()),
      history_(settings.cache_dir / "statistics.sqlite", system_clock()),
      values_(spill_options()),
      signals_(io_),
      ticker_(io_),
      inbox_timer_(io_),
      seed_(system_seed()) {
  report_.run_id = std::move(run_id);
  report_.plan_files = plan()->files;
}

// The observer outlives the secrets' keeper.
LiveRun::~LiveRun() { observer_.use_redactor(nullptr); }

void LiveRun::on_trace(const TraceEvent& event) {
  if (event.kind == TraceKind::kRunStarted || event.kind == TraceKind::kRecovered) {
    life_began_ = system_clock().steady_ns() - event.at;
  }
  summary_.on_trace(event);
  statistics_.on_trace(event);
  observer_.on_trace(event);
  live_ = live_ || event.kind == TraceKind::kRecovered ||
          (event.kind == TraceKind::kRunStarted && taken_ == nullptr);
  stop_when_wanted();
  if (adaptive_ == nullptr) return;
  adaptive_->on_trace(event);
  if (!live_ || look_posted_ || !adaptive_->due()) return;
  look_posted_ = true;
  asio::post(io_, [this] { look_at_rows(); });
}

void LiveRun::restored(std::string_view folded) {
  summary_.restored(folded);
  observer_.restored(folded);
}

ToolEnvironment LiveRun::make_environment() {
  ToolEnvironment environment;
  environment.io = io_.get_executor();
  environment.blocking = pool_.get_executor();
  environment.work_dir = settings_.work_dir;
  environment.temp_dir = temp_.path();
  environment.clock = &system_clock();
  environment.hold_rows_after = settings_.hold_rows_after;
  return environment;
}

SpillOptions LiveRun::spill_options() {
  SpillOptions options;
  options.memory_bytes = settings_.memory_bytes;
  options.directory = temp_.path();
  if (settings_.journal != nullptr) {
    options.fetch = [journal = settings_.journal](const Hash256& hash) {
      return journal->content(hash);
    };
  }
  return options;
}

std::expected<RunReport, RunRefused> LiveRun::run() {
  observer_.use_redactor(&resources_.redactor());
  if (has_code(*plan())) check_isolation();
  code_ = open_code_runner({.workers = settings_.threads}, environment_);
  if (auto opened = resources_.open_tools(plan()); !opened) {
    return std::unexpected(RunRefused{{}, opened.error()});
  }
  if (settings_.handle_signals) watch_signals();
  open_all();
  io_.run();
  close();
  if (refused_) return std::unexpected(std::move(*refused_));
  report_.summary = summary_.summary();
  report_.memory = values_.stats();
  return std::move(report_);
}

void LiveRun::check_isolation() {
  IsolationState state = probe_isolation();
  environment_.isolate_code = state.isolated;
  if (!state.isolated) {
    observer_.on_notice(fmt::format("code steps run without isolation: {}", state.reason));
  }
}

// Loading a model takes seconds and asking tool servers too: both at once, signals alive. A run
// that is only to be cancelled asks no model.
void LiveRun::open_all() {
  opening_ = 2;
  if (to_cancel()) {
    opening_ = 1;
  } else {
    asio::post(pool_, [this] {
      auto opened = resources_.open_models();
      asio::post(io_, [this, opened = std::move(opened)] { one_opened(opened); });
    });
  }
  resources_.discover([this](Result<void> found) {
    asio::post(io_, [this, found = std::move(found)] { one_opened(found); });
  });
}

void LiveRun::one_opened(const Result<void>& result) {
  if (!result && !refused_) refused_ = RunRefused{{}, result.error()};
  if (--opening_ > 0) return;
  if (refused_) return stop();
  if (interrupts_ > 0) {
    report_.outcome.status = RunStatus::kInterrupted;
    report_.ended = taken_ == nullptr;
    report_.journaled = taken_ != nullptr;
    return stop();
  }
  start();
}

void LiveRun::start() {
  std::vector<ModelInfo> models;
  for (const auto& entry : resources_.models()) {
    if (entry->instance) models.push_back(entry->instance->info());
  }
  observer_.on_opened(models);
  const PlanScope& scope = *resources_.scope(plan().get());
  if (taken_ != nullptr) {
    take_up(scope);
  } else {
    start_new(scope);
  }
}

void LiveRun::start_new(const PlanScope& scope) {
  // Static checks came before; now the functions of tool servers are known too.
  Diagnostics findings;
  verify_plan({*request_->plan, scope}, findings);
  if (findings.has_errors()) return refuse({std::move(findings), std::nullopt});
  auto plan = optimized(scope);
  if (!plan) return refuse({{}, plan.error()});
  if (observer_.wants_stop()) {  // what passes make of the plan was all that it wanted to know
    report_.outcome.status = RunStatus::kInterrupted;
    return stop();
  }
  make_loop(*plan, scope);
  const RunOptions options{report_.run_id, request_->params, seed_};
  if (settings_.journal != nullptr) {
    auto recorded = create_in_journal(**plan, options);
    if (!recorded) return refuse({{}, recorded.error()});
    loop_->record_in(std::move(*recorded));
    report_.journaled = true;
    watch_inbox();
  }
  if (request_->forked) loop_->reuse(request_->forked->reuse);
  observer_.on_started(report_.run_id, report_.journaled);
  if (settings_.tick_ms > 0) tick();
  loop_->start(options);
}

// Parameters are bound, models are open and tools are known: all that a pass may want to know.
Result<PhysicalPlanPtr> LiveRun::optimized(const PlanScope& scope) {
  const OptimizerSettings settings = optimizer();
  if (settings.off) return lower_plan(request_->plan, scope);
  const CostInputs cost = cost_inputs(scope, &request_->params);
  auto made = optimize_plan({.plan = request_->plan,
                             .tools = scope,
                             .params = &request_->params,
                             .cost = cost,
                             .settings = settings});
  if (!made) return std::unexpected(made.error());
  observer_.on_optimized(*made);
  notes_ = recorded_notes(made->notes);
  adapt_rows_of(made->physical, std::move(made->after));
  return std::move(made->physical);
}

const std::optional<BatchExtent>& LiveRun::batch() const {
  return taken_ != nullptr ? taken_->before.batch : request_->batch;
}

CostInputs LiveRun::cost_inputs(const PlanScope& scope, const Value* params) {
  CostInputs cost = make_cost_inputs(scope, resources_, &history_, params);
  if (batch()) cost.items[std::string(kBatchReadStep)] = static_cast<double>(batch()->rows);
  if (request_ != nullptr && !request_->drawn_rows.empty()) {
    cost.drawn[std::string(kBatchRowStep)] = request_->drawn_rows;
  }
  return cost;
}

// Of the run and of the plans that its steps produce, whoever has taken it up since it began.
OptimizerSettings LiveRun::optimizer() const {
  if (taken_ == nullptr) {
    OptimizerSettings settings = settings_.optimizer;
    // Which step runs again is said by its name: it must not be done by another one's task, and
    // its own steps and values must be there.
    if (request_->forked) {
      settings.without.insert({"merge_equal_steps", "inline_plans", "fuse_values", "ask_together"});
    }
    return settings;
  }
  OptimizerSettings begun;
  begun.off = !taken_->before.optimized;
  begun.without.insert(taken_->before.without_passes.begin(), taken_->before.without_passes.end());
  return begun;
}

// The run is one of the journal's from here on, with its header and its start, or not at all.
Result<RunJournal> LiveRun::create_in_journal(const PhysicalPlan& plan, const RunOptions& options) {
  RunHeader header;
  header.run_id = report_.run_id;
  header.program = SLUICE_VERSION;
  header.files = request_->texts;
  if (header.files.empty())
    header.files.emplace_back("plan.json", print_plan_json(*request_->plan));
  header.physical = encode_physical(plan);
  header.settings = encode_surroundings(surroundings());
  header.wall_ns = system_clock().wall_ns();
  if (request_->forked) {
    header.forked_from = request_->forked->run_id;
    header.fork_step = request_->forked->step;
  }
  RunCard card;
  card.plan = plan_name(header.files);
  card.status = "running";
  card.forked_from = header.forked_from;
  card.started_ns = card.updated_ns = header.wall_ns;
  Journal& journal = *settings_.journal;
  JournalBatch first = first_records(header, options, values_);
  const JournalSeq begun = first.records.size();
  auto lease = journal.create_run(report_.run_id, card, std::move(first));
  if (!lease) return std::unexpected(lease.error());
  RunJournal made{journal, *lease, std::move(header), process_owner(), std::move(card)};
  made.compact_after = settings_.compact_after;
  made.begun = begun;
  return made;
}

RunSurroundings LiveRun::surroundings() const {
  RunSurroundings now;
  now.work_dir = settings_.work_dir.string();
  now.isolated_code = environment_.isolate_code;
  now.seed = seed_;
  if (request_ != nullptr) now.inputs = request_->inputs;
  if (request_ != nullptr) now.batch = request_->batch;
  const OptimizerSettings passes = optimizer();
  now.optimized = !passes.off;
  now.without_passes.assign(passes.without.begin(), passes.without.end());
  now.notes = notes_;
  if (request_ != nullptr && request_->forked) {
    now.fork = {request_->forked->first_seq, request_->forked->last_seq};
  }
  for (const auto& entry : resources_.models()) {
    now.models.push_back({entry->id, entry->identity, entry->what});
  }
  const auto& chosen = resources_.default_model();
  if (chosen) {
    now.default_model = chosen->embedded
                            ? std::filesystem::absolute(chosen->file).lexically_normal().string()
                            : chosen->url;
    now.default_model_name = chosen->name;
  }
  return now;
}

// False, and refused, when the run cannot go on as it was.
bool LiveRun::still_fits() {
  if (to_cancel()) return true;
  auto found = changes(taken_->before, surroundings());
  const std::vector<std::string> inputs = changed_inputs(taken_->before.inputs);
  found.insert(found.end(), inputs.begin(), inputs.end());
  if (found.empty()) return true;
  if (taken_->request.accept_changes) {
    for (const std::string& change : found) observer_.on_notice(change);
    return true;
  }
  refuse(
      {{},
       Error(ErrorCode::kRunChanged,
             fmt::format("{}; what is left of the run would not mean the same. Go on all the "
                         "same with --accept-changes{}",
                         fmt::join(found, "; "),
                         inputs.empty() ? "" : ", if only rows that were not read yet differ"))});
  return false;
}

void LiveRun::take_up(const PlanScope& scope) {
  if (!still_fits()) return;
  make_loop(taken_->plan.physical, scope);
  if (batch() && !to_cancel()) {
    const CostInputs cost = cost_inputs(scope, nullptr);
    PlanEstimate expected = estimate_plan(*taken_->plan.physical, cost);
    observer_.on_expected(expected);
    adapt_rows_of(taken_->plan.physical, std::move(expected));
  }
  RunCard card = taken_->journaled.card;
  loop_->record_in({*settings_.journal, taken_->lease, taken_->header, process_owner(), card,
                    settings_.compact_after});
  if (taken_->reuse) loop_->reuse(taken_->reuse);
  report_.journaled = true;
  observer_.on_started(report_.run_id, true);
  if (to_cancel()) host_->hold_calls();
  auto resumed = loop_->resume([this] { return to_cancel() ? Result<void>() : complete_rows(); });
  if (!resumed) return refuse({{}, resumed.error()});
  report_.resumed = *resumed;
  take_earlier_forms();
  take_messages();  // what was sent while nobody had the run: before it stops in doubt once more
  if (!to_cancel()) observer_.on_resumed(*resumed);
  watch_inbox();
  if (settings_.tick_ms > 0) tick();
  if (!to_cancel()) return;
  loop_->cancel(*taken_->request.cancel);
  host_->release_calls();
}

// What a batch has done must be where its output is written from.
Result<void> LiveRun::complete_rows() {
  auto told = complete_kept_rows({.journal = *settings_.journal,
                                  .run_id = report_.run_id,
                                  .plan = *plan(),
                                  .work_dir = settings_.work_dir,
                                  .done = summary_.summary(),
                                  .accept_changes = taken_->request.accept_changes});
  if (!told) return std::unexpected(told.error());
  if (!told->empty()) observer_.on_notice(*told);
  return {};
}

void LiveRun::make_loop(const PhysicalPlanPtr& plan, const PlanScope& scope) {
  host_ = std::make_unique<AsioHost>(
      io_,
      HostServices{resources_, *code_, cache_, values_, system_clock(), report_.run_id, optimizer(),
                   &history_, environment_.blocking, settings_.hold_rows_after > 0});
  host_->add_plan(plan, scope);
  host_->ask_before_calls([this](const StartCall& start) { return observer_.lets_call(start); });
  running_ = plan;
  loop_ = std::make_unique<RunLoop>(plan, *host_, values_, this,
                                    [this](RunOutcome outcome) { ended(std::move(outcome)); });
  host_->set_inbox(loop_.get());
}

void LiveRun::refuse(RunRefused why) {
  refused_ = std::move(why);
  stop();
}

void LiveRun::ended(RunOutcome outcome) {
  auto result = values_.load(outcome.result);
  if (result) {
    outcome.result = std::move(*result);
  } else {
    outcome.status = RunStatus::kFailed;
    outcome.errors.push_back(result.error());
  }
  report_.ended =
      outcome.status != RunStatus::kInterrupted && outcome.status != RunStatus::kInDoubt;
  if (!report_.ended) {
    forecast();
    report_.doubts = loop_->state().doubts();
    report_.waits = loop_->state().waits();
    for (RunState::Waiting& wait : report_.waits) wait.step = nullptr;
  }
  report_.outcome = std::move(outcome);
  report_.engines = engine_totals();
  stop();
}

// The loop may be deep in its own call: leave it first.
void LiveRun::stop() {
  stopping_ = true;
  asio::post(io_, [this] { io_.stop(); });
}

void LiveRun::close() {
  boost::system::error_code ignored;
  (void)signals_.cancel(ignored);
  (void)signals_.clear(ignored);
  cache_.flush();
  if (!cache_.problem().empty()) observer_.on_notice(cache_.problem());
  loop_.reset();
  host_.reset();
  history_.add(statistics_.take());
  if (!history_.problem().empty()) observer_.on_notice(history_.problem());
  for (const std::string& told : resources_.first_model_notices()) observer_.on_notice(told);
  for (const auto& entry : resources_.models()) {
    if (entry->instance) entry->instance->release(report_.run_id);
  }
  pool_.join();
  if (!report_.ended) return;
  for (const auto& file : resources_.model_files()) {
    auto told = prepare_in_background(file, settings_.models.cache_dir, settings_.person_reads);
    if (told) observer_.on_notice(*told);
  }
}

// The loop may be deep in its own call. What it is deciding there must not leave any more: the
// observer says it because of that.
void LiveRun::stop_when_wanted() {
  if (stop_asked_ || !observer_.wants_stop()) return;
  stop_asked_ = true;
  if (live_ && loop_) return loop_->drain();
  asio::post(io_, [this] {
    if (loop_ && !stopping_) loop_->interrupt();
  });
}

EngineStats LiveRun::engine_totals() const {
  EngineStats sum;
  for (const auto& entry : resources_.models()) {
    auto stats = entry->instance ? engine_stats(*entry->instance) : std::nullopt;
    if (!stats) continue;
    sum.prefill_tokens += stats->prefill_tokens;
    sum.shared_tokens += stats->shared_tokens;
    sum.decode_tokens += stats->decode_tokens;
    sum.forced_tokens += stats->forced_tokens;
    sum.batches += stats->batches;
    sum.running += stats->running;
    sum.waiting += stats->waiting;
  }
  return sum;
}

void LiveRun::tick() {
  ticker_.expires_after(std::chrono::milliseconds(settings_.tick_ms));
  ticker_.async_wait([this](boost::system::error_code cancelled) {
    if (cancelled) return;
    observer_.on_tick(summary_.summary(), engine_totals(),
                      system_clock().steady_ns() - life_began_);
    stop_when_wanted();
    tick();
  });
}

void LiveRun::watch_inbox() {
  inbox_timer_.expires_after(kInboxEvery);
  inbox_timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled && !stopping_) look_into_inbox();
  });
}

// The store may be busy with a commit: the run's thread does not wait for it.
void LiveRun::look_into_inbox() {
  asio::post(pool_, [this, after = loop_->last_message()] {
    auto messages = settings_.journal->inbox(report_.run_id, after);
    asio::post(io_, [this, messages = std::move(messages)] {
      if (stopping_) return;
      // What cannot be read now can be read later; the journal itself tells the loop of its
      // trouble.
      if (messages) {
        for (const InboxMessage& message : *messages) loop_->take(message);
      }
      watch_inbox();
    });
  });
}

void LiveRun::take_messages() {
  auto messages = settings_.journal->inbox(report_.run_id, loop_->last_message());
  if (!messages) return;
  for (const InboxMessage& message : *messages) loop_->take(message);
}

void LiveRun::watch_signals() {
  boost::system::error_code ignored;
  (void)signals_.add(SIGINT, ignored);
  (void)signals_.add(SIGTERM, ignored);
  await_signal();
}

void LiveRun::await_signal() {
  signals_.async_wait([this](boost::system::error_code cancelled, int) {
    if (cancelled) return;
    ++interrupts_;
    const bool opening = loop_ == nullptr;
    // What cannot be told to stop is left behind.
    if (interrupts_ > (opening ? 1 : 2)) {
      temp_.remove();
      std::_Exit(kInterruptedStatus);
    }
    observer_.on_interrupt(interrupts_);
    if (!opening) loop_->interrupt();
    await_signal();
  });
}

}  // namespace sluice
