// explain for a terminal: the graph as it always was, then what is expected of it, what passes did,
// and what a run really did.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "cli/explain/estimate_text.h"
#include "cli/explain/explanation.h"
#include "cli/numbers_text.h"
#include "cli/summary_text.h"
#include "cli/table.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kMostNotes = 100;
constexpr std::size_t kWidestId = 40;

std::string joined(const std::vector<std::string>& list, std::string_view between) {
  std::string text;
  for (const std::string& item : list) text += (text.empty() ? "" : std::string(between)) + item;
  return text;
}

std::string inputs_text(const PlanGraph& graph, const GraphNode& node) {
  std::vector<std::string> flows, waits, orders, others;
  for (const GraphEdge& edge : graph.edges) {
    if (edge.to != node.id) continue;
    if (edge.kind == "flow") flows.push_back(edge.from);
    if (edge.kind == "wait") waits.push_back(edge.from);
    if (edge.kind == "order") orders.push_back(edge.from);
    if (edge.kind == "status") others.push_back("reads status of " + edge.from);
    if (edge.kind == "fallback") others.push_back("runs when " + edge.from + " fails");
  }
  std::vector<std::string> parts;
  if (!flows.empty()) parts.push_back("flows from " + joined(flows, ", "));
  if (!waits.empty()) parts.push_back("waits for " + joined(waits, ", "));
  if (!orders.empty()) parts.push_back("after " + joined(orders, ", "));
  parts.insert(parts.end(), others.begin(), others.end());
  return joined(parts, "; ");
}

std::string header_text(const std::string& title, const Plan& plan) {
  std::string text =
      fmt::format("{}: {} step{}\n", title, plan.steps.size(), plan.steps.size() == 1 ? "" : "s");
  for (const ParamSpec& param : plan.params) {
    text += fmt::format("  param {}: {}{}\n", param.id,
                        param.schema ? param.schema->type().to_string() : "any",
                        param.has_default ? "" : " (required)");
  }
  for (const NamedSettings& tool : plan.tools)
    text += fmt::format("  tool {}: {}\n", tool.id, tool.kind);
  for (const NamedSettings& model : plan.models)
    text += fmt::format("  model {}: {}\n", model.id, model.kind);
  return text + "\n";
}

std::string heading(const Terminal& terminal, std::string_view words) {
  return "\n" + painted(terminal, Ink::kDim, words) + "\n";
}

Table::Cell cell(std::string text) { return {std::move(text)}; }

std::string step_cell(const ExplainedStep& step) {
  return (step.critical ? "> " : "  ") + fitted_text(step.id, kWidestId);
}

bool any_money(const Explanation& explained) {
  return std::ranges::any_of(explained.steps, [](const ExplainedStep& step) {
    return (step.estimate && step.estimate->usd.middle > 0) ||
           (step.actual && step.actual->usage.usd > 0);
  });
}

bool any_critical(const Explanation& explained) {
  return std::ranges::any_of(explained.steps, &ExplainedStep::critical);
}

std::string whole_run(const PlanEstimate& estimate) {
  std::vector<std::string> parts;
  const std::string length = length_text(estimate.seconds);
  parts.push_back(length.empty() ? "no time to speak of" : length);
  const auto calls = amount_text(estimate.calls);
  if (estimate.calls.middle >= 0.05) parts.push_back(calls + (calls == "1" ? " call" : " calls"));
  const Estimate tokens = estimate.prompt_tokens + estimate.completion_tokens;
  if (tokens.middle >= 0.5) parts.push_back(amount_text(tokens) + " tokens");
  if (estimate.usd.middle > 0) parts.push_back(money_text(estimate.usd.middle));
  if (std::string waits = waits_text(estimate); !waits.empty()) parts.push_back(std::move(waits));
  return joined(parts, ", ");
}

// ---- a plan that is to run

std::string expected_table(const Explanation& explained, const Terminal& terminal) {
  constexpr auto kRight = Table::Align::kRight;
  const bool money = any_money(explained);
  std::vector<Table::Column> columns{
      {"  step"},   {"rows", kRight}, {"calls", kRight}, {"tokens", kRight},
      {"in calls"}, {"usd", kRight},  {"from"}};
  if (!money) columns.erase(columns.begin() + 5);
  Table table(std::move(columns));
  for (const ExplainedStep& step : explained.steps) {
    if (!step.estimate) continue;
    const StepEstimate& estimate = *step.estimate;
    const double tokens = total_tokens(estimate).middle;
    const bool calls = expects_calls(step);
    std::vector<Table::Cell> row{cell(step_cell(step)),
                                 cell(amount_text(estimate.gives.value_or(estimate.rows))),
                                 cell(calls ? amount_text(estimate.calls.middle) : ""),
                                 cell(tokens >= 0.5 ? amount_text(tokens) : ""),
                                 cell(calls ? length_text(estimate.busy_s) : "")};
    if (money) row.push_back(cell(money_text(estimate.usd.middle)));
    row.push_back(cell(source_text(estimate)));
    if (step.critical) row.front().ink = Ink::kBold;
    table.add(std::move(row));
  }
  return table.text(terminal);
}

std::string expected_text(const Explanation& explained, const Terminal& terminal) {
  std::string text = heading(terminal, "expected (half of all runs lie within a range)") +
                     expected_table(explained, terminal);
  if (any_critical(explained)) text += "> on the critical path\n";
  text += "the whole run: " + whole_run(explained.expected) + "\n";
  if (explained.as_written) text += "as it is written: " + whole_run(*explained.as_written) + "\n";
  for (const std::string& remark : explained.remarks) text += harmless(remark) + "\n";
  return text;
}

std::string saved_text(const PassNote& note) {
  std::vector<std::string> parts;
  if (note.saved_calls && *note.saved_calls >= 0.05) {
    const std::string calls = amount_text(*note.saved_calls);
    parts.push_back(calls + (calls == "1" ? " call" : " calls"));
  }
  if (note.saved_trips && *note.saved_trips >= 0.05) {
    const std::string trips = amount_text(*note.saved_trips);
    parts.push_back(trips + (trips == "1" ? " round trip" : " round trips"));
  }
  if (note.saved_tokens && *note.saved_tokens >= 0.5) {
    parts.push_back(amount_text(*note.saved_tokens) + " tokens");
  }
  if (note.saved_s && !length_text(*note.saved_s).empty()) {
    parts.push_back(length_text(*note.saved_s));
  }
  return parts.empty() ? "" : " (saves " + joined(parts, ", ") + ")";
}

constexpr std::size_t kMostNamed = 3;  // steps of one line

// Notes of a pass that say the same of many steps are one line: of these steps, with what they save
// together.
std::vector<PassNote> gathered(const std::vector<PassNote>& notes) {
  struct Line {
    PassNote note;
    std::vector<std::string> steps;
  };
  std::vector<Line> lines;
  std::map<std::tuple<std::string_view, bool, std::string_view>, std::size_t> known;
  auto add = [](std::optional<double>& sum, const std::optional<double>& more) {
    if (more) sum = sum.value_or(0) + *more;
  };
  for (const PassNote& note : notes) {
    const auto found = known.find({note.pass, note.refused, note.text});
    if (note.step.empty() || found == known.end()) {
      if (!note.step.empty()) known[{note.pass, note.refused, note.text}] = lines.size();
      lines.push_back({note, {note.step}});
      continue;
    }
    Line& line = lines[found->second];
    line.steps.push_back(note.step);
    add(line.note.saved_calls, note.saved_calls);
    add(line.note.saved_trips, note.saved_trips);
    add(line.note.saved_tokens, note.saved_tokens);
    add(line.note.saved_s, note.saved_s);
  }
  std::vector<PassNote> made;
  for (Line& line : lines) {
    line.note.step = line.steps.size() > kMostNamed ? fmt::format("{} steps", line.steps.size())
                                                    : joined(line.steps, ", ");
    made.push_back(std::move(line.note));
  }
  return made;
}

std::string note_line(const PassNote& note, const Terminal& terminal, std::size_t width) {
  const std::string where = note.step.empty() ? "" : note.step + ": ";
  const std::string what = note.refused
                               ? painted(terminal, Ink::kDim, "left alone: " + harmless(note.text))
                               : harmless(note.text) + saved_text(note);
  return fmt::format("  {:<{}}  {}{}\n", note.pass, width, harmless(where), what);
}

std::string passes_text(const Explanation& explained, const Terminal& terminal) {
  if (explained.passes.empty()) return "";
  std::string text = heading(terminal, "passes");
  std::size_t width = 0;
  const std::vector<PassNote> notes = gathered(explained.notes);
  for (const PassNote& note : notes) width = std::max(width, note.pass.size());
  for (std::size_t i = 0; i < notes.size() && i < kMostNotes; ++i) {
    text += note_line(notes[i], terminal, width);
  }
  if (notes.size() > kMostNotes) {
    text += fmt::format("  and {} more notes (--format json has all)\n", notes.size() - kMostNotes);
  }
  if (explained.quality) text += "  allowed: " + harmless(quality_line(*explained.quality)) + "\n";
  std::vector<std::string> idle, off, not_allowed;
  for (const ExplainedPass& pass : explained.passes) {
    const bool spoke = std::ranges::any_of(
        explained.notes, [&](const PassNote& note) { return note.pass == pass.name; });
    if (pass.off) {
      off.emplace_back(pass.name);
    } else if (pass.not_allowed) {
      not_allowed.emplace_back(pass.name);
    } else if (!spoke) {
      idle.emplace_back(pass.name);
    }
  }
  if (!idle.empty()) text += "  nothing to do for " + joined(idle, ", ") + "\n";
  if (!not_allowed.empty()) {
    text += "  not allowed by the plan: " + joined(not_allowed, ", ") + "\n";
  }
  if (!off.empty()) text += "  switched off: " + joined(off, ", ") + "\n";
  return text;
}

// ---- a run that was

std::string beside(const std::string& actual, const std::string& estimated) {
  if (estimated.empty() || estimated == "0") return actual == "0" ? "" : actual;
  return fmt::format("{} ({})", actual.empty() ? "0" : actual, estimated);
}

std::vector<Table::Cell> actual_row(const ExplainedStep& step) {
  const StepProfile nothing;
  const StepProfile& actual = step.actual ? *step.actual : nothing;
  const StepEstimate unknown{};
  const StepEstimate& estimate = step.estimate ? *step.estimate : unknown;
  const double tokens = total_tokens(estimate).middle;
  const double busy = seconds_of(actual.busy_ns);
  const bool calls = expects_calls(step);
  auto amount = [](std::uint64_t count) { return amount_text(static_cast<double>(count)); };
  std::vector<Table::Cell> row{
      cell(step_cell(step)),
      cell(beside(amount(actual.tasks), step.estimate ? amount_text(estimate.rows.middle) : "")),
      cell(beside(amount(actual.calls), calls ? amount_text(estimate.calls.middle) : "")),
      cell(cached_text(actual)),
      cell(beside(amount(actual.usage.tokens()), tokens >= 0.5 ? amount_text(tokens) : "")),
      cell(beside(length_text(busy), calls ? length_text(estimate.busy_s.middle) : "")),
      cell(factor_text(busy, calls ? estimate.busy_s.middle : 0)),
      cell(length_text(seconds_of(actual.waiting_ns))),
      cell(length_text(seconds_of(actual.working_ns)))};
  if (actual.failed > 0) {
    row.front().ink = Ink::kRed;
  } else if (step.critical) {
    row.front().ink = Ink::kBold;
  }
  return row;
}

std::string actual_table(const Explanation& explained, const Terminal& terminal) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"  step"},
               {"rows", kRight},
               {"calls", kRight},
               {"cached", kRight},
               {"tokens", kRight},
               {"in calls", kRight},
               {"off", kRight},
               {"waiting", kRight},
               {"working", kRight}});
  for (const ExplainedStep& step : explained.steps) table.add(actual_row(step));
  return table.text(terminal);
}

std::string path_text(const RunProfile& profile) {
  const std::vector<PathHop> hops = path_hops(profile);
  if (hops.empty()) return "";
  const std::string chain = chain_text(hops.size(), [&](std::size_t i) {
    std::string text = fmt::format("{} {}", hops[i].label, seconds_text(hops[i].worked_ns));
    const std::string waited = length_text(seconds_of(hops[i].waited_ns));
    if (!waited.empty()) text += fmt::format(" (after waiting {})", waited);
    return text;
  });
  return "critical path: " + chain + "\n";
}

std::string help_text(const RunAnalysis& run, const Terminal& terminal) {
  if (!run.what_if) return "";
  std::string text = heading(terminal, "what would help most");
  if (run.what_if->effects.empty()) {
    text += "  nothing that was tried: more places, a step twice as fast, a faster model\n";
  }
  std::size_t width = 0;
  for (const ChangeEffect& effect : run.what_if->effects) {
    width = std::max(width, shown_width(change_text(effect.change, run.profile.one_of)));
  }
  for (const ChangeEffect& effect : run.what_if->effects) {
    text += fmt::format("  {:<{}}  {} less\n", change_text(effect.change, run.profile.one_of),
                        width, seconds_text(effect.saved_ns));
  }
  return text + fmt::format("  (of {} that the same tasks take on paper)\n",
                            seconds_text(run.what_if->unchanged_ns));
}

std::string run_text(const Explanation& explained, const Terminal& terminal) {
  const RunAnalysis& run = *explained.run;
  const double seconds = seconds_of(run.profile.end_ns - run.profile.start_ns);
  std::string text =
      heading(terminal, fmt::format("run {} {}: actual (estimated)", run.run_id, run.status)) +
      actual_table(explained, terminal);
  if (any_critical(explained)) text += "> on the critical path\n";
  const std::string took = length_text(seconds);
  text += fmt::format("the whole run: {}, estimated {}", took.empty() ? "0 s" : took,
                      whole_run(explained.expected));
  const bool waits = !unknown_waits(explained.expected).empty();  // of which nothing is expected
  const std::string factor = waits ? "" : factor_text(seconds, explained.expected.seconds.middle);
  text += (factor.empty() ? "" : "; off " + factor) + "\n";
  text += path_text(run.profile);
  for (const std::string& remark : explained.remarks) text += harmless(remark) + "\n";
  for (const std::string& remark : analysis_remarks(run)) text += remark + "\n";
  return text + help_text(run, terminal);
}

}  // namespace

std::string graph_text(const PlanGraph& graph, const std::string& title, const Plan& plan) {
  std::size_t id_width = 4, operation_width = 4;
  for (const GraphNode& node : graph.nodes) {
    id_width = std::max(id_width, node.id.size());
    operation_width = std::max(operation_width, node.operation.size() + (node.mapped ? 2 : 0));
  }
  std::string text = header_text(title, plan);
  for (const GraphNode& node : graph.nodes) {
    std::vector<std::string> parts;
    if (std::string inputs = inputs_text(graph, node); !inputs.empty())
      parts.push_back(std::move(inputs));
    parts.insert(parts.end(), node.modifiers.begin(), node.modifiers.end());
    if (node.streams) parts.emplace_back("emits items as they come");
    if (node.limit > 0) parts.push_back(fmt::format("at most {} at once", node.limit));
    std::string line = fmt::format("  {:<{}}  {:<{}}  {:<10}  {}", node.id, id_width,
                                   node.operation + (node.mapped ? " *" : ""), operation_width,
                                   node.effect, joined(parts, "; "));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  if (!graph.result.empty())
    text += fmt::format("  {:<{}}  reads {}\n", "result", id_width, joined(graph.result, ", "));
  if (std::ranges::any_of(graph.nodes, &GraphNode::mapped))
    text += "\n* a task per item (for_each)";
  text += fmt::format("\nlongest path: {}\n", joined(graph.longest_path, " -> "));
  return text;
}

std::string explain_text(const Explanation& explained, const Terminal& terminal) {
  const std::string graph = graph_text(explained.graph, explained.title, *explained.plan);
  if (explained.run) {
    return graph + run_text(explained, terminal) + passes_text(explained, terminal);
  }
  return graph + expected_text(explained, terminal) + passes_text(explained, terminal);
}

}  // namespace sluice::cli
