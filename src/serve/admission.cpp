#include "serve/admission.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr double kNsPerMinute = 60.0 * 1e9;
constexpr double kNewGap = 0.1;  // weight of the latest gap in the average
constexpr std::int64_t kLeastWaitMs = 1'000;
constexpr std::int64_t kMostWaitMs = 60'000;
constexpr std::size_t kRoomWorthWaiting = 8;  // places that should be free when it comes back

ApiError too_many(std::string message, std::string code, std::int64_t wait_ms) {
  return {.status = 429,
          .type = "rate_limit_error",
          .message = std::move(message),
          .code = std::move(code),
          .retry_after_ms = std::clamp(wait_ms, kLeastWaitMs, kMostWaitMs)};
}

}  // namespace

void TokenBudget::refill(SteadyNs now) {
  const double minutes = static_cast<double>(std::max<SteadyNs>(0, now - at_)) / kNsPerMinute;
  at_ = std::max(at_, now);
  const auto full = static_cast<double>(per_minute_);
  left_ = std::min(full, left_ + minutes * full);
}

bool TokenBudget::ready(SteadyNs now) {
  refill(now);
  return per_minute_ == 0 || left_ > 0;
}

void TokenBudget::take(double tokens, SteadyNs now) {
  if (per_minute_ == 0) return;
  refill(now);
  left_ = std::min(left_ - tokens, static_cast<double>(per_minute_));
}

std::int64_t TokenBudget::ready_in_ms(SteadyNs now) {
  if (ready(now)) return 0;
  const double minutes = (1 - left_) / static_cast<double>(per_minute_);
  return static_cast<std::int64_t>(std::ceil(minutes * 60'000));
}

double TokenBudget::left(SteadyNs now) {
  refill(now);
  return left_;
}

ServeAdmission::KeyUse& ServeAdmission::use_of(const ApiKey& key, SteadyNs now) {
  return keys_.try_emplace(&key, KeyUse{.tokens = TokenBudget(key.tokens_per_minute, now)})
      .first->second;
}

// How long until some places are free, if requests go on to end as they did.
std::int64_t ServeAdmission::wait_ms(const ModelUse& use) {
  const std::size_t places = std::min(kRoomWorthWaiting, std::max<std::size_t>(1, use.open / 4));
  return static_cast<std::int64_t>(use.gap_ns * static_cast<double>(places) / 1e6);
}

ApiResult<void> ServeAdmission::admit(const AdmissionRequest& request, SteadyNs now) {
  ModelUse& model = models_[request.model];
  if (request.choices > most_open_) {
    return std::unexpected(
        ApiError{.message = fmt::format("{} choices are more than this server takes at a time ({})",
                                        request.choices, most_open_),
                 .param = "n",
                 .code = "too_many_choices"});
  }
  if (request.key != nullptr) {
    KeyUse& use = use_of(*request.key, now);
    const std::uint64_t most = request.key->max_in_flight;
    if (most != 0 && use.in_flight + request.choices > most) {
      return std::unexpected(too_many(
          fmt::format("this key may have {} requests at a time, and has {}", most, use.in_flight),
          "requests_in_flight_exceeded", wait_ms(model)));
    }
    if (!use.tokens.ready(now)) {
      return std::unexpected(
          too_many(fmt::format("this key may use {} tokens a minute, and has used them",
                               request.key->tokens_per_minute),
                   "rate_limit_exceeded", use.tokens.ready_in_ms(now)));
    }
  }
  if (model.open + request.choices > most_open_) {
    return std::unexpected(too_many(
        fmt::format("model {} has {} requests running and waiting, and takes no more than {}",
                    request.model, model.open, most_open_),
        "server_overloaded", wait_ms(model)));
  }
  model.open += request.choices;
  if (request.key != nullptr) {
    KeyUse& use = use_of(*request.key, now);
    use.in_flight += request.choices;
    use.tokens.take(static_cast<double>(request.tokens_expected), now);
  }
  return {};
}

void ServeAdmission::choice_ended(const AdmissionRequest& request, SteadyNs now) {
  ModelUse& model = models_[request.model];
  const auto gap = static_cast<double>(now - model.last_end_ns);
  if (model.open > 1 && model.last_end_ns != 0) {
    model.gap_ns = model.gap_ns == 0 ? gap : model.gap_ns + kNewGap * (gap - model.gap_ns);
  }
  model.last_end_ns = now;
  model.open -= 1;
  if (request.key != nullptr) use_of(*request.key, now).in_flight -= 1;
}

void ServeAdmission::call_ended(const AdmissionRequest& request, std::uint64_t tokens_used,
                                SteadyNs now) {
  if (request.key == nullptr) return;
  use_of(*request.key, now)
      .tokens.take(static_cast<double>(tokens_used) - static_cast<double>(request.tokens_expected),
                   now);
}

std::size_t ServeAdmission::open(const std::string& model) const {
  auto found = models_.find(model);
  return found == models_.end() ? 0 : found->second.open;
}

}  // namespace sluice
