#include "data/expr/parser.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "fmt/format.h"

namespace sluice::expr {
namespace {

// Trees of left-leaning chains are as high as the chain is long; evaluation recurses over them.
std::uint32_t max_height(const ExprLimits& limits) {
  return std::clamp<std::uint32_t>(limits.max_depth, 1, 128) * 8;
}

bool is_literal_word(std::string_view word) {
  return word == "true" || word == "false" || word == "none" || word == "null" || word == "True" ||
         word == "False" || word == "None";
}

}  // namespace

bool is_keyword(std::string_view word) {
  return word == "and" || word == "or" || word == "not" || word == "in" || word == "is" ||
         word == "if" || word == "else" || is_literal_word(word);
}

Parser::Parser(std::string_view text, Lexed lexed, const NameResolver& names,
               const ExprLimits& limits)
    : text_(text),
      names_(names),
      limits_(limits),
      tokens_(std::move(lexed.tokens)),
      strings_(std::move(lexed.strings)),
      single_(lexed.single),
      program_(std::make_shared<ExprProgram>()),
      errors_(std::move(lexed.errors)) {
  program_->source = std::string(text);
  program_->limits = limits;
  program_->constants.emplace_back();
  program_->nodes.emplace_back();  // kNone
}

std::expected<std::shared_ptr<ExprProgram>, std::vector<ExprError>> Parser::run() {
  if (!errors_.empty()) return std::unexpected(std::move(errors_));
  if (single_) {
    while (!at(Tok::kOutputBegin)) ++at_;
    program_->root = output();
    program_->root = program_->nodes[program_->root].a;
  } else {
    program_->is_template = true;
    program_->root = sequence();
    if (errors_.empty() && !at(Tok::kEnd)) {
      const Token& word = ahead(1);
      fail(word.begin, fmt::format("{} opens nothing here", token_words(text_, word)));
    }
  }
  if (errors_.empty() && program_->nodes[program_->root].height > max_height(limits_)) {
    fail(0, "the expression is too long a chain; split it over several steps",
         ErrorCode::kExprLimit);
  }
  if (!errors_.empty()) {
    std::ranges::sort(errors_, {}, [](const auto& e) { return std::tie(e.offset, e.message); });
    return std::unexpected(std::move(errors_));
  }
  return std::move(program_);
}

NodeId Parser::expression() {
  if (!deeper()) return kNone;
  std::uint32_t start = begin();
  NodeId value = disjunction();
  while (accept_word("if")) {
    NodeId condition = disjunction();
    NodeId otherwise = accept_word("else") ? expression() : kNone;
    value = add(Op::kConditional, start, condition, value, otherwise);
  }
  --depth_;
  return value;
}

NodeId Parser::disjunction() {
  std::uint32_t start = begin();
  std::vector<NodeId> parts{conjunction()};
  while (accept_word("or")) parts.push_back(conjunction());
  return parts.size() == 1 ? parts[0] : with_kids(Op::kOr, start, parts);
}

NodeId Parser::conjunction() {
  std::uint32_t start = begin();
  std::vector<NodeId> parts{negation()};
  while (accept_word("and")) parts.push_back(negation());
  return parts.size() == 1 ? parts[0] : with_kids(Op::kAnd, start, parts);
}

NodeId Parser::negation() {
  if (!at_word("not")) return comparison();
  if (!deeper()) return kNone;
  std::uint32_t start = begin();
  ++at_;
  NodeId operand = negation();
  --depth_;
  return add(Op::kNot, start, operand);
}

bool Parser::comparison_operator(Comparison& out) {
  static constexpr std::pair<Tok, Comparison> kOperators[] = {
      {Tok::kEq, Comparison::kEq}, {Tok::kNe, Comparison::kNe}, {Tok::kLt, Comparison::kLt},
      {Tok::kLe, Comparison::kLe}, {Tok::kGt, Comparison::kGt}, {Tok::kGe, Comparison::kGe}};
  for (auto [kind, comparison] : kOperators) {
    if (accept(kind)) {
      out = comparison;
      return true;
    }
  }
  if (accept_word("in")) {
    out = Comparison::kIn;
    return true;
  }
  if (at_word("not") && ahead(1).kind == Tok::kName && words(ahead(1)) == "in") {
    at_ += 2;
    out = Comparison::kNotIn;
    return true;
  }
  return false;
}

NodeId Parser::comparison() {
  std::uint32_t start = begin();
  std::vector<NodeId> parts{sum()};
  Comparison op{};
  while (comparison_operator(op)) {
    parts.push_back(static_cast<NodeId>(op));
    parts.push_back(sum());
  }
  if (parts.size() == 1) return parts[0];
  if (parts.size() == 3) {
    return add(Op::kCompare, start, parts[0], parts[2], 0, static_cast<std::uint8_t>(parts[1]));
  }
  return with_kids(Op::kChain, start, parts);
}

NodeId Parser::sum() {
  std::uint32_t start = begin();
  NodeId left = concatenation();
  while (at(Tok::kPlus) || at(Tok::kMinus)) {
    auto op = at(Tok::kPlus) ? Arithmetic::kAdd : Arithmetic::kSubtract;
    ++at_;
    NodeId right = concatenation();
    left = add(Op::kArithmetic, start, left, right, 0, static_cast<std::uint8_t>(op));
  }
  return left;
}

NodeId Parser::concatenation() {
  std::uint32_t start = begin();
  std::vector<NodeId> parts{product()};
  while (accept(Tok::kTilde)) parts.push_back(product());
  return parts.size() == 1 ? parts[0] : with_kids(Op::kConcat, start, parts);
}

NodeId Parser::product() {
  static constexpr std::pair<Tok, Arithmetic> kOperators[] = {
      {Tok::kStar, Arithmetic::kMultiply},
      {Tok::kSlash, Arithmetic::kDivide},
      {Tok::kDoubleSlash, Arithmetic::kFloor},
      {Tok::kPercent, Arithmetic::kModulo}};
  std::uint32_t start = begin();
  NodeId left = power();
  for (;;) {
    const auto* op = std::find_if(std::begin(kOperators), std::end(kOperators),
                                  [&](const auto& o) { return at(o.first); });
    if (op == std::end(kOperators)) return left;
    ++at_;
    NodeId right = power();
    left = add(Op::kArithmetic, start, left, right, 0, static_cast<std::uint8_t>(op->second));
  }
}

NodeId Parser::power() {
  std::uint32_t start = begin();
  NodeId left = unary(true);
  while (accept(Tok::kPower)) {
    NodeId right = unary(true);
    left =
        add(Op::kArithmetic, start, left, right, 0, static_cast<std::uint8_t>(Arithmetic::kPower));
  }
  return left;
}

NodeId Parser::unary(bool with_filters) {
  std::uint32_t start = begin();
  NodeId node = kNone;
  if (at(Tok::kMinus) || at(Tok::kPlus)) {
    if (!deeper()) return kNone;
    Op op = at(Tok::kMinus) ? Op::kNegate : Op::kPlus;
    ++at_;
    NodeId operand = unary(false);
    --depth_;
    const Value& number = constant_of(is_constant(operand) ? operand : kNone);
    if (op == Op::kNegate && number.kind() == Value::Kind::kInt && number.as_int() > 0) {
      node = constant(Value::integer(-number.as_int()), start);
    } else if (op == Op::kNegate && number.kind() == Value::Kind::kDouble) {
      node = constant(Value::number(-number.as_double()), start);
    } else if (op == Op::kNegate && number.kind() == Value::Kind::kBigInt &&
               number.as_string()[0] != '-') {
      node = constant(Value::big_integer("-" + std::string(number.as_string())), start);
    } else {
      node = add(op, start, operand);
    }
  } else {
    node = postfix(primary());
  }
  return with_filters ? filters(node) : node;
}

NodeId Parser::primary() {
  std::uint32_t start = begin();
  switch (token().kind) {
    case Tok::kName:
      return name();
    case Tok::kString:
      ++at_;
      return constant(Value::string(strings_[tokens_[at_ - 1].string]), start);
    case Tok::kInteger:
    case Tok::kFloat:
      return number();
    case Tok::kLeftParen:
      return parenthesized();
    case Tok::kLeftBracket:
      return list_literal();
    case Tok::kLeftBrace:
      return dict_literal();
    case Tok::kEnd:
    case Tok::kOutputEnd:
    case Tok::kBlockEnd:
      return at_ > 0 && tokens_[at_ - 1].kind == Tok::kOutputBegin
                 ? fail_here("nothing between {{ and }}")
                 : fail_here("nothing " + after());
    default:
      return fail_here(fmt::format("a value is missing before {}", token_words(text_, token())));
  }
}

NodeId Parser::number() {
  std::uint32_t start = begin();
  std::string_view digits = words(token());
  bool whole = at(Tok::kInteger);
  ++at_;
  if (whole) {
    std::size_t zeros = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    return constant(Value::big_integer(digits.substr(zeros)), start);
  }
  double value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  // from_chars does not say on which side; too small is 0.
  if (error == std::errc::result_out_of_range)
    value = std::strtod(std::string(digits).c_str(), nullptr);
  if (!std::isfinite(value)) return fail(start, fmt::format("{} is out of range", digits));
  return constant(Value::number(value), start);
}

NodeId Parser::parenthesized() {
  std::uint32_t start = begin();
  ++at_;
  if (at(Tok::kRightParen)) return fail_here("nothing between ( and )");
  NodeId value = expression();
  if (at(Tok::kComma)) return fail_here("write a list with [ ]: there are no tuples");
  close(Tok::kRightParen, "(", ")");
  // The parentheses belong to what messages quote.
  if (value != kNone) {
    program_->nodes[value].begin = start;
    program_->nodes[value].end = last_end();
  }
  return value;
}

NodeId Parser::list_literal() {
  std::uint32_t start = begin();
  ++at_;
  std::vector<NodeId> items;
  while (!stopped_ && !at(Tok::kRightBracket)) {
    items.push_back(expression());
    if (!accept(Tok::kComma)) break;
  }
  close(Tok::kRightBracket, "[", "]");
  if (!std::ranges::all_of(items, [&](NodeId id) { return is_constant(id); })) {
    return with_kids(Op::kList, start, items);
  }
  std::vector<Value> values;
  values.reserve(items.size());
  for (NodeId id : items) values.push_back(constant_of(id));
  return constant(Value::array(std::move(values)), start);
}

NodeId Parser::dict_literal() {
  std::uint32_t start = begin();
  ++at_;
  std::vector<NodeId> parts;
  while (!stopped_ && !at(Tok::kRightBrace)) {
    std::uint32_t key_at = begin();
    NodeId key = expression();
    if (!stopped_ && is_constant(key) && !constant_of(key).is_string()) {
      fail(key_at, "a key of a map is a string in quotes");
    }
    if (!stopped_ && !accept(Tok::kColon)) fail_here("a key of a map needs `: value` behind it");
    parts.push_back(key);
    parts.push_back(expression());
    if (!accept(Tok::kComma)) break;
  }
  close(Tok::kRightBrace, "{", "}");
  if (stopped_) return kNone;
  if (!std::ranges::all_of(parts, [&](NodeId id) { return is_constant(id); })) {
    return with_kids(Op::kDict, start, parts);
  }
  std::vector<Value::Member> members;
  for (std::size_t i = 0; i < parts.size(); i += 2) {
    members.emplace_back(constant_of(parts[i]).as_string(), constant_of(parts[i + 1]));
  }
  return constant(Value::object(std::move(members)), start);
}

NodeId Parser::postfix(NodeId base) {
  while (!stopped_) {
    if (at(Tok::kDot)) {
      base = member(base);
    } else if (at(Tok::kLeftBracket)) {
      base = subscript(base);
    } else if (at(Tok::kLeftParen)) {
      return fail_here(
          "nothing can be called; x.name is a field, and what is a method elsewhere is a filter "
          "here: x | items");
    } else {
      return base;
    }
  }
  return kNone;
}

NodeId Parser::member(NodeId base) {
  std::uint32_t start = program_->nodes[base].begin;
  ++at_;
  if (!at(Tok::kName)) {
    return fail_here(at(Tok::kInteger) || at(Tok::kFloat) ? "write [0] for an item of a list"
                                                          : "a name is missing after `.`");
  }
  std::uint32_t field = intern(words(token()));
  ++at_;
  return add(Op::kMember, start, base, field);
}

NodeId Parser::subscript(NodeId base) {
  std::uint32_t start = program_->nodes[base].begin;
  ++at_;
  if (at(Tok::kRightBracket)) return fail_here("nothing between [ and ]");
  std::vector<NodeId> parts(3, kNone);
  std::size_t part = 0;
  for (; !stopped_ && !at(Tok::kRightBracket); ++part) {
    if (!at(Tok::kColon)) parts[part] = expression();
    if (part == 2 || !accept(Tok::kColon)) break;
  }
  bool slice = part > 0 || tokens_[at_ - 1].kind == Tok::kColon;
  close(Tok::kRightBracket, "[", "]");
  if (stopped_) return kNone;
  if (!slice) return add(Op::kIndex, start, base, parts[0]);
  return add(Op::kSlice, start, base, kids(parts));
}

NodeId Parser::filters(NodeId subject) {
  while (!stopped_) {
    if (accept(Tok::kPipe)) {
      subject = filter(subject);
    } else if (accept_word("is")) {
      subject = test(subject);
    } else if (at(Tok::kLeftParen)) {
      return postfix(subject);
    } else {
      return subject;
    }
  }
  return kNone;
}

}  // namespace sluice::expr
