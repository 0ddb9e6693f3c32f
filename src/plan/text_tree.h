// The text of a plan as a tree of scalars, lists and maps with the place of each: the form between
// YAML or JSON text and the logical plan. Internal to plan/. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/value.h"
#include "plan/binding.h"
#include "plan/diagnostic.h"
#include "plan/parse.h"

namespace sluice {

struct TextMember;

struct TextNode {
  enum class Kind : std::uint8_t { kScalar, kList, kMap };

  Kind kind = Kind::kScalar;
  Value scalar;                     // kScalar, typed as the YAML core schema has it
  SourcePos pos;                    // of its first byte, the quote of a quoted scalar
  SourcePos text_pos;               // of the first byte of its text
  std::vector<TextMark> marks;      // of a string that may hold an expression
  std::vector<TextNode> items;      // kList
  std::vector<TextMember> members;  // kMap, in written order, keys unique
  bool broken = false;              // an error was reported in it: say no more about it

  bool is_string() const { return kind == Kind::kScalar && scalar.is_string(); }
  const TextMember* find(std::string_view key) const;
  Value to_value() const;
  // Nodes in it, itself included, but no more than `limit`.
  std::size_t count_nodes(std::size_t limit) const;
};

struct TextMember {
  std::string key;
  SourcePos key_pos;
  TextNode value;
};

// nullopt after an error from which nothing can be saved.
std::optional<TextNode> read_text_tree(std::string_view text, std::uint32_t file,
                                       const ParseLimits& limits, Diagnostics& out);
// Of a value that has no text; positions are unknown. nullopt where it is beyond the limits.
std::optional<TextNode> tree_of_value(const Value& value, const ParseLimits& limits,
                                      Diagnostics& out);

// Lines and columns of byte offsets.
class LineTable {
 public:
  LineTable(std::string_view text, std::uint32_t file);
  SourcePos at(std::size_t offset) const;
  std::string_view line(std::uint32_t number) const;  // from 1, without its end

 private:
  std::string_view text_;
  std::uint32_t file_;
  std::vector<std::size_t> starts_;
};

// The scalar that plain text stands for; nullopt for a number that JSON does not have (.inf, .nan).
std::optional<Value> plain_scalar(std::string_view text);

enum class ScalarStyle : std::uint8_t { kPlain, kSingle, kDouble, kBlock };
// Where each piece of a scalar's text stands in the source between `begin` and `end` (without its
// quotes).
std::vector<TextMark> align_scalar(std::string_view source, std::size_t begin, std::size_t end,
                                   std::string_view text, ScalarStyle style,
                                   const LineTable& lines);

}  // namespace sluice
