#include "engine/grammar.h"

#include <dlpack/dlpack.h>
#include <fmt/format.h>
#include <xgrammar/xgrammar.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/log.h"
#include "data/json.h"
#include "engine/jump_forward.h"

namespace sluice {
namespace {

constexpr std::int64_t kCacheBytes = std::int64_t{256} << 20;
constexpr std::size_t kMostBeyondUs = 256;

// XGrammar's words without the time and the source line that it puts before them.
std::string_view reason(const std::exception& error) {
  std::string_view words = error.what();
  auto source = words.find(".cc:");
  auto start = source == std::string_view::npos ? source : words.find(": ", source);
  if (start != std::string_view::npos) words.remove_prefix(start + 2);
  while (words.ends_with('\n')) words.remove_suffix(1);
  return words;
}

}  // namespace

struct Grammar::Impl {
  xgrammar::GrammarMatcher matcher;
  const std::vector<Token>* end_tokens;
  const JumpForward* jump_forward;
  std::vector<std::int32_t> words;
  bool filled = false;
  MaskWork work;

  Impl(const xgrammar::CompiledGrammar& compiled, const Vocabulary& vocabulary,
       const JumpForward& jumps)
      : matcher(compiled),
        end_tokens(&vocabulary.end_tokens()),
        jump_forward(&jumps),
        words(vocabulary.size() / 32 + 1) {
    words.resize(
        static_cast<std::size_t>(xgrammar::GetBitmaskSize(static_cast<int>(vocabulary.size()))));
  }

  void fill() {
    if (filled) return;
    const std::int64_t began_ns = thread_cpu_ns();
    auto size = static_cast<std::int64_t>(words.size());
    DLTensor tensor{};
    tensor.data = words.data();
    tensor.device = {kDLCPU, 0};
    tensor.ndim = 1;
    tensor.dtype = xgrammar::GetBitmaskDLType();
    tensor.shape = &size;
    if (!matcher.FillNextTokenBitmask(&tensor)) std::ranges::fill(words, -1);
    filled = true;
    work.masks += 1;
    work.cpu_ns += static_cast<std::uint64_t>(thread_cpu_ns() - began_ns);
  }
};

Grammar::Grammar(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Grammar::Grammar(Grammar&&) noexcept = default;
Grammar& Grammar::operator=(Grammar&&) noexcept = default;
Grammar::~Grammar() = default;

Grammar::MaskWork Grammar::take_mask_work() { return std::exchange(impl_->work, {}); }

TokenMask Grammar::mask() {
  impl_->fill();
  return impl_->words;
}

bool Grammar::mask_is_ready() const { return impl_->filled; }

bool Grammar::accept(Token token) {
  if (!impl_->matcher.AcceptToken(token)) return false;
  impl_->filled = false;
  return true;
}

std::vector<Token> Grammar::take_forced(std::size_t most, bool leave_one) {
  xgrammar::GrammarMatcher& matcher = impl_->matcher;
  if (most == 0 || matcher.IsTerminated()) return {};
  std::string forced = matcher.FindJumpForwardString();
  if (forced.empty() || !matcher.AcceptString(forced)) return {};
  bool ends = matcher.IsCompleted();
  std::vector<Token> tokens = impl_->jump_forward->tokens(forced, [&](std::string_view after) {
    if (!matcher.AcceptString(std::string(after))) return false;
    matcher.Rollback(1);
    return true;
  });
  matcher.Rollback(1);
  if (leave_one && ends && !tokens.empty()) tokens.pop_back();
  tokens.resize(std::min(tokens.size(), most));
  std::size_t accepted = 0;
  while (accepted < tokens.size() && matcher.AcceptToken(tokens[accepted])) ++accepted;
  tokens.resize(accepted);
  if (accepted > 0) impl_->filled = false;
  return tokens;
}

bool Grammar::complete() const {
  return impl_->matcher.IsTerminated() || impl_->matcher.IsCompleted();
}

bool Grammar::finished() {
  if (impl_->matcher.IsTerminated()) return true;
  if (!impl_->matcher.IsCompleted()) return false;
  impl_->fill();
  std::vector<std::int32_t> rest = impl_->words;
  for (Token token : *impl_->end_tokens) {
    auto at = static_cast<std::size_t>(token);
    rest[at / 32] &= ~static_cast<std::int32_t>(1U << (at % 32));
  }
  return std::ranges::all_of(rest, [](std::int32_t word) { return word == 0; });
}

struct GrammarCache::Impl {
  const Vocabulary& vocabulary;
  JumpForward jump_forward;
  std::mutex mutex;
  xgrammar::GrammarCompiler compiler;
  std::set<std::string> beyond_us;  // schemas that XGrammar cannot compile: said once

  static xgrammar::TokenizerInfo tokens(const Vocabulary& vocabulary) {
    return {vocabulary.all_bytes(), xgrammar::VocabType::RAW, static_cast<int>(vocabulary.size()),
            vocabulary.end_tokens()};
  }

  explicit Impl(const Vocabulary& words)
      : vocabulary(words), jump_forward(words), compiler(tokens(words), 1, true, kCacheBytes) {}

  Grammar grammar(const xgrammar::CompiledGrammar& compiled) const {
    return Grammar(std::make_unique<Grammar::Impl>(compiled, vocabulary, jump_forward));
  }

  xgrammar::CompiledGrammar compile_json(const Value& schema) {
    std::lock_guard lock(mutex);
    std::string text = to_json(schema, {.indent = 0, .redact_secrets = false});
    if (beyond_us.contains(text)) return compiler.CompileBuiltinJSONGrammar();
    try {
      return compiler.CompileJSONSchema(text, false);
    } catch (const std::exception& e) {
      log(LogLevel::kWarning,
          fmt::format("decoding enforces only that the output is JSON; the schema is checked "
                      "afterwards, because it cannot be compiled to a grammar: {}",
                      reason(e)));
    }
    if (beyond_us.size() >= kMostBeyondUs) beyond_us.clear();
    beyond_us.insert(std::move(text));
    return compiler.CompileBuiltinJSONGrammar();
  }
};

GrammarCache::GrammarCache(const Vocabulary& vocabulary)
    : impl_(std::make_unique<Impl>(vocabulary)) {}
GrammarCache::~GrammarCache() = default;

Result<Grammar> GrammarCache::json(const Value& schema) {
  try {
    return impl_->grammar(impl_->compile_json(schema));
  } catch (const std::exception& e) {
    return fail(ErrorCode::kDecodeFailed, fmt::format("the output grammar failed: {}", reason(e)));
  }
}

Result<Grammar> GrammarCache::regex(const std::string& pattern) {
  try {
    std::lock_guard lock(impl_->mutex);
    return impl_->grammar(impl_->compiler.CompileRegex(pattern));
  } catch (const std::exception& e) {
    return fail(ErrorCode::kValueInvalid,
                fmt::format("the regular expression of the output cannot be enforced while "
                            "decoding: {}",
                            reason(e)));
  }
}

}  // namespace sluice
