// What a `wait` step waits for, read from its bound value: until when, for which signal, for whom.
// Pure; any thread.
#pragma once

#include "base/clock.h"
#include "runtime/effect.h"
#include "runtime/event.h"

namespace sluice {

// What cannot be understood is in WaitBegan::error (kWaitInvalid). `now`: durations count from it.
WaitBegan read_wait(const BeginWait& wait, WallNs now);

}  // namespace sluice
