#include "plan/form_reader.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "fmt/format.h"
#include "plan/duration.h"
#include "plan/names.h"

namespace sluice {

std::string_view FormReader::form_of(const TextNode& node) {
  if (node.kind == TextNode::Kind::kList) return "a list";
  if (node.kind == TextNode::Kind::kMap) return "a map";
  return node.scalar.is_null() ? "nothing" : kind_with_article(node.scalar.kind());
}

bool FormReader::want_map(const TextMember& member, std::string_view hint) {
  if (member.value.kind == TextNode::Kind::kMap) return true;
  if (member.value.broken) return false;
  invalid(member.value.pos, fmt::format("{} needs a map{}{}, not {}", shown(member.key),
                                        hint.empty() ? "" : " ", hint, form_of(member.value)));
  return false;
}

bool FormReader::want_list(const TextMember& member) {
  if (member.value.kind == TextNode::Kind::kList) return true;
  if (member.value.broken) return false;
  invalid(member.value.pos, fmt::format("{0} needs a list, not {1}; write {0}: [...]",
                                        shown(member.key), form_of(member.value)));
  return false;
}

std::optional<std::string> FormReader::word(const TextMember& member) {
  const TextNode& node = member.value;
  if (node.is_string() && !node.scalar.as_string().empty()) {
    return std::string(node.scalar.as_string());
  }
  if (!node.broken) {
    invalid(node.pos, fmt::format("{} needs a name, not {}", shown(member.key),
                                  node.is_string() ? "an empty string" : form_of(node)));
  }
  return std::nullopt;
}

std::optional<std::int64_t> FormReader::count(const TextMember& member, std::int64_t least,
                                              std::int64_t most) {
  const TextNode& node = member.value;
  if (node.kind == TextNode::Kind::kScalar && node.scalar.is_int()) {
    std::int64_t number = node.scalar.as_int();
    if (number >= least && number <= most) return number;
  }
  if (node.broken) return std::nullopt;
  std::string range = most == std::numeric_limits<std::int64_t>::max()
                          ? fmt::format("of at least {}", least)
                          : fmt::format("from {} to {}", least, most);
  std::string found =
      node.scalar.is_int() ? std::to_string(node.scalar.as_int()) : std::string(form_of(node));
  invalid(node.pos,
          fmt::format("{} needs a whole number {}, not {}", shown(member.key), range, found));
  return std::nullopt;
}

std::optional<bool> FormReader::flag(const TextMember& member) {
  const TextNode& node = member.value;
  if (node.kind == TextNode::Kind::kScalar && node.scalar.is_bool()) return node.scalar.as_bool();
  if (!node.broken) {
    invalid(node.pos, fmt::format("{} is true or false, not {}", shown(member.key), form_of(node)));
  }
  return std::nullopt;
}

std::optional<double> FormReader::number(const TextMember& member, double least, double most) {
  const TextNode& node = member.value;
  if (node.kind == TextNode::Kind::kScalar && node.scalar.is_number()) {
    double value = node.scalar.as_double();
    if (value >= least && value <= most) return value;
  }
  if (!node.broken) {
    invalid(node.pos, fmt::format("{} needs a number from {} to {}, not {}", shown(member.key),
                                  least, most, form_of(node)));
  }
  return std::nullopt;
}

std::optional<std::int64_t> FormReader::duration(const TextMember& member) {
  const TextNode& node = member.value;
  if (node.is_string()) {
    auto ms = parse_duration_ms(node.scalar.as_string());
    if (ms) return *ms;
    invalid(node.pos, fmt::format("{}: {}", shown(member.key), ms.error().message()));
  } else if (!node.broken) {
    std::string hint =
        node.scalar.is_int() ? fmt::format("; write {0}s or {0}ms", node.scalar.as_int()) : "";
    invalid(node.pos, fmt::format("{} needs a duration with its unit, like 500ms or 30s, not {}{}",
                                  shown(member.key), form_of(node), hint));
  }
  return std::nullopt;
}

std::optional<std::vector<Located<std::string>>> FormReader::located_words(
    const TextMember& member) {
  if (!want_list(member)) return std::nullopt;
  std::vector<Located<std::string>> result;
  for (const TextNode& item : member.value.items) {
    if (item.is_string() && !item.scalar.as_string().empty()) {
      result.push_back({std::string(item.scalar.as_string()), item.text_pos});
    } else if (!item.broken) {
      invalid(item.pos, fmt::format("{} is a list of names, and this is {}", shown(member.key),
                                    form_of(item)));
    }
  }
  return result;
}

std::optional<std::vector<std::string>> FormReader::words(const TextMember& member) {
  auto located = located_words(member);
  if (!located) return std::nullopt;
  std::vector<std::string> result;
  for (auto& word : *located) result.push_back(std::move(word.value));
  return result;
}

void FormReader::unknown_key(const TextMember& member, std::span<const std::string_view> known) {
  std::string hint = did_you_mean(member.key, known);
  if (hint.empty() && known.size() <= 8) {
    hint = fmt::format("; there {} {}", known.size() == 1 ? "is" : "are", fmt::join(known, ", "));
  }
  out_.error(ErrorCode::kKeyUnknown, member.key_pos,
             fmt::format("no key {}{}", shown(member.key), hint));
}

void FormReader::only_keys(const TextNode& map, std::span<const std::string_view> known) {
  for (const TextMember& member : map.members) {
    if (std::ranges::find(known, member.key) == known.end()) unknown_key(member, known);
  }
}

bool FormReader::good_id(std::string_view id, SourcePos pos) {
  if (valid_id(id)) return true;
  out_.error(ErrorCode::kIdInvalid, pos,
             fmt::format("{} is no id; ids are lower-case letters, digits and _, at most 64, and "
                         "start with a letter",
                         id.empty() ? "an empty string" : shown(id)));
  return false;
}

Budget FormReader::budget(const TextMember& member) {
  static constexpr std::array<std::string_view, 4> kKeys = {"tokens", "calls", "seconds", "usd"};
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  Budget result;
  if (!want_map(member, "with tokens, calls, seconds or usd")) return result;
  only_keys(member.value, kKeys);
  for (const TextMember& bound : member.value.members) {
    if (bound.key == "tokens") result.tokens = count(bound, 0, kMost);
    if (bound.key == "calls") result.calls = count(bound, 0, kMost);
    if (bound.key == "seconds") result.seconds = number(bound, 0, 1e9);
    if (bound.key == "usd") result.usd = number(bound, 0, 1e12);
  }
  return result;
}

SourcePos FormReader::position_of(const TextNode& root, std::string_view pointer) {
  const TextNode* node = &root;
  SourcePos pos = root.pos;
  while (pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    std::string_view raw = pointer.substr(0, pointer.find('/'));
    pointer.remove_prefix(raw.size());
    std::string key;
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] == '~' && i + 1 < raw.size())
        key += raw[++i] == '1' ? '/' : '~';
      else
        key += raw[i];
    }
    if (const TextMember* member = node->find(key)) {
      pos = member->key_pos;
      node = &member->value;
      continue;
    }
    std::size_t index = 0;
    auto [rest, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error != std::errc() || index >= node->items.size()) return pos;
    node = &node->items[index];
    pos = node->pos;
  }
  return pos;
}

}  // namespace sluice
