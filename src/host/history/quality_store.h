// What was measured of plans whose passes may change results, kept in the statistics file of the
// cache folder by plan, passes, models and rows, so that a batch need not measure it again, and
// without the rows, so that explain can tell it. A file that cannot be opened, read or written has
// nothing to tell. One thread; several processes may use the file at once.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "data/hash.h"
#include "host/history/quality.h"
#include "host/resources/model_choice.h"

namespace sluice {

struct QualityKey {
  Hash256 plan;                     // PhysicalPlan::plan_hash of the plan as it is written
  std::vector<std::string> passes;  // that are allowed; sorted
  std::string models;               // what answers
  std::string rows;                 // on which; "": whichever were the last

  Hash256 hash() const;
};

// Of a plan that is checked, whose relative paths start in `work_dir`; without its rows. nullopt
// when it cannot be told (a plan that cannot be lowered).
std::optional<QualityKey> quality_key(const PlanPtr& plan, const OptimizerSettings& settings,
                                      const ModelPreferences& models,
                                      const std::filesystem::path& work_dir);

class QualityStore {
 public:
  static constexpr std::int64_t kMostKept = 1'000;
  static constexpr std::int64_t kGoodForNs = 30LL * 24 * 3600 * kNsPerSecond;

  // In `cache_dir`; the file is made when there is something to keep.
  QualityStore(const std::filesystem::path& cache_dir, const Clock& clock);
  ~QualityStore();
  QualityStore(const QualityStore&) = delete;
  QualityStore& operator=(const QualityStore&) = delete;

  // What was measured last, within kGoodForNs.
  std::optional<MeasuredQuality> find(const QualityKey& key);
  // Under the key, and under the same without its rows.
  void put(const QualityKey& key, const MeasuredQuality& measured);
  std::string problem() const;  // "" when there is none

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
