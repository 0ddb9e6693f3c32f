// Type: a small lattice for verification, made from JSON Schemas. It over-approximates: a value of
// a step certainly has its Type, but a Type may allow more than its schema. Immutable, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "data/value.h"

namespace sluice {

class Type {
 public:
  // One bit per JSON kind. kInteger: a number without a fraction, 1.0 included (as JSON Schema has
  // it); kFraction: one with a fraction. A computation that may give either is kNumber.
  enum Kind : std::uint16_t {
    kNull = 1,
    kBoolean = 2,
    kInteger = 4,
    kFraction = 8,
    kString = 16,
    kArray = 32,
    kObject = 64,
    kBlob = 128,
    kVector = 256,
    kNumber = kInteger | kFraction,
    kAnyKind = 511,
  };

  Type() = default;  // any
  static Type any() { return {}; }
  static Type never() { return of(0); }
  static Type of(std::uint16_t kinds);
  static Type array_of(Type element);
  // Properties that are known; `required` are certainly there; `closed`: no others can be.
  static Type object_of(std::map<std::string, Type, std::less<>> properties,
                        std::set<std::string, std::less<>> required, bool closed);
  static Type of_value(const Value& value);  // the narrowest Type that holds it

  std::uint16_t kinds() const { return kinds_; }
  bool is_any() const { return kinds_ == kAnyKind && !shape_; }
  bool can_be(std::uint16_t kinds) const { return (kinds_ & kinds) != 0; }

  Type element() const;  // of its arrays; any when unknown; never when it cannot be an array
  // Of its objects: any when it may be there with an unknown type; nullopt when it can never be.
  std::optional<Type> property(std::string_view name) const;
  bool requires_property(std::string_view name) const;
  bool closed() const;  // an object of it has no other properties than property_names()
  // The names known, for suggestions.
  std::set<std::string, std::less<>> property_names() const;

  friend Type join(const Type& a, const Type& b);  // least upper bound (either)
  friend Type meet(const Type& a, const Type& b);  // holds at least what both hold
  // True only when `from` has values and none of them can ever fit `to`: a certain misfit. `why`
  // gets words that follow the name of what was wrong: "needs an array, not an integer".
  friend bool certainly_misfits(const Type& from, const Type& to, std::string* why);

  std::string to_string() const;  // "array of {cves: array of string, ...}", short

 private:
  struct Shape;
  static Type with_shape(std::uint16_t kinds, Shape shape);
  std::uint16_t kinds_ = kAnyKind;
  std::shared_ptr<const Shape> shape_;  // element, properties; null: nothing known
};

Type join(const Type& a, const Type& b);
Type meet(const Type& a, const Type& b);
bool certainly_misfits(const Type& from, const Type& to, std::string* why = nullptr);

}  // namespace sluice
