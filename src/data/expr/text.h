// Unicode text as the filters need it: UTF-8, characters, letter case. Letter case is the simple
// one-to-one mapping of the C library's C.UTF-8 tables. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::expr {

// Length in bytes of the character that starts at `at`, of valid UTF-8 (1 where it is not).
std::size_t utf8_length(std::string_view text, std::size_t at);
void append_utf8(std::string& out, char32_t code);
// The character at `at` of valid UTF-8; `at` moves behind it.
char32_t next_code_point(std::string_view text, std::size_t& at);
std::size_t count_code_points(std::string_view text);
// Offset of the first byte that is not valid UTF-8, or npos.
std::size_t find_invalid_utf8(std::string_view text);
// `text` cut to at most `max_bytes` at a character, with "..." where it was longer.
std::string cut(std::string_view text, std::size_t max_bytes);

char32_t to_upper(char32_t code);
char32_t to_lower(char32_t code);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
bool is_unicode_space(char32_t code);
bool is_unicode_word(char32_t code);  // a letter, a digit or _

// As Python's str.split() (runs of whitespace) and str.splitlines().
std::vector<std::string_view> split_whitespace(std::string_view text, std::size_t max_splits);
std::vector<std::string_view> split_lines(std::string_view text);

}  // namespace sluice::expr
