// What was measured of plans whose passes may change results, kept in the statistics file of the
// cache folder by plan, passes and models, so that explain can tell it and a batch need not measure
// it again. A file that cannot be opened, read or written has nothing to tell. One thread; several
// processes may use the file at once.
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

  Hash256 hash() const;
};

// Of a plan that is checked; nullopt when it cannot be told (a plan that cannot be lowered).
std::optional<QualityKey> quality_key(const PlanPtr& plan, const OptimizerSettings& settings,
                                      const ModelPreferences& models);

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
  void put(const QualityKey& key, const MeasuredQuality& measured);
  std::string problem() const;  // "" when there is none

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
