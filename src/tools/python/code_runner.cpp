#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "tools/basic_tool.h"
#include "tools/isolation.h"
#include "tools/python/python_pool.h"
#include "tools/tool.h"

namespace sluice {
namespace {

constexpr std::string_view kEntryFunction = "main";

// Code steps see no variable of ours but these: the rest may be keys and passwords.
ChildOptions code_worker(const CodeRunnerOptions& options, const ToolEnvironment& environment,
                         bool isolated) {
  ChildOptions program;
  if (isolated) program.argv = isolation_prefix();
  // -s: no packages of the user's home; -B: nothing is written beside imported files.
  for (const char* word : {options.python.c_str(), "-s", "-B"}) program.argv.emplace_back(word);
  program.work_dir = environment.temp_dir;
  program.clear_environment = true;
  for (const char* name : {"PATH", "HOME", "TZ"}) {
    if (const char* value = std::getenv(name)) program.environment.emplace_back(name, value);
  }
  // The same text gives the same result in every run: sets keep their order, text is UTF-8.
  program.environment.emplace_back("PYTHONHASHSEED", "0");
  program.environment.emplace_back("PYTHONUTF8", "1");
  program.environment.emplace_back("LC_ALL", "C.UTF-8");
  return program;
}

PythonPool::Options pool_options(const CodeRunnerOptions& options,
                                 const ToolEnvironment& environment) {
  bool isolated = environment.isolate_code && probe_isolation().isolated;
  std::uint32_t workers =
      options.workers > 0 ? options.workers : std::max(1u, std::thread::hardware_concurrency());
  return {code_worker(options, environment, isolated), workers, "code"};
}

class CodeRunner final : public BasicTool {
 public:
  CodeRunner(const CodeRunnerOptions& options, const ToolEnvironment& environment)
      : BasicTool(environment), pool_(environment.io, pool_options(options, environment)) {}

  ~CodeRunner() override { calls().drop_all(); }

  void discover(std::function<void(Result<std::vector<FunctionSpec>>)> on_functions) override {
    calls().post([on_functions = std::move(on_functions)] {
      on_functions(std::vector<FunctionSpec>{});  // every code text is a function of its own
    });
  }

 private:
  void start(const OpenCallPtr& open) override {
    open->set_label("the code");
    pool_.call(open, unit_of(open->request().function), std::string(kEntryFunction));
  }

  std::shared_ptr<const PythonUnit> unit_of(const std::string& text) {
    auto& unit = units_[text];
    if (!unit) {
      unit = std::make_shared<PythonUnit>(PythonUnit{units_.size(), text, "<code>"});
    }
    return unit;
  }

  PythonPool pool_;
  std::unordered_map<std::string, std::shared_ptr<const PythonUnit>> units_;
};

}  // namespace

std::unique_ptr<Tool> open_code_runner(const CodeRunnerOptions& options,
                                       const ToolEnvironment& environment) {
  return std::make_unique<CodeRunner>(options, environment);
}

}  // namespace sluice
