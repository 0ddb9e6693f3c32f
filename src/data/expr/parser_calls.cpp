// Filters and tests: which one, and its arguments bound to its parameters.
#include <algorithm>

#include "data/expr/parser.h"
#include "data/expr/suggest.h"
#include "fmt/format.h"

namespace sluice::expr {

template <class Table>
void Parser::unknown_call(std::string_view what, std::string_view name, const Table& table,
                          std::uint32_t offset) {
  std::vector<std::string_view> known;
  for (const auto& spec : table) known.push_back(spec.name);
  std::string close = suggest(name, known);
  note(offset, ErrorCode::kExprFilter,
       fmt::format("no {} {}{}", what, name, close.empty() ? "" : "; did you mean " + close + "?"));
}

NodeId Parser::filter(NodeId subject) {
  std::uint32_t start = program_->nodes[subject].begin;
  if (!at(Tok::kName)) return fail_here("a filter's name is missing after `|`");
  std::uint32_t offset = begin();
  std::string_view name = words(token());
  ++at_;
  std::vector<WrittenArg> args;
  if (at(Tok::kLeftParen)) args = arguments();
  if (stopped_) return kNone;
  const FilterSpec* spec = find_filter(name);
  if (spec == nullptr) {
    unknown_call("filter", name, filter_table(), offset);
    return subject;
  }
  Call call;
  call.filter = spec;
  if (!bind_inner(call, spec->inner, name, args, offset) ||
      !bind(call, name, spec->params, args, offset) ||
      !compile_regex(call, spec->regex_param, offset)) {
    return subject;
  }
  program_->calls.push_back(std::move(call));
  return add(Op::kFilter, start, subject, static_cast<std::uint32_t>(program_->calls.size() - 1));
}

NodeId Parser::test(NodeId subject) {
  std::uint32_t start = program_->nodes[subject].begin;
  bool negated = accept_word("not");
  if (!at(Tok::kName)) return fail_here("a test's name is missing after `is`");
  std::uint32_t offset = begin();
  std::string_view name = words(token());
  ++at_;
  const TestSpec* spec = find_test(name);
  std::vector<WrittenArg> args;
  if (at(Tok::kLeftParen)) {
    args = arguments();
  } else if (spec != nullptr && !spec->params[0].name.empty()) {
    // `x is divisibleby 3`: one argument without parentheses.
    std::uint32_t argument = begin();
    if (!deeper()) return kNone;
    args.push_back({"", postfix(primary()), argument});
    --depth_;
  }
  if (stopped_) return kNone;
  if (spec == nullptr) {
    unknown_call("test", name, test_table(), offset);
    return subject;
  }
  Call call;
  call.test = spec;
  if (!bind(call, name, spec->params, args, offset) ||
      !compile_regex(call, spec->regex_param, offset)) {
    return subject;
  }
  program_->calls.push_back(std::move(call));
  return add(Op::kTest, start, subject, static_cast<std::uint32_t>(program_->calls.size() - 1), 0,
             negated ? 1 : 0);
}

std::vector<Parser::WrittenArg> Parser::arguments() {
  std::vector<WrittenArg> args;
  ++at_;
  while (!stopped_ && !at(Tok::kRightParen)) {
    WrittenArg arg{"", kNone, begin()};
    if (at(Tok::kName) && ahead(1).kind == Tok::kAssign) {
      arg.keyword = std::string(words(token()));
      at_ += 2;
    } else if (!args.empty() && !args.back().keyword.empty()) {
      fail_here("an argument without a name cannot follow one with a name");
    }
    arg.value = expression();
    args.push_back(std::move(arg));
    if (!accept(Tok::kComma)) break;
  }
  close(Tok::kRightParen, "(", ")");
  return args;
}

bool Parser::bind(Call& call, std::string_view name, std::span<const Param> params,
                  std::span<const WrittenArg> args, std::uint32_t offset) {
  std::vector<std::string_view> known;
  for (const Param& param : params) {
    if (!param.name.empty()) known.push_back(param.name);
  }
  auto bad = [&](std::uint32_t where, std::string message) {
    note(where, ErrorCode::kExprFilter, std::move(message));
    return false;
  };
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::size_t slot = i;
    const std::string& keyword = args[i].keyword;
    if (!keyword.empty()) {
      slot = static_cast<std::size_t>(std::ranges::find(known, keyword) - known.begin());
      if (slot == known.size()) {
        std::string close = suggest(keyword, known);
        return bad(args[i].offset,
                   fmt::format("{} has no argument {}{}", name, keyword,
                               close.empty() ? "" : "; did you mean " + close + "?"));
      }
    }
    if (slot >= known.size()) {
      return bad(args[i].offset,
                 known.empty()
                     ? fmt::format("{} takes no arguments", name)
                     : fmt::format("{} takes at most {} argument{}: {}", name, known.size(),
                                   known.size() == 1 ? "" : "s", fmt::join(known, ", ")));
    }
    if (call.args[slot] != kNone) {
      return bad(args[i].offset, fmt::format("{} got {} twice", name, known[slot]));
    }
    call.args[slot] = args[i].value;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (params[i].required && call.args[i] == kNone) {
      return bad(offset, fmt::format("{} needs {}", name, known[i]));
    }
  }
  return true;
}

// Takes what belongs to the applied filter or test out of `args`.
bool Parser::bind_inner(Call& call, Inner inner, std::string_view name,
                        std::vector<WrittenArg>& args, std::uint32_t offset) {
  if (inner == Inner::kNone) return true;
  std::size_t which = inner == Inner::kAttributeThenTest ? 1 : 0;
  if (args.size() <= which || !args[which].keyword.empty()) {
    if (inner != Inner::kFilter || !args.empty()) return true;
    note(offset, ErrorCode::kExprFilter,
         "map needs attribute=\"name\" or the name of a filter, as in map(\"upper\")");
    return false;
  }
  NodeId named = args[which].value;
  if (!is_constant(named) || !constant_of(named).is_string()) {
    note(args[which].offset, ErrorCode::kExprFilter,
         fmt::format("{} needs the name of a {} in quotes", name,
                     inner == Inner::kFilter ? "filter" : "test"));
    return false;
  }
  std::string inner_name(constant_of(named).as_string());
  call.inner = inner_call(inner != Inner::kFilter, inner_name, std::span(args).subspan(which + 1),
                          args[which].offset);
  args.resize(which);
  return call.inner != kNoCall;
}

std::uint32_t Parser::inner_call(bool is_test, std::string_view name,
                                 std::span<const WrittenArg> args, std::uint32_t offset) {
  Call call;
  if (is_test) {
    call.test = find_test(name);
    if (call.test == nullptr) {
      unknown_call("test", name, test_table(), offset);
      return kNoCall;
    }
    if (!bind(call, name, call.test->params, args, offset) ||
        !compile_regex(call, call.test->regex_param, offset)) {
      return kNoCall;
    }
  } else {
    call.filter = find_filter(name);
    if (call.filter == nullptr) {
      unknown_call("filter", name, filter_table(), offset);
      return kNoCall;
    }
    if (call.filter->inner != Inner::kNone) {
      note(offset, ErrorCode::kExprFilter, fmt::format("{} cannot be applied by map", name));
      return kNoCall;
    }
    if (!bind(call, name, call.filter->params, args, offset) ||
        !compile_regex(call, call.filter->regex_param, offset)) {
      return kNoCall;
    }
  }
  program_->calls.push_back(std::move(call));
  return static_cast<std::uint32_t>(program_->calls.size() - 1);
}

// A pattern that is a constant is compiled once, and a bad one found here.
bool Parser::compile_regex(Call& call, int param, std::uint32_t offset) {
  if (param < 0) return true;
  NodeId pattern = call.args[static_cast<std::size_t>(param)];
  if (!is_constant(pattern) || !constant_of(pattern).is_string()) return true;
  constexpr int kMostPatterns = 64;
  if (++patterns_ > kMostPatterns) {
    note(offset, ErrorCode::kExprLimit, "more than 64 patterns in one text");
    return false;
  }
  auto regex = std::make_shared<const re2::RE2>(constant_of(pattern).as_string(), regex_options());
  if (!regex->ok()) {
    note(offset, ErrorCode::kExprFilter, fmt::format("not a pattern: {}", regex->error()));
    return false;
  }
  call.regex = std::move(regex);
  return true;
}

}  // namespace sluice::expr
