#include "plan/binding.h"

#include <algorithm>

namespace sluice {

Binding::Binding() = default;
Binding::~Binding() = default;
Binding::Binding(const Binding& other) = default;
Binding::Binding(Binding&& other) noexcept = default;
Binding& Binding::operator=(const Binding& other) = default;
Binding& Binding::operator=(Binding&& other) noexcept = default;

std::optional<Value> Binding::as_constant() const {
  switch (kind) {
    case Kind::kExpr:
      return broken ? std::nullopt : expr.as_constant();
    case Kind::kList: {
      std::vector<Value> values;
      values.reserve(items.size());
      for (const Binding& item : items) {
        std::optional<Value> value = item.as_constant();
        if (!value) return std::nullopt;
        values.push_back(std::move(*value));
      }
      return Value::array(std::move(values));
    }
    case Kind::kMap: {
      std::vector<Value::Member> values;
      values.reserve(members.size());
      for (const auto& [key, member] : members) {
        std::optional<Value> value = member.as_constant();
        if (!value) return std::nullopt;
        values.emplace_back(key, std::move(*value));
      }
      return Value::object(std::move(values));
    }
  }
  return std::nullopt;
}

const Binding* Binding::find(std::string_view key) const {
  auto found =
      std::ranges::find_if(members, [&](const auto& member) { return member.first == key; });
  return found == members.end() ? nullptr : &found->second;
}

void Binding::for_each_expr(const std::function<void(const Binding& leaf)>& visit) const {
  switch (kind) {
    case Kind::kExpr:
      visit(*this);
      return;
    case Kind::kList:
      for (const Binding& item : items) item.for_each_expr(visit);
      return;
    case Kind::kMap:
      for (const auto& [key, member] : members) member.for_each_expr(visit);
      return;
  }
}

SourcePos Binding::position_at(std::size_t offset) const {
  auto after = std::ranges::upper_bound(marks, offset, {}, &TextMark::offset);
  if (after == marks.begin()) return text_pos.known() ? text_pos : pos;
  const TextMark& mark = *std::prev(after);
  SourcePos place = mark.pos;
  place.column += static_cast<std::uint32_t>(offset - mark.offset);
  return place;
}

}  // namespace sluice
