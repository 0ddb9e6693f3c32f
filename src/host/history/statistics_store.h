// What earlier runs have told about steps, kept in one SQLite file in the cache folder
// (`statistics.sqlite`). Several processes may use it at once. It never fails a run: a file that
// cannot be opened, read or written has nothing to tell, and `problem` says why. One thread.
//
// It stays bounded: of more than kMostSteps steps those go that were not seen for longest. What is
// old weighs less: counts are halved when there are many of them, and for every month of rest.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cost/step_statistics.h"

namespace sluice {

class SqliteStatisticsStore final : public StatisticsStore {
 public:
  static constexpr std::int64_t kMostSteps = 100'000;
  static constexpr std::uint64_t kManyTasks = 20'000;  // beyond: halved before more is added

  // The file is made when there is something to keep.
  SqliteStatisticsStore(std::filesystem::path file, const Clock& clock);
  ~SqliteStatisticsStore() override;

  std::optional<StepStatistics> find(const Hash256& step) const override;
  void add(const StatisticsTable& table) override;
  std::string problem() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
