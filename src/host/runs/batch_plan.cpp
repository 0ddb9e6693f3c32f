#include "host/runs/batch_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/ids.h"
#include "data/json.h"
#include "host/history/quality.h"
#include "plan/parse.h"
#include "tools/table/cell.h"
#include "tools/table/table_reader.h"
#include "verify/verify.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;

using Members = std::vector<Value::Member>;

Value text(std::string_view bytes) { return Value::from_utf8(bytes).value_or(Value::string("?")); }

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

// As a parameter would be written: small letters, no blanks around it.
std::string plain_name(std::string_view column) {
  const std::size_t from = std::min(column.find_first_not_of(" \t"), column.size());
  std::string name(column.substr(from, column.find_last_not_of(" \t") + 1 - from));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

bool is_fixed(const BatchSpec& spec, const std::string& param) {
  return spec.fixed.find(param) != nullptr;
}

// Parameters that a row gives.
std::vector<const ParamSpec*> row_params(const BatchSpec& spec) {
  std::vector<const ParamSpec*> found;
  for (const ParamSpec& param : spec.plan->params) {
    if (has(spec.columns, param.id) && !is_fixed(spec, param.id)) found.push_back(&param);
  }
  return found;
}

// With the default beside it, whatever the schema says of that.
Value schema_of(const ParamSpec& param) {
  const Value source = param.schema ? param.schema->source() : Value::object({});
  if (!param.has_default || !source.is_object()) return source;
  Members members(source.members().begin(), source.members().end());
  members.emplace_back("default", param.default_value);
  return Value::object(std::move(members));
}

Value input_tool(const BatchSpec& spec) {
  Members settings = {{"kind", Value::string("table")},
                      {"file", text(spec.input.file.string())},
                      {"format", Value::string(table_format_name(spec.input.format))},
                      {"columns", batch_columns(spec)}};
  if (!spec.input.query.empty()) settings.emplace_back("query", text(spec.input.query));
  if (!spec.input.table.empty()) settings.emplace_back("table", text(spec.input.table));
  if (spec.with_input) settings.emplace_back("whole", Value::boolean(true));
  return Value::object(std::move(settings));
}

Value output_tool(const BatchSpec& spec) {
  Members settings = {{"kind", Value::string("table")},
                      {"file", text(spec.output.file.string())},
                      {"format", Value::string(table_format_name(spec.output.format))},
                      {"write", Value::boolean(true)}};
  if (!spec.output.table.empty()) settings.emplace_back("table", text(spec.output.table));
  return Value::object(std::move(settings));
}

// Where there is no room, or what is to be written is locked, away or closed to us, the call is
// tried again: so the run can stop before it, and go on when that is mended.
Value until_it_can_be_written() {
  std::vector<Value> codes;
  for (const char* code : {"DISK_FULL", "IO", "FILE_DENIED", "FILE_MISSING", "SQL_FAILED"}) {
    codes.push_back(Value::string(code));
  }
  return Value::object({{"attempts", Value::integer(1'000'000)},
                        {"on", Value::array(std::move(codes))},
                        {"delay", Value::string("1s")},
                        {"max_delay", Value::string("30s")}});
}

Value row_step(const BatchSpec& spec, const std::string& rows) {
  Members with;
  for (const ParamSpec* param : row_params(spec)) {
    with.emplace_back(param->id, text(fmt::format("{{{{ item['{}'] }}}}", param->id)));
  }
  for (const ParamSpec& param : spec.plan->params) {
    if (!is_fixed(spec, param.id)) continue;
    with.emplace_back(param.id, text(fmt::format("{{{{ params.{} }}}}", param.id)));
  }
  Members step = {{"for_each", text(rows)},
                  {"plan", Value::string("row")},
                  {"with", Value::object(std::move(with))},
                  {"on_error", Value::object({{"step", Value::string("failed")}})}};
  if (spec.concurrency) step.emplace_back("concurrency", Value::integer(*spec.concurrency));
  return Value::object(std::move(step));
}

// The words of the failure without the names that the batch put before them, and in those of a
// table where a row does not fit the plan.
Value failed_step() {
  return Value::object(
      {{"value",
        Value::object(
            {{std::string(kRowErrorKey),
              Value::string(
                  "{{ error.message"
                  " | regex_replace('^STEP_FAILED: step row\\\\[[0-9]+\\\\]/', '')"
                  " | regex_replace('^EXPR_UNDEFINED: item[^a-z]+([a-z0-9_]+)[^:]*: no member "
                  ".*', 'PARAM_MISSING: the row has no \\\\1')"
                  " | regex_replace('^PARAM_INVALID: the parameter ([a-z0-9_]+) of the sub-plan "
                  "row "
                  "does not fit', 'PARAM_INVALID: \\\\1 does not fit') }}")}})}});
}

Value put_step(const BatchSpec& spec) {
  const std::string failed = fmt::format("item is mapping and '{}' in item", kRowErrorKey);
  Members with = {
      {"row", Value::string("{{ index }}")},
      {"value", text(fmt::format("{{{{ none if {} else item }}}}", failed))},
      {"error", text(fmt::format("{{{{ item['{}'] if {} else none }}}}", kRowErrorKey, failed))}};
  if (spec.with_input) {
    with.emplace_back("input", Value::string("{{ steps.rows.output[index]['$row'] }}"));
  }
  return Value::object({{"for_each", Value::string("{{ steps.row.output }}")},
                        {"tool", Value::string("out.put")},
                        {"with", Value::object(std::move(with))},
                        {"retry", until_it_can_be_written()}});
}

Value finish_step(const BatchSpec& spec) {
  std::vector<Value> columns;
  for (const std::string& column : spec.columns) {
    if (spec.with_input) columns.push_back(text(column));
  }
  return Value::object(
      {{"after", Value::array({Value::string("put")})},
       {"tool", Value::string("out.finish")},
       {"with", Value::object({{"order", Value::string(spec.unordered ? "arrival" : "row")},
                               {"keep_null", Value::boolean(spec.keep_null)},
                               {"columns", Value::array(std::move(columns))}})},
       {"retry", until_it_can_be_written()}});
}

Value steps_of(const BatchSpec& spec) {
  Members limit;
  if (spec.limit > 0) {
    limit.emplace_back("limit", Value::integer(static_cast<std::int64_t>(spec.limit)));
  }
  return Value::object(
      {{"begin", Value::object({{"tool", Value::string("out.begin")},
                                {"with", Value::object({{"run", Value::string("{{ run.id }}")}})},
                                {"retry", until_it_can_be_written()}})},
       {std::string(kBatchReadStep),
        Value::object({{"after", Value::array({Value::string("begin")})},
                       {"tool", Value::string("in.rows")},
                       {"with", Value::object(std::move(limit))}})},
       {std::string(kBatchRowStep), row_step(spec, "{{ steps.rows.output }}")},
       {"failed", failed_step()},
       {std::string(kBatchPutStep), put_step(spec)},
       {"finish", finish_step(spec)},
       {"tidy", Value::object({{"after", Value::array({Value::string("finish")})},
                               {"tool", Value::string("out.tidy")},
                               {"retry", until_it_can_be_written()}})}});
}

Members fixed_params(const BatchSpec& spec) {
  Members params;
  for (const ParamSpec& param : spec.plan->params) {
    if (is_fixed(spec, param.id)) params.emplace_back(param.id, schema_of(param));
  }
  return params;
}

// What both plans have around the user's, which may be put into its place by a pass.
Members frame_of(const BatchSpec& spec, Members params) {
  Members members = {
      {"sluice", Value::integer(1)},
      {"params", Value::object(std::move(params))},
      {"plans",
       Value::object({{"row", Value::object({{"file", text(spec.texts.front().first)}})}})},
      {"concurrency", Value::integer(spec.plan->concurrency)}};
  std::vector<Value> allowed;
  for (const Located<std::string>& pass : spec.plan->allow) allowed.push_back(text(pass.value));
  if (!allowed.empty()) members.emplace_back("allow", Value::array(std::move(allowed)));
  return members;
}

Value batch_source(const BatchSpec& spec) {
  Members members = frame_of(spec, fixed_params(spec));
  members.emplace_back("tools",
                       Value::object({{"in", input_tool(spec)}, {"out", output_tool(spec)}}));
  members.emplace_back("steps", steps_of(spec));
  members.emplace_back("result", Value::string("{{ steps.finish.output }}"));
  return Value::object(std::move(members));
}

// `rows`: the parameter that has them.
Value sample_source(const BatchSpec& spec, const std::string& rows) {
  Members params = fixed_params(spec);
  params.emplace_back(rows, Value::object({{"type", Value::string("array")}}));
  Members members = frame_of(spec, std::move(params));
  members.emplace_back("steps",
                       Value::object({{std::string(kBatchRowStep),
                                       row_step(spec, fmt::format("{{{{ params.{} }}}}", rows))},
                                      {"failed", failed_step()}}));
  members.emplace_back("result", text(fmt::format("{{{{ steps.{}.output }}}}", kBatchRowStep)));
  return Value::object(std::move(members));
}

Error first_finding(const Diagnostics& findings, const std::vector<std::string>& files) {
  for (const Diagnostic& finding : findings.all()) {
    if (finding.severity != Severity::kError) continue;
    return Error(finding.code, format_diagnostic(finding, files));
  }
  return Error(ErrorCode::kInternal, "the plan of the batch is none");
}

Result<void> check_fixed(const BatchSpec& spec) {
  if (!spec.fixed.is_object()) return {};
  std::vector<std::string> names;
  for (const ParamSpec& param : spec.plan->params) names.push_back(param.id);
  for (const auto& [name, value] : spec.fixed.members()) {
    if (has(names, name)) continue;
    const std::string close = closest_name(name, names);
    return fail(ErrorCode::kParamUnknown,
                fmt::format("the plan has no parameter {}{}", name,
                            close.empty() ? "" : fmt::format("; did you mean {}?", close)));
  }
  return {};
}

// The plan of `source`, with the user's in it, and what `given` makes of its parameters.
Result<BatchPlan> read_made(const BatchSpec& spec, const Value& source, std::string_view what,
                            const Value& given) {
  BatchPlan batch;
  const fs::path plan_name = spec.texts.front().first;
  const std::string name = fmt::format("{} of {}", what, plan_name.filename().string());
  batch.texts.emplace_back(name, to_json(source, {.indent = 2}));
  for (const auto& file : spec.texts) batch.texts.push_back(file);
  ParseOptions options;
  options.read_file = [&batch](std::string_view wanted) -> Result<std::string> {
    for (std::size_t i = 1; i < batch.texts.size(); ++i) {
      if (batch.texts[i].first == wanted) return batch.texts[i].second;
    }
    return fail(ErrorCode::kFileUnreadable, fmt::format("{} was not read", wanted));
  };
  ParsedPlan parsed = parse_plan(batch.texts.front().second, name, options);
  if (!parsed.plan || parsed.diagnostics.has_errors()) {
    return std::unexpected(first_finding(
        parsed.diagnostics, parsed.plan ? parsed.plan->files : std::vector<std::string>{name}));
  }
  Diagnostics findings;
  batch.params = bind_params(*parsed.plan, given, findings);
  if (findings.has_errors()) {
    return std::unexpected(first_finding(findings, parsed.plan->files));
  }
  batch.plan = std::move(parsed.plan);
  return batch;
}

// A table of one column that looks like several.
std::string other_separator(const BatchSpec& spec) {
  const TableFormat format = spec.input.format;
  if (spec.columns.size() != 1 || (format != TableFormat::kCsv && format != TableFormat::kTsv)) {
    return "";
  }
  const std::string& only = spec.columns.front();
  if (format == TableFormat::kCsv && only.find('\t') != std::string::npos) {
    return "; its cells are separated by tabs: state its format, tsv";
  }
  if (format == TableFormat::kTsv && only.find(',') != std::string::npos) {
    return "; its cells are separated by commas: state its format, csv";
  }
  const std::size_t at = only.find_first_of(";|");
  if (at == std::string::npos) return "";
  return fmt::format("; its cells are separated by '{}', and those of {} are by {}", only[at],
                     table_format_name(format), format == TableFormat::kCsv ? "commas" : "tabs");
}

std::string words_for_missing(const BatchSpec& spec, const std::vector<std::string>& missing) {
  std::string words =
      fmt::format("{} has no column for the parameter{} {}", spec.input.file.string(),
                  missing.size() == 1 ? "" : "s", fmt::join(missing, ", "));
  words += spec.columns.empty()
               ? std::string("; it has no columns at all")
               : fmt::format("; its columns are {}", fmt::join(spec.columns, ", "));
  const std::string close = closest_name(missing.front(), spec.columns);
  if (const std::string other = other_separator(spec); !other.empty()) {
    words += other;
  } else if (!close.empty()) {
    words += fmt::format("; rename {} to {}, or the parameter", close, missing.front());
  } else {
    words +=
        fmt::format("; give what is the same for all rows with --param {}=VALUE", missing.front());
  }
  return words;
}

Result<void> check_spec(const BatchSpec& spec) {
  if (auto good = check_fixed(spec); !good) return good;
  const auto missing = missing_columns(spec);
  if (missing.empty()) return {};
  return fail(ErrorCode::kParamMissing, words_for_missing(spec, missing));
}

}  // namespace

Value batch_columns(const BatchSpec& spec) {
  Members columns;
  for (const ParamSpec* param : row_params(spec)) {
    columns.emplace_back(param->id, schema_of(*param));
  }
  return Value::object(std::move(columns));
}

std::vector<std::string> missing_columns(const BatchSpec& spec) {
  std::vector<std::string> missing;
  for (const ParamSpec& param : spec.plan->params) {
    const bool given = param.has_default || has(spec.columns, param.id) || is_fixed(spec, param.id);
    if (!given) missing.push_back(param.id);
  }
  return missing;
}

std::vector<std::string> unused_columns(const BatchSpec& spec) {
  std::vector<std::string> unused;
  for (const std::string& column : spec.columns) {
    if (spec.plan->find_param(column) == nullptr) unused.push_back(column);
  }
  return unused;
}

std::vector<std::pair<std::string, std::string>> misspelt_columns(const BatchSpec& spec) {
  std::vector<std::pair<std::string, std::string>> found;
  const std::vector<std::string> unused = unused_columns(spec);
  for (const ParamSpec& param : spec.plan->params) {
    if (!param.has_default || has(spec.columns, param.id) || is_fixed(spec, param.id)) continue;
    auto meant = std::ranges::find_if(unused, [&](const std::string& column) {
      return edit_distance(param.id, plain_name(column)) * 4 <= param.id.size();
    });
    if (meant != unused.end()) found.emplace_back(param.id, *meant);
  }
  return found;
}

std::vector<Value> draw_rows(const BatchSpec& spec, std::uint64_t rows, std::uint64_t bytes) {
  constexpr std::uint64_t kMostRows = 1'000;
  constexpr std::uint64_t kMostBytes = 16 << 20;
  std::vector<Value> drawn;
  auto columns = table_columns_of(batch_columns(spec));
  auto reader = open_table(spec.input);
  if (rows == 0 || !columns || !reader) return drawn;
  const std::uint64_t row_bytes = std::max<std::uint64_t>(bytes / rows, 1);
  const std::uint64_t wanted = std::min({rows, kMostRows, kMostBytes / row_bytes});
  std::uint64_t at = 0;
  for (const std::uint64_t number : spread_rows(rows, wanted)) {
    for (; at < number; ++at) {
      if (auto there = (*reader)->skip(); !there || !*there) return drawn;
    }
    auto row = (*reader)->next();
    if (!row || !*row) return drawn;
    ++at;
    drawn.push_back(read_row(*columns, **row, (*reader)->cells_are_text()));
  }
  return drawn;
}

std::optional<std::uint32_t> rows_at_once(const Plan& plan) {
  constexpr std::uint32_t kLeast = 64;
  std::vector<const Plan*> open{&plan};
  while (!open.empty()) {
    const Plan& next = *open.back();
    open.pop_back();
    for (const Step& step : next.steps) {
      if (step.op == OperatorKind::kWait || step.produced_plan) return std::nullopt;
    }
    for (const auto& [id, inner] : next.plans) {
      if (inner != nullptr) open.push_back(inner.get());
    }
  }
  return std::max(2 * plan.concurrency, kLeast);
}

Result<BatchPlan> make_batch_plan(const BatchSpec& spec) {
  if (auto good = check_spec(spec); !good) return std::unexpected(good.error());
  const Value given = spec.fixed.is_null() ? Value::object({}) : spec.fixed;
  return read_made(spec, batch_source(spec), "batch", given);
}

Result<BatchPlan> make_sample_plan(const BatchSpec& spec, std::vector<Value> rows) {
  if (auto good = check_spec(spec); !good) return std::unexpected(good.error());
  std::string name = "rows";
  while (spec.plan->find_param(name) != nullptr) name += "_";
  Members given;
  if (spec.fixed.is_object()) {
    given.assign(spec.fixed.members().begin(), spec.fixed.members().end());
  }
  given.emplace_back(name, Value::array(std::move(rows)));
  return read_made(spec, sample_source(spec, name), "sample", Value::object(std::move(given)));
}

std::optional<BatchResult> read_batch_result(const Value& result) {
  const Value* file = result.find("file");
  const Value* first = result.find("first_errors");
  if (file == nullptr || !file->is_string() || first == nullptr) return std::nullopt;
  BatchResult read;
  read.file = std::string(file->as_string());
  auto count = [&](std::string_view key) -> std::uint64_t {
    const Value* number = result.find(key);
    return number != nullptr && number->is_int() ? static_cast<std::uint64_t>(number->as_int()) : 0;
  };
  read.rows = count("rows");
  read.written = count("written");
  read.errors = count("errors");
  read.empty = count("empty");
  for (const Value& error : first->is_array() ? first->items() : std::span<const Value>()) {
    if (error.is_string()) read.first_errors.emplace_back(error.as_string());
  }
  return read;
}

}  // namespace sluice
