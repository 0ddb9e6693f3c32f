#include "host/runs/list_tools.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

#include "host/files/temp_dir.h"
#include "host/resources/resources.h"

namespace sluice {

Result<std::vector<ListedTool>> list_tools(const PlanPtr& plan, const RunSettings& settings) {
  auto temp = TempDir::make();
  if (!temp) return std::unexpected(temp.error());
  boost::asio::io_context io{1};
  auto work = boost::asio::make_work_guard(io);
  boost::asio::thread_pool pool(2);
  ToolEnvironment environment;
  environment.io = io.get_executor();
  environment.blocking = pool.get_executor();
  environment.work_dir = settings.work_dir;
  environment.temp_dir = temp->path();
  environment.clock = &system_clock();
  Resources resources({settings.models, settings.threads}, environment);
  if (auto opened = resources.open_tools(plan); !opened) return std::unexpected(opened.error());
  Result<void> asked;
  resources.discover([&](Result<void> found) {
    asked = std::move(found);
    io.stop();
  });
  io.run();
  pool.join();
  if (!asked) return std::unexpected(asked.error());
  std::vector<ListedTool> list;
  const PlanScope& scope = *resources.scope(plan.get());
  for (const NamedSettings& named : plan->tools) {
    ListedTool tool{named.id, named.kind, {}};
    for (std::string_view function : scope.function_names(named.id)) {
      if (const FunctionSpec* spec = scope.find(named.id, function))
        tool.functions.push_back(*spec);
    }
    list.push_back(std::move(tool));
  }
  return list;
}

}  // namespace sluice
