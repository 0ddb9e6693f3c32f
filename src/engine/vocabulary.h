// The tokens of a model: text to tokens with data kept apart from template text, tokens to bytes.
// Borrows the loaded model. Immutable after construction; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/expr.h"
#include "schedule/prefix_tree.h"

struct llama_model;
struct llama_vocab;

namespace sluice {

class Vocabulary {
 public:
  explicit Vocabulary(const llama_model* model);

  // Segments that are data never become special tokens, not even together with what stands beside
  // them. Where no data looks like one, the text is tokenized whole, as the model saw it in
  // training. Adds the beginning-of-text token where the model wants it and it is not there.
  std::vector<Token> tokenize(std::span<const TextSegment> segments) const;
  std::vector<Token> tokenize_data(std::string_view text) const;  // nothing added
  std::size_t count(std::string_view text) const { return tokenize_data(text).size(); }

  // The token's bytes; empty for control tokens.
  std::string_view bytes(Token token) const { return bytes_[static_cast<std::size_t>(token)]; }
  const std::vector<std::string>& all_bytes() const { return bytes_; }
  // As a person wants to see it: control tokens by their name.
  std::string shown(Token token) const;
  bool ends_generation(Token token) const;
  std::size_t size() const { return bytes_.size(); }
  const std::vector<Token>& end_tokens() const { return end_tokens_; }
  std::string begin_text() const;  // "" when there is none
  std::string end_text() const;

 private:
  void append(std::vector<Token>& out, std::string_view text, bool special) const;
  std::vector<bool> unsafe_bytes(std::string_view text, const std::vector<bool>& data) const;

  const llama_vocab* vocab_;
  std::vector<std::string> bytes_;
  std::vector<std::string> special_texts_;
  std::vector<Token> end_tokens_;
};

}  // namespace sluice
