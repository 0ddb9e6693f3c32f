#include "optimize/question_split.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kBlank = " \t\r\n";
constexpr std::string_view kWhatDiffers =
    "what it asks is read from somewhere: it is only known when it runs";
constexpr std::string_view kMidSentence = "its question is no sentence or line of its own";

bool blank(char c) { return kBlank.find(c) != kBlank.npos; }
bool ends_sentence(char c) { return c == '.' || c == '!' || c == '?'; }

// Behind the quoted text that begins at `at`.
std::size_t after_quotes(std::string_view text, std::size_t at) {
  const char quote = text[at];
  for (++at; at < text.size() && text[at] != quote; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

// Behind the tag that begins at `at`; npos: it has no end.
std::size_t tag_end(std::string_view text, std::size_t at) {
  const char kind = text[at + 1];
  const char closing = kind == '{' ? '}' : kind;
  int depth = 0;
  for (at += 2; at + 1 < text.size();) {
    const char c = text[at];
    if (kind != '#' && (c == '\'' || c == '"')) {
      at = after_quotes(text, at);
      continue;
    }
    if (depth == 0 && c == closing && text[at + 1] == '}') return at + 2;
    if (kind == '{') {
      if (c == '{' || c == '[' || c == '(') ++depth;
      if (c == '}' || c == ']' || c == ')') --depth;
    }
    ++at;
  }
  return text.npos;
}

bool within(const std::vector<TextRange>& tags, std::size_t at) {
  return std::ranges::any_of(
      tags, [&](const TextRange& tag) { return tag.first < at && at < tag.second; });
}

// The texts are equal up to `front`, and from `back` before their ends on.
struct Cut {
  std::size_t front = 0;
  std::size_t back = 0;
};

Cut common_parts(const std::vector<std::string>& texts) {
  const std::string& first = texts.front();
  std::size_t shortest = first.size();
  Cut cut{first.size(), 0};
  for (const std::string& text : texts) {
    shortest = std::min(shortest, text.size());
    const auto differ = std::ranges::mismatch(first, text).in1;
    cut.front = std::min(cut.front, static_cast<std::size_t>(differ - first.begin()));
  }
  const std::size_t most = shortest - cut.front;
  while (cut.back < most && std::ranges::all_of(
                                texts,
                                [&](const std::string& text) {
                                  return text[text.size() - 1 - cut.back] ==
                                         first[first.size() - 1 - cut.back];
                                })) {
    ++cut.back;
  }
  return cut;
}

// Whether a sentence or a line of the first text begins at `at`.
bool begins_here(std::string_view text, const std::vector<TextRange>& tags, std::size_t at) {
  if (at == 0 || text[at - 1] == '\n') return true;
  if (at >= text.size() || !blank(text[at - 1])) return false;
  std::size_t last = at - 1;  // of what is not blank before it
  while (last > 0 && blank(text[last])) --last;
  const bool behind_tag =
      std::ranges::any_of(tags, [&](const TextRange& tag) { return tag.second == last + 1; });
  if (behind_tag) return text[at] >= 'A' && text[at] <= 'Z';
  return ends_sentence(text[last]) || text[last] == ':';
}

bool ends_here(std::string_view text, std::size_t at) {
  if (at >= text.size() || text[at] == '\n') return true;
  return at > 0 && ends_sentence(text[at - 1]) && blank(text[at]);
}

bool move_front(std::string_view text, const std::vector<TextRange>& tags, std::size_t& front) {
  while (!begins_here(text, tags, front)) {
    const bool tag =
        std::ranges::any_of(tags, [&](const TextRange& each) { return each.second == front; });
    if (tag || front == 0) return false;
    --front;
  }
  return true;
}

bool move_back(const std::vector<std::string>& texts, const std::vector<TextRange>& tags,
               std::size_t& back) {
  const std::string& first = texts.front();
  const auto all_end = [&] {
    return std::ranges::all_of(
        texts, [&](const std::string& text) { return ends_here(text, text.size() - back); });
  };
  while (!all_end()) {
    const std::size_t at = first.size() - back;
    const bool tag =
        std::ranges::any_of(tags, [&](const TextRange& each) { return each.first == at; });
    if (tag || back == 0) return false;
    --back;
  }
  return true;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

bool opens_tag(std::string_view text) {
  return text.find("{{") != text.npos || text.find("{%") != text.npos ||
         text.find("{#") != text.npos || text.ends_with('{');
}

}  // namespace

std::optional<std::vector<TextRange>> template_tags(std::string_view text) {
  std::vector<TextRange> tags;
  for (std::size_t at = 0; at + 1 < text.size();) {
    const char next = text[at + 1];
    if (text[at] != '{' || (next != '{' && next != '%' && next != '#')) {
      ++at;
      continue;
    }
    const std::size_t end = tag_end(text, at);
    if (end == text.npos) return std::nullopt;
    tags.emplace_back(at, end);
    at = end;
  }
  return tags;
}

std::expected<QuestionSplit, std::string_view> split_questions(
    const std::vector<std::string>& texts) {
  Cut cut = common_parts(texts);
  std::vector<TextRange> first_tags;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto tags = template_tags(texts[i]);
    if (!tags) return std::unexpected(kWhatDiffers);
    const std::size_t end = texts[i].size() - cut.back;
    const bool reads = std::ranges::any_of(
        *tags, [&](const TextRange& tag) { return tag.first < end && tag.second > cut.front; });
    if (reads || within(*tags, cut.front) || within(*tags, end)) {
      return std::unexpected(kWhatDiffers);
    }
    if (i == 0) first_tags = *tags;
  }
  if (!move_front(texts.front(), first_tags, cut.front) ||
      !move_back(texts, first_tags, cut.back)) {
    return std::unexpected(kMidSentence);
  }
  QuestionSplit split;
  split.front = texts.front().substr(0, cut.front);
  split.back = texts.front().substr(texts.front().size() - cut.back);
  for (const std::string& text : texts) {
    const std::string_view part =
        std::string_view(text).substr(cut.front, text.size() - cut.back - cut.front);
    const std::string_view question = trimmed(part);
    if (question.empty() || opens_tag(question)) return std::unexpected(kMidSentence);
    split.questions.emplace_back(question);
  }
  return split;
}

}  // namespace sluice
