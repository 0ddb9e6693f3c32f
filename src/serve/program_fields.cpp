#include "serve/program_fields.h"

#include <array>

#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr std::size_t kMostNameBytes = 256;
constexpr std::int64_t kMostMs = 7LL * 24 * 3600 * 1000;
constexpr std::int64_t kMostTokens = 1 << 24;

struct PolicyKind {
  std::string_view name;
  std::string PolicyNames::* member;
};
constexpr std::array kPolicyKinds{PolicyKind{"order", &PolicyNames::order},
                                  PolicyKind{"admission", &PolicyNames::admission},
                                  PolicyKind{"lifetime", &PolicyNames::lifetime}};
// One decision for all requests of the engine.
constexpr std::array kEnginesOwn{std::string_view("batch"), std::string_view("fairness")};

PolicyNames read_policies(RequestFields& hints) {
  PolicyNames names;
  auto reader = hints.object("policies");
  if (!reader) return names;
  for (const PolicyKind& kind : kPolicyKinds) {
    PolicyNames one;
    one.*kind.member = reader->text(kind.name, kMostNameBytes).value_or("");
    if (auto known = check_policy_names(one); !known) {
      reader->wrong(kind.name, known.error().message());
    }
    names.*kind.member = one.*kind.member;
  }
  for (std::string_view kind : kEnginesOwn) {
    if (!reader->text(kind, kMostNameBytes)) continue;
    reader->wrong(kind, "holds for all requests of the server: start it with --policy");
  }
  reader->finish();
  return names;
}

}  // namespace

ProgramFields read_program_fields(RequestFields& body, SteadyNs now_ns) {
  ProgramFields out;
  ProgramHints& hints = out.hints;
  auto top = body.integer("priority", -kMostPriority, kMostPriority);
  hints.priority = static_cast<std::int32_t>(top.value_or(0));
  auto reader = body.object("sluice");
  if (!reader) return out;
  auto priority = reader->integer("priority", -kMostPriority, kMostPriority);
  if (priority) hints.priority = static_cast<std::int32_t>(*priority);
  hints.program = reader->text("program", kMostNameBytes).value_or("");
  hints.tenant = reader->text("tenant", kMostNameBytes).value_or("");
  hints.task = reader->text("task", kMostNameBytes).value_or("");
  hints.rank = static_cast<std::uint32_t>(reader->integer("rank", 0, kMostTokens).value_or(0));
  hints.remaining_path_s = reader->number("remaining_path_s", 0, 1e9);
  if (auto ms = reader->integer("deadline_ms", 0, kMostMs)) {
    hints.deadline_ns = now_ns + *ms * kNsPerMs;
  }
  if (auto tokens = reader->integer("expected_tokens", 0, kMostTokens)) {
    hints.expected_tokens = static_cast<std::uint32_t>(*tokens);
  }
  if (auto ms = reader->integer("returns_in_ms", 0, kMostMs)) {
    hints.returns_at_ns = now_ns + *ms * kNsPerMs;
  }
  const auto returns = reader->boolean("returns");
  hints.returns = returns.value_or(false);
  out.says_return = returns.has_value() || hints.returns_at_ns.has_value();
  hints.next_tool = reader->text("next_tool", kMostNameBytes).value_or("");
  hints.policies = read_policies(*reader);
  out.deterministic = reader->boolean("deterministic").value_or(false);
  out.last = reader->boolean("last").value_or(false);
  reader->finish();
  return out;
}

}  // namespace sluice
