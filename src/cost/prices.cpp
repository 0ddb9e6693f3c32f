#include "cost/prices.h"

#include <cmath>
#include <string_view>

namespace sluice {
namespace {

constexpr double kMillion = 1e6;

double number_of(const Value* price, std::string_view key) {
  const Value* number = price == nullptr ? nullptr : price->find(key);
  if (number == nullptr || !number->is_number()) return 0;
  const double usd = number->as_double();
  return std::isfinite(usd) && usd > 0 ? usd / kMillion : 0;
}

}  // namespace

ModelPrice price_of(const Value& model_settings) {
  const Value* price = model_settings.find("price");
  return {number_of(price, "prompt"), number_of(price, "completion")};
}

}  // namespace sluice
