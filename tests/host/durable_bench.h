// Runs with a real journal (SQLite in a folder of their own) and real tools that write to a ledger
// outside: what the tests of run_service, past_run, forks and messages stand on.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/json.h"
#include "host/files/journal_place.h"
#include "host/runs/past_run.h"
#include "host/runs/run_service.h"
#include "plan/parse.h"
#include "plan/tool_catalog.h"
#include "tests/host/scratch_dir.h"
#include "verify/verify.h"

namespace sluice {

// Calls back at what happens in a run.
class Watching final : public RunObserver {
 public:
  std::function<void(const TraceEvent&)> on_event;
  std::function<void(const std::string&)> on_begun;
  std::string run_id;
  std::optional<ResumeReport> resumed;
  std::vector<std::string> notices;

  void on_trace(const TraceEvent& event) override {
    if (event.kind == TraceKind::kRecoveryBegan) past_ = true;
    if (event.kind == TraceKind::kRecovered) past_ = false;
    if (on_event && !past_) on_event(event);
  }
  void on_notice(std::string_view text) override { notices.emplace_back(text); }
  void on_started(const std::string& id, bool) override {
    run_id = id;
    if (on_begun) on_begun(id);
  }
  void on_resumed(const ResumeReport& report) override { resumed = report; }

 private:
  bool past_ = false;
};

inline bool task_done(const TraceEvent& event, std::string_view step) {
  return event.kind == TraceKind::kTaskDone && event.step != nullptr &&
         event.step->logical.id == step;
}
inline bool call_started(const TraceEvent& event, std::string_view step) {
  return event.kind == TraceKind::kCallStarted && event.step != nullptr &&
         event.step->logical.id == step;
}

// A journal with another one behind it.
class OtherJournal : public Journal {
 public:
  explicit OtherJournal(Journal& behind) : behind_(behind) {}
  Result<RunLease> create_run(std::string_view id, const RunCard& card,
                              JournalBatch first) override {
    return behind_.create_run(id, card, std::move(first));
  }
  Result<RunLease> take_over(std::string_view id) override { return behind_.take_over(id); }
  Result<void> close_run(const RunLease& lease, const RunCard& card,
                         JournaledRunState state) override {
    return behind_.close_run(lease, card, state);
  }
  Result<JournalSeq> append(const RunLease& lease, JournalBatch batch, OnDurable done) override {
    return behind_.append(lease, std::move(batch), std::move(done));
  }
  Result<JournalSeq> recover(const RunLease& lease) override { return behind_.recover(lease); }
  void set_card(const RunLease& lease, const RunCard& card) override {
    behind_.set_card(lease, card);
  }
  Result<void> compact(const RunLease& lease, JournalSeq upto,
                       const JournalRecord& snapshot) override {
    return behind_.compact(lease, upto, snapshot);
  }
  Result<void> read(std::string_view id, JournalSeq first, const Visit& visit) override {
    return behind_.read(id, first, visit);
  }
  Result<JournaledRun> find_run(std::string_view id) override { return behind_.find_run(id); }
  Result<std::vector<JournaledRun>> list_runs(const RunQuery& query) override {
    return behind_.list_runs(query);
  }
  Result<void> delete_run(std::string_view id) override { return behind_.delete_run(id); }
  Result<std::uint64_t> send(std::string_view id, std::string_view kind, std::string_view body,
                             WallNs now) override {
    return behind_.send(id, kind, body, now);
  }
  Result<std::vector<InboxMessage>> inbox(std::string_view id, std::uint64_t after) override {
    return behind_.inbox(id, after);
  }
  Result<void> acknowledge(const RunLease& lease, std::uint64_t id) override {
    return behind_.acknowledge(lease, id);
  }
  Result<std::string> content(const Hash256& hash) override { return behind_.content(hash); }
  Result<void> check(const std::function<void(const JournalDamage&)>& found) override {
    return behind_.check(found);
  }

 private:
  Journal& behind_;
};

// `note` (effect by the test) appends its argument to the file `ledger` and gives it back.
inline std::string plan_with_note(std::string_view effect, std::string_view steps,
                                  std::string_view more_settings = "") {
  return std::string("sluice: 1\ntools:\n  note: {kind: process, stdout: text, effect: ") +
         std::string(effect) + ", " + std::string(more_settings) +
         "command: [sh, -c, 'echo \"$1\" >> ledger; printf %s \"$1\"', sh]}\n" + std::string(steps);
}

// A tool that kills the process that runs the plan, the first time that it is called: all that it
// depends on is durable by then. It gives "alive" from the second time on.
inline constexpr const char* kKiller =
    "  killer: {kind: process, stdout: text, effect: idempotent, command: [sh, -c,\n"
    "    'if [ ! -e killed ]; then touch killed; kill -9 $PPID; sleep 5; fi; printf alive']}\n";

class DurableBench : public testing::Test {
 protected:
  using Report = std::expected<RunReport, RunRefused>;

  Journal& journal() {
    if (!journal_) {
      auto opened = open_run_journal(place());
      EXPECT_TRUE(opened.has_value()) << opened.error().to_string();
      journal_ = std::move(*opened);
    }
    return *journal_;
  }
  std::string place() const { return dir.path() / "state" / "journal.db"; }

  RunSettings settings() {
    RunSettings made;
    made.work_dir = dir.path();
    made.cache_dir = dir.path() / "cache";
    made.threads = 1;
    made.handle_signals = true;
    made.journal = &journal();
    return made;
  }
  RunRequest request(const std::string& text, Value params = Value::object({})) {
    RunRequest made;
    ParsedPlan parsed = parse_plan(text, "plan.yaml");
    EXPECT_TRUE(parsed.plan != nullptr && !parsed.diagnostics.has_errors());
    for (const Diagnostic& finding : parsed.diagnostics.all()) {
      ADD_FAILURE() << format_diagnostic(finding, {"plan.yaml"});
    }
    Diagnostics findings;
    verify_plan({*parsed.plan, *catalog_of(*parsed.plan)}, findings);
    made.params = bind_params(*parsed.plan, params, findings);
    for (const Diagnostic& finding : findings.all()) {
      if (finding.severity == Severity::kError) {
        ADD_FAILURE() << format_diagnostic(finding, {"plan.yaml"});
      }
    }
    made.plan = parsed.plan;
    made.texts = {{"plan.yaml", text}};
    return made;
  }

  Report run(const std::string& text) { return run_plan(request(text), settings(), watching); }
  Report resume(const std::string& id) { return resume_run({.run_id = id}, settings(), watching); }

  // Runs the plan in a process of its own that dies, as by kill -9, when `at` holds; gives the
  // run's id.
  std::string crash(const std::string& text, std::function<bool(const TraceEvent&)> at) {
    return in_child([&](Watching& child) {
      child.on_event = [&](const TraceEvent& event) {
        if (at(event)) ::_exit(9);
      };
      run_plan(request(text), settings(), child);
    });
  }
  // A tool of the plan kills the process that runs it.
  std::string kill_by_tool(const std::string& text) {
    return in_child([&](Watching& child) { run_plan(request(text), settings(), child); });
  }
  // The same with a run that is taken up.
  void crash_again(const std::string& id, std::function<bool(const TraceEvent&)> at) {
    in_child([&](Watching& child) {
      child.on_event = [&](const TraceEvent& event) {
        if (at(event)) ::_exit(9);
      };
      resume_run({.run_id = id}, settings(), child);
    });
  }

  // The same with any work.
  std::string in_child(const std::function<void(Watching&)>& work) {
    journal_.reset();  // an open database does not go through a fork
    const std::string id_file = dir.path() / "id";
    const pid_t child = ::fork();
    if (child == 0) {
      Watching inside;
      inside.on_begun = [&](const std::string& id) { std::ofstream(id_file) << id; };
      work(inside);
      ::_exit(1);  // it did not come to that
    }
    int ended = 0;
    ::waitpid(child, &ended, 0);
    const bool crashed = (WIFEXITED(ended) && WEXITSTATUS(ended) == 9) ||
                         (WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL);
    EXPECT_TRUE(crashed) << "it did not come to the crash";
    std::string id;
    std::ifstream(id_file) >> id;
    return id;
  }

  std::vector<std::string> ledger() const {
    std::vector<std::string> lines;
    std::ifstream in(dir.path() / "ledger");
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  }

  static std::string status(const Report& report) {
    if (report) return std::string(run_status_name(report->outcome.status)) + all_errors(*report);
    if (report.error().error) return report.error().error->to_string();
    std::string text = "findings";
    for (const Diagnostic& finding : report.error().findings.all()) text += " | " + finding.message;
    return text;
  }
  static std::string all_errors(const RunReport& report) {
    std::string text;
    for (const Error& error : report.outcome.errors) text += " | " + error.to_string();
    return text;
  }

  ScratchDir dir;
  Watching watching;

 private:
  std::unique_ptr<Journal> journal_;
};

}  // namespace sluice
