// Where schemas lie in a document and what their `$id`, `$anchor` and `$ref` mean. Used while a
// schema is compiled, by one thread.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/schema.h"

namespace sluice::json_schema {

struct Place {
  std::string base;     // URI that references in it are relative to
  std::string pointer;  // from the root of the compiled schema; outside schemas: after their URI
  int document = 0;     // 0: the compiled schema itself; others came through SchemaOptions::resolve
};

using Report = std::function<void(std::string pointer, ErrorCode code, std::string message)>;

class Locations {
 public:
  struct Document {
    Value root;
    std::string uri;  // as the `$ref` wrote it; empty for document 0
    std::string base;
  };

  Locations(const SchemaOptions& options, Report report)
      : options_(options), report_(std::move(report)) {}

  // Finds the schemas in the document; the first call makes document 0. Returns its root.
  const Value* add_document(const Value& root, const std::string& uri);

  // What `$ref: reference` in the schema at `from` points at; nullptr after reporting why not.
  const Value* resolve(const Value* from, const std::string& reference);

  const Place* place(const Value* schema) const;
  const std::deque<Document>& documents() const { return documents_; }
  bool has_nested_id() const { return nested_id_; }

 private:
  struct Todo {
    const Value* schema;
    Place place;
    int depth;
  };

  void index(const Value* root, Place place);
  void index_schema(const Todo& todo, std::vector<Todo>& pending);
  void take_names(const Value& schema, Place& place, bool is_root);
  const Value* find(const std::string& uri);
  const Value* follow_pointer(const Value* resource, const std::string& pointer);
  const Value* ask_outside(const std::string& reference, const std::string& absolute);

  const SchemaOptions& options_;
  Report report_;
  std::deque<Document> documents_;
  std::unordered_map<const Value*, Place> places_;
  std::unordered_map<std::string, const Value*> resources_;  // by URI without a fragment
  std::unordered_map<std::string, const Value*> anchors_;    // by URI#anchor
  std::unordered_map<std::string, const Value*> outside_;    // by the reference as written
  bool nested_id_ = false;
};

}  // namespace sluice::json_schema
