#include "engine/vocabulary.h"

#include <llama.h>

#include <algorithm>

namespace sluice {
namespace {

std::string piece(const llama_vocab* vocab, Token token, bool special) {
  std::string out(32, '\0');
  int length =
      llama_token_to_piece(vocab, token, out.data(), static_cast<int>(out.size()), 0, special);
  if (length < 0) {
    out.resize(static_cast<std::size_t>(-length));
    length =
        llama_token_to_piece(vocab, token, out.data(), static_cast<int>(out.size()), 0, special);
  }
  out.resize(static_cast<std::size_t>(std::max(length, 0)));
  return out;
}

}  // namespace

Vocabulary::Vocabulary(const llama_model* model) : vocab_(llama_model_get_vocab(model)) {
  Token count = llama_vocab_n_tokens(vocab_);
  bytes_.reserve(static_cast<std::size_t>(count));
  for (Token token = 0; token < count; ++token) {
    bytes_.push_back(piece(vocab_, token, false));
    if (llama_vocab_is_eog(vocab_, token)) end_tokens_.push_back(token);
    auto attributes = llama_vocab_get_attr(vocab_, token);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0) {
      std::string text = llama_vocab_get_text(vocab_, token);
      if (!text.empty()) special_texts_.push_back(std::move(text));
    }
  }
}

bool Vocabulary::ends_generation(Token token) const { return llama_vocab_is_eog(vocab_, token); }

std::string Vocabulary::shown(Token token) const { return piece(vocab_, token, true); }

std::string Vocabulary::begin_text() const {
  Token token = llama_vocab_bos(vocab_);
  return token == LLAMA_TOKEN_NULL ? "" : llama_vocab_get_text(vocab_, token);
}

std::string Vocabulary::end_text() const {
  Token token = llama_vocab_eos(vocab_);
  return token == LLAMA_TOKEN_NULL ? "" : llama_vocab_get_text(vocab_, token);
}

void Vocabulary::append(std::vector<Token>& out, std::string_view text, bool special) const {
  if (text.empty()) return;
  std::size_t before = out.size();
  out.resize(before + text.size() + 2);
  int room = static_cast<int>(out.size() - before);
  int count = llama_tokenize(vocab_, text.data(), static_cast<int>(text.size()),
                             out.data() + before, room, false, special);
  if (count < 0) {
    out.resize(before + static_cast<std::size_t>(-count));
    count = llama_tokenize(vocab_, text.data(), static_cast<int>(text.size()), out.data() + before,
                           -count, false, special);
  }
  out.resize(before + static_cast<std::size_t>(std::max(count, 0)));
}

// Marks every byte of a special token's name that holds at least one byte of data.
std::vector<bool> Vocabulary::unsafe_bytes(std::string_view text,
                                           const std::vector<bool>& data) const {
  std::vector<bool> unsafe(text.size(), false);
  for (const std::string& name : special_texts_) {
    for (std::size_t at = text.find(name); at != std::string_view::npos;
         at = text.find(name, at + 1)) {
      auto first = static_cast<std::ptrdiff_t>(at);
      auto last = first + static_cast<std::ptrdiff_t>(name.size());
      bool holds_data =
          std::find(data.begin() + first, data.begin() + last, true) != data.begin() + last;
      if (holds_data) std::fill(unsafe.begin() + first, unsafe.begin() + last, true);
    }
  }
  return unsafe;
}

std::vector<Token> Vocabulary::tokenize(std::span<const TextSegment> segments) const {
  std::string text;
  std::vector<bool> data;
  for (const TextSegment& segment : segments) {
    text += segment.text;
    data.resize(text.size(), segment.data);
  }
  std::vector<bool> unsafe = unsafe_bytes(text, data);
  std::vector<Token> out;
  for (std::size_t at = 0; at < text.size();) {
    auto from = unsafe.begin() + static_cast<std::ptrdiff_t>(at);
    auto end = std::find(from, unsafe.end(), !unsafe[at]);
    auto length = static_cast<std::size_t>(end - from);
    append(out, std::string_view(text).substr(at, length), !unsafe[at]);
    at += length;
  }
  Token begin = llama_vocab_bos(vocab_);
  if (llama_vocab_get_add_bos(vocab_) && begin != LLAMA_TOKEN_NULL &&
      (out.empty() || out.front() != begin)) {
    out.insert(out.begin(), begin);
  }
  return out;
}

std::vector<Token> Vocabulary::tokenize_data(std::string_view text) const {
  std::vector<Token> tokens;
  append(tokens, text, false);
  return tokens;
}

}  // namespace sluice
