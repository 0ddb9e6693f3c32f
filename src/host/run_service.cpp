#include "host/run_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <thread>
#include <utility>

#include "base/ids.h"
#include "base/random.h"
#include "host/asio_host.h"
#include "host/resources.h"
#include "host/temp_dir.h"
#include "plan/lower.h"
#include "runtime/run_loop.h"
#include "verify/verify.h"

namespace sluice {
namespace {

namespace asio = boost::asio;

constexpr int kInterruptedStatus = 130;
constexpr std::size_t kBlockingThreads = 8;

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

class LiveRun final : public TraceSink {
 public:
  LiveRun(const RunRequest& request, const RunSettings& settings, RunObserver& observer,
          TempDir& temp)
      : request_(request),
        settings_(settings),
        observer_(observer),
        temp_(temp),
        pool_(kBlockingThreads),
        environment_(make_environment()),
        resources_({settings.models, settings.threads}, environment_),
        cache_(settings.cache_dir / "results.sqlite", system_clock()),
        values_({.memory_bytes = settings.memory_bytes, .directory = temp.path()}),
        signals_(io_),
        ticker_(io_) {
    report_.run_id = [] {
      Random random(system_seed());
      return make_run_id(system_clock().wall_ns(), random);
    }();
  }

  // The observer outlives the secrets' keeper.
  ~LiveRun() override { observer_.use_redactor(nullptr); }

  std::expected<RunReport, RunRefused> run() {
    observer_.use_redactor(&resources_.redactor());
    if (has_code(*request_.plan)) check_isolation();
    code_ = open_code_runner({.workers = settings_.threads}, environment_);
    if (auto opened = resources_.open_tools(request_.plan); !opened) return refused(opened.error());
    if (settings_.handle_signals) watch_signals();
    open_all();
    io_.run();
    close();
    if (refused_) return std::unexpected(std::move(*refused_));
    report_.summary = summary_.summary();
    report_.memory = values_.stats();
    return std::move(report_);
  }

  void on_trace(const TraceEvent& event) override {
    summary_.on_trace(event);
    observer_.on_trace(event);
  }

 private:
  ToolEnvironment make_environment() {
    ToolEnvironment environment;
    environment.io = io_.get_executor();
    environment.blocking = pool_.get_executor();
    environment.work_dir = settings_.work_dir;
    environment.temp_dir = temp_.path();
    environment.clock = &system_clock();
    return environment;
  }

  static std::unexpected<RunRefused> refused(Error error) {
    return std::unexpected(RunRefused{{}, std::move(error)});
  }
  void refuse(RunRefused why) {
    refused_ = std::move(why);
    stop();
  }

  void check_isolation() {
    IsolationState state = probe_isolation();
    environment_.isolate_code = state.isolated;
    if (!state.isolated) {
      observer_.on_notice(fmt::format("code steps run without isolation: {}", state.reason));
    }
  }

  // Loading a model takes seconds and asking tool servers too: both at once, signals alive.
  void open_all() {
    opening_ = 2;
    asio::post(pool_, [this] {
      auto opened = resources_.open_models();
      asio::post(io_, [this, opened = std::move(opened)] { one_opened(opened); });
    });
    resources_.discover([this](Result<void> found) {
      asio::post(io_, [this, found = std::move(found)] { one_opened(found); });
    });
  }

  void one_opened(const Result<void>& result) {
    if (!result && !refused_) refused_ = RunRefused{{}, result.error()};
    if (--opening_ > 0) return;
    if (refused_) return stop();
    if (interrupts_ > 0) {
      report_.outcome.status = RunStatus::kInterrupted;
      return stop();
    }
    start();
  }

  void start() {
    const PlanScope& scope = *resources_.scope(request_.plan.get());
    // Static checks came before; now the functions of tool servers are known too.
    Diagnostics findings;
    verify_plan({*request_.plan, scope}, findings);
    if (findings.has_errors()) return refuse({std::move(findings), std::nullopt});
    auto plan = lower_plan(request_.plan, scope);
    if (!plan) return refuse({{}, plan.error()});
    std::vector<ModelInfo> models;
    for (const auto& entry : resources_.models()) {
      if (entry->instance) models.push_back(entry->instance->info());
    }
    observer_.on_opened(models);
    host_ = std::make_unique<AsioHost>(
        io_, HostServices{resources_, *code_, cache_, values_, system_clock(), report_.run_id});
    host_->add_plan(*plan, scope);
    loop_ = std::make_unique<RunLoop>(*plan, *host_, values_, this,
                                      [this](RunOutcome outcome) { ended(std::move(outcome)); });
    host_->set_inbox(loop_.get());
    if (settings_.tick_ms > 0) tick();
    loop_->start({report_.run_id, request_.params, system_seed()});
  }

  void ended(RunOutcome outcome) {
    auto result = values_.load(outcome.result);
    if (result) {
      outcome.result = std::move(*result);
    } else {
      outcome.status = RunStatus::kFailed;
      outcome.errors.push_back(result.error());
    }
    report_.outcome = std::move(outcome);
    report_.engines = engine_totals();
    stop();
  }

  // The loop may be deep in its own call: leave it first.
  void stop() {
    asio::post(io_, [this] { io_.stop(); });
  }

  void close() {
    boost::system::error_code ignored;
    signals_.cancel(ignored);
    signals_.clear(ignored);
    if (!cache_.problem().empty()) observer_.on_notice(cache_.problem());
    loop_.reset();
    host_.reset();
    for (const auto& entry : resources_.models()) {
      if (entry->instance) entry->instance->release(report_.run_id);
    }
    pool_.join();
  }

  EngineStats engine_totals() const {
    EngineStats sum;
    for (const auto& entry : resources_.models()) {
      auto stats = entry->instance ? engine_stats(*entry->instance) : std::nullopt;
      if (!stats) continue;
      sum.prefill_tokens += stats->prefill_tokens;
      sum.shared_tokens += stats->shared_tokens;
      sum.decode_tokens += stats->decode_tokens;
      sum.batches += stats->batches;
      sum.running += stats->running;
      sum.waiting += stats->waiting;
    }
    return sum;
  }

  void tick() {
    ticker_.expires_after(std::chrono::milliseconds(settings_.tick_ms));
    ticker_.async_wait([this](boost::system::error_code cancelled) {
      if (cancelled) return;
      observer_.on_tick(summary_.summary(), engine_totals());
      tick();
    });
  }

  void watch_signals() {
    boost::system::error_code ignored;
    signals_.add(SIGINT, ignored);
    signals_.add(SIGTERM, ignored);
    await_signal();
  }

  void await_signal() {
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

  const RunRequest& request_;
  const RunSettings& settings_;
  RunObserver& observer_;
  TempDir& temp_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::thread_pool pool_;
  ToolEnvironment environment_;
  Resources resources_;
  std::unique_ptr<Tool> code_;
  ResultCache cache_;
  SpillStore values_;
  SummaryFold summary_;
  std::unique_ptr<AsioHost> host_;
  std::unique_ptr<RunLoop> loop_;
  asio::signal_set signals_;
  asio::steady_timer ticker_;
  RunReport report_;
  std::optional<RunRefused> refused_;
  int opening_ = 0;
  int interrupts_ = 0;
};

}  // namespace

std::expected<RunReport, RunRefused> run_plan(const RunRequest& request,
                                              const RunSettings& settings, RunObserver& observer) {
  auto temp = TempDir::make();
  if (!temp) return std::unexpected(RunRefused{{}, temp.error()});
  LiveRun run(request, settings, observer, *temp);
  return run.run();
}

}  // namespace sluice
