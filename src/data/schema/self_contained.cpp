// Writes schemas that came from outside under the root's "$defs", with the references to them and
// inside them rewritten.
#include <cctype>
#include <set>

#include "data/schema/compiler.h"
#include "data/schema/uri.h"

namespace sluice::json_schema {
namespace {

constexpr int kMaxDepth = 1024;

// "#/schemas/point" becomes "schemas_point".
std::string definition_name(const std::string& uri, std::set<std::string>& taken) {
  std::string name;
  for (char c : uri) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (plain) {
      name += c;
    } else if (!name.empty() && !name.ends_with('_')) {
      name += '_';
    }
  }
  if (name.empty()) name = "schema";
  while (!taken.insert(name).second) name += '_';
  return name;
}

class Rewriter {
 public:
  using NewReference = std::function<std::optional<std::string>(const Value* schema)>;
  explicit Rewriter(NewReference reference) : reference_(std::move(reference)) {}

  Value rewrite(const Value& value, int depth = 0) const {
    if (depth > kMaxDepth) return value;
    if (value.is_array()) {
      std::vector<Value> items;
      for (const auto& item : value.items()) items.push_back(rewrite(item, depth + 1));
      return Value::array(std::move(items)).with_labels(value.labels());
    }
    if (!value.is_object()) return value;
    std::optional<std::string> reference = reference_(&value);
    std::vector<Value::Member> members;
    for (const auto& [name, member] : value.members()) {
      bool replace = reference && name == "$ref";
      members.emplace_back(name, replace ? Value::string(*reference) : rewrite(member, depth + 1));
    }
    return Value::object(std::move(members)).with_labels(value.labels());
  }

 private:
  NewReference reference_;
};

}  // namespace

Value Compiler::self_contained() const {
  const auto& documents = locations_.documents();
  const Value& root = documents[0].root;
  if (documents.size() == 1 || !root.is_object()) return root;
  std::set<std::string> taken;
  const Value* definitions = root.find("$defs");
  if (definitions != nullptr && definitions->is_object()) {
    for (const auto& member : definitions->members()) taken.insert(member.first);
  }
  std::vector<std::string> names = {""};
  for (std::size_t i = 1; i < documents.size(); ++i) {
    names.push_back(definition_name(documents[i].uri, taken));
  }
  Rewriter rewriter([&](const Value* schema) -> std::optional<std::string> {
    auto target = targets_.find(schema);
    if (target == targets_.end()) return std::nullopt;
    const Place& place = *locations_.place(target->second);
    if (place.document == 0) return std::nullopt;
    // A place outside begins with the URI that its document was asked for by.
    auto document = static_cast<std::size_t>(place.document);
    std::string inner = place.pointer.substr(documents[document].uri.size());
    return "#/$defs/" + names[document] + inner;
  });
  std::vector<Value::Member> all;
  if (definitions != nullptr && definitions->is_object()) {
    for (const auto& [name, schema] : definitions->members()) {
      all.emplace_back(name, rewriter.rewrite(schema));
    }
  }
  for (std::size_t i = 1; i < documents.size(); ++i) {
    all.emplace_back(names[i], rewriter.rewrite(documents[i].root));
  }
  std::vector<Value::Member> members;
  Value rewritten = rewriter.rewrite(root);
  for (const auto& [name, member] : rewritten.members()) {
    if (name != "$defs") members.emplace_back(name, member);
  }
  members.emplace_back("$defs", Value::object(std::move(all)));
  return Value::object(std::move(members)).with_labels(root.labels());
}

}  // namespace sluice::json_schema
