// Text that a grammar forces, as tokens. The engine appends it without asking the model ("jump
// forward"), as long as the tokens are those that the model would have read: the end of the text is
// held back where a longer token could reach over it.
//
// Made once for a vocabulary, which must outlive it. Immutable after construction; any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>
#include <vector>

#include "engine/vocabulary.h"

namespace sluice {

class JumpForward {
 public:
  // Whether the grammar lets this text stand directly after the forced text.
  using MayFollow = std::function<bool(std::string_view)>;

  explicit JumpForward(const Vocabulary& vocabulary);

  // The tokens of `forced`, less those at its end that a longer token might replace. Empty when
  // nothing is certain or the vocabulary cannot write exactly this text.
  std::vector<Token> tokens(std::string_view forced, const MayFollow& may_follow) const;
  // Bytes at the beginning of `forced` that belong to no token that begins in it, ends behind it
  // and may follow.
  std::size_t certain_bytes(std::string_view forced, const MayFollow& may_follow) const;

 private:
  bool reaches_over(std::string_view end, const MayFollow& may_follow) const;
  std::vector<Token> split(std::string_view text) const;
  bool spells(const std::vector<Token>& tokens, std::string_view text) const;

  const Vocabulary& vocabulary_;
  std::vector<std::string_view> sorted_;  // bytes of all tokens, without empty ones
  std::size_t longest_ = 0;
};

}  // namespace sluice
