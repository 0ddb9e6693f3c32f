// Reads the forms that keys of a plan take (words, counts, durations, maps with known keys) and
// reports what has another form. Internal to plan/. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "plan/diagnostic.h"
#include "plan/logical.h"
#include "plan/text_tree.h"

namespace sluice {

class FormReader {
 public:
  explicit FormReader(Diagnostics& out) : out_(out) {}

 protected:
  void invalid(SourcePos pos, std::string message) {
    out_.error(ErrorCode::kValueInvalid, pos, std::move(message));
  }
  // What a message calls a node: "an integer", "a map", ...
  static std::string_view form_of(const TextNode& node);

  bool want_map(const TextMember& member, std::string_view hint = "");
  bool want_list(const TextMember& member);
  std::optional<std::string> word(const TextMember& member);
  std::optional<std::int64_t> count(const TextMember& member, std::int64_t least,
                                    std::int64_t most);
  std::optional<bool> flag(const TextMember& member);
  std::optional<double> number(const TextMember& member, double least, double most);
  std::optional<std::int64_t> duration(const TextMember& member);
  std::optional<std::vector<std::string>> words(const TextMember& member);
  std::optional<std::vector<Located<std::string>>> located_words(const TextMember& member);
  // KEY_UNKNOWN, with a suggestion, for each key of a map that is not in `known`.
  void only_keys(const TextNode& map, std::span<const std::string_view> known);
  void unknown_key(const TextMember& member, std::span<const std::string_view> known);
  // ID_INVALID unless `id` has the form of one.
  bool good_id(std::string_view id, SourcePos pos);
  Budget budget(const TextMember& member);
  // The key at (or the value nearest to) a JSON pointer into a tree.
  static SourcePos position_of(const TextNode& root, std::string_view pointer);

  Diagnostics& out_;
};

}  // namespace sluice
