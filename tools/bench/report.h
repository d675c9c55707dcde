#pragma once
// The results for a person and for a program.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/bench/ceilings.h"
#include "tools/bench/measure.h"

namespace concord::bench {

// What the figures mean, the ceilings, and a row a case.
std::string table_of(Device device, const Ceilings& ceilings, const std::vector<Result>& results);

// {"version", "device", "threads", "ceilings": {...}, "benchmarks": [{...}]}: seconds, FLOP/s and
// bytes/s, shares of the ceilings as fractions.
nlohmann::ordered_json json_of(Device device, const Ceilings& ceilings,
                               const std::vector<Result>& results, int threads);

}  // namespace concord::bench
