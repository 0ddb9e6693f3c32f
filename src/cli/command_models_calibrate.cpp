// sluice models calibrate: measures what the engine needs for a model on this machine.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/models_file.h"
#include "cli/numbers_text.h"
#include "cli/table.h"
#include "data/json.h"
#include "engine/calibrate.h"
#include "engine/model_file.h"
#include "host/resources/weights.h"

namespace sluice::cli {
namespace {

struct CalibrateArguments {
  std::string model;
  std::uint32_t workers = 0;
  bool json = false;
};

std::string time_text(double seconds) {
  if (seconds < 1e-6) return fmt::format("{:.1f} ns", seconds * 1e9);
  if (seconds < 1e-3) return fmt::format("{:.2f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  return fmt::format("{:.2f} s", seconds);
}

std::string cost_text(const InstanceCost& cost, const std::filesystem::path& model,
                      const std::filesystem::path& kept) {
  const auto& parts = cost.parts();
  constexpr auto kRight = Table::Align::kRight;
  Table batches({{"tokens in a batch", kRight}, {"time", kRight}, {"tokens/s", kRight}, {""}});
  for (const auto& point : parts.curve) {
    batches.add({{std::to_string(point.tokens)},
                 {time_text(point.seconds)},
                 {rate_text(point.tokens / point.seconds)},
                 {point.tokens <= 16 ? "one of each sequence" : "of one prompt"}});
  }
  Table rest({{"", kRight}, {""}});
  rest.add({{time_text(parts.decode_cell_s)}, {"more for each token before a decoded one"}});
  rest.add({{time_text(parts.shared_cell_s)}, {"where all sequences share that token"}});
  rest.add({{time_text(parts.prefill_cell_s)}, {"more for each token before a prompt's"}});
  rest.add({{time_text(parts.idle_cell_s)}, {"for each kept token that nobody uses, a batch"}});
  rest.add({{time_text(parts.copy_out_s + 1000 * parts.copy_out_cell_s)},
            {"to move 1,000 tokens to host memory"}});
  rest.add({{time_text(parts.copy_in_s + 1000 * parts.copy_in_cell_s)},
            {fmt::format("to move them back, {} each", bytes_text(parts.cell_bytes))}});
  const Terminal terminal = terminal_of(1);
  return fmt::format("{} on {}\n\n{}\n{}\nkept in {}\n", model.filename().string(),
                     parts.measured_on, batches.text(terminal), rest.text(terminal), kept.string());
}

int calibrate_command(const CalibrateArguments& arguments) {
  auto file = embedded_model_file(arguments.model);
  // What a process would load in its place, where a copy in another format is prepared.
  if (file) file = weights_for(*file, default_cache_dir(), {});
  if (!file) return end_with(file.error());
  auto attention = own_attention();
  if (!attention) return end_with(attention.error());
  auto hash = hash_file(*file);
  if (!hash) return end_with(hash.error());
  auto model = load_model(*file);
  if (!model) return end_with(model.error());
  CalibrationOptions options{.threads = arguments.workers, .own_attention = *attention};
  StepLine line;
  options.on_step = [&](std::string_view what) { line.show(fmt::format("measuring {}", what)); };
  auto cost = measure_cost(model->get(), options);
  line.clear();
  if (!cost) return end_with(cost.error());
  const auto kept = calibration_file(calibration_folder(default_cache_dir()), *hash, options);
  if (auto written = write_calibration(kept, *cost); !written) return end_with(written.error());
  if (!arguments.json) return print_text(cost_text(*cost, *file, kept));
  return print_text(
      to_json(Value::object({{"model", Value::from_utf8(file->string()).value_or(Value())},
                             {"sha256", Value::string(*hash)},
                             {"kept", Value::from_utf8(kept.string()).value_or(Value())},
                             {"cost", cost->to_json()}}),
              {.indent = 2}) +
      "\n");
}

}  // namespace

void add_models_calibrate(CLI::App& app, int& status) {
  auto arguments = std::make_shared<CalibrateArguments>();
  add_model_file_argument(app, arguments->model);
  app.add_option("--workers", arguments->workers, "Threads (default: the machine's cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  app.add_flag("--json", arguments->json, "As JSON");
  app.footer(
      "Takes some seconds; nothing else should compute meanwhile. The engine plans its batches\n"
      "with what was measured from then on.\n"
      "\n"
      "Examples:\n"
      "  sluice models calibrate\n"
      "  sluice models calibrate my.gguf --json\n");
  app.callback([arguments, &status] { status = calibrate_command(*arguments); });
}

}  // namespace sluice::cli
