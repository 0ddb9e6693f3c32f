// An item of a list as a task gets it: with what the list is labelled as a whole, as an element
// that an expression reads has it. A secret elsewhere in the list does not make it one. Pure; any
// thread.
#pragma once

#include <cstddef>

#include "data/value.h"

namespace sluice {

// Precondition: `list` is an array that has it.
inline Value list_item(const Value& list, std::size_t index) {
  Labels labels = list.labels();
  if (list.secret_only_inside()) labels.secret = false;
  const Value& item = list.items()[index];
  return labels.none() ? item : item.with_labels(labels);
}

}  // namespace sluice
