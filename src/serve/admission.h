// Who is let in: a bounded number of requests for each model, and each key's limits. What is let in
// is never turned away later. Pure: time is an argument. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "serve/api_error.h"
#include "serve/api_keys.h"

namespace sluice {

// Tokens that may be used, refilled continuously; holds at most a minute's. May go below zero: what
// was let in is counted in full when it ends.
class TokenBudget {
 public:
  explicit TokenBudget(std::uint64_t per_minute, SteadyNs now)
      : per_minute_(per_minute), left_(static_cast<double>(per_minute)), at_(now) {}
  bool ready(SteadyNs now);
  void take(double tokens, SteadyNs now);
  std::int64_t ready_in_ms(SteadyNs now);
  double left(SteadyNs now);

 private:
  void refill(SteadyNs now);

  std::uint64_t per_minute_;  // 0: no limit
  double left_;
  SteadyNs at_;
};

struct AdmissionRequest {
  const ApiKey* key = nullptr;  // null: keys are not asked for
  std::string model;
  std::size_t choices = 1;  // requests that it becomes
  std::uint64_t tokens_expected = 0;
};

class ServeAdmission {
 public:
  // `most_open`: requests of one model that run and wait, in all.
  explicit ServeAdmission(std::size_t most_open) : most_open_(most_open) {}

  // 429 with the time after which it is worth another try.
  ApiResult<void> admit(const AdmissionRequest& request, SteadyNs now);
  // One choice has ended.
  void choice_ended(const AdmissionRequest& request, SteadyNs now);
  // The whole call has; `tokens_used` is what it really used.
  void call_ended(const AdmissionRequest& request, std::uint64_t tokens_used, SteadyNs now);
  std::size_t open(const std::string& model) const;

 private:
  struct ModelUse {
    std::size_t open = 0;
    SteadyNs last_end_ns = 0;
    double gap_ns = 0;  // between ends while it was loaded, averaged
  };
  struct KeyUse {
    std::size_t in_flight = 0;
    TokenBudget tokens;
  };
  KeyUse& use_of(const ApiKey& key, SteadyNs now);
  static std::int64_t wait_ms(const ModelUse& use);

  std::size_t most_open_;
  std::map<std::string, ModelUse> models_;
  std::map<const ApiKey*, KeyUse> keys_;
};

}  // namespace sluice
