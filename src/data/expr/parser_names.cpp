// Names: loop variables, literals, and the inputs that the resolver claims.
#include <algorithm>

#include "base/ensure.h"
#include "data/expr/parser.h"
#include "data/expr/suggest.h"
#include "fmt/format.h"

namespace sluice::expr {

NodeId Parser::name() {
  std::uint32_t start = begin();
  std::string_view word = words(token());
  if (word == "true" || word == "True" || word == "false" || word == "False") {
    ++at_;
    return constant(Value::boolean(word[0] == 't' || word[0] == 'T'), start);
  }
  if (word == "none" || word == "None" || word == "null") {
    ++at_;
    return constant(Value(), start);
  }
  if (is_keyword(word)) {
    return fail_here(fmt::format("a value is missing before {}", token_words(text_, token())));
  }
  for (auto binding = bindings_.rbegin(); binding != bindings_.rend(); ++binding) {
    if (binding->name == word) {
      ++at_;
      return add(Op::kLocal, start, binding->local);
    }
  }
  if (word == "loop" && !open_loops_.empty()) return loop_field(start);
  return resolved(dotted_name());
}

NodeId Parser::loop_field(std::uint32_t start) {
  ++at_;
  if (!accept(Tok::kDot) || !at(Tok::kName)) {
    return fail_here(fmt::format("loop is no value; write loop.{}", fmt::join(kLoopFields, ", ")));
  }
  const auto* field = std::ranges::find(kLoopFields, words(token()));
  if (field == kLoopFields.end()) {
    std::string close = suggest(words(token()), kLoopFields);
    return fail_here(fmt::format("loop has no {}{}", words(token()),
                                 close.empty()
                                     ? "; it has " + fmt::format("{}", fmt::join(kLoopFields, ", "))
                                     : "; did you mean loop." + close + "?"));
  }
  ++at_;
  return add(Op::kLoop, start, open_loops_.back(), 0, 0,
             static_cast<std::uint8_t>(field - kLoopFields.begin()));
}

Parser::DottedName Parser::dotted_name() {
  DottedName dotted;
  dotted.root = std::string(words(token()));
  dotted.offsets.push_back(begin());
  ++at_;
  dotted.ends.push_back(last_end());
  for (;;) {
    if (at(Tok::kDot) && ahead(1).kind == Tok::kName) {
      dotted.path.emplace_back(words(ahead(1)));
      dotted.offsets.push_back(ahead(1).begin);
      at_ += 2;
    } else if (at(Tok::kLeftBracket) && ahead(1).kind == Tok::kString &&
               ahead(2).kind == Tok::kRightBracket) {
      dotted.path.push_back(strings_[ahead(1).string]);
      dotted.offsets.push_back(ahead(1).begin);
      at_ += 3;
    } else {
      return dotted;
    }
    dotted.ends.push_back(last_end());
  }
}

// Whether `[index]` follows, with the name that for_each binds.
bool Parser::at_index_slot() {
  if (!at(Tok::kLeftBracket) || ahead(1).kind != Tok::kName || words(ahead(1)) != "index" ||
      ahead(2).kind != Tok::kRightBracket) {
    return false;
  }
  if (std::ranges::any_of(bindings_, [](const Binding& b) { return b.name == "index"; })) {
    return false;
  }
  return !names_("index", {}, false).error;
}

void Parser::name_error(const DottedName& dotted, const NameClaim& claim) {
  std::size_t at = std::min(claim.at, dotted.path.size());
  std::string message =
      claim.message.empty() ? fmt::format("no name {}", dotted.root) : claim.message;
  note(dotted.offsets[at], *claim.error, std::move(message));
}

NodeId Parser::resolved(const DottedName& dotted) {
  NameClaim claim;
  if (names_) {
    claim = names_(dotted.root, dotted.path, false);
  } else {
    claim.error = ErrorCode::kExprName;
  }
  if (claim.error) {
    name_error(dotted, claim);
    return constant(Value(), dotted.offsets[0]);
  }
  SLUICE_ENSURE(claim.path_length <= dotted.path.size(), "a claim is longer than its path");
  bool slot = claim.sliceable && claim.path_length == dotted.path.size() && at_index_slot();
  if (slot) {
    claim = names_(dotted.root, dotted.path, true);
    if (claim.error) {
      name_error(dotted, claim);
      return constant(Value(), dotted.offsets[0]);
    }
    at_ += 3;
  }
  NodeId node = add_input(dotted, claim, slot);
  for (std::size_t i = claim.path_length; i < dotted.path.size(); ++i) {
    node = add(Op::kMember, dotted.offsets[0], node, intern(dotted.path[i]));
    if (node != kNone) program_->nodes[node].end = dotted.ends[i + 1];
  }
  return node;
}

NodeId Parser::add_input(const DottedName& dotted, const NameClaim& claim, bool slot) {
  std::vector<std::string> path(
      dotted.path.begin(), dotted.path.begin() + static_cast<std::ptrdiff_t>(claim.path_length));
  auto& inputs = program_->inputs;
  auto found = std::ranges::find_if(inputs, [&](const ExprInput& input) {
    return input.slot == slot && input.root == dotted.root && input.path == path;
  });
  auto which = static_cast<std::uint32_t>(found - inputs.begin());
  if (found == inputs.end()) {
    std::uint32_t offset = dotted.offsets[claim.path_length == 0 ? 0 : claim.path_length - 1];
    std::string_view before = text_.substr(0, offset);
    SourcePos pos;
    pos.line = static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
    std::size_t newline = before.rfind('\n');
    pos.column = static_cast<std::uint32_t>(newline == std::string_view::npos ? offset + 1
                                                                              : offset - newline);
    inputs.push_back({dotted.root, std::move(path), slot, pos, offset});
    program_->input_types.push_back(claim.type);
  }
  NodeId node = add(Op::kInput, dotted.offsets[0], which);
  if (node != kNone && !slot) program_->nodes[node].end = dotted.ends[claim.path_length];
  return node;
}

}  // namespace sluice::expr
