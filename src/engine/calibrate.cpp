#include "engine/calibrate.h"

#include <fmt/format.h>
#include <llama.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <utility>
#include <vector>

#include "base/random.h"
#include "data/hash.h"
#include "data/json.h"
#include "engine/attention/attention.h"
#include "engine/decode_batch.h"
#include "engine/model_file.h"
#include "engine/write_file.h"

namespace sluice {
namespace {

constexpr std::uint32_t kMostCells = 4096;
constexpr std::uint32_t kSequences = 40;
constexpr std::uint32_t kBatch = 512;
constexpr std::uint32_t kMostDecoding = 16;  // larger batches of the curve are chunks of a prompt
constexpr std::array<std::uint32_t, 10> kCurve{1, 2, 4, 8, 16, 32, 64, 128, 256, 512};
constexpr std::uint32_t kChunk = 64;  // whose attention is measured
constexpr double kEachS = 0.12;       // how long a batch is repeated
constexpr std::uint64_t kFormat = 1;  // of the file and of how it is measured

std::uint32_t thread_count(const CalibrationOptions& options) {
  return options.threads ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

// One context, filled for the sake of its cells: what is in them does not matter for time.
class Measurement {
 public:
  Measurement(llama_model* model, const CalibrationOptions& options)
      : options_(options),
        clock_(options.clock ? *options.clock : system_clock()),
        attention_(options.own_attention),
        random_(1),
        vocabulary_(static_cast<std::uint64_t>(
            std::max(1, llama_vocab_n_tokens(llama_model_get_vocab(model))))),
        copies_(!llama_model_is_recurrent(model) && !llama_model_is_hybrid(model)),
        started_ns_(clock_.steady_ns()) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = kMostCells;
    params.n_batch = params.n_ubatch = kBatch;
    params.n_seq_max = kSequences;
    params.n_outputs_max = kSequences;
    params.n_threads = params.n_threads_batch = static_cast<std::int32_t>(thread_count(options));
    params.kv_unified = true;
    params.swa_full = true;
    params.no_perf = true;
    context_.reset(llama_init_from_model(model, params));
  }

  Result<InstanceCost> run() {
    if (!context_) {
      return fail(ErrorCode::kModelLoad,
                  fmt::format("there is not enough memory for the {} tokens of KV that measuring "
                              "takes: {}",
                              kMostCells, take_llama_complaint()));
    }
    step("small batches and chunks of a prompt");
    if (auto good = measure_curve(); !good) return std::unexpected(good.error());
    if (copies_ && base_ >= kChunk && !late()) {
      step("attention and copies");
      if (auto good = measure_depth(); !good) return std::unexpected(good.error());
    }
    without_attention();
    parts_.measured_on = machine_text(options_);
    return InstanceCost::make(std::move(parts_));
  }

 private:
  struct Part {
    SequenceId sequence;
    std::uint32_t position;
    std::uint32_t tokens;
  };

  void step(std::string_view what) const {
    if (options_.on_step) options_.on_step(what);
  }
  double elapsed_s() const {
    return static_cast<double>(clock_.steady_ns() - started_ns_) / kNsPerSecond;
  }
  bool late() const { return elapsed_s() > options_.most_s; }
  llama_memory_t memory() { return llama_get_memory(context_.get()); }

  // Seconds of one batch; its cells stay.
  Result<double> decode(const std::vector<Part>& parts) {
    std::vector<std::vector<Token>> tokens;
    std::vector<BatchPart> batch;
    tokens.reserve(parts.size());
    for (const Part& part : parts) {
      std::vector<Token>& own = tokens.emplace_back(part.tokens);
      for (Token& token : own) token = static_cast<Token>(random_.below(vocabulary_));
      batch.push_back(
          {.sequence = part.sequence, .position = part.position, .tokens = own, .output = true});
    }
    DecodeBatch work(batch);
    SteadyNs from = clock_.steady_ns();
    int status = work.compute(context_.get());
    llama_synchronize(context_.get());
    if (status == 0) return static_cast<double>(clock_.steady_ns() - from) / kNsPerSecond;
    return fail(ErrorCode::kDecodeFailed,
                fmt::format("the engine could not compute a batch of {} tokens to measure it "
                            "(status {}) {}",
                            work.size(), status, take_llama_complaint()));
  }

  // The least of some repetitions, what it takes where nothing disturbs; afterwards the context is
  // as before.
  Result<double> time(const std::vector<Part>& parts) {
    std::vector<double> seconds;
    double total = 0;
    while (seconds.size() < 3 || (total < kEachS && seconds.size() < 9)) {
      auto took = decode(parts);
      if (!took) return took;
      for (const Part& part : parts) {
        llama_memory_seq_rm(memory(), part.sequence, static_cast<llama_pos>(part.position), -1);
      }
      seconds.push_back(*took);
      total += *took;
      if (*took > 0.5) break;  // a large model: once must do
    }
    return std::ranges::min(seconds);
  }

  // Leaves a prompt of base_ cells in sequence 0.
  Result<void> measure_curve() {
    if (auto warm = time({{0, 0, 1}}); !warm) return std::unexpected(warm.error());
    for (std::uint32_t count : kCurve) {
      // A batch of twice the size takes at most about twice as long.
      double next = parts_.curve.empty() ? 0 : 4 * parts_.curve.back().seconds;
      if (!parts_.curve.empty() && elapsed_s() + next > options_.most_s * 0.7) break;
      std::vector<Part> batch{{0, 0, count}};
      if (count <= kMostDecoding) {
        batch.clear();
        for (std::uint32_t i = 0; i < count; ++i)
          batch.push_back({static_cast<SequenceId>(i), 0, 1});
      }
      auto took = time(batch);
      if (!took) return std::unexpected(took.error());
      parts_.curve.push_back({count, *took});
      if (count > kMostDecoding) base_ = count;
    }
    if (base_ == 0) return {};
    auto filled = decode({{0, 0, base_}});
    if (!filled) return std::unexpected(filled.error());
    return {};
  }

  // Copies of the prompt's cells become more cells of the same sequence: depth without computing.
  void deepen() {
    std::vector<std::uint8_t> blob(llama_state_seq_get_size_ext(context_.get(), 0, 0));
    llama_state_seq_get_data_ext(context_.get(), blob.data(), blob.size(), 0, 0);
    while (depth_ + base_ + kBatch <= kMostCells && depth_ < 2048) {
      if (llama_state_seq_set_data_ext(context_.get(), blob.data(), blob.size(), 1, 0) == 0) break;
      llama_memory_seq_cp(memory(), 1, 0, -1, -1);
      llama_memory_seq_rm(memory(), 1, -1, -1);
      depth_ += base_;
    }
  }

  Result<void> measure_depth() {
    measure_copies();
    auto single_near = time({{0, base_, 1}});
    if (!single_near) return std::unexpected(single_near.error());
    auto chunk_near = time({{0, base_, kChunk}});
    if (!chunk_near) return std::unexpected(chunk_near.error());
    depth_ = base_;
    deepen();
    double more = depth_ - base_;
    if (more <= 0) return {};
    auto single_far = time({{0, base_, 1}});
    if (!single_far) return std::unexpected(single_far.error());
    auto chunk_far = time({{0, base_, kChunk}});
    if (!chunk_far) return std::unexpected(chunk_far.error());
    parts_.decode_cell_s = std::max(0.0, (*single_far - *single_near) / more);
    parts_.prefill_cell_s = std::max(0.0, (*chunk_far - *chunk_near) / (more * kChunk));
    if (late()) return {};
    return measure_others();
  }

  // A query that does not see the cells in the pool, and many that see the same ones.
  Result<void> measure_others() {
    auto single = time({{1, 0, 1}});
    if (!single) return std::unexpected(single.error());
    parts_.idle_cell_s = std::max(0.0, (*single - parts_.curve.front().seconds) / depth_);
    if (parts_.curve.size() < 5) return {};
    std::vector<Part> batch;
    for (SequenceId i = 1; i <= static_cast<SequenceId>(kMostDecoding); ++i) {
      llama_memory_seq_cp(memory(), 0, i, -1, -1);
      batch.push_back({i, base_, 1});
    }
    auto shared = time(batch);
    if (!shared) return std::unexpected(shared.error());
    double cells = static_cast<double>(depth_) * kMostDecoding;
    // The cells that they share cost no more than if each were seen by one query.
    parts_.shared_cell_s = std::clamp((*shared - parts_.curve[4].seconds) / cells, 0.0,
                                      std::max(parts_.decode_cell_s, 0.0));
    return {};
  }

  // Out of sequence 0 and into sequence 1, as the host tier does it.
  void measure_copies() {
    std::array<std::uint32_t, 2> cells{base_ / 8, base_};
    std::array<double, 2> out{};
    std::array<double, 2> in{};
    std::array<std::size_t, 2> bytes{};
    for (std::size_t i = 0; i < cells.size(); ++i) {
      llama_memory_seq_cp(memory(), 0, 1, 0, static_cast<llama_pos>(cells[i]));
      bytes[i] = llama_state_seq_get_size_ext(context_.get(), 1, 0);
      std::vector<std::uint8_t> blob(bytes[i]);
      auto best = [&](auto&& copy) {
        double least = 1e9;
        for (int repeat = 0; repeat < 3; ++repeat) {
          SteadyNs from = clock_.steady_ns();
          copy();
          least = std::min(least, static_cast<double>(clock_.steady_ns() - from) / kNsPerSecond);
        }
        return least;
      };
      out[i] =
          best([&] { llama_state_seq_get_data_ext(context_.get(), blob.data(), bytes[i], 1, 0); });
      in[i] =
          best([&] { llama_state_seq_set_data_ext(context_.get(), blob.data(), bytes[i], 1, 0); });
      llama_memory_seq_rm(memory(), 1, -1, -1);
    }
    double more = cells[1] - cells[0];
    parts_.copy_out_cell_s = std::max(0.0, (out[1] - out[0]) / more);
    parts_.copy_out_s = std::max(0.0, out[0] - parts_.copy_out_cell_s * cells[0]);
    parts_.copy_in_cell_s = std::max(0.0, (in[1] - in[0]) / more);
    parts_.copy_in_s = std::max(0.0, in[0] - parts_.copy_in_cell_s * cells[0]);
    parts_.cell_bytes = static_cast<std::uint32_t>((bytes[1] - bytes[0]) / (cells[1] - cells[0]));
  }

  // The curve is of tokens at depth 0; what attention within a chunk took is counted apart. Noise
  // must not make a larger batch cheaper than a smaller one.
  void without_attention() {
    double before = 0;
    for (InstanceCost::CurvePoint& point : parts_.curve) {
      if (point.tokens > kMostDecoding) {
        double attention =
            parts_.prefill_cell_s * static_cast<double>(chunk_cells(0, point.tokens));
        point.seconds -= std::min(attention, point.seconds / 2);
      }
      point.seconds = std::max(point.seconds, before * 1.001);
      before = point.seconds;
    }
  }

  const CalibrationOptions& options_;
  const Clock& clock_;
  AttentionScope attention_;
  Random random_;
  std::uint64_t vocabulary_;
  bool copies_;
  SteadyNs started_ns_;
  ContextHandle context_;
  InstanceCost::Parts parts_;
  std::uint32_t base_ = 0;
  std::uint32_t depth_ = 0;
};

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

}  // namespace

Result<InstanceCost> measure_cost(llama_model* model, const CalibrationOptions& options) {
  take_llama_complaint();
  return Measurement(model, options).run();
}

std::string machine_text(const CalibrationOptions& options) {
  return fmt::format("{}, {} threads", processor(), thread_count(options));
}

std::filesystem::path calibration_file(const std::filesystem::path& folder,
                                       std::string_view file_hash,
                                       const CalibrationOptions& options) {
  Hasher hasher;
  hasher.field(kFormat).field(file_hash).field(machine_text(options));
  hasher.field(options.own_attention ? attention_target() : "ggml");
  return folder / (hasher.finish().hex().substr(0, 32) + ".json");
}

std::optional<InstanceCost> read_calibration(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return std::nullopt;
  std::ostringstream text;
  text << in.rdbuf();
  auto value = parse_json(text.str());
  if (!value) return std::nullopt;
  auto cost = InstanceCost::from_json(*value);
  return cost ? std::optional(std::move(*cost)) : std::nullopt;
}

Result<void> write_calibration(const std::filesystem::path& file, const InstanceCost& cost) {
  return write_file(file, to_json(cost.to_json(), {.indent = 2, .redact_secrets = false}) + "\n");
}

}  // namespace sluice
