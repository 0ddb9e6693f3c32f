#include "schedule/policies.h"

#include <fmt/format.h>

#include <string>

namespace sluice {

using order_policy_type = OrderPolicy;
using fairness_policy_type = FairnessPolicy;
using admission_policy_type = AdmissionPolicy;
using batch_policy_type = BatchPolicy;
using lifetime_policy_type = LifetimePolicy;

#define SLUICE_POLICY(kind, name, function) kind##_policy_type function;
#include "schedule/policies.def"
#undef SLUICE_POLICY

namespace {

// Every row of policies.def in the table of its kind.
struct Rows {
  std::vector<PolicyTables::Row<OrderPolicy>> order;
  std::vector<PolicyTables::Row<FairnessPolicy>> fairness;
  std::vector<PolicyTables::Row<AdmissionPolicy>> admission;
  std::vector<PolicyTables::Row<BatchPolicy>> batch;
  std::vector<PolicyTables::Row<LifetimePolicy>> lifetime;

  Rows() {
#define SLUICE_POLICY(kind, name, function) kind.push_back({name, function});
#include "schedule/policies.def"
#undef SLUICE_POLICY
  }
};

template <typename Table>
Result<void> check(std::string_view kind, const std::string& name, const Table& rows) {
  std::string known;
  for (const auto& row : rows) {
    if (name.empty() || row.name == name) return {};
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  return fail(ErrorCode::kValueInvalid,
              fmt::format("there is no {} policy '{}'; there are: {}", kind, name, known));
}

}  // namespace

const PolicyTables& policy_tables() {
  static const Rows rows;
  static const PolicyTables tables{.order = rows.order,
                                   .fairness = rows.fairness,
                                   .admission = rows.admission,
                                   .batch = rows.batch,
                                   .lifetime = rows.lifetime};
  return tables;
}

Result<void> check_policy_names(const PolicyNames& names) {
  const PolicyTables& tables = policy_tables();
  if (auto ok = check("order", names.order, tables.order); !ok) return ok;
  if (auto ok = check("fairness", names.fairness, tables.fairness); !ok) return ok;
  if (auto ok = check("admission", names.admission, tables.admission); !ok) return ok;
  if (auto ok = check("batch", names.batch, tables.batch); !ok) return ok;
  return check("lifetime", names.lifetime, tables.lifetime);
}

}  // namespace sluice
