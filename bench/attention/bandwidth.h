// What the cores can read from memory: the bound of everything that attention reads. Any thread.
#pragma once

namespace sluice::bench {

// Bytes a second that `threads` threads together read in long sequential runs, at best.
double read_bandwidth(int threads);

}  // namespace sluice::bench
