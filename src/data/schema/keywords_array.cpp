// prefixItems, items, contains with its bounds, maxItems, minItems, uniqueItems.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "data/json.h"
#include "data/schema/builder.h"
#include "data/schema/evaluation.h"

namespace sluice::json_schema {
namespace {

class ItemsKeyword final : public Keyword {
 public:
  ItemsKeyword(std::string pointer, std::vector<NodeIndex> prefix, std::optional<NodeIndex> rest)
      : Keyword(std::move(pointer)), prefix_(std::move(prefix)), rest_(rest) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_array()) return true;
    bool valid = true;
    std::span<const Value> items = value.items();
    std::size_t end = rest_ ? items.size() : std::min(items.size(), prefix_.size());
    for (std::size_t i = 0; i < end; ++i) {
      NodeIndex node = i < prefix_.size() ? prefix_[i] : *rest_;
      if (evaluation.check_item(node, items[i], i)) continue;
      valid = false;
      if (evaluation.finished()) break;
    }
    return valid;
  }
  std::vector<NodeIndex> inside() const override {
    std::vector<NodeIndex> nodes = prefix_;
    if (rest_) nodes.push_back(*rest_);
    return nodes;
  }
  Type type(TypeBuilder& types) const override {
    Type element = rest_ ? types.of_inside(*rest_) : Type::any();
    for (NodeIndex node : prefix_) element = join(element, types.of_inside(node));
    return only_for(Type::kArray, Type::array_of(std::move(element)));
  }

 private:
  std::vector<NodeIndex> prefix_;
  std::optional<NodeIndex> rest_;
};

class ContainsKeyword final : public Keyword {
 public:
  ContainsKeyword(std::string pointer, NodeIndex node, std::uint64_t minimum, std::uint64_t maximum)
      : Keyword(std::move(pointer)), node_(node), minimum_(minimum), maximum_(maximum) {}

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_array()) return true;
    std::uint64_t found = 0;
    for (const auto& item : value.items()) {
      if (evaluation.check_item_quietly(node_, item)) ++found;
      bool decided = found >= minimum_ && maximum_ == kNoMaximum;
      if (decided || found > maximum_) break;
    }
    if (found >= minimum_ && found <= maximum_) return true;
    return evaluation.refuse(pointer(), [&] {
      return found < minimum_
                 ? fmt::format("must contain at least {} item{} of a certain form, has {}",
                               minimum_, minimum_ == 1 ? "" : "s", found)
                 : fmt::format("must contain at most {} item{} of a certain form, has more",
                               maximum_, maximum_ == 1 ? "" : "s");
    });
  }
  std::vector<NodeIndex> inside() const override { return {node_}; }

  static constexpr std::uint64_t kNoMaximum = std::numeric_limits<std::uint64_t>::max();

 private:
  NodeIndex node_;
  std::uint64_t minimum_;
  std::uint64_t maximum_;
};

class UniqueKeyword final : public Keyword {
 public:
  using Keyword::Keyword;

  bool check(const Value& value, Evaluation& evaluation) const override {
    if (!value.is_array()) return true;
    auto twins = find_twins(value.items());
    if (!twins) return true;
    return evaluation.refuse(pointer(), [&] {
      return fmt::format("must have no two equal items, items {} and {} are", twins->first,
                         twins->second);
    });
  }

 private:
  using Twins = std::optional<std::pair<std::size_t, std::size_t>>;

  static Twins find_twins(std::span<const Value> items) {
    constexpr std::size_t kFewItems = 8;
    if (items.size() <= kFewItems) {
      for (std::size_t b = 1; b < items.size(); ++b) {
        for (std::size_t a = 0; a < b; ++a) {
          if (items[a] == items[b]) return std::pair(a, b);
        }
      }
      return std::nullopt;
    }
    // Equal values have one canonical form (and so do a blob and its look-alike, hence the ==).
    std::vector<std::pair<std::string, std::size_t>> forms;
    forms.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) forms.emplace_back(canonical_json(items[i]), i);
    std::ranges::sort(forms);
    for (std::size_t i = 1; i < forms.size(); ++i) {
      auto [a, b] = std::minmax(forms[i - 1].second, forms[i].second);
      if (forms[i - 1].first == forms[i].first && items[a] == items[b]) return std::pair(a, b);
    }
    return std::nullopt;
  }
};

}  // namespace

void build_array_keywords(Builder& builder) {
  build_size_keywords(builder, {"maxItems", "minItems", Value::Kind::kArray, "item", "items"});
  auto prefix = builder.subschema_list("prefixItems");
  auto rest = builder.subschema("items");
  if (prefix || rest) {
    builder.add<ItemsKeyword>(rest ? "items" : "prefixItems",
                              prefix.value_or(std::vector<NodeIndex>()), rest);
  }
  auto minimum = builder.count("minContains");
  auto maximum = builder.count("maxContains");
  if (auto node = builder.subschema("contains")) {
    builder.add<ContainsKeyword>("contains", *node, minimum.value_or(1),
                                 maximum.value_or(ContainsKeyword::kNoMaximum));
  }
  if (builder.flag("uniqueItems").value_or(false)) builder.add<UniqueKeyword>("uniqueItems");
}

}  // namespace sluice::json_schema
