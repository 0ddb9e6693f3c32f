// sluice fork: a new run that begins where an old one has got to.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <utility>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/params.h"
#include "cli/plan_file.h"
#include "cli/run_end.h"
#include "data/json.h"
#include "host/runs/run_fork.h"

namespace sluice::cli {
namespace {

struct ForkArguments {
  std::string run;
  std::string from;
  std::string plan;
  ParamArguments params;
  LiveOptions live;
};

constexpr std::string_view kFooter =
    "Examples:\n"
    "  sluice fork last --from report                       (again from there)\n"
    "  sluice fork last --from headline --plan new.yaml     (with a better prompt)\n"
    "  sluice fork 01kd3 --from rows --param count=100\n"
    "\n"
    "The old run stays as it is. Results of steps before --from are taken over where step and "
    "inputs\n"
    "are the same, by content; all else runs. A call that is made again with the same inputs goes "
    "out\n"
    "with the key that it had, so that the other side can tell. What may happen only once and has "
    "no\n"
    "result to take over is not done again before --from: such a fork is refused. The old run is\n"
    "needed until the fork has ended.\n";

// The plan of the new run: a file, or what the old run has recorded.
std::expected<CheckedPlan, ExitCode> plan_of(Journal& journal, const JournaledRun& run,
                                             const ForkArguments& arguments) {
  const OutputOptions& output = arguments.live.output;
  if (!arguments.plan.empty()) return require_plan(arguments.plan, !output.quiet && !output.json);
  auto header = read_run_header(journal, run.run_id);
  auto recorded =
      header ? read_recorded_plan(*header) : Result<RecordedPlan>(std::unexpected(header.error()));
  auto before = header ? decode_surroundings(header->settings)
                       : Result<RunSurroundings>(std::unexpected(header.error()));
  if (!recorded || !before) {
    const Error error = !recorded ? recorded.error() : before.error();
    return std::unexpected(end_with(error));
  }
  CheckedPlan checked;
  checked.file = header->files[0].first;
  checked.folder = before->work_dir;
  checked.plan = recorded->plan;
  checked.files = recorded->plan->files;
  checked.texts = header->files;
  for (const auto& [name, text] : header->files) checked.sources.add(name, text);
  return checked;
}

// The old run's, where the plan still has them, under what the person gives.
Result<Value> params_of(const Plan& plan, const Value& before, const ParamArguments& arguments) {
  auto given = collect_params(plan, arguments);
  if (!given) return given;
  std::vector<Value::Member> members;
  if (before.is_object()) {
    for (const auto& member : before.members()) {
      if (plan.find_param(member.first) != nullptr) members.push_back(member);
    }
  }
  for (const auto& member : given->members()) members.push_back(member);
  return Value::object(std::move(members));
}

void say_what_is_reused(const ForkPreparation& prepared, const std::string& run_id) {
  std::string reused;
  for (const auto& [step, count] : prepared.reusable) {
    reused += fmt::format("{}{} ({})", reused.empty() ? "" : ", ", step, count);
  }
  write_err(fmt::format("from run {}: {}; runs again: {}\n", run_id,
                        reused.empty() ? "nothing to take over" : "can take over " + reused,
                        fmt::join(prepared.again, ", ")));
  if (!prepared.waits.empty()) {
    write_err(fmt::format("waits again: {}\n", fmt::join(prepared.waits, ", ")));
  }
}

int run_fork(Journal& journal, const JournaledRun& run, const ForkArguments& arguments,
             const RunSettings& settings, CheckedPlan& checked) {
  auto prepared = prepare_fork(journal, run.run_id, arguments.from, checked.plan);
  if (!prepared) return end_with(prepared.error());
  auto params =
      require_params(checked, params_of(*checked.plan, prepared->params, arguments.params));
  if (!params) return params.error();
  const LiveOptions& live = arguments.live;
  if (!live.output.quiet && !live.output.json) say_what_is_reused(*prepared, run.run_id);
  const RunRequest request{checked.plan, std::move(*params), checked.texts, prepared->forked};
  return watch_run(live, &checked,
                   [&](RunObserver& observer) { return run_plan(request, settings, observer); });
}

int fork_command(const ForkArguments& arguments) {
  const LiveOptions& live = arguments.live;
  auto memory = check_live_options(live);
  if (!memory) return memory.error();
  auto chosen = require_run(live.journal, arguments.run);
  if (!chosen) return chosen.error();
  const auto& [journal, run] = *chosen;
  auto checked = plan_of(*journal, run, arguments);
  if (!checked) return checked.error();
  return run_fork(*journal, run, arguments,
                  live_settings(live, checked->folder, *memory, journal.get()), *checked);
}

}  // namespace

void add_fork(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ForkArguments>();
  add_run_argument(app, arguments->run);
  app.add_option("--from", arguments->from, "The first step that runs again")
      ->required()
      ->type_name("STEP");
  app.add_option("--plan", arguments->plan, "Another plan (default: the run's own)")
      ->type_name("FILE");
  add_param_options(app, arguments->params);
  add_live_options(app, arguments->live);
  app.footer(std::string(kFooter));
  app.callback([arguments, &status] { status = fork_command(*arguments); });
}

}  // namespace sluice::cli
