#include "data/schema/locations.h"

#include <fmt/format.h>

#include <charconv>

#include "data/schema/keyword_table.h"
#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

constexpr int kMaxSchemaDepth = 512;

bool valid_anchor(std::string_view name) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || !letter(name.front())) return false;
  for (char c : name) {
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.') return false;
  }
  return true;
}

const Value* child_by_token(const Value& value, const std::string& token) {
  if (value.is_object()) return value.find(token);
  if (!value.is_array()) return nullptr;
  std::size_t index = 0;
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), index);
  bool whole = error == std::errc() && end == token.data() + token.size();
  bool plain = token == "0" || !token.starts_with('0');
  return whole && plain && index < value.items().size() ? &value.items()[index] : nullptr;
}

}  // namespace

const Value* Locations::add_document(const Value& root, const std::string& uri) {
  int number = static_cast<int>(documents_.size());
  std::string base = number == 0 ? "" : fmt::format("sluice-outside:/{}", number);
  documents_.push_back({root, uri, base});
  const Value* kept = &documents_.back().root;
  resources_.emplace(base, kept);
  index(kept, {base, uri, number});
  return kept;
}

const Place* Locations::place(const Value* schema) const {
  auto found = places_.find(schema);
  return found == places_.end() ? nullptr : &found->second;
}

void Locations::index(const Value* root, Place place) {
  std::vector<Todo> pending = {{root, std::move(place), 0}};
  while (!pending.empty()) {
    Todo todo = std::move(pending.back());
    pending.pop_back();
    if (todo.depth > kMaxSchemaDepth) {
      report_(todo.place.pointer, ErrorCode::kSchemaInvalid,
              fmt::format("the schema is nested deeper than {} levels", kMaxSchemaDepth));
      return;
    }
    index_schema(todo, pending);
  }
}

void Locations::index_schema(const Todo& todo, std::vector<Todo>& pending) {
  Place place = todo.place;
  if (todo.schema->is_object()) take_names(*todo.schema, place, todo.depth == 0);
  if (!places_.emplace(todo.schema, place).second || !todo.schema->is_object()) return;
  for (const auto& [name, value] : todo.schema->members()) {
    const KeywordRow* row = find_keyword(name);
    if (row == nullptr || row->holds == Holds::kNoSchema) continue;
    Place below = place;
    below.pointer += "/" + escape_pointer_token(name);
    if (row->holds == Holds::kSchema) {
      pending.push_back({&value, below, todo.depth + 1});
    } else if (row->holds == Holds::kSchemaList && value.is_array()) {
      for (std::size_t i = 0; i < value.items().size(); ++i) {
        Place item = below;
        item.pointer += "/" + std::to_string(i);
        pending.push_back({&value.items()[i], std::move(item), todo.depth + 1});
      }
    } else if (row->holds == Holds::kSchemaMap && value.is_object()) {
      for (const auto& [key, schema] : value.members()) {
        Place member = below;
        member.pointer += "/" + escape_pointer_token(key);
        pending.push_back({&schema, std::move(member), todo.depth + 1});
      }
    }
  }
}

void Locations::take_names(const Value& schema, Place& place, bool is_root) {
  if (const Value* id = schema.find("$id")) {
    SplitUri split = id->is_string() ? split_fragment(id->as_string()) : SplitUri{};
    if (!id->is_string() || (split.fragment && !split.fragment->empty())) {
      report_(place.pointer + "/$id", ErrorCode::kSchemaInvalid,
              "$id must be a URI without a fragment");
    } else {
      place.base = resolve_uri(place.base, split.resource);
      resources_.emplace(place.base, &schema);
      nested_id_ = nested_id_ || !is_root;
    }
  }
  if (const Value* anchor = schema.find("$anchor")) {
    if (!anchor->is_string() || !valid_anchor(anchor->as_string())) {
      report_(place.pointer + "/$anchor", ErrorCode::kSchemaInvalid,
              "$anchor must be a name that starts with a letter");
    } else {
      anchors_.emplace(place.base + "#" + std::string(anchor->as_string()), &schema);
    }
  }
}

const Value* Locations::follow_pointer(const Value* resource, const std::string& pointer) {
  auto tokens = pointer_tokens(pointer);
  if (!tokens) return nullptr;
  const Value* at = resource;
  Place nearest = *place(resource);
  for (const auto& token : *tokens) {
    at = child_by_token(*at, token);
    if (at == nullptr) return nullptr;
    nearest.pointer += "/" + escape_pointer_token(token);
    if (const Place* known = place(at)) nearest = *known;
  }
  if (place(at) == nullptr) {
    // Nothing that we know to be a schema: an unknown keyword's value, say. Strict mode has named
    // that keyword already; otherwise it is taken at its word.
    if (options_.mode == SchemaMode::kStrict) return nullptr;
    index(at, nearest);
  }
  return at;
}

const Value* Locations::find(const std::string& uri) {
  SplitUri split = split_fragment(uri);
  auto resource = resources_.find(split.resource);
  if (resource == resources_.end()) return nullptr;
  if (!split.fragment || split.fragment->empty()) return resource->second;
  if (split.fragment->starts_with('/')) return follow_pointer(resource->second, *split.fragment);
  auto anchor = anchors_.find(split.resource + "#" + *split.fragment);
  return anchor == anchors_.end() ? nullptr : anchor->second;
}

const Value* Locations::ask_outside(const std::string& reference, const std::string& absolute) {
  if (!options_.resolve) return nullptr;
  for (const std::string& uri : {reference, absolute}) {
    auto known = outside_.find(uri);
    if (known != outside_.end()) return known->second;
    if (const Value* found = options_.resolve(uri)) {
      const Value* root = add_document(*found, uri);
      outside_.emplace(uri, root);
      return root;
    }
  }
  return nullptr;
}

const Value* Locations::resolve(const Value* from, const std::string& reference) {
  const Place here = *place(from);
  std::string absolute = resolve_uri(here.base, reference);
  if (const Value* found = find(absolute)) return found;
  if (const Value* found = ask_outside(reference, absolute)) return found;
  std::string pointer = here.pointer + "/$ref";
  if (reference.starts_with('#')) {
    report_(pointer, ErrorCode::kSchemaInvalid,
            fmt::format("$ref {} points at no schema", reference));
  } else {
    report_(pointer, ErrorCode::kSchemaUnsupported,
            fmt::format("$ref {} lies outside this schema; schemas are not fetched, write it under "
                        "$defs",
                        reference));
  }
  return nullptr;
}

}  // namespace sluice::json_schema
