// What explain's estimates are made from, without loading a model: statistics of earlier runs,
// measurements that are kept in the cache, prices from the plan's settings. What is missing is told
// as remarks. Reads files; the main thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cost/plan_cost.h"
#include "host/files/temp_dir.h"
#include "host/history/statistics_store.h"
#include "host/resources/resources.h"
#include "host/runs/run_service.h"

namespace sluice::cli {

class CostSources {
 public:
  // `known`: the models of a run that was, by the hashes of their files. `params` may be null; it
  // and `settings` outlive this.
  CostSources(const PlanPtr& plan, const RunSettings& settings, const Value* params,
              std::span<const RunModel> known = {});
  CostSources(const CostSources&) = delete;
  CostSources& operator=(const CostSources&) = delete;

  const CostInputs& inputs() const { return inputs_; }
  // Once the estimates are made.
  std::vector<std::string> remarks() const;

 private:
  void open(const PlanPtr& plan, const RunSettings& settings, const Value* params);
  void add_calibrations(const Plan& plan, const RunSettings& settings,
                        std::span<const RunModel> known);

  std::optional<TempDir> temp_;
  boost::asio::io_context io_{1};
  boost::asio::thread_pool pool_{1};
  std::unique_ptr<Resources> resources_;
  SqliteStatisticsStore history_;
  CostInputs inputs_;
  std::vector<std::string> remarks_;
};

}  // namespace sluice::cli
