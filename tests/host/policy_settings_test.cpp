// The policies that a plan's model may name are those that there are.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "plan/model_spec.h"
#include "schedule/policies.h"

namespace sluice {
namespace {

template <class Rows>
std::set<std::string> names_of(const Rows& rows) {
  std::set<std::string> names;
  for (const auto& row : rows) names.emplace(row.name);
  return names;
}

TEST(PolicySettings, ThePlansSchemaListsEveryPolicy) {
  const Value* settings = find_model_kind("embedded")->settings->source().find("properties");
  ASSERT_NE(settings, nullptr);
  const Value* kinds = settings->find("policies")->find("properties");
  ASSERT_NE(kinds, nullptr);
  const PolicyTables& tables = policy_tables();
  for (const auto& [kind, names] :
       {std::pair("order", names_of(tables.order)), std::pair("batch", names_of(tables.batch)),
        std::pair("admission", names_of(tables.admission)),
        std::pair("lifetime", names_of(tables.lifetime)),
        std::pair("fairness", names_of(tables.fairness))}) {
    std::set<std::string> listed;
    ASSERT_NE(kinds->find(kind), nullptr) << kind;
    for (const Value& name : kinds->find(kind)->find("enum")->items()) {
      listed.emplace(name.as_string());
    }
    EXPECT_EQ(listed, names) << kind;
  }
  EXPECT_EQ(kinds->size(), 5U);
}

}  // namespace
}  // namespace sluice
