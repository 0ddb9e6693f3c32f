#include "bench/attention/report.h"

#include <fmt/format.h>

#include <fstream>
#include <string>

#include "data/json.h"
#include "engine/attention/attention.h"

namespace sluice::bench {
namespace {

std::string speed(const SideResult* side) {
  return side == nullptr ? "" : fmt::format("{:.1f}", median(side->rounds));
}

std::string multiple(const SideResult* ours, const SideResult* other) {
  if (ours == nullptr || other == nullptr) return "";
  const Ratio r = ratio(*ours, *other);
  return fmt::format("{:.2f} ({:.2f} to {:.2f})", r.median, r.low, r.high);
}

std::string bar(double bar) { return bar == 0 ? "" : fmt::format("{:g}x", bar); }

bool reached(double wanted, const SideResult* ours, const SideResult* other) {
  return wanted == 0 || (other != nullptr && ratio(*ours, *other).median >= wanted);
}

std::string verdict(const RowResult& result) {
  const SideResult* ours = result.side(kOurs);
  if (ours == nullptr || result.side(kOn) == nullptr || result.side(kOff) == nullptr) return "";
  if (result.row.bars.on == 0 && result.row.bars.better == 0) return "";
  const bool met = reached(result.row.bars.on, ours, result.side(kOn)) &&
                   reached(result.row.bars.better, ours, result.better());
  return met ? "met" : "MISSED";
}

Value ratio_value(const SideResult& ours, const SideResult& other) {
  const Ratio r = ratio(ours, other);
  return Value::object({{"median", Value::number(r.median)},
                        {"low", Value::number(r.low)},
                        {"high", Value::number(r.high)}});
}

Value row_value(const RowResult& result) {
  std::vector<Value::Member> sides;
  std::vector<Value::Member> ratios;
  const SideResult* ours = result.side(kOurs);
  for (const SideResult& side : result.sides) {
    std::vector<Value> rounds;
    for (double round : side.rounds) rounds.push_back(Value::number(round));
    sides.emplace_back(side.name, Value::object({{"median", Value::number(median(side.rounds))},
                                                 {"rounds", Value::array(std::move(rounds))},
                                                 {"difference", Value::number(side.difference)}}));
    if (ours != nullptr && &side != ours) ratios.emplace_back(side.name, ratio_value(*ours, side));
  }
  std::vector<Value::Member> facts;
  for (const auto& [name, fact] : result.facts) facts.emplace_back(name, Value::number(fact));
  return Value::object({{"name", Value::string(result.row.name)},
                        {"title", Value::string(result.row.title)},
                        {"unit", Value::string(result.row.unit)},
                        {"bar_on", Value::number(result.row.bars.on)},
                        {"bar_better", Value::number(result.row.bars.better)},
                        {"verdict", Value::string(verdict(result))},
                        {"share_of_cores", Value::number(result.cores)},
                        {"sides", Value::object(std::move(sides))},
                        {"ours_to", Value::object(std::move(ratios))},
                        {"facts", Value::object(std::move(facts))}});
}

void print_machine(const Settings& settings, const Machine& machine) {
  const double giga = machine.bytes_a_second / 1e9;
  fmt::print(
      "{} threads, {} rounds, vectors of our kernel: {}; memory is read at {:.1f} GB/s; a decoded "
      "token reads {:.0f} MB of weights\n\n",
      settings.threads, settings.rounds, attention_target(), giga, machine.weight_bytes / 1e6);
}

void print_facts(const std::vector<RowResult>& results) {
  for (const RowResult& result : results) {
    if (result.facts.empty() && result.side(kPool) == nullptr) continue;
    std::string line;
    if (const SideResult* pool = result.side(kPool)) {
      line += fmt::format(" stock in the unified pool {:.1f} {};", median(pool->rounds),
                          result.row.unit);
      if (const SideResult* ours = result.side(kOurs)) {
        line += fmt::format(" ours {} of it;", multiple(ours, pool));
      }
    }
    for (const auto& [name, fact] : result.facts) line += fmt::format(" {} {:.4g};", name, fact);
    line.pop_back();
    fmt::print("{:<24}{}\n", result.row.name, line);
  }
}

}  // namespace

void print_table(const Settings& settings, const Machine& machine,
                 const std::vector<RowResult>& results) {
  print_machine(settings, machine);
  fmt::print("{:<24} {:>9} {:>9} {:>9}  {:<22} {:<6} {:<22} {:<6} {}\n", "tokens/s (op: ops/s)",
             "stock on", "stock off", "ours", "ours / on", "bar", "ours / better", "bar", "");
  for (const RowResult& result : results) {
    const SideResult* ours = result.side(kOurs);
    fmt::print("{:<24} {:>9} {:>9} {:>9}  {:<22} {:<6} {:<22} {:<6} {}\n", result.row.name,
               speed(result.side(kOn)), speed(result.side(kOff)), speed(ours),
               multiple(ours, result.side(kOn)), bar(result.row.bars.on),
               multiple(ours, result.better()), bar(result.row.bars.better),
               verdict(result) + (result.disturbed ? " (cores shared)" : ""));
  }
  fmt::print("\nin rows separate-* stock is in split mode, ours in the unified pool\n");
  print_facts(results);
}

void write_json(const Settings& settings, const Machine& machine,
                const std::vector<RowResult>& results) {
  std::vector<Value> rows;
  for (const RowResult& result : results) rows.push_back(row_value(result));
  const Value all = Value::object({{"threads", Value::integer(settings.threads)},
                                   {"rounds", Value::integer(settings.rounds)},
                                   {"vectors", Value::string(attention_target())},
                                   {"bytes_a_second", Value::number(machine.bytes_a_second)},
                                   {"kv_bytes_a_token", Value::number(machine.kv_bytes)},
                                   {"weight_bytes", Value::number(machine.weight_bytes)},
                                   {"rows", Value::array(std::move(rows))}});
  std::ofstream out(settings.json);
  out << to_json(all, {.indent = 2, .redact_secrets = true}) << "\n";
  if (!out.flush()) fail(fmt::format("{} cannot be written", settings.json));
}

}  // namespace sluice::bench
