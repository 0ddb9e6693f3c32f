// The functions behind the filters, by family; filter_table.cpp names them. Each gets a checked
// CallFrame and gives a value, or records an error and returns false.
#pragma once

#include "data/expr/evaluate.h"

namespace sluice::expr {

// filter_case.cpp, filter_string.cpp
bool filter_upper(CallFrame& call, Value& out);
bool filter_lower(CallFrame& call, Value& out);
bool filter_title(CallFrame& call, Value& out);
bool filter_capitalize(CallFrame& call, Value& out);
bool filter_trim(CallFrame& call, Value& out);
bool filter_replace(CallFrame& call, Value& out);
bool filter_split(CallFrame& call, Value& out);
bool filter_lines(CallFrame& call, Value& out);
bool filter_truncate(CallFrame& call, Value& out);
bool filter_indent(CallFrame& call, Value& out);
bool filter_wordcount(CallFrame& call, Value& out);
bool filter_urlencode(CallFrame& call, Value& out);
bool filter_string(CallFrame& call, Value& out);
// filter_regex.cpp
bool filter_regex_search(CallFrame& call, Value& out);
bool filter_regex_findall(CallFrame& call, Value& out);
bool filter_regex_replace(CallFrame& call, Value& out);
// filter_list.cpp
bool filter_length(CallFrame& call, Value& out);
bool filter_first(CallFrame& call, Value& out);
bool filter_last(CallFrame& call, Value& out);
bool filter_list(CallFrame& call, Value& out);
bool filter_reverse(CallFrame& call, Value& out);
bool filter_join(CallFrame& call, Value& out);
bool filter_present(CallFrame& call, Value& out);
bool filter_flatten(CallFrame& call, Value& out);
bool filter_batch(CallFrame& call, Value& out);
bool filter_slice(CallFrame& call, Value& out);
bool filter_zip(CallFrame& call, Value& out);
// filter_order.cpp
bool filter_sort(CallFrame& call, Value& out);
bool filter_unique(CallFrame& call, Value& out);
bool filter_groupby(CallFrame& call, Value& out);
bool filter_min(CallFrame& call, Value& out);
bool filter_max(CallFrame& call, Value& out);
bool filter_dictsort(CallFrame& call, Value& out);
// filter_pick.cpp
bool filter_map(CallFrame& call, Value& out);
bool filter_select(CallFrame& call, Value& out);
bool filter_reject(CallFrame& call, Value& out);
bool filter_selectattr(CallFrame& call, Value& out);
bool filter_rejectattr(CallFrame& call, Value& out);
// filter_map.cpp
bool filter_items(CallFrame& call, Value& out);
bool filter_keys(CallFrame& call, Value& out);
bool filter_values(CallFrame& call, Value& out);
bool filter_merge(CallFrame& call, Value& out);
// filter_number.cpp
bool filter_int(CallFrame& call, Value& out);
bool filter_float(CallFrame& call, Value& out);
bool filter_round(CallFrame& call, Value& out);
bool filter_abs(CallFrame& call, Value& out);
bool filter_sum(CallFrame& call, Value& out);
// filter_json.cpp
bool filter_tojson(CallFrame& call, Value& out);
bool filter_fromjson(CallFrame& call, Value& out);
bool filter_default(CallFrame& call, Value& out);

// The pattern of a call: the one compiled with the expression, or from the context's cache.
const re2::RE2* pattern_of(CallFrame& call, std::size_t param);
// What searching so many bytes may cost.
std::uint64_t search_steps(const re2::RE2& regex, std::size_t bytes);
// What sort, unique, min ... compare: the item or its attribute; strings in lower case unless
// `case_sensitive`.
bool sort_key(CallFrame& call, const Value& item, std::string_view attribute, bool case_sensitive,
              Value& out);
// Python's meaning of a number in text; nullopt when it is none.
std::optional<Value> parse_number(std::string_view text, bool whole, int base);

}  // namespace sluice::expr
