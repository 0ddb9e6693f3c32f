// Attention of llama.cpp with our kernel against the same library without it, in one process, in
// turns. See README.md.
//   bench_attention [--model FILE] [--rows NAME,...] [--rounds N] [--threads N] [--json FILE]
//                   [--sides NAME,...]
#include "engine/attention/attention.h"

#include <fmt/format.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "bench/attention/bandwidth.h"
#include "bench/attention/models.h"
#include "bench/attention/scenes.h"

namespace sluice::bench {
namespace {

[[noreturn]] void usage() {
  fmt::print(
      stderr,
      "usage: bench_attention [--model FILE] [--rows NAME,...] [--rounds N] [--threads N] "
      "[--json FILE] [--sides NAME,...]\n"
      "  --model  a GGUF file of SmolLM2-135M; without it, what SLUICE_TEST_MODEL names\n"
      "  --rows   rows to measure, or what their names begin with: decode, prefill, shared, "
      "separate, op, other\n"
      "  --sides  on, off, pool, ours: without ours, llama.cpp alone; ours alone to profile it\n");
  std::exit(3);
}

int read_count(const std::string& text) {
  const int count = std::atoi(text.c_str());
  if (count < 1 || count > 1000) usage();
  return count;
}

std::vector<std::string> read_names(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream in(text);
  for (std::string name; std::getline(in, name, ',');) names.push_back(name);
  return names;
}

Settings read_settings(int argc, char** argv) {
  Settings settings;
  settings.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  if (const char* model = std::getenv("SLUICE_TEST_MODEL")) settings.model = model;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (++i == argc) usage();
    const std::string value = argv[i];
    if (option == "--model") {
      settings.model = value;
    } else if (option == "--json") {
      settings.json = value;
    } else if (option == "--rounds") {
      settings.rounds = read_count(value);
    } else if (option == "--threads") {
      settings.threads = read_count(value);
    } else if (option == "--rows") {
      settings.rows = read_names(value);
    } else if (option == "--sides") {
      settings.sides = read_names(value);
    } else {
      usage();
    }
  }
  if (settings.model.empty()) usage();
  return settings;
}

int run(int argc, char** argv) {
  Bench bench{.settings = read_settings(argc, argv), .machine = {}, .results = {}};
  if (bench.settings.takes(kOurs)) install_attention();
  const std::string file = q8_0_file(bench.settings.model);
  bench.machine.bytes_a_second = read_bandwidth(bench.settings.threads);
  auto model = load_model(file);
  if (!model) fail(model.error().message());
  bench.machine.kv_bytes = kv_bytes_a_token(model->get());
  bench.machine.weight_bytes = static_cast<double>(llama_model_size(model->get()));
  measure_op(bench);
  measure_depths(bench, model->get());
  measure_shared(bench, model->get());
  measure_separate(bench, model->get());
  measure_other(bench);
  if (bench.results.empty()) fail("no row has such a name");
  print_table(bench.settings, bench.machine, bench.results);
  if (!bench.settings.json.empty()) write_json(bench.settings, bench.machine, bench.results);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) { return sluice::bench::run(argc, argv); }
