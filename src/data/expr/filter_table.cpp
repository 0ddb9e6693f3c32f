// The one table of filters, sorted by name.
#include <algorithm>
#include <vector>

#include "data/expr/filters.h"

namespace sluice::expr {
namespace {

using enum ResultRule;
constexpr std::uint16_t kText = Type::kString;
constexpr std::uint16_t kInt = Type::kInteger;
constexpr std::uint16_t kNum = Type::kNumber;
constexpr std::uint16_t kBool = Type::kBoolean;
constexpr std::uint16_t kList = Type::kArray;
constexpr std::uint16_t kMap = Type::kObject;
constexpr std::uint16_t kAny = Type::kAnyKind;
constexpr Param kAttribute{"attribute", kText};
constexpr Param kCaseSensitive{"case_sensitive", kBool};
constexpr Param kDefaultAny{"default", kAny};

constexpr FilterSpec kFilters[] = {
    {"abs", "absolute value", kNum, {}, kNum, kSubject, filter_abs},
    {"batch", "rows of `size` items; the last is filled up", kList,
     {{{"size", kInt, true}, {"fill_with", kAny}}}, kList, kKinds, filter_batch},
    {"capitalize", "first letter upper case, all others lower", kText, {}, kText, kKinds,
     filter_capitalize},
    {"count", "the same as length", kText | kList | kMap | Type::kVector, {}, kInt, kKinds,
     filter_length},
    {"d", "the same as default", kAny, {{{"default_value", kAny}, {"boolean", kBool}}}, kAny,
     kJoinDefault, filter_default, true},
    {"default", "this value where the subject is undefined (boolean: or false)", kAny,
     {{{"default_value", kAny}, {"boolean", kBool}}}, kAny, kJoinDefault, filter_default, true},
    {"dictsort", "[key, value] pairs in order; by: key or value", kMap,
     {{kCaseSensitive, {"by", kText}, {"reverse", kBool}}}, kList, kKinds, filter_dictsort},
    {"first", "the first item, key or character", kText | kList | kMap, {}, kAny, kElement,
     filter_first},
    {"flatten", "lists in the list replaced by their items; levels: all", kList,
     {{{"levels", kInt}}}, kList, kKinds, filter_flatten},
    {"float", "as a number with a fraction; what is none gives the default 0.0", kAny,
     {{kDefaultAny}}, Type::kFraction, kKinds, filter_float, false, Inner::kNone, -1, 0},
    {"fromjson", "the value that JSON text stands for", kText, {}, kAny, kKinds, filter_fromjson},
    {"groupby", "[{key, items}] sorted by key", kList,
     {{{"attribute", kText, true}, kDefaultAny, kCaseSensitive}}, kList, kKinds, filter_groupby},
    {"indent", "every line but the first moved right; width: 4 or text", kText,
     {{{"width", kInt | kText}, {"first", kBool}, {"blank", kBool}}}, kText, kKinds, filter_indent},
    {"int", "as an integer; what is none gives the default 0", kAny,
     {{kDefaultAny, {"base", kInt}}}, kInt, kKinds, filter_int, false, Inner::kNone, -1, 0},
    {"items", "[key, value] pairs", kMap, {}, kList, kKinds, filter_items},
    {"join", "one text; d stands between the items", kList, {{{"d", kText}, kAttribute}}, kText,
     kKinds, filter_join},
    {"keys", "the keys", kMap, {}, kList, kKinds, filter_keys},
    {"last", "the last item, key or character", kText | kList | kMap, {}, kAny, kElement,
     filter_last},
    {"length", "how many characters, items or keys", kText | kList | kMap | Type::kVector, {}, kInt,
     kKinds, filter_length},
    {"lines", "the lines, without their ends", kText, {}, kList, kKinds, filter_lines},
    {"list", "characters, keys or numbers as a list", kText | kList | kMap | Type::kVector, {},
     kList, kArrayOfElement, filter_list},
    {"lower", "lower case", kText, {}, kText, kKinds, filter_lower},
    {"map", "another filter, or an attribute, of every item", kList, {{kAttribute, kDefaultAny}},
     kList, kMapped, filter_map, false, Inner::kFilter},
    {"max", "the largest item", kList, {{kCaseSensitive, kAttribute}}, kAny, kElement, filter_max},
    {"merge", "the members of both; those of `other` win", kMap, {{{"other", kMap, true}}}, kMap,
     kKinds, filter_merge},
    {"min", "the smallest item", kList, {{kCaseSensitive, kAttribute}}, kAny, kElement, filter_min},
    {"present", "the list without nulls", kList, {}, kList, kSubject, filter_present},
    {"regex_findall", "all matches of an RE2 pattern (its groups, where it has some)", kText,
     {{{"pattern", kText, true}}}, kList, kKinds, filter_regex_findall, false, Inner::kNone, 0},
    {"regex_replace", "matches replaced; \\1 is the first group", kText,
     {{{"pattern", kText, true}, {"replacement", kText, true}}}, kText, kKinds,
     filter_regex_replace, false, Inner::kNone, 0},
    {"regex_search", "the first match (its groups, where it has some), or null", kText,
     {{{"pattern", kText, true}}}, kText | kList | Type::kNull, kKinds, filter_regex_search, false,
     Inner::kNone, 0},
    {"reject", "items for which a test (or truth) does not hold", kList, {}, kList, kSubject,
     filter_reject, false, Inner::kTest},
    {"rejectattr", "items for whose attribute a test (or truth) does not hold", kList,
     {{{"attribute", kText, true}}}, kList, kSubject, filter_rejectattr, false,
     Inner::kAttributeThenTest},
    {"replace", "every `old` replaced by `new`, at most count times", kText,
     {{{"old", kText, true}, {"new", kText, true}, {"count", kInt}}}, kText, kKinds,
     filter_replace},
    {"reverse", "the other way round", kText | kList | kMap, {}, kText | kList, kKinds,
     filter_reverse},
    {"round", "to precision digits; method: common (ties to even), ceil, floor", kNum,
     {{{"precision", kInt}, {"method", kText}}}, kNum, kKinds, filter_round},
    {"select", "items for which a test (or truth) holds", kList, {}, kList, kSubject,
     filter_select, false, Inner::kTest},
    {"selectattr", "items for whose attribute a test (or truth) holds", kList,
     {{{"attribute", kText, true}}}, kList, kSubject, filter_selectattr, false,
     Inner::kAttributeThenTest},
    {"slice", "so many lists of equal length", kList,
     {{{"slices", kInt, true}, {"fill_with", kAny}}}, kList, kKinds, filter_slice},
    {"sort", "in order, by attribute (a.b or a,b) where given", kList,
     {{{"reverse", kBool}, kCaseSensitive, kAttribute}}, kList, kSubject, filter_sort},
    {"split", "the parts between `separator` (whitespace); maxsplit: no bound", kText,
     {{{"separator", kText}, {"maxsplit", kInt}}}, kList, kKinds, filter_split},
    {"string", "as text: strings as they are, all else as JSON", kAny, {}, kText, kKinds,
     filter_string},
    {"sum", "the numbers added up", kList, {{kAttribute, {"start", kNum}}}, kNum, kKinds,
     filter_sum},
    {"title", "every word with a capital", kText, {}, kText, kKinds, filter_title},
    {"tojson", "as JSON text", kAny, {{{"indent", kInt}}}, kText, kKinds, filter_tojson},
    {"trim", "without whitespace (or these characters) at both ends", kText, {{{"chars", kText}}},
     kText, kKinds, filter_trim},
    {"truncate", "cut to length (255) at a word, with `end` behind", kText,
     {{{"length", kInt}, {"killwords", kBool}, {"end", kText}, {"leeway", kInt}}}, kText, kKinds,
     filter_truncate},
    {"unique", "the first of equal items", kList, {{kCaseSensitive, kAttribute}}, kList, kSubject,
     filter_unique},
    {"upper", "upper case", kText, {}, kText, kKinds, filter_upper},
    {"urlencode", "for a URL; an object as a query", kAny, {}, kText, kKinds, filter_urlencode},
    {"values", "the values", kMap, {}, kList, kKinds, filter_values},
    {"wordcount", "how many words", kText, {}, kInt, kKinds, filter_wordcount},
    {"zip", "pairs with the items of `other`, as long as the shorter", kList,
     {{{"other", kList, true}}}, kList, kKinds, filter_zip},
};
static_assert(std::ranges::is_sorted(kFilters, {}, &FilterSpec::name));

}  // namespace

std::span<const FilterSpec> filter_table() { return kFilters; }

const FilterSpec* find_filter(std::string_view name) {
  const auto* found = std::ranges::lower_bound(kFilters, name, {}, &FilterSpec::name);
  return found != std::end(kFilters) && found->name == name ? found : nullptr;
}

}  // namespace sluice::expr

namespace sluice {

std::span<const std::string_view> expr_filters() {
  static const auto* const names = [] {
    auto* all = new std::vector<std::string_view>;
    for (const auto& spec : expr::filter_table()) all->push_back(spec.name);
    return all;
  }();
  return *names;
}

}  // namespace sluice
