#include "tools/python/python_tool.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/ids.h"
#include "tools/basic_tool.h"
#include "tools/python/python_pool.h"

namespace sluice {
namespace {

constexpr std::size_t kMaxFileBytes = 8 << 20;

PythonPool::Options pool_options(const ToolSettings& settings) {
  PythonPool::Options options;
  options.worker.argv = {setting_text(settings.values, "python", "python3"), "-B"};
  options.worker.work_dir = settings.environment.work_dir;
  options.worker.environment = {{"PYTHONUTF8", "1"}};
  options.label = "tool " + settings.id;
  // With concurrency: 1 there is one process, and what its modules keep is seen by every call.
  const Value* concurrency = settings.values.find("concurrency");
  std::uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  options.max_workers = concurrency != nullptr && concurrency->is_int() && concurrency->as_int() > 0
                            ? static_cast<std::uint32_t>(std::min<std::int64_t>(
                                  concurrency->as_int(), std::int64_t{cores} * 4))
                            : cores;
  return options;
}

FunctionSpec spec_of(const Value& described) {
  FunctionSpec spec;
  auto text = [&](std::string_view key) {
    const Value* value = described.find(key);
    return value != nullptr && value->is_string() ? std::string(value->as_string()) : "";
  };
  spec.name = text("name");
  spec.description = text("description");
  spec.effect = Effect::kOnce;
  SchemaOptions lenient{.mode = SchemaMode::kLenient};
  if (const Value* input = described.find("input")) {
    spec.input = Schema::compile(*input, lenient).schema;
  }
  const Value* output = described.find("output");
  if (output != nullptr && output->is_object() && !output->members().empty()) {
    spec.output = Schema::compile(*output, lenient).schema;
  }
  const Value* streams = described.find("streams");
  spec.streams = streams != nullptr && streams->is_bool() && streams->as_bool();
  return spec;
}

class PythonTool final : public BasicTool {
 public:
  PythonTool(const ToolSettings& settings, PythonUnit unit)
      : BasicTool(settings.environment),
        pool_(settings.environment.io, pool_options(settings)),
        unit_(std::make_shared<PythonUnit>(std::move(unit))),
        only_(setting_text(settings.values, "function")) {}

  ~PythonTool() override { calls().drop_all(); }

  void discover(std::function<void(Result<std::vector<FunctionSpec>>)> on_functions) override {
    calls().post([this, on_functions = std::move(on_functions)] {
      pool_.list(unit_, [this, on_functions](Result<Value> listed) {
        on_functions(listed ? specs_of(*listed) : std::unexpected(listed.error()));
      });
    });
  }

 private:
  void start(const OpenCallPtr& open) override {
    const std::string& function = open->request().function;
    if (function.starts_with('_') || (!only_.empty() && function != only_)) {
      return open->fail(
          Error(ErrorCode::kToolUnknown, fmt::format("{} is not offered by this tool", function)));
    }
    pool_.call(open, unit_, function);
  }

  Result<std::vector<FunctionSpec>> specs_of(const Value& listed) const {
    std::vector<FunctionSpec> specs;
    std::vector<std::string> names;
    for (const Value& described : listed.items()) {
      FunctionSpec spec = spec_of(described);
      names.push_back(spec.name);
      if (only_.empty() || spec.name == only_) specs.push_back(std::move(spec));
    }
    if (!only_.empty() && specs.empty()) {
      std::string close = closest_name(only_, names);
      return fail(ErrorCode::kToolUnknown,
                  fmt::format("{} defines no function {}{}", unit_->name, only_,
                              close.empty() ? "" : fmt::format("; did you mean {}?", close)));
    }
    return specs;
  }

  PythonPool pool_;
  std::shared_ptr<const PythonUnit> unit_;
  std::string only_;
};

// Read once here, so that every worker has the same text whatever happens to the file.
Result<PythonUnit> unit_of(const ToolSettings& settings) {
  std::string code = setting_text(settings.values, "code");
  std::string name = setting_text(settings.values, "file");
  if (code.empty() == name.empty()) {
    return fail(ErrorCode::kSettingInvalid,
                "name a file of Python, or give its text as code: one of them");
  }
  if (!code.empty()) return PythonUnit{1, std::move(code), "<code>"};
  std::error_code failed;
  auto path = std::filesystem::canonical(setting_path(settings, "file", ""), failed);
  if (failed || !std::filesystem::is_regular_file(path, failed)) {
    return fail(ErrorCode::kToolStart,
                fmt::format("there is no file {}", setting_path(settings, "file", "").string()));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file || text.size() > kMaxFileBytes || !valid_utf8(text)) {
    return fail(ErrorCode::kToolStart,
                fmt::format("{} cannot be read as Python text", path.string()));
  }
  return PythonUnit{1, std::move(text), path.string()};
}

}  // namespace

Result<std::unique_ptr<Tool>> open_python_tool(const ToolSettings& settings) {
  auto unit = unit_of(settings);
  if (!unit) return std::unexpected(unit.error());
  return std::make_unique<PythonTool>(settings, std::move(*unit));
}

}  // namespace sluice
