// lifetime: drop. Nothing is kept: what no request uses leaves at once. For comparison, and for
// requests whose prefix nobody will use again.
#include "schedule/policies.h"

namespace sluice {

RunWorth live_never(const Round&, const KeptRunView&) { return {.drop_s = 0, .leave_now = true}; }

}  // namespace sluice
