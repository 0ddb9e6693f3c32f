// The law of an exact pass, in one place.
//
// Let W be a run of the plan as it is written and O a run of what the optimizer made of it, with
// the same parameters and a world whose answers hang on what a call is about. A step is *touched*
// when, in W, one of its tasks failed or a task of its sub-plan did (also where `on_error` of the
// caller took that up), or a task's last call failed for a reason that passes (it might have gone
// well), or when it reads, or stands in for, a touched step, directly or not. Then:
//
// - result: When nothing is touched, O ends as W does, with the same result and the same labels.
// - failure: In O no task of a step fails by itself that is not touched. So a run that fails as
//   written may succeed when it is optimized, and never the other way round.
// - effects: Of steps that are not touched, O makes the same `once` and `idempotent` calls: the
//   same TaskIds, idempotency keys, functions, arguments and labels, equally often.
// - held_up: Where a failure is avoided, what it kept from being done through values may be done:
//   nobody needed the value that failed. What it kept from being done through an `after` or a
//   status may not: a step that comes so behind one that failed in W, and that is skipped in O in
//   place of failing, makes no `once` and `idempotent` calls that it does not make in W, nor does
//   what comes behind it. (One that is done in O in place of failing holds up nothing. Nor does a
//   call of a plan in which only what nobody needed has failed.)
// - order: A call that acts (`once`, `idempotent`) or reads, and that, in W, waited for one that
//   acts, begins in O after that one's end: so it sees the same world. It waited through data,
//   `after` or a status, task by task, also through tasks that were skipped: these had waited for
//   their items and for what their `when` reads. Questions to models see nothing of the world. A
//   call that acts may begin before one that reads and that it waited for only through values that
//   it does not need.
// - calls: No step that is not touched makes more calls in O than in W, and all together make no
//   more of any kind.
//
// What a budget cuts that is spent hangs on the order of things, and fewer calls may leave it
// unspent: of such a W nothing is said. Nor of one whose `result` cannot be evaluated.
//
// Pure; any thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "optimize/optimizer.h"
#include "tests/laws/law_run.h"

namespace sluice::laws {

struct LawBroken {
  std::string law;   // "result", "failure", "effects", "held_up", "order", "calls"; "optimizer",
                     // "stuck"
  std::string what;  // in words
};

std::optional<LawBroken> compare_runs(const LawRun& written, const LawRun& optimized);

// A plan that is ready to be run, and the seed of what is chance about it.
struct LawCase {
  std::uint64_t seed = 0;
  PlanPtr plan;
  std::shared_ptr<const ToolCatalog> tools;
  Value params;  // bound; some labelled
};
// nullopt: it does not verify. `given`: parameters.
std::optional<LawCase> law_case(PlanPtr plan, const Value& given, std::uint64_t seed);
// The random plan of that seed. `why`, when given: its text and why it is none.
std::optional<LawCase> random_case(std::uint64_t seed, std::string* why = nullptr);

// Which passes run: "all", "" none, or the name of the only one.
OptimizerSettings only_pass(std::string_view pass);
std::vector<std::string> pass_choices();  // "all", then each alone

struct LawReport {
  std::optional<LawBroken> broken;
  std::string choice;                                        // with which passes
  std::uint64_t did = 0;                                     // what passes did in all
  std::map<std::string, std::uint64_t, std::less<>> did_by;  // by pass, when alone
  std::uint64_t effects = 0, calls = 0, saved = 0, shared = 0;
  std::uint64_t reused = 0, bulks = 0;
  bool succeeded = false;  // as written
};
// Runs the case as written and with each choice; stops at the first broken law.
LawReport check_law(const LawCase& of);
LawReport check_law(const LawCase& of, const std::vector<std::string>& choices);

}  // namespace sluice::laws
