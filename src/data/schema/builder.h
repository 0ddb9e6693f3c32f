// Turns one schema object into a node. Each group of keywords has a function here, in a file of
// its own. Used while a schema is compiled, by one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/schema/node.h"
#include "data/schema/pattern.h"

namespace sluice::json_schema {

class Builder {
 public:
  struct Callbacks {
    std::function<void(std::string pointer, ErrorCode code, std::string message)> report;
    std::function<NodeIndex(const Value* schema)> node_for;
    // The schema that `$ref` names, nullopt when it was reported as wrong.
    std::function<std::optional<NodeIndex>(const Value* from, const std::string& reference)> refer;
  };
  Builder(const Value& schema, Node& node, const Callbacks& callbacks)
      : schema_(schema), node_(node), callbacks_(callbacks) {}

  const Value& schema() const { return schema_; }
  const Value* get(std::string_view keyword) const { return schema_.find(keyword); }
  std::string pointer(std::string_view keyword) const;
  void invalid(std::string_view keyword, std::string message);
  void unsupported(std::string_view keyword, std::string message);

  // The keyword's value in its only right form; nullopt when it is absent, or wrong and reported.
  std::optional<std::uint64_t> count(std::string_view keyword);
  std::optional<Value> number(std::string_view keyword);
  std::optional<bool> flag(std::string_view keyword);
  std::optional<std::vector<std::string>> names(std::string_view keyword);
  std::optional<std::vector<std::string>> names_in(std::string_view keyword, const Value& list);
  std::optional<Pattern> pattern(std::string_view keyword, std::string_view expression);
  std::optional<NodeIndex> subschema(std::string_view keyword);
  std::optional<std::vector<NodeIndex>> subschema_list(std::string_view keyword);
  std::optional<std::vector<std::pair<std::string, NodeIndex>>> subschema_map(
      std::string_view keyword);
  std::optional<NodeIndex> refer(const std::string& reference);

  template <class K, class... Arguments>
  void add(std::string_view keyword, Arguments&&... arguments) {
    node_.keywords.push_back(
        std::make_unique<K>(pointer(keyword), std::forward<Arguments>(arguments)...));
  }

 private:
  const Value& schema_;
  Node& node_;
  const Callbacks& callbacks_;
};

// The words of two keywords that bound how much a value of a kind holds.
struct SizeWords {
  std::string_view maximum, minimum;  // the keywords
  Value::Kind kind;
  std::string_view one, many;  // "item", "items"
};
void build_size_keywords(Builder& builder, const SizeWords& words);

// The groups.
void build_any_keywords(Builder& builder);  // type, enum, const
void build_number_keywords(Builder& builder);
void build_string_keywords(Builder& builder);
void build_array_keywords(Builder& builder);
void build_object_keywords(Builder& builder);
void build_logic_keywords(Builder& builder);  // allOf ... else, $ref
void build_annotations(Builder& builder);     // checks their form only

}  // namespace sluice::json_schema
