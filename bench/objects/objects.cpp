// Objects of a schema with 8 fields, half of them enumerations, 16 in parallel: completed objects a
// second with and without jump-forward, and what masks, accepting and the greedy choice cost.
#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/json.h"
#include "data/schema.h"
#include "engine/engine.h"
#include "engine/grammar.h"
#include "engine/model_file.h"
#include "engine/sampler.h"
#include "engine/vocabulary.h"

namespace sluice {
namespace {

constexpr const char* kSchema = R"({"type":"object","properties":{
  "name":{"type":"string","maxLength":24},
  "category":{"enum":["electronics","furniture","clothing","groceries","toys"]},
  "price":{"type":"integer","minimum":0,"maximum":9999},
  "condition":{"enum":["new","used","refurbished"]},
  "summary":{"type":"string","maxLength":40},
  "availability":{"enum":["in_stock","out_of_stock","preorder"]},
  "rating":{"type":"integer","minimum":1,"maximum":5},
  "shipping":{"enum":["standard","express","pickup"]}},
  "required":["name","category","price","condition","summary","availability","rating","shipping"],
  "additionalProperties":false})";

[[noreturn]] void give_up(const std::string& message) {
  fmt::print(stderr, "{}\n", message);
  std::exit(1);
}

template <typename T>
T must(Result<T> result) {
  if (!result) give_up(result.error().to_string());
  return std::move(*result);
}

double seconds(SteadyNs from) {
  return static_cast<double>(system_clock().steady_ns() - from) / 1e9;
}

struct Measured {
  double objects_s = 0;
  std::uint64_t failed = 0;
  EngineStats stats;
  std::vector<std::string> texts;
};

Measured run(const std::string& file, bool jump_forward, int objects, int parallel) {
  EngineOptions options;
  options.file = file;
  options.max_running = static_cast<std::uint32_t>(parallel);
  options.jump_forward = jump_forward;
  options.context_tokens = 1024;
  auto engine = must(open_engine(options));
  auto schema = Schema::literal(kSchema);
  Measured out;
  std::vector<std::future<Result<ModelReply>>> replies;
  SteadyNs start = system_clock().steady_ns();
  for (int i = 0; i < objects; ++i) {
    ModelRequest request;
    request.messages = {{.role = "user",
                         .content = fmt::format("Describe product number {} of a shop as a JSON "
                                                "object, with realistic values.",
                                                i)}};
    request.output = schema;
    request.sampling.max_tokens = 256;
    auto done = std::make_shared<std::promise<Result<ModelReply>>>();
    replies.push_back(done->get_future());
    engine->submit(std::move(request),
                   {.on_end = [done](Result<ModelReply> r) { done->set_value(std::move(r)); }});
  }
  for (auto& reply : replies) {
    auto got = reply.get();
    out.failed += got ? 0 : 1;
    if (got) out.texts.push_back(got->text);
    if (!got) fmt::print(stderr, "{}\n", got.error().to_string());
  }
  out.objects_s = objects / seconds(start);
  out.stats = *engine_stats(*engine);
  return out;
}

// Goes along a text that the model wrote, as the engine does, and takes the time of each part.
void cost_of_parts(const std::string& file, const std::vector<std::string>& texts) {
  ModelHandle model = must(load_model(file));
  Vocabulary vocabulary(model.get());
  GrammarCache grammars(vocabulary);
  Value schema = must(parse_json(kSchema));
  SteadyNs start = system_clock().steady_ns();
  must(grammars.json(schema));
  fmt::print("compiling the schema: {:.1f} ms\n", seconds(start) * 1e3);
  double mask_s = 0;
  double accept_s = 0;
  double forced_s = 0;
  double pick_s = 0;
  std::uint64_t steps = 0;
  std::uint64_t forced = 0;
  std::vector<double> masks;
  std::vector<float> logits(vocabulary.size());
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i * 37 % 1009);
  for (const std::string& text : texts) {
    Grammar grammar = must(grammars.json(schema));
    Sampler sampler({}, 0);
    std::string written;
    auto jump = [&] {
      SteadyNs from = system_clock().steady_ns();
      auto tokens = grammar.take_forced(31);
      forced_s += seconds(from);
      forced += tokens.size();
      for (Token token : tokens) written += vocabulary.bytes(token);
    };
    jump();
    while (written.size() < text.size()) {
      std::vector<Token> rest =
          vocabulary.tokenize_data(std::string_view(text).substr(written.size()));
      SteadyNs from = system_clock().steady_ns();
      TokenMask mask = grammar.mask();
      masks.push_back(seconds(from));
      mask_s += masks.back();
      from = system_clock().steady_ns();
      if (sampler.pick(logits, mask) < 0) give_up("a mask without a token");
      pick_s += seconds(from);
      from = system_clock().steady_ns();
      if (!grammar.accept(rest.front())) give_up("a token that does not fit: " + text);
      accept_s += seconds(from);
      written += vocabulary.bytes(rest.front());
      ++steps;
      jump();
    }
  }
  std::ranges::sort(masks);
  auto per_step = [&](double s) { return s * 1e6 / static_cast<double>(steps); };
  fmt::print(
      "per sampled token ({} of them, {} forced): mask {:.1f} us (p50 {:.1f}, p99 {:.1f}, "
      "most {:.1f}), choice {:.1f} us, accept {:.1f} us, forced text {:.1f} us\n",
      steps, forced, per_step(mask_s), masks[masks.size() / 2] * 1e6,
      masks[masks.size() * 99 / 100] * 1e6, masks.back() * 1e6, per_step(pick_s),
      per_step(accept_s), per_step(forced_s));
}

int main_program(int argc, char** argv) {
  if (argc < 2) give_up("usage: bench_objects MODEL.gguf [OBJECTS] [PARALLEL] [ROUNDS]");
  const std::string file = argv[1];
  const int objects = argc > 2 ? std::atoi(argv[2]) : 32;
  const int parallel = argc > 3 ? std::atoi(argv[3]) : 16;
  const int rounds = argc > 4 ? std::atoi(argv[4]) : 1;
  Measured last;
  for (int round = 0; round < rounds; ++round) {
    for (bool jump : {false, true}) {
      last = run(file, jump, objects, parallel);
      fmt::print(
          "jump-forward {}: {:.2f} objects/s, {} failed; {} prompt tokens, {} shared, {} "
          "sampled, {} forced, {} batches\n",
          jump ? "on " : "off", last.objects_s, last.failed, last.stats.prefill_tokens,
          last.stats.shared_tokens, last.stats.decode_tokens, last.stats.forced_tokens,
          last.stats.batches);
    }
  }
  if (!last.texts.empty()) fmt::print("{}\n", last.texts.front());
  cost_of_parts(file, last.texts);
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::main_program(argc, argv); }
