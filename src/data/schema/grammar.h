// What a grammar cannot be trusted to enforce while a model decodes.
#pragma once

#include <string>
#include <vector>

#include "data/value.h"

namespace sluice::json_schema {

// Of one schema object at `pointer`: appends pointers to keywords. `root_base` says whether local
// references in it are relative to the root of the document, as the grammar reads them.
void collect_not_in_grammar(const Value& schema, const std::string& pointer, bool root_base,
                            std::vector<std::string>& out);

}  // namespace sluice::json_schema
