// group_by_prefix: rows whose prompts begin alike are asked together, however far apart they lie.
//
// Six questions about each of a hundred documents, question by question: the rows of one document
// lie a hundred rows apart. By the time the second one is asked, the engine has computed a hundred
// other documents and let go of the first. This pass tells the runtime to start the tasks of a
// model step group by group, by how their prompts begin: what is constant in front, and the first
// 512 bytes behind it. A group stands where its first row stands, so an early row never waits for a
// late one, and no row waits for longer than the runtime's window of rows before it take. Whose
// requests come to the engine side by side share the part that they have in common without being
// kept for it: it is computed once, and held while one of them runs. A server gets its requests in
// this order, too; what it makes of that is its own affair.
//
// Exact: rows keep their number and their place in every list; only the order in which they are
// asked changes, which no result hangs on.
//
// Refuses: prompts that read one thing only (equal ones are asked once anyhow), models with tools
// and prompts that are only known at run time, steps with effects or a stream, `concurrency: 1`,
// which promises the order of the items, and steps or plans with a budget, which would be spent on
// other rows.
//
// Example:
//   rows: [{doc: A, ask: q1}, {doc: B, ask: q1}, {doc: A, ask: q2}, {doc: B, ask: q2}]
//   llm: {prompt: "{{ item.doc }}\n\n{{ item.ask }}"}
//   is asked in the order 0, 2, 1, 3
//
// Saves: the prompt tokens that rows of a group share, for every row but the first of each group,
// where the engine could not keep them for so long.
//
// Source: BatchLLM (arXiv 2412.03594), which reorders a batch that is known as a whole; here the
// groups are found among the tasks that are ready, without a look at the rest.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fmt/format.h"
#include "optimize/passes/passes.h"
#include "optimize/prompt_start.h"

namespace sluice {
namespace {

// Bytes behind the constant start by which rows are told apart. More would take rows for different
// whose long common text ends earlier; fewer, documents with one letterhead for the same.
constexpr std::uint32_t kTellingBytes = 512;
constexpr std::size_t kLongestStart = 64 << 10;  // beyond: looking at it costs more than it saves

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) {
    ++count;
  }
  return count;
}

// How many things the prompt reads, as it is written.
std::size_t reads_of(const std::vector<PromptPiece>& pieces) {
  std::size_t reads = 0;
  for (const PromptPiece& piece : pieces) {
    if (piece.constant) continue;
    reads += std::max<std::size_t>(count_of(piece.text, "{{") + count_of(piece.text, "{%"), 1);
  }
  return reads;
}

bool has_many_rows(const PhysicalPassContext& context, const PhysicalStep& step) {
  const StepEstimate* known = context.estimate.find(step.logical.id);
  return known == nullptr ? step.mapped : known->rows.middle > 1;
}

// Why its rows go in the order of their items; "" where they need not.
std::string_view refusal(const PhysicalPlan& plan, const PhysicalStep& step) {
  if (step.effect > Effect::kRead || step.streams) return "it has effects";
  if (step.logical.concurrency == 1U) return "`concurrency: 1` asks for the order of the items";
  if (!step.logical.budget.none() || !plan.budget.none()) {
    return "a budget would be spent on other rows";
  }
  return "";
}

}  // namespace

void advise_group_by_prefix(PhysicalPassContext& context) {
  std::string first;
  std::size_t grouped = 0;
  for (PhysicalStep& step : context.plan.steps) {
    const std::vector<PromptPiece> pieces = prompt_start(step.logical);
    if (reads_of(pieces) < 2 || !has_many_rows(context, step)) continue;
    const std::size_t start = constant_bytes(pieces);
    if (start > kLongestStart) continue;
    if (const std::string_view why = refusal(context.plan, step); !why.empty()) {
      context.notes.refused(step.logical.id, std::string(why));
      continue;
    }
    step.advice.group_bytes = static_cast<std::uint32_t>(start) + kTellingBytes;
    if (grouped++ == 0) first = step.logical.id;
  }
  if (grouped == 0) return;
  const std::string others = grouped == 1 ? "" : fmt::format(" and {} more", grouped - 1);
  context.notes.did(grouped == 1 ? first : "",
                    fmt::format("rows{} whose prompts begin alike are asked together",
                                grouped == 1 ? "" : " of " + first + others));
}

}  // namespace sluice
