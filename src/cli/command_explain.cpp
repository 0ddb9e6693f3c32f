// sluice explain: a plan's graph, without running it.
#include <fmt/format.h>

#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/plan_file.h"
#include "cli/plan_graph.h"
#include "data/json.h"
#include "plan/lower.h"
#include "plan/tool_catalog.h"

namespace sluice::cli {
namespace {

struct ExplainArguments {
  std::string plan;
  std::string format = "text";
};

int explain_command(const ExplainArguments& arguments) {
  auto checked = require_plan(arguments.plan, false);
  if (!checked) return checked.error();
  auto catalog = catalog_of(*checked->plan);
  auto physical = lower_plan(checked->plan, *catalog);
  if (!physical) return end_with(physical.error());
  const PlanGraph graph = graph_of(**physical);
  std::string text;
  if (arguments.format == "dot") {
    text = graph_dot(graph);
  } else if (arguments.format == "mermaid") {
    text = graph_mermaid(graph);
  } else if (arguments.format == "json") {
    text = to_json(graph_json(graph), {.indent = 2}) + "\n";
  } else {
    text = graph_text(graph, arguments.plan, *checked->plan);
  }
  return print_text(text);
}

}  // namespace

void add_explain(CLI::App& app, int& status) {
  auto arguments = std::make_shared<ExplainArguments>();
  app.add_option("PLAN", arguments->plan, "The plan, YAML or JSON; - reads standard input")
      ->required();
  app.add_option("--format", arguments->format, "text, dot (Graphviz), mermaid or json")
      ->check(CLI::IsMember({"text", "dot", "mermaid", "json"}));
  app.footer(
      "`flow` edges pass item by item, `wait` edges need all of a step first.\n"
      "\n"
      "Examples:\n"
      "  sluice explain plan.yaml\n"
      "  sluice explain plan.yaml --format dot | dot -Tsvg > plan.svg\n");
  app.callback([arguments, &status] { status = explain_command(*arguments); });
}

}  // namespace sluice::cli
