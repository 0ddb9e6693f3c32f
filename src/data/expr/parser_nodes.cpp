// Nodes, tokens and errors of the parser.
#include <algorithm>

#include "data/expr/parser.h"
#include "data/expr/parts.h"
#include "fmt/format.h"

namespace sluice::expr {

std::uint16_t Parser::height_above(const Node& node) const {
  std::uint32_t height = 0;
  for_each_child(*program_, node, [&](NodeId id) {
    height = std::max<std::uint32_t>(height, program_->nodes[id].height);
  });
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(height + 1, 0xFFFF));
}

NodeId Parser::add(Op op, std::uint32_t begin, std::uint32_t a, std::uint32_t b, std::uint32_t c,
                   std::uint8_t flag) {
  if (stopped_) return kNone;
  Node node{op, flag, 1, a, b, c, begin, last_end()};
  node.height = height_above(node);
  program_->nodes.push_back(node);
  return static_cast<NodeId>(program_->nodes.size() - 1);
}

NodeId Parser::constant(Value value, std::uint32_t begin) {
  program_->constants.push_back(std::move(value));
  return add(Op::kConst, begin, static_cast<std::uint32_t>(program_->constants.size() - 1));
}

std::uint32_t Parser::kids(const std::vector<NodeId>& kids) {
  auto first = static_cast<std::uint32_t>(program_->kids.size());
  program_->kids.insert(program_->kids.end(), kids.begin(), kids.end());
  return first;
}

NodeId Parser::with_kids(Op op, std::uint32_t begin, const std::vector<NodeId>& nodes,
                         std::uint32_t c, std::uint8_t flag) {
  if (stopped_) return kNone;
  return add(op, begin, kids(nodes), static_cast<std::uint32_t>(nodes.size()), c, flag);
}

std::uint32_t Parser::intern(std::string_view name) {
  auto& names = program_->names;
  // Expressions name few things; a template that names thousands may store some twice.
  std::size_t searched = std::min<std::size_t>(names.size(), 64);
  auto found =
      std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(searched), name);
  if (found != names.begin() + static_cast<std::ptrdiff_t>(searched)) {
    return static_cast<std::uint32_t>(found - names.begin());
  }
  names.emplace_back(name);
  return static_cast<std::uint32_t>(names.size() - 1);
}

bool Parser::accept(Tok kind) {
  if (token().kind != kind) return false;
  ++at_;
  return true;
}

bool Parser::accept_word(std::string_view word) {
  if (!at_word(word)) return false;
  ++at_;
  return true;
}

bool Parser::close(Tok kind, std::string_view opened, std::string_view closing) {
  if (stopped_) return false;
  if (accept(kind)) return true;
  Tok next = token().kind;
  bool over = next == Tok::kOutputEnd || next == Tok::kBlockEnd || next == Tok::kEnd;
  fail_here(over ? fmt::format("`{}` without `{}`", opened, closing)
                 : fmt::format("{} is unexpected {}; `{}` needs `{}`", token_words(text_, token()),
                               after(), opened, closing));
  return false;
}

std::string Parser::after() const {
  return at_ == 0 ? "here" : "after " + std::string(words(tokens_[at_ - 1]));
}

NodeId Parser::fail(std::size_t offset, std::string message, ErrorCode code) {
  if (stopped_) return kNone;
  stopped_ = true;
  errors_.push_back({code, std::move(message), offset});
  while (!at(Tok::kOutputEnd) && !at(Tok::kBlockEnd) && !at(Tok::kEnd)) ++at_;
  return kNone;
}

void Parser::note(std::size_t offset, ErrorCode code, std::string message) {
  constexpr std::size_t kMaxErrors = 50;
  if (!stopped_ && errors_.size() < kMaxErrors) {
    errors_.push_back({code, std::move(message), offset});
  }
}

bool Parser::deeper() {
  if (stopped_) return false;
  if (depth_ >= limits_.max_depth) {
    fail(begin(), fmt::format("nested deeper than {}", limits_.max_depth), ErrorCode::kExprLimit);
    return false;
  }
  ++depth_;
  return true;
}

}  // namespace sluice::expr
