// From a case that breaks a law to a smaller one that breaks the same law: steps, rules, conjuncts,
// rows and readings are taken out as long as it stays broken. One thread.
#pragma once

#include <string>

#include "tests/laws/law.h"

namespace sluice::laws {

struct LawShrunk {
  std::string text;  // the plan, as YAML
  std::string params;
  LawReport report;
  int tried = 0;
};

// `of` must break a law, as `report` says.
LawShrunk shrink_case(const LawCase& of, const LawReport& report, int most = 1500);

// For people: the plan, what is wrong with it and how to see it again.
std::string failure_text(const LawCase& of, const LawReport& report);

}  // namespace sluice::laws
