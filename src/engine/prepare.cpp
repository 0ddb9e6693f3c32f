#include "engine/prepare.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <llama.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "data/json.h"
#include "engine/calibrate.h"
#include "engine/model_file.h"
#include "engine/write_file.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kHashDigits = 16;  // of names
constexpr std::uint64_t kPrompt = 512;
constexpr std::uint32_t kParallel = 16;
constexpr std::uint64_t kDepth = 256;

std::uint64_t ftype_of(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF16:
      return LLAMA_FTYPE_MOSTLY_F16;
    case WeightFormat::kQ8_0:
      return LLAMA_FTYPE_MOSTLY_Q8_0;
    default:
      return LLAMA_FTYPE_MOSTLY_Q4_0;
  }
}

// Bits of a weight, with what describes a block.
double bits_of(WeightFormat format) {
  if (format == WeightFormat::kF16) return 16;
  return format == WeightFormat::kQ8_0 ? 8.5 : 4.5;
}

// Held while one process prepares a file.
class FolderLock {
 public:
  FolderLock(const fs::path& file, const std::function<void()>& on_wait)
      : descriptor_(::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
    on_wait();
    ::flock(descriptor_, LOCK_EX);
  }
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

// Takes files that were not kept away again.
class Preparation {
 public:
  Preparation(fs::path source, const PrepareOptions& options)
      : source_(std::move(source)), options_(options) {}

  ~Preparation() {
    std::error_code ignored;
    for (const Copy& copy : copies_) fs::remove(copy.part, ignored);
  }
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;

  Result<PrepareReport> run() {
    step("reading the file");
    auto identity = identify_file(source_);
    if (!identity) return std::unexpected(identity.error());
    identity_ = std::move(*identity);
    if (auto checked = check_gguf(source_); !checked) return std::unexpected(checked.error());
    auto hash = hash_file(source_);
    if (!hash) return std::unexpected(hash.error());
    report_.source_hash = *hash;
    std::error_code error;
    fs::create_directories(options_.folder, error);
    if (error) {
      return fail(ErrorCode::kIo, fmt::format("cannot make the folder {}: {}",
                                              options_.folder.string(), error.message()));
    }
    FolderLock lock(named(".lock"),
                    [&] { step("waiting for another process that prepares this file"); });
    remove_leftovers();
    if (!options_.again && made_before()) return std::move(report_);
    auto model = load_model(source_);
    if (!model) return std::unexpected(model.error());
    model_ = std::move(*model);
    if (auto done = measure_all(); !done) return std::unexpected(done.error());
    if (auto done = choose(); !done) return std::unexpected(done.error());
    if (auto done = keep(); !done) return std::unexpected(done.error());
    return std::move(report_);
  }

 private:
  struct Copy {
    WeightFormat format;
    fs::path part;
    ModelHandle model;
  };

  void step(std::string_view what) const {
    if (options_.on_step) options_.on_step(what);
  }
  fs::path named(std::string_view rest) const {
    return options_.folder / (report_.source_hash.substr(0, kHashDigits) + std::string(rest));
  }
  fs::path gguf_of(WeightFormat format) const {
    return named(fmt::format("-{}.gguf", weight_format_name(format)));
  }

  // Of a process that was killed; who holds the lock is the only one at work.
  void remove_leftovers() const {
    const std::string begin = report_.source_hash.substr(0, kHashDigits);
    std::error_code ignored;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(options_.folder, ignored)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(begin) && name.ends_with(".part")) found.push_back(entry.path());
    }
    for (const fs::path& file : found) fs::remove(file, ignored);
  }

  bool made_before() {
    auto choice =
        options_.format ? options_.format : find_choice(source_, options_.folder, options_.purpose);
    if (!choice) return false;
    auto prepared = find_prepared(source_, options_.folder, *choice);
    if (!prepared && *choice != WeightFormat::kAsIs) return false;
    report_.chosen = *choice;
    report_.file = prepared ? prepared->file : source_;
    report_.made_before = true;
    return true;
  }

  bool worth_a_try(WeightFormat format) const {
    if (format == format_of_file(source_)) return false;
    if (options_.format) return format == *options_.format;
    // A model that leaves no memory to anything else computes nothing fast.
    double bytes = static_cast<double>(llama_model_n_params(model_.get())) * bits_of(format) / 8;
    double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) *
                    static_cast<double>(::sysconf(_SC_PAGESIZE));
    return bytes < memory / 2;
  }

  Result<void> convert(WeightFormat format) {
    step(fmt::format("writing {}", weight_format_name(format)));
    std::error_code error;
    auto space = fs::space(options_.folder, error);
    double need = static_cast<double>(llama_model_n_params(model_.get())) * bits_of(format) / 8;
    if (!error && static_cast<double>(space.available) < need * 1.2) {
      return fail(ErrorCode::kDiskFull,
                  fmt::format("{} weights need {:.0f} MB in {}, and {:.0f} MB are free",
                              weight_format_name(format), need / 1e6, options_.folder.string(),
                              static_cast<double>(space.available) / 1e6));
    }
    Copy copy{.format = format, .part = unfinished_name(gguf_of(format)), .model = nullptr};
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = static_cast<llama_ftype>(ftype_of(format));
    params.allow_requantize = true;
    params.nthread = static_cast<std::int32_t>(options_.threads);
    take_llama_complaint();
    copies_.push_back(std::move(copy));
    const fs::path& part = copies_.back().part;
    if (llama_model_quantize(source_.c_str(), part.c_str(), &params) != 0) {
      return fail(ErrorCode::kModelLoad,
                  fmt::format("{} cannot be written with {} weights: {}", source_.string(),
                              weight_format_name(format), take_llama_complaint()));
    }
    auto model = load_model(part);
    if (!model) return std::unexpected(model.error());
    copies_.back().model = std::move(*model);
    return {};
  }

  Result<void> measure(WeightFormat format, llama_model* model) {
    step(fmt::format("measuring {}", weight_format_name(format)));
    CalibrationOptions how{.threads = options_.threads,
                           .own_attention = options_.own_attention,
                           .most_s = options_.most_measure_s};
    auto cost = measure_cost(model, how);
    if (!cost) return std::unexpected(cost.error());
    BatchShape parallel{.decode_tokens = kParallel, .decode_cells = kParallel * kDepth};
    BatchShape single{.decode_tokens = 1, .decode_cells = kDepth};
    report_.formats.push_back({.format = format,
                               .bytes = llama_model_size(model),
                               .prefill_tokens_s = kPrompt / cost->prefill_s(0, kPrompt),
                               .parallel_tokens_s = kParallel / cost->batch_s(parallel),
                               .single_tokens_s = 1 / cost->batch_s(single),
                               .loss = std::nullopt});
    return {};
  }

  Result<void> measure_all() {
    if (auto done = measure(WeightFormat::kAsIs, model_.get()); !done) return done;
    for (WeightFormat format : kPreparedFormats) {
      if (!worth_a_try(format)) continue;
      if (auto done = convert(format); !done) return done;
      if (auto done = measure(format, copies_.back().model.get()); !done) return done;
    }
    return {};
  }

  Result<void> lose(MeasuredFormat& measured) {
    step(fmt::format("comparing {} with the file as it is", weight_format_name(measured.format)));
    auto copy = std::ranges::find(copies_, measured.format, &Copy::format);
    LossOptions how{.threads = options_.threads,
                    .own_attention = options_.own_attention,
                    .most_tokens = options_.loss_tokens};
    auto loss = measure_loss(model_.get(), copy->model.get(), how);
    if (!loss) return std::unexpected(loss.error());
    measured.loss = *loss;
    return {};
  }

  // The fastest that loses little; the loss of what is slower than that need not be known.
  Result<void> choose() {
    std::vector<MeasuredFormat*> order;
    for (MeasuredFormat& measured : report_.formats) order.push_back(&measured);
    auto seconds = [&](const MeasuredFormat* measured) {
      return purpose_seconds(*measured, options_.purpose);
    };
    const double as_it_is = seconds(order.front());
    std::ranges::sort(order, {}, seconds);
    report_.chosen = WeightFormat::kAsIs;
    for (MeasuredFormat* measured : order) {
      if (measured->format == WeightFormat::kAsIs) continue;
      if (!options_.format && seconds(measured) * options_.least_gain > as_it_is) break;
      if (auto done = lose(*measured); !done) return done;
      bool good = measured->loss->mean_kl <= options_.most_kl &&
                  measured->loss->top1_agreement >= options_.least_top1;
      if (!good && !options_.format) continue;
      report_.chosen = measured->format;
      break;
    }
    return {};
  }

  Result<void> keep() {
    report_.file = source_;
    auto copy = std::ranges::find(copies_, report_.chosen, &Copy::format);
    if (copy != copies_.end()) {
      step(fmt::format("keeping {}", weight_format_name(report_.chosen)));
      auto hash = hash_file(copy->part);
      if (!hash) return std::unexpected(hash.error());
      report_.file = gguf_of(report_.chosen);
      std::error_code error;
      const std::uintmax_t bytes = fs::file_size(copy->part, error);
      // The words first: a file without them is not used, words without their file neither.
      fs::path words = report_.file;
      words.replace_extension(".json");
      Value about =
          with(to_value(report_), {{"sha256", Value::string(*hash)},
                                   {"bytes", Value::integer(static_cast<std::int64_t>(bytes))}});
      if (auto written = write(words, about); !written) return written;
      fs::rename(copy->part, report_.file, error);
      if (error) {
        return fail(ErrorCode::kIo,
                    fmt::format("cannot write {}: {}", report_.file.string(), error.message()));
      }
    }
    if (options_.format) return {};  // asked for by a person: no choice
    return write(named(fmt::format("-{}.json", weight_purpose_name(options_.purpose))),
                 to_value(report_));
  }

  Value with(const Value& object, std::vector<Value::Member> more) const {
    std::vector<Value::Member> members(object.members().begin(), object.members().end());
    for (auto& member : more) members.push_back(std::move(member));
    return Value::object(std::move(members));
  }

  Result<void> write(const fs::path& file, const Value& about) const {
    Value whole =
        with(about, {{"source", sluice::to_value(identity_)},
                     {"measured_on", Value::string(machine_text({.threads = options_.threads}))}});
    return write_file(file, to_json(whole, {.indent = 2, .redact_secrets = false}) + "\n");
  }

  fs::path source_;
  const PrepareOptions& options_;
  FileIdentity identity_;
  PrepareReport report_;
  ModelHandle model_;
  std::vector<Copy> copies_;
};

}  // namespace

double purpose_seconds(const MeasuredFormat& measured, WeightPurpose purpose) {
  if (purpose == WeightPurpose::kLatency) return 1 / measured.single_tokens_s;
  return 512 / measured.prefill_tokens_s + 128 / measured.parallel_tokens_s;
}

Value to_value(const PrepareReport& report) {
  std::vector<Value> formats;
  for (const MeasuredFormat& measured : report.formats) {
    Value loss;
    if (measured.loss) {
      loss = Value::object({{"mean_kl", Value::number(measured.loss->mean_kl)},
                            {"top1_agreement", Value::number(measured.loss->top1_agreement)},
                            {"tokens", Value::integer(measured.loss->tokens)}});
    }
    formats.push_back(
        Value::object({{"format", Value::string(weight_format_name(measured.format))},
                       {"weight_bytes", Value::integer(static_cast<std::int64_t>(measured.bytes))},
                       {"prefill_tokens_s", Value::number(measured.prefill_tokens_s)},
                       {"parallel_tokens_s", Value::number(measured.parallel_tokens_s)},
                       {"single_tokens_s", Value::number(measured.single_tokens_s)},
                       {"loss", loss}}));
  }
  return Value::object({{"format", Value::string(weight_format_name(report.chosen))},
                        {"file", Value::from_utf8(report.file.string()).value_or(Value())},
                        {"source_sha256", Value::string(report.source_hash)},
                        {"formats", Value::array(std::move(formats))}});
}

Result<PrepareReport> prepare_weights(const fs::path& source, const PrepareOptions& options) {
  return Preparation(source, options).run();
}

}  // namespace sluice
