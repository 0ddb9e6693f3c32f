// What an AsioHost and its parts work with. Pure data.
#pragma once

#include <string>

#include "base/clock.h"
#include "host/history/result_cache.h"
#include "host/resources/resources.h"
#include "optimize/optimizer.h"
#include "runtime/value_store.h"
#include "tools/tool.h"

namespace sluice {

// All outlive the host.
struct HostServices {
  Resources& resources;
  Tool& code;  // runs code steps
  ResultCache& cache;
  ValueStore& values;
  const Clock& clock;
  std::string run_id;
  // Of plans that steps produce.
  OptimizerSettings optimizer = {};
  const StatisticsStore* history = nullptr;  // may be null
  // A pool for work that takes a while; without one the run's thread does it.
  boost::asio::any_io_executor blocking = {};
  // Answers that earlier runs have kept without being told to do not stand for calls of this one.
  bool asks_anew = false;
};

}  // namespace sluice
