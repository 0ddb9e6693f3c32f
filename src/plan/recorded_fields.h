// Fields of recorded objects: what is absent has its default, and what no program wrote is damage,
// of which the first is kept. Internal to the codec of physical plans. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/hash.h"
#include "data/value.h"

namespace sluice {

// What was found wrong first. While nothing was, results are good.
class Damage {
 public:
  bool found() const { return found_.has_value(); }
  void report(std::string_view where, std::string_view what);
  std::unexpected<Error> error() const { return std::unexpected(*found_); }

 private:
  std::optional<Error> found_;
};

// Names of an enumeration, by its values. The names in a record never change their meaning.
template <std::size_t N>
using NameTable = std::array<std::string_view, N>;

class FieldReader {
 public:
  // `where` names the object in messages: "step a".
  FieldReader(const Value& record, std::string where, Damage& damage);

  bool has(std::string_view key) const { return record_.find(key) != nullptr; }
  std::size_t size_of(std::string_view key) const;  // of a list that is read later
  bool flag(std::string_view key);
  std::string text(std::string_view key);
  std::int64_t number(std::string_view key, std::int64_t least, std::int64_t most,
                      std::int64_t absent);
  std::uint32_t count(std::string_view key, std::uint32_t absent);
  double real(std::string_view key, double absent);
  std::span<const Value> list(std::string_view key);
  std::vector<std::uint32_t> counts(std::string_view key);
  std::vector<std::string> texts(std::string_view key);
  SourcePos pos(std::string_view key);
  Hash256 hash(std::string_view key);
  const Value* value(std::string_view key);  // null: absent
  template <class Enum, std::size_t N>
  Enum name(std::string_view key, const NameTable<N>& names) {
    return static_cast<Enum>(name_index(key, names));
  }
  // Every key that is there was asked for.
  void done();

  void wrong(std::string_view key, std::string_view what);
  const std::string& where() const { return where_; }
  Damage& damage() { return damage_; }

 private:
  std::size_t name_index(std::string_view key, std::span<const std::string_view> names);

  const Value& record_;
  std::string where_;
  Damage& damage_;
  std::size_t known_ = 0;  // of the keys asked for, those that are there
};

class FieldWriter {
 public:
  // Defaults are left out.
  void flag(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void number(std::string_view key, std::int64_t value, std::int64_t absent);
  void real(std::string_view key, double value, double absent);
  void pos(std::string_view key, SourcePos pos);
  void list(std::string_view key, std::vector<Value> items);  // unless empty
  void counts(std::string_view key, std::span<const std::uint32_t> numbers);
  void texts(std::string_view key, std::span<const std::string> texts);
  void value(std::string_view key, Value value);
  template <class Enum, std::size_t N>
  void name(std::string_view key, Enum value, const NameTable<N>& names) {
    this->value(key, Value::string(names[static_cast<std::size_t>(value)]));
  }
  Value take() { return Value::object(std::move(members_)); }

 private:
  std::vector<Value::Member> members_;
};

Value recorded_pos(SourcePos pos);
// Of three numbers.
std::optional<SourcePos> read_pos(std::span<const Value> numbers);

inline constexpr std::int64_t kMaxCount = std::numeric_limits<std::uint32_t>::max();

}  // namespace sluice
