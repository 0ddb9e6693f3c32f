#include "simulate/engine_workload.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/ensure.h"

namespace sluice {
namespace {

double seconds(SteadyNs ns) { return static_cast<double>(ns) / static_cast<double>(kNsPerSecond); }

SteadyNs ns_of_s(double s) { return static_cast<SteadyNs>(s * static_cast<double>(kNsPerSecond)); }

std::vector<Token> text(Random& random, std::size_t tokens) {
  std::vector<Token> out(tokens);
  for (Token& token : out) token = static_cast<Token>(random.below(40'000));
  return out;
}

// Log-normal around `median_s`.
double pause(Random& random, double median_s, double spread) {
  double radius = std::sqrt(-2 * std::log(1 - random.unit()));
  return median_s * std::exp(spread * radius * std::cos(2 * std::numbers::pi * random.unit()));
}

std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random.below(high - low + 1));
}

double quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  auto at = static_cast<std::size_t>(std::ceil(part * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(at, 1, values.size()) - 1];
}

}  // namespace

// 24 documents of about 1,100 tokens, 6 questions each, question by question, 16 in flight.
Workload docs_workload(std::uint64_t seed, double scale) {
  Random random(seed);
  Workload out{.name = "docs", .at_once = 16, .pool_cells = 16'384, .max_running = 16};
  auto documents = std::max<std::size_t>(2, static_cast<std::size_t>(24 * scale));
  std::vector<std::vector<Token>> texts;
  for (std::size_t i = 0; i < documents; ++i)
    texts.push_back(text(random, between(random, 1000, 1200)));
  for (int question = 0; question < 6; ++question) {
    for (const auto& document : texts) {
      WorldTurn turn{.adds = document, .output = between(random, 16, 48)};
      auto asked = text(random, between(random, 15, 30));
      turn.adds.insert(turn.adds.end(), asked.begin(), asked.end());
      out.programs.push_back({.kind = "question",
                              .max_tokens = 64,
                              .telling = Telling::kNothing,
                              .turns = {std::move(turn)}});
    }
  }
  return out;
}

// Sessions of 5 turns that grow to 3,000 tokens, with pauses around 2 s; the pool holds half.
Workload agents_workload(std::uint64_t seed, std::uint32_t sessions, Telling telling) {
  Random random(seed);
  Workload out{.name = "agents", .pool_cells = sessions * 1500, .max_running = 16};
  auto system = text(random, 100);
  for (std::uint32_t i = 0; i < sessions; ++i) {
    WorldProgram program{.name = "agent" + std::to_string(i),
                         .kind = "agent",
                         .arrives_s = 0.05 * i,
                         .max_tokens = 128,
                         .telling = telling};
    for (int turn = 0; turn < 5; ++turn) {
      WorldTurn next{.adds = turn == 0 ? system : std::vector<Token>{},
                     .output = between(random, 30, 90),
                     .pause_s = pause(random, 2, 0.8)};
      auto said = text(random, between(random, 400, 650) - next.adds.size());
      next.adds.insert(next.adds.end(), said.begin(), said.end());
      program.turns.push_back(std::move(next));
    }
    out.programs.push_back(std::move(program));
  }
  return out;
}

// A short request each second beside two clients with prompts of 2,800 tokens.
Workload mixed_workload(std::uint64_t seed, double length_s, bool shorts, bool longs) {
  Random random(seed);
  Workload out{.name = "mixed", .pool_cells = 16'384, .max_running = 16};
  for (int client = 0; longs && client < 2; ++client) {
    WorldProgram program{
        .kind = "long", .arrives_s = 0.1 * client, .max_tokens = 64, .telling = Telling::kNothing};
    for (int i = 0; i < static_cast<int>(length_s / 10) + 1; ++i) {
      program.turns.push_back(
          {.adds = text(random, 2800), .output = between(random, 24, 40), .fresh = true});
    }
    out.programs.push_back(std::move(program));
  }
  for (double at = 1; shorts && at < length_s; at += 1) {
    WorldTurn turn{.adds = text(random, between(random, 20, 60)),
                   .output = between(random, 8, 24),
                   .fresh = true};
    out.programs.push_back({.kind = "short",
                            .arrives_s = at + 0.3 * random.unit(),
                            .max_tokens = 32,
                            .telling = Telling::kNothing,
                            .turns = {std::move(turn)}});
  }
  return out;
}

// One tenant asks for a good part of the machine, another for ten times as much.
Workload fair_workload(std::uint64_t seed, double length_s, bool flood) {
  Random random(seed);
  Workload out{.name = "fair", .pool_cells = 16'384, .max_running = 16};
  auto add = [&](const char* tenant, double every_s) {
    double at = 0;
    while (at < length_s) {
      at += -every_s * std::log(1 - random.unit());
      WorldTurn turn{.adds = text(random, between(random, 150, 350)),
                     .output = between(random, 20, 60),
                     .fresh = true};
      out.programs.push_back({.tenant = tenant,
                              .kind = tenant,
                              .arrives_s = at,
                              .max_tokens = 64,
                              .telling = Telling::kNothing,
                              .turns = {std::move(turn)}});
    }
  };
  add("modest", 4);
  if (flood) add("flood", 0.4);
  return out;
}

Workload random_workload(std::uint64_t seed) {
  Random random(seed);
  Workload out{.name = "random"};
  out.pool_cells = between(random, 300, 1500);
  out.max_running = between(random, 1, 8);
  if (random.below(3) == 0) out.at_once = between(random, 1, 6);
  auto shared = text(random, 100);
  std::uint32_t programs = between(random, 3, 14);
  for (std::uint32_t i = 0; i < programs; ++i) {
    WorldProgram program{.name = "p" + std::to_string(i), .kind = "any"};
    program.tenant = "t" + std::to_string(random.below(3));
    program.arrives_s = random.unit() * 5;
    program.priority = random.below(5) == 0 ? 1 : 0;
    program.telling = static_cast<Telling>(random.below(4));
    program.max_tokens = between(random, 1, 60);
    std::uint32_t room = out.pool_cells - program.max_tokens;
    std::uint32_t said = 0;
    for (std::uint64_t turn = random.below(4) + 1; turn > 0; --turn) {
      WorldTurn next{.output = between(random, 1, program.max_tokens),
                     .pause_s = pause(random, 0.5, 1),
                     .fresh = random.below(4) == 0};
      if (next.fresh) said = 0;
      if (random.below(2) == 0) {
        next.adds.assign(shared.begin(), shared.begin() + between(random, 1, 100));
      }
      auto more = text(random, between(random, 1, 120));
      next.adds.insert(next.adds.end(), more.begin(), more.end());
      said += static_cast<std::uint32_t>(next.adds.size());
      if (said > room) break;
      said += next.output;
      program.turns.push_back(std::move(next));
    }
    if (!program.turns.empty()) out.programs.push_back(std::move(program));
  }
  return out;
}

WorldClients::WorldClients(const Workload& workload)
    : workload_(workload), sessions_(workload.programs.size()) {
  std::size_t first = workload.at_once == 0 ? sessions_.size() : workload.at_once;
  for (std::size_t i = 0; i < std::min(first, sessions_.size()); ++i) begin_next(0);
}

void WorldClients::push_due(Due due) {
  due_.push_back(due);
  std::ranges::push_heap(due_, std::greater<>{});
}

void WorldClients::begin_next(SteadyNs now_ns) {
  if (begun_ == sessions_.size()) return;
  std::size_t program = begun_++;
  push_due({std::max(now_ns, ns_of_s(workload_.programs[program].arrives_s)), program});
}

std::optional<SteadyNs> WorldClients::next_arrival_ns() const {
  if (due_.empty()) return std::nullopt;
  return due_.front().at_ns;
}

std::vector<WorldRequest> WorldClients::take_arrivals(SteadyNs now_ns) {
  std::vector<WorldRequest> out;
  while (!due_.empty() && due_.front().at_ns <= now_ns) {
    std::ranges::pop_heap(due_, std::greater<>{});
    Due due = due_.back();
    due_.pop_back();
    Session& session = sessions_[due.program];
    const WorldProgram& program = workload_.programs[due.program];
    const WorldTurn& turn = program.turns[session.next_turn];
    if (session.next_turn == 0) session.began_ns = due.at_ns;
    if (turn.fresh) session.said.clear();
    session.said.insert(session.said.end(), turn.adds.begin(), turn.adds.end());
    records_.push_back({.kind = program.kind,
                        .tenant = program.tenant,
                        .arrived_s = seconds(due.at_ns),
                        .output = turn.output,
                        .failed = true});
    records_.back().prompt_tokens = static_cast<std::uint32_t>(session.said.size());
    out.push_back({.id = records_.size(),
                   .program = due.program,
                   .turn = session.next_turn,
                   .tokens = session.said,
                   .prompt_tokens = records_.back().prompt_tokens,
                   .output = turn.output,
                   .arrived_ns = due.at_ns});
    session.next_turn += 1;
  }
  return out;
}

void WorldClients::first_token(const WorldRequest& request, SteadyNs now_ns) {
  records_[request.id - 1].first_s = seconds(now_ns - request.arrived_ns);
}

void WorldClients::ended(WorldRequest request, SteadyNs now_ns, std::uint32_t computed,
                         bool failed) {
  RequestRecord& record = records_[request.id - 1];
  record.whole_s = seconds(now_ns - request.arrived_ns);
  record.computed_tokens = computed;
  record.failed = failed;
  Session& session = sessions_[request.program];
  const WorldProgram& program = workload_.programs[request.program];
  session.said = std::move(request.tokens);
  if (session.next_turn < program.turns.size()) {
    return push_due({now_ns + ns_of_s(program.turns[request.turn].pause_s), request.program});
  }
  job_s_.emplace_back(program.kind, seconds(now_ns - session.began_ns));
  ended_ += 1;
  if (workload_.at_once > 0) begin_next(now_ns);
}

EngineWorldReport WorldClients::report(SteadyNs now_ns) const {
  EngineWorldReport out;
  out.requests = records_;
  out.job_s = job_s_;
  out.wall_s = seconds(now_ns);
  out.all_ended = done();
  return out;
}

double EngineWorldReport::job_mean_s(const std::string& kind) const {
  double sum = 0;
  double count = 0;
  for (const auto& [of, job] : job_s) {
    if (!kind.empty() && of != kind) continue;
    sum += job;
    count += 1;
  }
  return count > 0 ? sum / count : 0;
}

double EngineWorldReport::first_quantile_s(const std::string& kind, double part) const {
  std::vector<double> values;
  for (const RequestRecord& record : requests) {
    if (record.kind == kind && !record.failed) values.push_back(record.first_s);
  }
  return quantile(std::move(values), part);
}

double EngineWorldReport::whole_quantile_s(const std::string& tenant, double part) const {
  std::vector<double> values;
  for (const RequestRecord& record : requests) {
    if (record.tenant == tenant && !record.failed) values.push_back(record.whole_s);
  }
  return quantile(std::move(values), part);
}

double EngineWorldReport::tokens_per_s(const std::string& kind) const {
  double tokens = 0;
  double end_s = 0;
  for (const RequestRecord& record : requests) {
    if (record.kind != kind || record.failed) continue;
    tokens += record.prompt_tokens + record.output;
    end_s = std::max(end_s, record.arrived_s + record.whole_s);
  }
  return end_s > 0 ? tokens / end_s : 0;
}

std::uint64_t EngineWorldReport::computed_tokens() const {
  std::uint64_t sum = 0;
  for (const RequestRecord& record : requests) sum += record.computed_tokens;
  return sum;
}

}  // namespace sluice
