// sluice models prepare: a copy of a model's weights in the format that computes fastest here.
#include <fmt/format.h>
#include <sys/resource.h>

#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/messages.h"
#include "cli/models_file.h"
#include "cli/numbers_text.h"
#include "cli/table.h"
#include "data/json.h"
#include "engine/prepare.h"
#include "host/resources/weights.h"

namespace sluice::cli {
namespace {

constexpr int kLowestPriority = 19;

struct PrepareArguments {
  std::string model;
  std::string purpose = "throughput";
  std::string format;
  double most_kl = PrepareOptions{}.most_kl;
  std::uint32_t workers = 0;
  bool again = false;
  bool background = false;
  bool json = false;
};

std::string loss_text(const std::optional<WeightLoss>& loss) {
  if (!loss) return "";
  return fmt::format("KL {:.5f}, same first token {:.1f}% of {}", loss->mean_kl,
                     loss->top1_agreement * 100, loss->tokens);
}

std::string formats_text(const PrepareReport& report) {
  constexpr auto kRight = Table::Align::kRight;
  Table table({{"format"},
               {"weights", kRight},
               {"prompt tokens/s", kRight},
               {"16 in parallel", kRight},
               {"one alone", kRight},
               {"loss against the file"}});
  for (const MeasuredFormat& measured : report.formats) {
    const bool chosen = measured.format == report.chosen;
    table.add({{std::string(weight_format_name(measured.format)),
                chosen ? std::optional(Ink::kGreen) : std::nullopt},
               {bytes_text(measured.bytes)},
               {rate_text(measured.prefill_tokens_s)},
               {rate_text(measured.parallel_tokens_s)},
               {rate_text(measured.single_tokens_s)},
               {loss_text(measured.loss)}});
  }
  return table.text(terminal_of(1));
}

std::string report_text(const PrepareReport& report, const PrepareArguments& arguments) {
  std::string text;
  if (!report.formats.empty()) text = formats_text(report) + "\n";
  if (report.made_before) text += "prepared before (--again measures once more)\n";
  if (report.chosen == WeightFormat::kAsIs) {
    return text + "no other format is faster here and loses little: the file stays as it is\n";
  }
  text += fmt::format("{}: {}\n", weight_format_name(report.chosen), report.file.string());
  if (!arguments.format.empty()) {
    return text + fmt::format("used where SLUICE_WEIGHTS={}\n", arguments.format);
  }
  return text + fmt::format("used from the next process on; SLUICE_WEIGHTS={} turns that off\n",
                            weight_format_name(WeightFormat::kAsIs));
}

Result<PrepareOptions> options_of(const PrepareArguments& arguments) {
  PrepareOptions options;
  options.folder = prepared_folder(default_cache_dir());
  if (arguments.purpose == "latency") options.purpose = WeightPurpose::kLatency;
  if (!arguments.format.empty()) options.format = weight_format_of(arguments.format);
  options.most_kl = arguments.most_kl;
  options.again = arguments.again;
  options.threads = arguments.workers;
  auto attention = own_attention();
  if (!attention) return std::unexpected(attention.error());
  options.own_attention = *attention;
  return options;
}

int prepare_command(const PrepareArguments& arguments) {
  if (arguments.background) ::setpriority(PRIO_PROCESS, 0, kLowestPriority);
  auto file = embedded_model_file(arguments.model);
  if (!file) return end_with(file.error());
  auto options = options_of(arguments);
  if (!options) return end_with(options.error());
  StepLine line;
  options->on_step = [&](std::string_view what) { line.show(what); };
  auto report = prepare_weights(*file, *options);
  line.clear();
  if (!report) return end_with(report.error());
  if (!arguments.json) return print_text(report_text(*report, arguments));
  return print_text(to_json(to_value(*report), {.indent = 2}) + "\n");
}

}  // namespace

void add_models_prepare(CLI::App& app, int& status) {
  auto arguments = std::make_shared<PrepareArguments>();
  add_model_file_argument(app, arguments->model);
  app.add_option("--for", arguments->purpose,
                 "What to be fast at: throughput (prompts, and 16 requests at a time; the default) "
                 "or latency (one request)")
      ->check(CLI::IsMember({"throughput", "latency"}))
      ->type_name("PURPOSE");
  app.add_option("--format", arguments->format,
                 "Only write this format, whatever it loses: q8_0, q4_0 or f16")
      ->check(CLI::IsMember({"q8_0", "q4_0", "f16"}))
      ->type_name("FORMAT");
  app.add_option("--most-loss", arguments->most_kl,
                 "Most mean KL divergence from the file that a format may have (default: 0.01)")
      ->check(CLI::Range(0.0, 100.0))
      ->type_name("KL");
  app.add_option("--workers", arguments->workers, "Threads (default: the machine's cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  app.add_flag("--again", arguments->again, "Also where it has been done");
  app.add_flag("--background", arguments->background, "With the lowest priority");
  app.add_flag("--json", arguments->json, "As JSON");
  app.footer(
      "Nothing else should compute meanwhile. Runs that were begun keep the weights that they "
      "began\n"
      "with.\n"
      "\n"
      "Examples:\n"
      "  sluice models prepare\n"
      "  sluice models prepare my.gguf --for latency\n"
      "  sluice models prepare my.gguf --format q8_0 && SLUICE_WEIGHTS=q8_0 sluice run "
      "plan.yaml\n");
  app.callback([arguments, &status] { status = prepare_command(*arguments); });
}

}  // namespace sluice::cli
