// Where prompts that ask different things about the same part: what stands in front of the
// questions in all of them, the questions, and what stands behind. Works on the text of templates
// as it is written and never cuts into what they read. Pure; any thread.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

struct QuestionSplit {
  std::string front;                   // with all that it reads
  std::vector<std::string> questions;  // whole sentences or lines that read nothing; one a text
  std::string back;
};

// At least two texts. The error says why these cannot be parted, for people.
std::expected<QuestionSplit, std::string_view> split_questions(
    const std::vector<std::string>& texts);

// Where the tags of a template ({{ }}, {% %}, {# #}) begin and end. nullopt: one has no end.
using TextRange = std::pair<std::size_t, std::size_t>;
std::optional<std::vector<TextRange>> template_tags(std::string_view text);

}  // namespace sluice
