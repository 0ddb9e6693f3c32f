// Binding: a value of a plan in which expressions may stand (`with`, `value`, `result`, ...). A
// tree of maps and lists with expressions at the leaves. Pure data.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/expr.h"
#include "data/value.h"

namespace sluice {

// Where a piece of a scalar's text stands: from `offset` on, columns count on from `pos`.
struct TextMark {
  std::size_t offset = 0;
  SourcePos pos;
};

struct Binding {
  enum class Kind : std::uint8_t { kExpr, kList, kMap };

  // Out of line: a pair of the type that it stands in is complete only there.
  Binding();
  ~Binding();
  Binding(const Binding& other);
  Binding(Binding&& other) noexcept;
  Binding& operator=(const Binding& other);
  Binding& operator=(Binding&& other) noexcept;

  Kind kind = Kind::kExpr;
  Expr expr = Expr::constant(Value());                   // kExpr; constants are folded expressions
  std::vector<Binding> items;                            // kList
  std::vector<std::pair<std::string, Binding>> members;  // kMap, in written order
  SourcePos pos;                                         // of the value
  SourcePos key_pos;                                     // of its key, as a member of a map
  SourcePos text_pos;           // of the first byte inside the quotes of a string
  std::string text;             // kExpr from a string: as written, before compiling
  bool broken = false;          // its text was refused: nothing is known of it
  std::vector<TextMark> marks;  // of `text`: one a line, and one behind each escape

  // Set when nothing in it reads anything.
  std::optional<Value> as_constant() const;
  const Binding* find(std::string_view key) const;  // kMap
  // The place of a byte of `text`; text_pos or pos where the marks do not reach.
  SourcePos position_at(std::size_t offset) const;
  // Calls `visit` for each expression leaf, depth first, in written order.
  void for_each_expr(const std::function<void(const Binding& leaf)>& visit) const;
};

}  // namespace sluice
