#include "cli/batch/batch_options.h"

namespace sluice::cli {
namespace {

constexpr std::string_view kFooter =
    "The plan runs once for each row of the input. Its parameters are the row's columns of the "
    "same\n"
    "names; its result is a row of the output: an object gives the columns, anything else the "
    "column\n"
    "`result`, null no row at all. A row that fails goes to the column `error`, the others go on.\n"
    "Formats: .jsonl .ndjson, .csv, .tsv, .db .sqlite .sqlite3, by name or as stated.\n"
    "\n"
    "Examples:\n"
    "  sluice batch triage.yaml --input rows.csv --output out.jsonl\n"
    "  sluice batch triage.yaml --input rows.csv --output out.csv --sample 20 --estimate\n"
    "  sluice batch plan.yaml --input app.db --query 'select id, text from note' --output out.db\n"
    "  sluice batch plan.yaml --input rows.jsonl --output out.csv --with-input --budget usd=5\n"
    "\n"
    "The run is recorded as it goes: whatever ends this process, `sluice resume last` goes on "
    "where it\n"
    "stopped, and no row is done twice. Until the end results lie in OUTPUT.part.\n"
    "When the first rows show that another order of the steps costs less, later rows are done in "
    "that\n"
    "one, with the same results; --without adapt keeps the plan that the run began with.\n";

void add_table_options(CLI::App& app, BatchArguments& arguments) {
  const auto formats = CLI::IsMember({"jsonl", "csv", "tsv", "sqlite"});
  app.add_option("-i,--input", arguments.input, "The table to read")->required()->type_name("FILE");
  app.add_option("--query", arguments.query, "Of an SQLite input: the SELECT that gives the rows")
      ->type_name("SQL");
  app.add_option("--input-format", arguments.input_format, "jsonl, csv, tsv or sqlite")
      ->check(formats);
  app.add_option("-o,--output", arguments.output, "The table to write")
      ->required()
      ->type_name("FILE");
  app.add_option("--table", arguments.table, "Of an SQLite output: its table (default: result)")
      ->type_name("NAME");
  app.add_option("--output-format", arguments.output_format, "jsonl, csv, tsv or sqlite")
      ->check(formats);
  app.add_flag("--with-input", arguments.with_input,
               "Write the input's columns too, before the result's");
  app.add_flag("--keep-null", arguments.keep_null, "Write rows whose result is null too");
  app.add_flag("--unordered", arguments.unordered,
               "Write rows in the order in which they were done");
  app.add_flag("--force", arguments.force,
               "Replace an output that is there, and begin anew where a batch was interrupted");
}

void add_extent_options(CLI::App& app, BatchArguments& arguments) {
  app.add_option("--limit", arguments.limit, "Only so many rows")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app.add_option("--sample", arguments.sample,
                 "Do so many rows, tell what all will cost, and ask before going on")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  app.add_flag("--estimate", arguments.estimate, "With --sample: stop there and do not ask");
  app.add_option("--budget", arguments.budget,
                 "Stop before it is exceeded: usd=5, tokens=200000, seconds=3600")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("BOUND");
  app.add_option("--concurrency", arguments.concurrency,
                 "Rows at once (default: twice as many as calls, at least 64)")
      ->check(CLI::Range(1U, 100'000U))
      ->type_name("N");
}

}  // namespace

void add_batch_options(CLI::App& app, BatchArguments& arguments) {
  app.add_option("PLAN", arguments.plan, "The plan, YAML or JSON; - reads standard input")
      ->required();
  add_table_options(app, arguments);
  add_extent_options(app, arguments);
  app.add_option("-p,--param", arguments.params.values,
                 "A parameter that is the same for all rows, as NAME=VALUE or NAME=@FILE")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app.add_option("--params", arguments.params.files, "Such parameters from a YAML or JSON map")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_machine_options(app, arguments.live.machine);
  app.add_flag("--json", arguments.live.output.json,
               "One trace event a line on standard output, the result last");
  app.add_flag("-q,--quiet", arguments.live.output.quiet,
               "No progress and no report unless something is wrong");
  app.add_option("--memory", arguments.live.memory,
                 "Large values held in memory; more go to disk (default: 256M)")
      ->type_name("BYTES");
  add_journal_option(app, arguments.live.journal);
  add_no_journal_flag(app, arguments.live.journal);
  add_optimizer_options(app, arguments.optimizer);
  add_quality_options(app, arguments.quality);
  app.footer(std::string(kFooter));
}

}  // namespace sluice::cli
