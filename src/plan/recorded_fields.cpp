#include "plan/recorded_fields.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {

void Damage::report(std::string_view where, std::string_view what) {
  if (found_) return;
  found_ = Error(ErrorCode::kJournalDamaged,
                 fmt::format("the recorded plan is damaged: {}: {}", where, what));
}

FieldReader::FieldReader(const Value& record, std::string where, Damage& damage)
    : record_(record), where_(std::move(where)), damage_(damage) {
  if (!record.is_object()) {
    damage_.report(where_, fmt::format("not {}", kind_with_article(record.kind())));
  }
}

const Value* FieldReader::value(std::string_view key) {
  const Value* found = record_.find(key);
  if (found) ++known_;
  return found;
}

std::size_t FieldReader::size_of(std::string_view key) const {
  const Value* found = record_.find(key);
  return found && found->is_array() ? found->size() : 0;
}

void FieldReader::wrong(std::string_view key, std::string_view what) {
  damage_.report(fmt::format("{}, {}", where_, key), what);
}

bool FieldReader::flag(std::string_view key) {
  const Value* found = value(key);
  if (!found) return false;
  if (found->is_bool()) return found->as_bool();
  wrong(key, "neither true nor false");
  return false;
}

std::string FieldReader::text(std::string_view key) {
  const Value* found = value(key);
  if (!found) return "";
  if (found->is_string()) return std::string(found->as_string());
  wrong(key, "not a text");
  return "";
}

std::int64_t FieldReader::number(std::string_view key, std::int64_t least, std::int64_t most,
                                 std::int64_t absent) {
  const Value* found = value(key);
  if (!found) return absent;
  if (found->is_int() && found->as_int() >= least && found->as_int() <= most) {
    return found->as_int();
  }
  wrong(key, "not a number in its range");
  return absent;
}

std::uint32_t FieldReader::count(std::string_view key, std::uint32_t absent) {
  return static_cast<std::uint32_t>(number(key, 0, kMaxCount, absent));
}

double FieldReader::real(std::string_view key, double absent) {
  const Value* found = value(key);
  if (!found) return absent;
  if (found->is_number() && std::isfinite(found->as_double())) return found->as_double();
  wrong(key, "not a number");
  return absent;
}

std::span<const Value> FieldReader::list(std::string_view key) {
  const Value* found = value(key);
  if (!found) return {};
  if (found->is_array()) return found->items();
  wrong(key, "not a list");
  return {};
}

std::vector<std::uint32_t> FieldReader::counts(std::string_view key) {
  std::vector<std::uint32_t> numbers;
  for (const Value& item : list(key)) {
    if (!item.is_int() || item.as_int() < 0 || item.as_int() > kMaxCount) {
      wrong(key, "not a list of numbers");
      return {};
    }
    numbers.push_back(static_cast<std::uint32_t>(item.as_int()));
  }
  return numbers;
}

std::vector<std::string> FieldReader::texts(std::string_view key) {
  std::vector<std::string> result;
  for (const Value& item : list(key)) {
    if (!item.is_string()) {
      wrong(key, "not a list of texts");
      return {};
    }
    result.emplace_back(item.as_string());
  }
  return result;
}

SourcePos FieldReader::pos(std::string_view key) {
  if (!has(key)) return {};
  auto pos = read_pos(list(key));
  if (!pos) wrong(key, "not a place");
  return pos.value_or(SourcePos());
}

Hash256 FieldReader::hash(std::string_view key) {
  auto hash = Hash256::from_hex(text(key));
  if (!hash) wrong(key, "not a hash");
  return hash.value_or(Hash256());
}

std::size_t FieldReader::name_index(std::string_view key, std::span<const std::string_view> names) {
  std::string name = text(key);
  auto found = std::ranges::find(names, name);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  wrong(key, fmt::format("no {}", name.empty() ? "name" : shown(name)));
  return 0;
}

void FieldReader::done() {
  if (!record_.is_object() || known_ == record_.members().size()) return;
  damage_.report(where_, "it has a field that this version does not write");
}

void FieldWriter::value(std::string_view key, Value value) {
  members_.emplace_back(std::string(key), std::move(value));
}

void FieldWriter::flag(std::string_view key, bool value) {
  if (value) this->value(key, Value::boolean(true));
}

void FieldWriter::text(std::string_view key, std::string_view text) {
  if (!text.empty()) value(key, Value::string(text));
}

void FieldWriter::number(std::string_view key, std::int64_t number, std::int64_t absent) {
  if (number != absent) value(key, Value::integer(number));
}

void FieldWriter::real(std::string_view key, double number, double absent) {
  if (number != absent) value(key, Value::number(number));
}

void FieldWriter::pos(std::string_view key, SourcePos pos) {
  if (pos.known() || pos.file != 0) value(key, recorded_pos(pos));
}

void FieldWriter::list(std::string_view key, std::vector<Value> items) {
  if (!items.empty()) value(key, Value::array(std::move(items)));
}

void FieldWriter::counts(std::string_view key, std::span<const std::uint32_t> numbers) {
  std::vector<Value> items;
  items.reserve(numbers.size());
  for (std::uint32_t number : numbers) items.push_back(Value::integer(number));
  list(key, std::move(items));
}

void FieldWriter::texts(std::string_view key, std::span<const std::string> texts) {
  std::vector<Value> items;
  items.reserve(texts.size());
  for (const std::string& text : texts) items.push_back(Value::string(text));
  list(key, std::move(items));
}

Value recorded_pos(SourcePos pos) {
  return Value::array(
      {Value::integer(pos.file), Value::integer(pos.line), Value::integer(pos.column)});
}

std::optional<SourcePos> read_pos(std::span<const Value> numbers) {
  if (numbers.size() != 3) return std::nullopt;
  std::array<std::uint32_t, 3> parts{};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!numbers[i].is_int() || numbers[i].as_int() < 0 || numbers[i].as_int() > kMaxCount) {
      return std::nullopt;
    }
    parts[i] = static_cast<std::uint32_t>(numbers[i].as_int());
  }
  return SourcePos{parts[0], parts[1], parts[2]};
}

}  // namespace sluice
