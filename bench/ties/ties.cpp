// How often greedy text differs when a request is decoded in a batch with others in place of alone,
// under the default policies and under each other one.
// Usage: bench_ties MODEL.gguf [PROMPTS [TOKENS [PARALLEL [THREADS]]]]
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "schedule/policies.h"

namespace sluice {
namespace {

constexpr const char* kSubjects[] = {"rivers", "bread", "the moon", "bees",   "steel",
                                     "music",  "maps",  "glass",    "winter", "bridges"};
constexpr const char* kTasks[] = {"Write a short story about {}.", "Explain {} to a child.",
                                  "List facts about {}.", "Give three questions about {}.",
                                  "Write a letter about {} to a friend."};

struct Text {
  std::vector<std::string> tokens;
  std::vector<double> leads;  // of the chosen token before the second, in log probability
};

ModelRequest prompt(std::size_t number, std::uint32_t tokens, bool alone) {
  std::string subject = kSubjects[number % std::size(kSubjects)];
  std::string task = kTasks[number / std::size(kSubjects) % std::size(kTasks)];
  task.replace(task.find("{}"), 2, subject);
  ModelRequest request;
  request.messages = {{.role = "user", .content = fmt::format("{} (No. {})", task, number)}};
  request.sampling.max_tokens = tokens;
  request.sampling.logprobs = true;  // gives the tokens one by one
  request.sampling.top_logprobs = 2;
  request.deterministic = alone;
  return request;
}

// Runs all prompts, `parallel` at a time; prints the speed.
std::vector<Text> run(ModelInstance& model, std::size_t prompts, std::uint32_t tokens,
                      std::size_t parallel, bool alone) {
  std::vector<Text> out(prompts);
  SteadyNs start = system_clock().steady_ns();
  std::size_t generated = 0;
  auto before = *engine_stats(model);
  for (std::size_t first = 0; first < prompts; first += parallel) {
    std::size_t last = std::min(prompts, first + parallel);
    std::vector<std::promise<Result<ModelReply>>> done(last - first);
    for (std::size_t i = first; i < last; ++i) {
      auto& promise = done[i - first];
      model.submit(prompt(i, tokens, alone), {.on_end = [&](Result<ModelReply> reply) {
                     promise.set_value(std::move(reply));
                   }});
    }
    for (std::size_t i = first; i < last; ++i) {
      auto reply = done[i - first].get_future().get();
      if (!reply) {
        fmt::print(stderr, "{}\n", reply.error().to_string());
        std::exit(1);
      }
      for (TokenLogprob& token : reply->logprobs) {
        out[i].tokens.push_back(std::move(token.token));
        out[i].leads.push_back(token.top[0].second - token.top[1].second);
      }
      generated += reply->usage.completion_tokens;
    }
  }
  double seconds = static_cast<double>(system_clock().steady_ns() - start) / kNsPerSecond;
  auto after = *engine_stats(model);
  fmt::print("{:<10} {:>4} at a time: {:>6.1f} tokens/s generated, {:.1f} tokens a batch\n",
             alone ? "alone" : "batched", parallel, static_cast<double>(generated) / seconds,
             static_cast<double>(after.decode_tokens - before.decode_tokens) /
                 static_cast<double>(std::max<std::uint64_t>(1, after.batches - before.batches)));
  return out;
}

void compare(const std::vector<Text>& alone, const std::vector<Text>& batched) {
  std::size_t differ = 0;
  std::size_t compared = 0;
  std::vector<double> leads;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    auto [a, b] = std::ranges::mismatch(alone[i].tokens, batched[i].tokens);
    compared += static_cast<std::size_t>(a - alone[i].tokens.begin());
    bool same = a == alone[i].tokens.end() && b == batched[i].tokens.end();
    if (same) continue;
    ++compared;
    ++differ;
    auto at = static_cast<std::size_t>(a - alone[i].tokens.begin());
    if (at < alone[i].leads.size()) leads.push_back(alone[i].leads[at]);
  }
  std::ranges::sort(leads);
  fmt::print("texts that differ: {} of {}; one token in {:.0f} is decided otherwise\n", differ,
             alone.size(),
             static_cast<double>(compared) / static_cast<double>(std::max<std::size_t>(1, differ)));
  if (leads.empty()) return;
  fmt::print(
      "the first token led the second there by (log probability): median {:.3f}, most {:.3f}\n",
      leads[leads.size() / 2], leads.back());
}

// Every policy that is not a default, alone.
std::vector<std::pair<std::string, PolicyNames>> other_policies() {
  const PolicyNames defaults = PolicySettings{}.names;
  const PolicyTables& tables = policy_tables();
  std::vector<std::pair<std::string, PolicyNames>> out;
  auto add = [&](const char* kind, const auto& rows, std::string PolicyNames::* member) {
    for (const auto& row : rows) {
      if (row.name == defaults.*member) continue;
      PolicyNames names = defaults;
      names.*member = row.name;
      out.emplace_back(fmt::format("{}={}", kind, row.name), names);
    }
  };
  add("order", tables.order, &PolicyNames::order);
  add("batch", tables.batch, &PolicyNames::batch);
  add("admission", tables.admission, &PolicyNames::admission);
  add("lifetime", tables.lifetime, &PolicyNames::lifetime);
  add("fairness", tables.fairness, &PolicyNames::fairness);
  return out;
}

int bench(int argc, char** argv) {
  auto number = [&](int at, std::size_t otherwise) {
    return argc > at ? std::strtoull(argv[at], nullptr, 10) : otherwise;
  };
  if (argc < 2) {
    fmt::print(stderr, "usage: bench_ties MODEL.gguf [PROMPTS [TOKENS [PARALLEL [THREADS]]]]\n");
    return 3;
  }
  std::size_t prompts = number(2, 100);
  auto tokens = static_cast<std::uint32_t>(number(3, 64));
  std::size_t parallel = number(4, 16);
  auto threads = static_cast<std::uint32_t>(number(5, 0));  // 0: one a core
  SteadyNs start = system_clock().steady_ns();
  auto open = [&](const PolicyNames& names) {
    EngineOptions options{.file = argv[1], .context_tokens = 1024, .threads = threads};
    options.policies.names = names;
    auto opened = open_engine(options);
    if (opened) return std::move(*opened);
    fmt::print(stderr, "{}\n", opened.error().to_string());
    std::exit(1);
  };
  auto model = open(PolicySettings{}.names);
  fmt::print("{}: opened in {} ms\n", model->info().description,
             (system_clock().steady_ns() - start) / kNsPerMs);
  auto alone = run(*model, prompts, tokens, 1, true);
  auto one = run(*model, prompts, tokens, 1, false);
  compare(alone, one);
  auto batched = run(*model, prompts, tokens, parallel, false);
  compare(alone, batched);
  model.reset();
  for (const auto& [what, names] : other_policies()) {
    fmt::print("\n{}\n", what);
    compare(alone, run(*open(names), prompts, tokens, parallel, false));
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::bench(argc, argv); }
