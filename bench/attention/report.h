// What bench/attention found, for people and as JSON. Pure but for the writing; one thread.
#pragma once

#include <vector>

#include "bench/attention/measure.h"

namespace sluice::bench {

struct Machine {
  double bytes_a_second = 0;  // that the cores read from memory
  double kv_bytes = 0;        // of one token in the cache, SmolLM2
  double weight_bytes = 0;    // that one decoded token reads, SmolLM2
};

void print_table(const Settings& settings, const Machine& machine,
                 const std::vector<RowResult>& results);
void write_json(const Settings& settings, const Machine& machine,
                const std::vector<RowResult>& results);

}  // namespace sluice::bench
