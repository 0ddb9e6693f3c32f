#include "engine/program_book.h"

#include "schedule/forget_oldest.h"

namespace sluice {
namespace {

constexpr SteadyNs kForgottenAfter = 3600 * kNsPerSecond;
constexpr SteadyNs kLookEvery = 60 * kNsPerSecond;
constexpr std::size_t kOutputs = 200;  // lengths of outputs that are remembered (Past-Future)

double seconds(SteadyNs ns) { return static_cast<double>(ns) / static_cast<double>(kNsPerSecond); }

}  // namespace

void ProgramBook::lost(const Program& program, SteadyNs now_ns) {
  if (program.requests == 0 && program.expected) {
    times_.record_lost(program.tool, seconds(now_ns - program.idle_since_ns));
  }
}

void ProgramBook::arrive(RequestView& view, SteadyNs now_ns) {
  ledger_.arrive(view.tenant, view.program, now_ns);
  view.program_since_ns =
      view.program.empty() ? view.arrived_ns : ledger_.program_since_ns(view.program, now_ns);
  if (view.program.empty() || view.prefetch) return;
  forget_some(now_ns);
  Program& program = programs_[view.program];
  if (program.requests == 0 && program.expected) {
    times_.record(program.tool, seconds(now_ns - program.idle_since_ns));
    program.expected = false;
  }
  program.requests += 1;
}

void ProgramBook::leave(const RequestView& view, const KeptFor& kept_for, SteadyNs now_ns) {
  ledger_.leave(view.tenant, view.program, now_ns);
  auto found = programs_.find(view.program);
  if (view.prefetch || found == programs_.end()) return;
  Program& program = found->second;
  if (program.requests > 0) program.requests -= 1;
  program.expected = program.expected || kept_for.expected();
  if (kept_for.expected()) program.tool = kept_for.next_tool;
  program.idle_since_ns = now_ns;
}

void ProgramBook::release(std::string_view name, SteadyNs now_ns) {
  ledger_.release(name);
  auto found = programs_.find(name);
  if (found == programs_.end()) return;
  lost(found->second, now_ns);
  found->second.expected = false;
  if (found->second.requests == 0) programs_.erase(found);
}

void ProgramBook::record_output(std::uint32_t tokens) {
  outputs_.push_back(tokens);
  if (outputs_.size() > kOutputs) outputs_.pop_front();
}

void ProgramBook::forget(SteadyNs now_ns) {
  if (now_ns - looked_ns_ < kLookEvery) return;
  looked_ns_ = now_ns;
  ledger_.forget_before(now_ns - kForgottenAfter);
  std::erase_if(programs_, [&](const auto& entry) {
    const Program& program = entry.second;
    if (program.requests > 0 || now_ns - program.idle_since_ns < kForgottenAfter) return false;
    lost(program, now_ns);
    return true;
  });
}

void ProgramBook::forget_some(SteadyNs now_ns) {
  auto away_since = [](const auto& entry) -> std::optional<SteadyNs> {
    if (entry.second.requests > 0) return std::nullopt;
    return entry.second.idle_since_ns;
  };
  forget_oldest(programs_, ServiceLedger::kRemembered, away_since,
                [&](const auto& entry) { lost(entry.second, now_ns); });
}

std::optional<SteadyNs> ProgramBook::idle_since(std::string_view name) const {
  auto found = programs_.find(name);
  if (found == programs_.end() || found->second.requests > 0) return std::nullopt;
  return found->second.idle_since_ns;
}

}  // namespace sluice
