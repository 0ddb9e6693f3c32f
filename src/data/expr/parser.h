// The parser: tokens to an ExprProgram. Recursive descent after Jinja's grammar, with a bound on
// depth; chains (operators, postfixes, filters) are loops. After the first syntax error in a tag it
// goes on behind that tag, so that several are found. One parser, one text, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/expr/calls.h"
#include "data/expr/program.h"
#include "data/expr/token.h"

namespace sluice::expr {

class Parser {
 public:
  Parser(std::string_view text, Lexed lexed, const NameResolver& names, const ExprLimits& limits);
  // The program, or every error found.
  std::expected<std::shared_ptr<ExprProgram>, std::vector<ExprError>> run();

 private:
  struct Binding {
    std::string name;
    std::uint32_t local;
  };
  // The accessors behind a root name that are literal names.
  struct DottedName {
    std::string root;
    std::vector<std::string> path;
    std::vector<std::uint32_t> offsets;  // of root, path[0], path[1] ...
    std::vector<std::uint32_t> ends;     // where the root and each element end
  };
  struct WrittenArg {
    std::string keyword;  // empty: positional
    NodeId value;
    std::uint32_t offset;
  };

  // parser.cpp: expressions
  NodeId expression();
  NodeId disjunction();
  NodeId conjunction();
  NodeId negation();
  NodeId comparison();
  NodeId sum();
  NodeId concatenation();
  NodeId product();
  NodeId power();
  NodeId unary(bool with_filters);
  NodeId primary();
  NodeId parenthesized();
  NodeId list_literal();
  NodeId dict_literal();
  NodeId number();
  NodeId postfix(NodeId base);
  NodeId member(NodeId base);
  NodeId subscript(NodeId base);
  NodeId filters(NodeId subject);
  bool comparison_operator(Comparison& out);

  // parser_names.cpp
  NodeId name();
  NodeId loop_field(std::uint32_t begin);
  NodeId resolved(const DottedName& dotted);
  NodeId add_input(const DottedName& dotted, const NameClaim& claim, bool slot);
  DottedName dotted_name();
  bool at_index_slot();
  void name_error(const DottedName& dotted, const NameClaim& claim);

  // parser_calls.cpp
  NodeId filter(NodeId subject);
  NodeId test(NodeId subject);
  std::vector<WrittenArg> arguments();
  bool bind(Call& call, std::string_view name, std::span<const Param> params,
            std::span<const WrittenArg> args, std::uint32_t offset);
  bool bind_inner(Call& call, Inner inner, std::string_view name, std::vector<WrittenArg>& args,
                  std::uint32_t offset);
  std::uint32_t inner_call(bool is_test, std::string_view name, std::span<const WrittenArg> args,
                           std::uint32_t offset);
  bool compile_regex(Call& call, int param, std::uint32_t offset);
  template <class Table>
  void unknown_call(std::string_view what, std::string_view name, const Table& table,
                    std::uint32_t offset);

  // template_parser.cpp
  NodeId sequence();
  NodeId output();
  NodeId block();
  NodeId if_block(std::uint32_t begin);
  NodeId for_block(std::uint32_t begin);
  std::vector<std::string> for_targets();
  bool at_block(std::string_view word) const;
  bool at_block_of(std::initializer_list<std::string_view> words) const;
  void close_block(std::string_view word, std::uint32_t opened_at);
  void block_end(std::string_view word);

  // Nodes
  NodeId add(Op op, std::uint32_t begin, std::uint32_t a = 0, std::uint32_t b = 0,
             std::uint32_t c = 0, std::uint8_t flag = 0);
  NodeId constant(Value value, std::uint32_t begin);
  NodeId with_kids(Op op, std::uint32_t begin, const std::vector<NodeId>& kids, std::uint32_t c = 0,
                   std::uint8_t flag = 0);
  std::uint32_t kids(const std::vector<NodeId>& kids);
  std::uint32_t intern(std::string_view name);
  std::uint16_t height_above(const Node& node) const;
  bool is_constant(NodeId id) const { return program_->nodes[id].op == Op::kConst; }
  const Value& constant_of(NodeId id) const { return program_->constants[program_->nodes[id].a]; }

  // Tokens
  const Token& token() const { return tokens_[at_]; }
  const Token& ahead(std::size_t n) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  std::string_view words(const Token& t) const { return text_.substr(t.begin, t.end - t.begin); }
  bool at(Tok kind) const { return token().kind == kind; }
  bool at_word(std::string_view word) const { return at(Tok::kName) && words(token()) == word; }
  bool accept(Tok kind);
  bool accept_word(std::string_view word);
  // Records "`[` without `]`" where the token is another.
  bool close(Tok kind, std::string_view opened, std::string_view closing);
  std::uint32_t begin() const { return token().begin; }
  std::uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[at_ - 1].end; }
  std::string after() const;  // "after `+`"

  // A syntax error ends the tag: from then on the parser stands at its end.
  NodeId fail(std::size_t offset, std::string message, ErrorCode code = ErrorCode::kExprSyntax);
  NodeId fail_here(std::string message) { return fail(begin(), std::move(message)); }
  // An error after which parsing goes on.
  void note(std::size_t offset, ErrorCode code, std::string message);
  // False and an error when the text nests too deep. Each true is followed by --depth_.
  bool deeper();

  std::string_view text_;
  const NameResolver& names_;
  const ExprLimits& limits_;
  std::vector<Token> tokens_;
  std::vector<std::string> strings_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
  int patterns_ = 0;
  bool single_;
  bool stopped_ = false;  // the tag is broken
  std::vector<Binding> bindings_;
  std::vector<std::uint32_t> open_loops_;
  std::shared_ptr<ExprProgram> program_;
  std::vector<ExprError> errors_;
};

// "a name", "`+`": keywords cannot be names.
bool is_keyword(std::string_view word);

}  // namespace sluice::expr
