#include "simulate/ledger.h"

#include <utility>

namespace sluice {

const Deed* Ledger::find(const std::string& key) const {
  auto found = first_.find(key);
  return found == first_.end() ? nullptr : &deeds_[found->second];
}

const Deed& Ledger::add(Deed deed) {
  first_.try_emplace(deed.key, deeds_.size());
  deeds_.push_back(std::move(deed));
  return deeds_.back();
}

}  // namespace sluice
