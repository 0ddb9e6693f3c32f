// The rows of bench/attention, by what they need to be prepared: contexts that are filled once and
// measured at several points. Each adds the rows that were asked for. One thread.
#pragma once

#include <llama.h>

#include <vector>

#include "bench/attention/measure.h"
#include "bench/attention/report.h"

namespace sluice::bench {

struct Bench {
  Settings settings;
  Machine machine;
  std::vector<RowResult> results;
};

void measure_depths(Bench& bench, llama_model* model);    // decode-*, prefill-*
void measure_shared(Bench& bench, llama_model* model);    // shared-*
void measure_separate(Bench& bench, llama_model* model);  // separate-*
void measure_op(Bench& bench);                            // op-*
void measure_other(Bench& bench);                         // other-*, on a model of its own

// Of one token in the cache, with F16 KV.
double kv_bytes_a_token(const llama_model* model);

}  // namespace sluice::bench
