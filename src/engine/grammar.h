// Structured output: JSON Schemas and regular expressions compiled by XGrammar for one vocabulary,
// and the matcher that follows one request and says which tokens may come next.
//
// GrammarCache: any thread. Grammar: one request, one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "engine/sampler.h"
#include "engine/vocabulary.h"

namespace sluice {

class Grammar {
 public:
  Grammar(Grammar&&) noexcept;
  Grammar& operator=(Grammar&&) noexcept;
  ~Grammar();

  // What filling masks has taken since it was asked last.
  struct MaskWork {
    std::uint64_t masks = 0;
    std::uint64_t cpu_ns = 0;
  };
  MaskWork take_mask_work();
  // The tokens that may come next, at the end of the text also those that end generation.
  TokenMask mask();
  bool mask_is_ready() const;  // mask() costs nothing now
  // False, and nothing changed, when the token does not fit: exactly those that the mask forbids.
  bool accept(Token token);
  // Accepts the text that must come next, as far as the model would write it in the same tokens
  // (see jump_forward.h), and returns these, at most `most`. With `leave_one` the token that ends
  // the whole text is not among them.
  std::vector<Token> take_forced(std::size_t most, bool leave_one = false);
  // The text so far is whole, and nothing but the end can follow.
  bool finished();
  // The text so far is whole; more may follow (a number at the root, a regex with a star).
  bool complete() const;

 private:
  friend class GrammarCache;
  struct Impl;
  explicit Grammar(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class GrammarCache {
 public:
  // `vocabulary` must outlive the cache and its grammars.
  explicit GrammarCache(const Vocabulary& vocabulary);
  ~GrammarCache();

  // JSON of this schema on one line, members in the order of the schema. A schema that XGrammar
  // cannot compile gives any JSON; the caller validates in any case.
  Result<Grammar> json(const Value& schema);
  // Text that matches as a whole. kValueInvalid when the expression is not understood.
  Result<Grammar> regex(const std::string& pattern);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
