#include "data/type.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace sluice {
namespace {

// Beyond these a Type only says the kinds: it may always allow more than its values have.
constexpr int kMaxDepthOfValue = 12;
constexpr std::size_t kMaxItemsOfValue = 256;
constexpr std::size_t kMaxPropertiesOfValue = 256;
constexpr int kMaxDepthOfText = 3;
constexpr std::size_t kMaxPropertiesOfText = 6;

}  // namespace

// What is known about the arrays and the objects of a Type. Means nothing for kinds not allowed.
struct Type::Shape {
  std::optional<Type> element;
  bool object_known = false;  // the rest is only read when set
  std::map<std::string, Type, std::less<>> properties;
  std::set<std::string, std::less<>> required;
  bool closed = false;

  // Of a name: the Type, any where it is not known, nullopt where it can never be.
  std::optional<Type> property(std::string_view name) const {
    if (!object_known) return Type::any();
    auto found = properties.find(name);
    if (found == properties.end()) {
      return closed ? std::nullopt : std::optional<Type>(Type::any());
    }
    return found->second.kinds() == 0 ? std::nullopt : std::optional<Type>(found->second);
  }
};

Type Type::of(std::uint16_t kinds) {
  Type type;
  type.kinds_ = kinds & kAnyKind;
  return type;
}

Type Type::with_shape(std::uint16_t kinds, Shape shape) {
  Type type = of(kinds);
  if (!type.can_be(kArray)) shape.element.reset();
  if (!type.can_be(kObject)) {
    shape.object_known = false;
    shape.properties.clear();
    shape.required.clear();
    shape.closed = false;
  }
  if (shape.element && shape.element->is_any()) shape.element.reset();
  bool says_something =
      shape.object_known && (!shape.properties.empty() || !shape.required.empty() || shape.closed);
  shape.object_known = says_something;
  if (shape.element || says_something)
    type.shape_ = std::make_shared<const Shape>(std::move(shape));
  return type;
}

Type Type::array_of(Type element) {
  Shape shape;
  shape.element = std::move(element);
  return with_shape(kArray, std::move(shape));
}

Type Type::object_of(std::map<std::string, Type, std::less<>> properties,
                     std::set<std::string, std::less<>> required, bool closed) {
  Shape shape;
  shape.object_known = true;
  shape.properties = std::move(properties);
  shape.required = std::move(required);
  shape.closed = closed;
  return with_shape(kObject, std::move(shape));
}

namespace {

Type of_nested_value(const Value& value, int depth);

Type of_array(std::span<const Value> items, int depth) {
  if (depth == 0) return Type::of(Type::kArray);
  Type element = Type::never();
  std::size_t looked_at = std::min(items.size(), kMaxItemsOfValue);
  for (const auto& item : items.first(looked_at)) {
    element = join(element, of_nested_value(item, depth - 1));
  }
  if (looked_at == items.size()) return Type::array_of(std::move(element));
  std::uint16_t kinds = element.kinds();
  for (const auto& item : items.subspan(looked_at)) {
    if (kinds == Type::kAnyKind) break;
    kinds |= of_nested_value(item, 0).kinds();
  }
  return Type::array_of(Type::of(kinds));
}

Type of_object(std::span<const Value::Member> members, int depth) {
  if (depth == 0 || members.size() > kMaxPropertiesOfValue) return Type::of(Type::kObject);
  std::map<std::string, Type, std::less<>> properties;
  std::set<std::string, std::less<>> required;
  for (const auto& [name, member] : members) {
    properties.emplace(name, of_nested_value(member, depth - 1));
    required.insert(name);
  }
  return Type::object_of(std::move(properties), std::move(required), true);
}

Type of_nested_value(const Value& value, int depth) {
  switch (value.kind()) {
    case Value::Kind::kNull:
      return Type::of(Type::kNull);
    case Value::Kind::kBool:
      return Type::of(Type::kBoolean);
    case Value::Kind::kInt:
    case Value::Kind::kBigInt:
      return Type::of(Type::kInteger);
    case Value::Kind::kDouble: {
      double number = value.as_double();
      return Type::of(number == std::trunc(number) ? Type::kInteger : Type::kFraction);
    }
    case Value::Kind::kString:
      return Type::of(Type::kString);
    case Value::Kind::kArray:
      return of_array(value.items(), depth);
    case Value::Kind::kObject:
      return of_object(value.members(), depth);
    case Value::Kind::kBlob:
      return Type::of(Type::kBlob);
    case Value::Kind::kVector:
      return Type::of(Type::kVector);
  }
  return Type::any();
}

}  // namespace

Type Type::of_value(const Value& value) { return of_nested_value(value, kMaxDepthOfValue); }

Type Type::element() const {
  if (!can_be(kArray)) return never();
  return shape_ && shape_->element ? *shape_->element : any();
}

std::optional<Type> Type::property(std::string_view name) const {
  if (!can_be(kObject)) return std::nullopt;
  return shape_ ? shape_->property(name) : std::optional<Type>(any());
}

bool Type::requires_property(std::string_view name) const {
  return can_be(kObject) && shape_ && shape_->object_known && shape_->required.contains(name);
}

bool Type::closed() const {
  return can_be(kObject) && shape_ && shape_->object_known && shape_->closed;
}

std::set<std::string, std::less<>> Type::property_names() const {
  std::set<std::string, std::less<>> names;
  if (!can_be(kObject) || !shape_) return names;
  for (const auto& [name, type] : shape_->properties) {
    if (type.kinds() != 0) names.insert(name);
  }
  names.insert(shape_->required.begin(), shape_->required.end());
  return names;
}

Type join(const Type& a, const Type& b) {
  if (a.kinds_ == 0) return b;
  if (b.kinds_ == 0) return a;
  if (a.kinds_ == b.kinds_ && a.shape_ == b.shape_) return a;
  Type::Shape shape;
  if (a.can_be(Type::kArray) || b.can_be(Type::kArray)) {
    shape.element = join(a.element(), b.element());  // never for the side that is no array
  }
  bool a_object = a.can_be(Type::kObject);
  bool b_object = b.can_be(Type::kObject);
  if (a_object != b_object) {
    const auto& one = a_object ? a : b;
    if (one.shape_) {
      std::optional<Type> element = std::move(shape.element);
      shape = *one.shape_;
      shape.element = std::move(element);
    }
  } else if (a_object && a.shape_ && b.shape_ && a.shape_->object_known && b.shape_->object_known) {
    shape.object_known = true;
    shape.closed = a.shape_->closed && b.shape_->closed;
    std::ranges::set_intersection(a.shape_->required, b.shape_->required,
                                  std::inserter(shape.required, shape.required.end()));
    auto add = [&](const auto& properties) {
      for (const auto& [name, type] : properties) {
        if (shape.properties.contains(name)) continue;
        Type joined = join(a.shape_->property(name).value_or(Type::never()),
                           b.shape_->property(name).value_or(Type::never()));
        if (!joined.is_any() || shape.closed) shape.properties.emplace(name, std::move(joined));
      }
    };
    add(a.shape_->properties);
    add(b.shape_->properties);
  }
  return Type::with_shape(a.kinds_ | b.kinds_, std::move(shape));
}

Type meet(const Type& a, const Type& b) {
  if (a.is_any()) return b;
  if (b.is_any()) return a;
  auto kinds = static_cast<std::uint16_t>(a.kinds_ & b.kinds_);
  if (!a.shape_ && !b.shape_) return Type::of(kinds);
  Type::Shape shape;
  if ((kinds & Type::kArray) != 0) shape.element = meet(a.element(), b.element());
  if ((kinds & Type::kObject) != 0) {
    shape.object_known = true;
    auto add = [&](const Type& type) {
      if (!type.shape_ || !type.shape_->object_known) return;
      shape.closed = shape.closed || type.shape_->closed;
      shape.required.insert(type.shape_->required.begin(), type.shape_->required.end());
      for (const auto& [name, property] : type.shape_->properties) {
        if (shape.properties.contains(name)) continue;
        shape.properties.emplace(name, meet(a.property(name).value_or(Type::never()),
                                            b.property(name).value_or(Type::never())));
      }
    };
    add(a);
    add(b);
  }
  return Type::with_shape(kinds, std::move(shape));
}

namespace {

struct KindWords {
  std::uint16_t kinds;
  std::string_view plain;
  std::string_view with_article;
};
// Wider kinds first: integer and fraction together are "number".
constexpr std::array<KindWords, 10> kWords = {{
    {Type::kNull, "null", "null"},
    {Type::kBoolean, "boolean", "a boolean"},
    {Type::kNumber, "number", "a number"},
    {Type::kInteger, "integer", "an integer"},
    {Type::kFraction, "number with a fraction", "a number with a fraction"},
    {Type::kString, "string", "a string"},
    {Type::kArray, "array", "an array"},
    {Type::kObject, "object", "an object"},
    {Type::kBlob, "blob", "a blob"},
    {Type::kVector, "vector", "a vector"},
}};

std::string kinds_in_words(std::uint16_t kinds) {
  if (kinds == 0) return "nothing";
  if (kinds == Type::kAnyKind) return "any value";
  std::string text;
  for (const auto& word : kWords) {
    if ((kinds & word.kinds) != word.kinds) continue;
    if (!text.empty()) text += " or ";
    text += word.with_article;
    kinds &= static_cast<std::uint16_t>(~word.kinds);
  }
  return text;
}

void say(std::string* why, std::string words) {
  if (why != nullptr) *why = std::move(words);
}

bool objects_misfit(const Type& from, const Type& to, std::string* why) {
  for (const auto& name : to.property_names()) {
    std::optional<Type> given = from.property(name);
    std::optional<Type> wanted = to.property(name);
    bool always_there = from.requires_property(name);
    if (!to.requires_property(name) && !always_there) continue;
    if (!given) {
      say(why, "needs the property " + name + ", which is never there");
      return true;
    }
    std::string inner;
    if (!wanted || certainly_misfits(*given, *wanted, why == nullptr ? nullptr : &inner)) {
      say(why, "has a property " + name + " that " + (wanted ? inner : "may not be there"));
      return true;
    }
  }
  if (!to.closed()) return false;
  for (const auto& name : from.property_names()) {
    if (!from.requires_property(name) || to.property(name)) continue;
    say(why, "has a property " + name + " that may not be there");
    return true;
  }
  return false;
}

}  // namespace

bool certainly_misfits(const Type& from, const Type& to, std::string* why) {
  if (from.kinds_ == 0) return false;  // there is no value that could be wrong
  auto both = static_cast<std::uint16_t>(from.kinds_ & to.kinds_);
  if (both == 0) {
    if (to.kinds_ == 0) {
      say(why, "allows no value at all");
    } else {
      say(why, "needs " + kinds_in_words(to.kinds_) + ", not " + kinds_in_words(from.kinds_));
    }
    return true;
  }
  // An array of any type may be empty, so only objects have certain misfits below the surface.
  return both == Type::kObject && objects_misfit(from, to, why);
}

namespace {

std::string type_in_words(const Type& type, int depth);

std::string object_in_words(const Type& type, int depth) {
  auto names = type.property_names();
  if (names.empty() || depth == 0) return "object";
  std::string text = "{";
  std::size_t shown = 0;
  for (const auto& name : names) {
    if (shown > 0) text += ", ";
    if (shown++ == kMaxPropertiesOfText) {
      text += "...";
      break;
    }
    text += name + (type.requires_property(name) ? ": " : "?: ");
    text += type_in_words(type.property(name).value_or(Type::never()), depth - 1);
  }
  return text + "}";
}

std::string type_in_words(const Type& type, int depth) {
  std::uint16_t left = type.kinds();
  if (left == 0) return "never";
  if (left == Type::kAnyKind) return "any";
  std::string text;
  for (const auto& word : kWords) {
    if ((left & word.kinds) != word.kinds) continue;
    if (!text.empty()) text += " or ";
    left &= static_cast<std::uint16_t>(~word.kinds);
    if (word.kinds == Type::kObject) {
      text += object_in_words(type, depth);
    } else if (word.kinds == Type::kArray && depth > 0 && !type.element().is_any()) {
      text += "array of " + type_in_words(type.element(), depth - 1);
    } else {
      text += word.plain;
    }
  }
  return text;
}

}  // namespace

std::string Type::to_string() const { return type_in_words(*this, kMaxDepthOfText); }

}  // namespace sluice
