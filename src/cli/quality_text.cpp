#include "cli/quality_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <utility>

#include "cli/messages.h"
#include "cli/numbers_text.h"
#include "cli/table.h"

namespace sluice::cli {
namespace {

constexpr std::size_t kDateLength = 10;  // of "2026-11-21 15:30:12Z"

// Down, so that nothing is told to be better than it is.
std::string part_text(double part) {
  constexpr double kSlip = 1e-9;  // 0.29 * 100 is a little below 29
  return fmt::format("{:.2f}", std::floor(part * 100 + kSlip) / 100);
}

std::string rows_text(const Agreement& agreement) {
  return fmt::format("{} {}", count_text(agreement.rows), agreement.rows == 1 ? "row" : "rows");
}

std::string time_of(double seconds) {
  return seconds_text(static_cast<std::int64_t>(seconds * static_cast<double>(kNsPerSecond)));
}

std::string side_text(const SideCost& side) {
  std::string text = plural(side.calls, "call");
  if (side.tokens > 0) text += fmt::format(", {} tokens", count_text(side.tokens));
  if (side.shared > 0) text += fmt::format(" ({} of them shared)", count_text(side.shared));
  if (side.usd > 0) text += fmt::format(", {:.4f} usd", side.usd);
  text += ", " + time_of(side.seconds);
  if (side.earlier > 0) {
    text += fmt::format(" ({} answered by earlier runs)", count_text(side.earlier));
  }
  return text;
}

}  // namespace

std::string agreement_text(const Agreement& agreement) {
  return fmt::format("agreement {} ({} or more) on {}", part_text(agreement.share()),
                     part_text(agreement.at_least()), rows_text(agreement));
}

std::string quality_line(const AllowedQuality& known) {
  if (!known.measured) {
    return fmt::format("{}: results may differ; nothing was measured (sluice quality)",
                       fmt::join(known.passes, ", "));
  }
  const MeasuredQuality& measured = *known.measured;
  const std::string day = time_text(measured.measured_ns).substr(0, kDateLength);
  if (measured.passes.empty()) {
    return fmt::format("{}: found nothing to change in {}, looked for {}",
                       fmt::join(known.passes, ", "), rows_text(measured.agreement), day);
  }
  return fmt::format("{}: {}, measured {}", fmt::join(measured.passes, ", "),
                     agreement_text(measured.agreement), day);
}

std::string quality_report(const MeasuredQuality& measured) {
  const Agreement& agreement = measured.agreement;
  std::string text = fmt::format("quality: {} of {} have equal results with {}: {}",
                                 count_text(agreement.equal), rows_text(agreement),
                                 fmt::join(measured.passes, ", "), agreement_text(agreement));
  if (auto fields = agreement.field_share()) {
    text += fmt::format("; of their fields {}", part_text(*fields));
  }
  text += fmt::format("\n  exactly     {}\n  as allowed  {}\n", side_text(measured.exact),
                      side_text(measured.allowed));
  if (agreement.failed > 0) {
    text += fmt::format("  {} failed both ways and {} not counted\n",
                        plural(agreement.failed, "row"), agreement.failed == 1 ? "is" : "are");
  }
  for (const RowDifference& each : agreement.first) {
    text += fmt::format("  row {}: exactly {}, as allowed {}\n", count_text(each.row),
                        harmless(each.exact), harmless(each.allowed));
  }
  const std::uint64_t differ = agreement.rows - agreement.equal;
  if (differ > agreement.first.size()) {
    text += fmt::format("  and {} more that differ\n", count_text(differ - agreement.first.size()));
  }
  return text;
}

Value quality_event(const QualityOutcome& outcome) {
  std::vector<Value::Member> members{{"event", Value::string("quality")},
                                     {"measured", Value::boolean(outcome.measured.has_value())}};
  if (outcome.measured) {
    const Value all = encode_quality(*outcome.measured);
    for (const Value::Member& member : all.members()) members.push_back(member);
  } else {
    members.emplace_back("why", Value::from_utf8(outcome.why_not).value_or(Value()));
  }
  return Value::object(std::move(members));
}

}  // namespace sluice::cli
