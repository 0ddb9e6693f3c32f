// explain as one page that needs nothing else: no network, no files beside it.
#include <fmt/format.h>

#include <algorithm>

#include "cli/explain/estimate_text.h"
#include "cli/explain/explanation.h"
#include "cli/explain/html_parts.h"
#include "cli/numbers_text.h"

namespace sluice::cli {

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (byte >= 0x20 || c == '\n' || c == '\t') {
      out.push_back(c);
    } else {
      out += "&#xFFFD;";
    }
  }
  return out;
}

namespace {

std::string cell(std::string_view text, std::string_view kind = "n") {
  return fmt::format("<td class=\"{}\">{}</td>", kind, html_escaped(text));
}

// A number with what was expected below it.
std::string pair_cell(std::string_view actual, std::string_view estimated) {
  std::string out = "<td class=\"n\">" + html_escaped(actual);
  if (!estimated.empty()) out += "<small>" + html_escaped(estimated) + "</small>";
  return out + "</td>";
}

std::string whole(double amount) { return amount >= 0.05 ? amount_text(amount) : ""; }

std::string name_cell(const ExplainedStep& step) {
  return fmt::format("<th scope=\"row\">{}<small>{}</small></th>", html_escaped(step.id),
                     html_escaped(step.operation));
}

std::string row_class(const ExplainedStep& step) {
  std::string names;
  if (step.critical) names = "critical";
  if (step.actual && step.actual->failed > 0) names += names.empty() ? "failed" : " failed";
  return names.empty() ? "<tr>" : "<tr class=\"" + names + "\">";
}

std::string expected_rows(const Explanation& explained) {
  std::string out =
      "<thead><tr><th>step</th><th class=\"n\">rows</th><th class=\"n\">calls</th>"
      "<th class=\"n\">tokens</th><th class=\"n\">in calls</th><th class=\"n\">range</th>"
      "<th class=\"n\">usd</th><th>from</th></tr></thead><tbody>";
  for (const ExplainedStep& step : explained.steps) {
    if (!step.estimate) continue;
    const StepEstimate& estimate = *step.estimate;
    const bool calls = expects_calls(step);
    std::string range;
    if (calls && !length_text(estimate.busy_s.high).empty()) {
      const std::string low = length_text(estimate.busy_s.low);
      range = fmt::format("{} to {}", low.empty() ? "0 s" : low, length_text(estimate.busy_s.high));
    }
    out +=
        row_class(step) + name_cell(step) +
        cell(amount_text(estimate.gives.value_or(estimate.rows).middle)) +
        cell(calls ? whole(estimate.calls.middle) : "") +
        cell(whole(total_tokens(estimate).middle)) +
        cell(calls ? length_text(estimate.busy_s.middle) : "") + cell(range) +
        cell(money_text(estimate.usd.middle)) +
        fmt::format("<td><span class=\"source {0}\">{0}</span></td></tr>\n", source_text(estimate));
  }
  return out + "</tbody>";
}

std::string actual_rows(const Explanation& explained) {
  std::string out =
      "<thead><tr><th>step</th><th class=\"n\">rows</th><th class=\"n\">calls</th>"
      "<th class=\"n\">cached</th><th class=\"n\">tokens</th><th class=\"n\">in calls</th>"
      "<th class=\"n\">off</th><th class=\"n\">waiting</th><th class=\"n\">working</th></tr>"
      "</thead><tbody>";
  for (const ExplainedStep& step : explained.steps) {
    const StepProfile nothing;
    const StepProfile& actual = step.actual ? *step.actual : nothing;
    const StepEstimate unknown{};
    const StepEstimate& estimate = step.estimate ? *step.estimate : unknown;
    const double busy = seconds_of(actual.busy_ns);
    const bool calls = expects_calls(step);
    out += row_class(step) + name_cell(step) +
           pair_cell(count_text(actual.tasks), step.estimate ? whole(estimate.rows.middle) : "") +
           pair_cell(actual.calls == 0 ? "" : count_text(actual.calls),
                     calls ? whole(estimate.calls.middle) : "") +
           cell(cached_text(actual)) +
           pair_cell(actual.usage.tokens() == 0 ? "" : count_text(actual.usage.tokens()),
                     whole(total_tokens(estimate).middle)) +
           pair_cell(length_text(busy), calls ? length_text(estimate.busy_s.middle) : "") +
           cell(factor_text(busy, calls ? estimate.busy_s.middle : 0)) +
           cell(length_text(seconds_of(actual.waiting_ns))) +
           cell(length_text(seconds_of(actual.working_ns))) + "</tr>\n";
  }
  return out + "</tbody>";
}

std::string table_part(const Explanation& explained) {
  const bool of_run = explained.run.has_value();
  std::string out = of_run ? "<h2>Steps</h2><p class=\"hint\">Small: what was estimated.</p>"
                           : "<h2>Expected</h2><p class=\"hint\">Half of all runs lie within a "
                             "range.</p>";
  out += "<div class=\"scroll\"><table>";
  out += of_run ? actual_rows(explained) : expected_rows(explained);
  return out + "</table></div>\n";
}

std::string fact(std::string_view name, std::string_view value, std::string_view below = "") {
  if (value.empty()) return "";
  std::string out = fmt::format("<div class=\"fact\"><b>{}</b><span>{}</span>", html_escaped(value),
                                html_escaped(name));
  if (!below.empty()) out += "<small>" + html_escaped(below) + "</small>";
  return out + "</div>";
}

std::string facts_part(const Explanation& explained) {
  const PlanEstimate& expected = explained.expected;
  const Estimate tokens = expected.prompt_tokens + expected.completion_tokens;
  std::string out = "<div class=\"facts\">";
  if (explained.run) {
    const RunProfile& profile = explained.run->profile;
    const double seconds = seconds_of(profile.end_ns - profile.start_ns);
    Usage usage;
    std::uint64_t calls = 0;
    for (const StepProfile& step : profile.steps) {
      usage += step.usage;
      calls += step.calls;
    }
    auto was = [](const std::string& text) { return text.empty() ? "" : "estimated " + text; };
    const std::string waits = waits_text(expected);
    std::string length = length_text(expected.seconds);
    if (!waits.empty()) length += (length.empty() ? "0 s, " : ", ") + waits;
    out += fact("from start to end", length_text(seconds), was(length));
    out += fact("off", waits.empty() ? factor_text(seconds, expected.seconds.middle) : "",
                "actual over estimated");
    out += fact("calls", calls == 0 ? "" : count_text(calls), was(whole(expected.calls.middle)));
    out += fact("tokens", usage.tokens() == 0 ? "" : count_text(usage.tokens()),
                was(whole(tokens.middle)));
    out += fact("usd", money_text(usage.usd), was(money_text(expected.usd.middle)));
    return out + "</div>\n";
  }
  auto written = [&](auto member) {
    if (!explained.as_written) return std::string();
    const std::string text = member(*explained.as_written);
    return text.empty() ? text : "as written " + text;
  };
  std::string below = written([](const auto& plan) { return length_text(plan.seconds.middle); });
  if (std::string waits = waits_text(expected); !waits.empty()) {
    below = below.empty() ? std::move(waits) : waits + "; " + below;
  }
  const std::string length = length_text(expected.seconds);
  out += fact("from start to end", length.empty() && !below.empty() ? "0 s" : length, below);
  out += fact("calls", whole(expected.calls.middle),
              written([](const auto& plan) { return whole(plan.calls.middle); }));
  out += fact("tokens", whole(tokens.middle), written([](const auto& plan) {
                return whole(plan.prompt_tokens.middle + plan.completion_tokens.middle);
              }));
  out += fact("usd", money_text(expected.usd.middle),
              written([](const auto& plan) { return money_text(plan.usd.middle); }));
  return out + "</div>\n";
}

std::string saved_words(const PassNote& note) {
  std::string out;
  auto add = [&](const std::string& text) {
    if (!text.empty()) out += (out.empty() ? "saves " : ", ") + text;
  };
  if (note.saved_calls)
    add(whole(*note.saved_calls).empty() ? "" : whole(*note.saved_calls) + " calls");
  if (note.saved_trips) {
    add(whole(*note.saved_trips).empty() ? "" : whole(*note.saved_trips) + " round trips");
  }
  if (note.saved_tokens) {
    add(whole(*note.saved_tokens).empty() ? "" : whole(*note.saved_tokens) + " tokens");
  }
  if (note.saved_s) add(length_text(*note.saved_s));
  return out;
}

std::string passes_part(const Explanation& explained) {
  if (explained.passes.empty()) return "";
  std::string out = "<h2>Passes</h2><ul class=\"passes\">";
  for (const ExplainedPass& pass : explained.passes) {
    out += fmt::format("<li><b>{}</b>", html_escaped(pass.name));
    std::size_t notes = 0;
    for (const PassNote& note : explained.notes) {
      if (note.pass != pass.name) continue;
      ++notes;
      const std::string saved = note.refused ? "" : saved_words(note);
      out += fmt::format("<p class=\"{}\">{}{}{}</p>", note.refused ? "refused" : "did",
                         note.step.empty() ? "" : "<code>" + html_escaped(note.step) + "</code> ",
                         note.refused ? "left alone: " : "", html_escaped(note.text));
      if (!saved.empty()) out += fmt::format("<p class=\"saved\">{}</p>", html_escaped(saved));
    }
    if (pass.off) out += "<p class=\"refused\">switched off</p>";
    if (pass.not_allowed) out += "<p class=\"refused\">not allowed by the plan</p>";
    const bool idle = !pass.off && !pass.not_allowed && notes == 0;
    if (idle) out += "<p class=\"refused\">nothing to do</p>";
    out += "</li>";
  }
  out += "</ul>\n";
  if (!explained.quality) return out;
  return out + fmt::format("<p>Allowed: {}</p>\n", html_escaped(quality_line(*explained.quality)));
}

std::string help_part(const RunAnalysis& run) {
  if (!run.what_if) return "";
  std::string out = "<h2>What would help most</h2>";
  if (run.what_if->effects.empty()) out += "<p>Nothing that was tried.</p>";
  out += "<ol class=\"help\">";
  for (const ChangeEffect& effect : run.what_if->effects) {
    out += fmt::format("<li>{}: <b>{} less</b></li>",
                       html_escaped(change_text(effect.change, run.profile.one_of)),
                       seconds_text(effect.saved_ns));
  }
  return out + fmt::format("</ol><p class=\"hint\">Of {} that the same tasks take on paper.</p>\n",
                           seconds_text(run.what_if->unchanged_ns));
}

std::string path_part(const RunProfile& profile) {
  const std::vector<PathHop> hops = path_hops(profile);
  if (hops.empty()) return "";
  constexpr std::size_t kMostHops = 40;
  std::string out = "<h2>Critical path</h2><ol class=\"path\">";
  for (std::size_t i = 0; i < hops.size(); ++i) {
    if (hops.size() > kMostHops && i == kMostHops / 2) {
      out += fmt::format("<li class=\"gap\">{} more</li>", hops.size() - kMostHops);
      i = hops.size() - kMostHops / 2;
    }
    const std::string waited = length_text(seconds_of(hops[i].waited_ns));
    out += fmt::format("<li><code>{}</code> {}{}</li>", html_escaped(hops[i].label),
                       seconds_text(hops[i].worked_ns),
                       waited.empty() ? "" : " <small>after waiting " + waited + "</small>");
  }
  return out + "</ol>\n";
}

std::string remarks_part(const Explanation& explained) {
  std::vector<std::string> remarks = explained.remarks;
  if (explained.run) {
    const std::vector<std::string> more = analysis_remarks(*explained.run);
    remarks.insert(remarks.end(), more.begin(), more.end());
  }
  std::string out;
  for (const std::string& remark : remarks) {
    out += "<p class=\"hint\">" + html_escaped(remark) + "</p>\n";
  }
  return out;
}

}  // namespace

std::string explain_html(const Explanation& explained) {
  const std::string about =
      explained.run ? fmt::format("run {} {}", explained.run->run_id, explained.run->status)
                    : "what is expected of it";
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<main>\n"
      "<header><h1>{0}</h1><p>{2}</p></header>\n",
      html_escaped(explained.title), page_style(), html_escaped(about));
  out += facts_part(explained) + remarks_part(explained);
  if (explained.run) out += help_part(*explained.run) + timeline_part(explained.run->profile);
  out += graph_part(explained.graph) + table_part(explained);
  if (explained.run) out += path_part(explained.run->profile);
  out += passes_part(explained);
  return out + fmt::format("</main>\n<script>{}</script>\n</body>\n</html>\n", page_script());
}

}  // namespace sluice::cli
