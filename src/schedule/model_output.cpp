#include "schedule/model_output.h"

#include <fmt/format.h>

#include "data/json.h"

namespace sluice {

Result<void> check_model_output(const Schema& schema, const Value& output) {
  auto violations = schema.validate(output);
  if (violations.empty()) return {};
  return fail(ErrorCode::kOutputInvalid,
              fmt::format("the model's output does not fit its schema: {}: {}",
                          describe(violations), preview(output)));
}

}  // namespace sluice
