// keep_prefixes: prompts that begin alike are computed once and kept.
//
// A step asks a model about a row, and a later one asks about the same row again: both prompts
// begin with the row's text. The engine shares what it still has, but without being told it may
// have let go of it in between. This pass compares how the prompts of a plan's model steps begin,
// as they are written, and says of the earlier one that what it computes is read again. Where
// several steps over many rows begin with long constant texts of their own, their requests are
// wished to run group by group, so that each text is computed once and not once in a while.
//
// Exact: it changes when things are computed and what is kept, not what is asked.
//
// Refuses: models behind a server (`kind: openai`): what it keeps, and in which order it works, is
// the server's own affair, and nothing of this reaches it. Prompts that are only known at run time,
// and models with tools, which put more before the prompt, are left alone.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "optimize/passes/passes.h"
#include "optimize/prompt_start.h"

namespace sluice {
namespace {

// Constant bytes at the start of a prompt that are worth a group of its own: about 300 tokens.
constexpr std::size_t kLongPrefix = 1200;
constexpr std::string_view kReadEnds = "}}";  // what is read is in the text before
constexpr std::size_t kMostCompared = 2000;   // pairs of steps; beyond, the rest is left alone

// Whether both begin with the same words and, within these, with the same thing that is read.
bool share_what_they_read(const std::vector<PromptPiece>& left,
                          const std::vector<PromptPiece>& right) {
  bool reads = false;
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    const std::string_view a = left[i].text;
    const std::string_view b = right[i].text;
    if (a == b) {
      reads = reads || !left[i].constant;
      continue;
    }
    const auto differ = std::ranges::mismatch(a, b).in1;
    const std::string_view common(a.begin(), differ);
    return reads || common.find(kReadEnds) != common.npos;
  }
  return reads;
}

bool same_rows(const Step& left, const Step& right) {
  if (left.for_each.has_value() != right.for_each.has_value()) return false;
  return !left.for_each || same_binding(*left.for_each, *right.for_each);
}

class KeepPrefixes {
 public:
  explicit KeepPrefixes(PhysicalPassContext& context)
      : context_(context), steps_(context.plan.steps) {}

  void run() {
    pieces_.resize(steps_.size());
    for (std::uint32_t i = 0; i < steps_.size(); ++i) {
      pieces_[i] = prompt_start(steps_[i].logical);
      if (!pieces_[i].empty()) asking_.push_back(i);
    }
    keep();
    group();
  }

 private:
  bool may_share(std::uint32_t left, std::uint32_t right) const {
    return steps_[left].resource == steps_[right].resource;
  }

  // `default` may be anything until it is opened: only what is certainly a server's is refused.
  bool behind_server(std::uint32_t step) {
    const std::string& id = steps_[step].logical.id;
    const NamedSettings* model = context_.plan.logical->find_model(steps_[step].logical.target);
    const bool server = model != nullptr && model->kind == "openai";
    if (server && refused_.insert(step).second) {
      context_.notes.refused(id, "its model runs behind a server, which keeps what it likes");
    }
    return server;
  }

  // The reader comes behind the step in the order of the plan.
  bool comes_after(std::uint32_t step, std::uint32_t reader) const {
    std::vector<char> seen(steps_.size(), 0);
    std::vector<std::uint32_t> open = {reader};
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      for (const Edge& edge : steps_[at].edges) {
        if (edge.from == step) return true;
        if (edge.from < step || std::exchange(seen[edge.from], 1) != 0) continue;
        open.push_back(edge.from);
      }
    }
    return false;
  }

  void keep() {
    std::size_t compared = 0;
    for (std::size_t i = 0; i < asking_.size(); ++i) {
      const std::uint32_t first = asking_[i];
      for (std::size_t k = i + 1; k < asking_.size() && compared < kMostCompared; ++k) {
        const std::uint32_t second = asking_[k];
        if (!may_share(first, second)) continue;
        ++compared;
        if (!same_rows(steps_[first].logical, steps_[second].logical)) continue;
        if (!share_what_they_read(pieces_[first], pieces_[second])) continue;
        if (!comes_after(first, second)) continue;
        if (behind_server(first)) break;
        steps_[first].advice.prefix_returns = true;
        context_.notes.did(
            steps_[first].logical.id,
            fmt::format("what its prompt begins with is kept for {}", steps_[second].logical.id));
        break;
      }
    }
  }

  bool has_long_start(std::uint32_t step) const {
    return steps_[step].mapped && constant_bytes(pieces_[step]) >= kLongPrefix;
  }

  void group() {
    std::set<std::pair<std::string_view, std::string_view>> starts;  // model, first kLongPrefix
    std::vector<std::string> firsts(steps_.size());
    std::vector<std::uint32_t> wide;
    for (const std::uint32_t i : asking_) {
      if (!has_long_start(i)) continue;
      for (const PromptPiece& piece : pieces_[i]) {
        if (firsts[i].size() < kLongPrefix) firsts[i] += piece.text + '\n';
      }
      firsts[i].resize(kLongPrefix);
      starts.emplace(steps_[i].resource, firsts[i]);
      wide.push_back(i);
    }
    for (const std::uint32_t i : wide) {
      const bool others = std::ranges::any_of(starts, [&](const auto& start) {
        return start.first == steps_[i].resource && start.second != firsts[i];
      });
      if (!others || behind_server(i)) continue;
      steps_[i].advice.order = "sharing";
      context_.notes.did(steps_[i].logical.id,
                         "its rows are asked together: they begin with the same long text");
    }
  }

  PhysicalPassContext& context_;
  std::vector<PhysicalStep>& steps_;
  std::vector<std::vector<PromptPiece>> pieces_;
  std::vector<std::uint32_t> asking_;  // llm steps whose prompts are known
  std::set<std::uint32_t> refused_;    // with a note
};

}  // namespace

void advise_keep_prefixes(PhysicalPassContext& context) { KeepPrefixes(context).run(); }

}  // namespace sluice
