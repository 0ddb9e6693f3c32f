// Text with {{ }}, {% if %} and {% for %}.
#include <algorithm>

#include "data/expr/parser.h"
#include "data/expr/suggest.h"
#include "fmt/format.h"

namespace sluice::expr {
namespace {

constexpr std::string_view kBlockWords[] = {"if",  "elif",   "else", "endif",
                                            "for", "endfor", "raw",  "endraw"};

}  // namespace

bool Parser::at_block(std::string_view word) const {
  return at(Tok::kBlockBegin) && ahead(1).kind == Tok::kName && words(ahead(1)) == word;
}

bool Parser::at_block_of(std::initializer_list<std::string_view> list) const {
  return std::ranges::any_of(list, [&](std::string_view word) { return at_block(word); });
}

// Up to a block that closes or continues an outer one, or the end.
NodeId Parser::sequence() {
  std::vector<NodeId> parts;
  std::uint32_t start = begin();
  while (!stopped_ && !at(Tok::kEnd) &&
         !at_block_of({"elif", "else", "endif", "endfor", "endraw"})) {
    if (at(Tok::kText)) {
      std::uint32_t text_begin = begin();
      ++at_;
      program_->constants.push_back(Value::string(strings_[tokens_[at_ - 1].string]));
      parts.push_back(
          add(Op::kText, text_begin, static_cast<std::uint32_t>(program_->constants.size() - 1)));
    } else if (at(Tok::kOutputBegin)) {
      parts.push_back(output());
      // The tag is broken, what follows it is not: look for more errors.
      constexpr std::size_t kEnoughErrors = 50;
      if (stopped_ && at(Tok::kOutputEnd) && errors_.size() < kEnoughErrors) {
        stopped_ = false;
        ++at_;
      }
    } else {
      parts.push_back(block());
    }
  }
  return with_kids(Op::kSequence, start, parts);
}

NodeId Parser::output() {
  std::uint32_t start = begin();
  ++at_;
  std::uint32_t outer = depth_;
  NodeId value = expression();
  depth_ = outer;
  if (stopped_) return kNone;
  if (!accept(Tok::kOutputEnd)) {
    const Token& next = token();
    std::string message = fmt::format("{} is unexpected {}", token_words(text_, next), after());
    if (next.kind == Tok::kAssign) message += "; compare with ==";
    return fail_here(std::move(message));
  }
  return add(Op::kOutput, start, value);
}

NodeId Parser::block() {
  std::uint32_t start = begin();
  ++at_;
  if (!at(Tok::kName)) return fail_here("a word such as if or for is missing after {%");
  if (!deeper()) return kNone;
  NodeId node = kNone;
  if (accept_word("if")) {
    node = if_block(start);
  } else if (accept_word("for")) {
    node = for_block(start);
  } else if (at_word("set")) {
    return fail_here("there are no variables; write the expression where it is used, or a step");
  } else {
    std::string close = suggest(words(token()), kBlockWords);
    return fail_here(
        fmt::format("no block {}; {}", words(token()),
                    close.empty() ? "there are if and for" : "did you mean " + close + "?"));
  }
  if (!stopped_) --depth_;
  return node;
}

void Parser::block_end(std::string_view word) {
  if (stopped_ || accept(Tok::kBlockEnd)) return;
  fail_here(
      fmt::format("{} is unexpected {} in {{% {} %}}", token_words(text_, token()), after(), word));
}

void Parser::close_block(std::string_view word, std::uint32_t opened_at) {
  if (stopped_) return;
  std::string_view opened = word.substr(3);
  if (at(Tok::kEnd)) {
    fail(opened_at, fmt::format("{{% {} %}} without {{% {} %}}", opened, word));
    return;
  }
  if (!at_block(word)) {
    fail(ahead(1).begin, fmt::format("{} is unexpected inside {{% {} %}}; {{% {} %}} comes first",
                                     token_words(text_, ahead(1)), opened, word));
    return;
  }
  at_ += 2;
  block_end(word);
}

NodeId Parser::if_block(std::uint32_t start) {
  std::vector<NodeId> parts{expression()};
  block_end("if");
  parts.push_back(sequence());
  NodeId otherwise = kNone;
  while (!stopped_ && at_block("elif")) {
    at_ += 2;
    parts.push_back(expression());
    block_end("elif");
    parts.push_back(sequence());
  }
  if (!stopped_ && at_block("else")) {
    at_ += 2;
    block_end("else");
    otherwise = sequence();
  }
  close_block("endif", start);
  return with_kids(Op::kIf, start, parts, otherwise);
}

std::vector<std::string> Parser::for_targets() {
  std::vector<std::string> names;
  bool parens = accept(Tok::kLeftParen);
  do {
    if (!at(Tok::kName) || is_keyword(words(token())) || words(token()) == "loop") {
      fail_here(fmt::format("{} cannot be a name in {{% for %}}", token_words(text_, token())));
      return names;
    }
    if (std::ranges::find(names, words(token())) != names.end()) {
      fail_here(fmt::format("{} stands twice in {{% for %}}", words(token())));
      return names;
    }
    constexpr std::size_t kMostNames = 16;
    if (names.size() == kMostNames) {
      fail(begin(), "more than 16 names in {% for %}", ErrorCode::kExprLimit);
      return names;
    }
    names.emplace_back(words(token()));
    ++at_;
  } while (accept(Tok::kComma));
  if (parens) close(Tok::kRightParen, "(", ")");
  return names;
}

NodeId Parser::for_block(std::uint32_t start) {
  Loop loop;
  loop.names = for_targets();
  if (!stopped_ && !accept_word("in")) {
    fail_here(fmt::format("`in` is missing {} in {{% for %}}", after()));
  }
  loop.iterable = stopped_ ? kNone : expression();
  if (!stopped_ && at_word("recursive")) fail_here("recursive loops are not part of the language");
  block_end("for");
  if (stopped_) return kNone;
  loop.targets = static_cast<std::uint32_t>(loop.names.size());
  loop.first_local = program_->locals;
  program_->locals += loop.targets;
  auto which = static_cast<std::uint32_t>(program_->loops.size());
  for (std::uint32_t i = 0; i < loop.targets; ++i) {
    bindings_.push_back({loop.names[i], loop.first_local + i});
  }
  program_->loops.emplace_back();
  open_loops_.push_back(which);
  loop.body = sequence();
  open_loops_.pop_back();
  bindings_.resize(bindings_.size() - loop.targets);
  if (!stopped_ && at_block("else")) {
    at_ += 2;
    block_end("else");
    loop.otherwise = stopped_ ? kNone : sequence();
  }
  close_block("endfor", start);
  program_->loops[which] = std::move(loop);
  return stopped_ ? kNone : add(Op::kFor, start, which);
}

}  // namespace sluice::expr
