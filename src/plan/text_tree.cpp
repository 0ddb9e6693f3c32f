#include "plan/text_tree.h"

#include <libfyaml.h>

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_set>

#include "fmt/format.h"
#include "plan/names.h"

namespace sluice {
namespace {

struct ParserCloser {
  void operator()(fy_parser* parser) const { fy_parser_destroy(parser); }
};
struct DiagCloser {
  void operator()(fy_diag* diag) const { fy_diag_destroy(diag); }
};

// Builds the tree from the parser's events; recursion is bounded by the depth limit.
class TreeReader {
 public:
  TreeReader(std::string_view text, std::uint32_t file, const ParseLimits& limits, Diagnostics& out)
      : text_(text), limits_(limits), out_(out), lines_(text, file) {}

  std::optional<TextNode> read() {
    if (!open()) return std::nullopt;
    std::optional<TextNode> root;
    while (!stopped_) {
      Event event = next();
      if (!event) break;
      if (event->type == FYET_DOCUMENT_START && root) {
        stop(ErrorCode::kPlanSyntax, position(event.get()),
             "a second document starts here; a plan is one document, remove the ---");
      } else if (is_content(event->type)) {
        root = node(event.get(), 1);
      }
    }
    if (!stopped_ && fy_parser_get_stream_error(parser_.get())) syntax_error();
    if (stopped_) return std::nullopt;
    return root;
  }

 private:
  struct EventCloser {
    fy_parser* parser = nullptr;
    void operator()(fy_event* event) const { fy_parser_event_free(parser, event); }
  };
  using Event = std::unique_ptr<fy_event, EventCloser>;

  bool open() {
    fy_diag_cfg quiet;
    fy_diag_cfg_default(&quiet);
    quiet.fp = nullptr;
    diag_.reset(fy_diag_create(&quiet));
    if (!diag_) return false;
    fy_diag_set_collect_errors(diag_.get(), true);
    fy_parse_cfg config{};
    config.search_path = "";
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): flags of a C library, or'ed
    config.flags = static_cast<fy_parse_cfg_flags>(FYPCF_QUIET | FYPCF_COLLECT_DIAG |
                                                   FYPCF_DEFAULT_VERSION_1_2);
    config.diag = diag_.get();
    parser_.reset(fy_parser_create(&config));
    return parser_ && fy_parser_set_string(parser_.get(), text_.data(), text_.size()) == 0;
  }

  Event next() { return Event(fy_parser_parse(parser_.get()), EventCloser{parser_.get()}); }

  static bool is_content(fy_event_type type) {
    return type == FYET_SCALAR || type == FYET_ALIAS || type == FYET_MAPPING_START ||
           type == FYET_SEQUENCE_START;
  }

  static std::size_t offset(fy_event* event) {
    const fy_mark* mark = fy_event_start_mark(event);
    return mark ? mark->input_pos : 0;
  }
  SourcePos position(fy_event* event) const {
    return fy_event_start_mark(event) ? lines_.at(offset(event)) : last_;
  }
  void stop(ErrorCode code, SourcePos pos, std::string message) {
    if (!stopped_) out_.error(code, pos, std::move(message));
    stopped_ = true;
  }

  TextNode node(fy_event* event, std::size_t depth) {
    TextNode result;
    result.pos = result.text_pos = position(event);
    if (depth > limits_.max_depth) {
      stop(ErrorCode::kPlanTooLarge, result.pos,
           fmt::format("maps and lists are nested deeper than {}", limits_.max_depth));
      return result;
    }
    if (++nodes_ > limits_.max_nodes) {
      stop(ErrorCode::kPlanTooLarge, result.pos,
           fmt::format("the plan has more than {} values; put data into a file or parameters",
                       limits_.max_nodes));
      return result;
    }
    last_ = result.pos;
    refuse_extras(event, result);
    switch (event->type) {
      case FYET_SCALAR:
        scalar(event, result);
        break;
      case FYET_SEQUENCE_START:
        list(result, depth);
        break;
      case FYET_MAPPING_START:
        map(event, result, depth);
        break;
      case FYET_ALIAS:
        if (result.pos.column > 1) --result.pos.column;  // the mark stands behind the *
        out_.error(ErrorCode::kPlanSyntax, result.pos,
                   "an alias (*) is not part of the plan language; write the value again");
        result.broken = true;
        break;
      default:
        break;
    }
    return result;
  }

  void refuse_extras(fy_event* event, TextNode& into) {
    auto refuse = [&](fy_token* token, std::string_view what) {
      if (!token) return;
      const fy_mark* mark = fy_token_start_mark(token);
      SourcePos pos = mark ? lines_.at(mark->input_pos) : into.pos;
      bool behind = what.starts_with("an anchor");  // its mark stands behind the &
      if (behind && pos.column > 1) --pos.column;
      out_.error(ErrorCode::kPlanSyntax, pos,
                 fmt::format("{} not part of the plan language; write the value itself", what));
    };
    refuse(fy_event_get_anchor_token(event), "an anchor (&) is");
    refuse(fy_event_get_tag_token(event), "a tag (!) is");
  }

  void scalar(fy_event* event, TextNode& into) {
    fy_token* token = event->scalar.value;
    if (!token) return;  // nothing written: null
    std::size_t size = 0;
    const char* bytes = fy_token_get_text(token, &size);
    std::string_view text(bytes ? bytes : "", bytes ? size : 0);
    const fy_scalar_style style = fy_token_scalar_style(token);
    if (style == FYSS_PLAIN) {
      std::optional<Value> value = plain_scalar(text);
      if (!value) {
        out_.error(ErrorCode::kValueInvalid, into.pos,
                   fmt::format("{} is no JSON number; quote it for text", shown(text)));
        into.broken = true;
        return;
      }
      into.scalar = *std::move(value);
    } else {
      auto value = Value::from_utf8(text);
      if (!value) {
        out_.error(ErrorCode::kPlanSyntax, into.pos, "a string escape that is no character");
        into.broken = true;
        return;
      }
      into.scalar = *std::move(value);
    }
    place_text(event, style, text, into);
  }

  void place_text(fy_event* event, fy_scalar_style style, std::string_view text,
                  TextNode& into) const {
    ScalarStyle kind = style == FYSS_SINGLE_QUOTED   ? ScalarStyle::kSingle
                       : style == FYSS_DOUBLE_QUOTED ? ScalarStyle::kDouble
                       : style == FYSS_PLAIN         ? ScalarStyle::kPlain
                                                     : ScalarStyle::kBlock;
    // The parser's mark of a quoted scalar stands behind the quote.
    if (kind == ScalarStyle::kSingle || kind == ScalarStyle::kDouble) --into.pos.column;
    bool may_hold_expression = into.scalar.is_string() && text.find('{') != std::string_view::npos;
    const fy_mark* end = fy_event_end_mark(event);
    if (!may_hold_expression || !end) return;
    into.marks = align_scalar(text_, offset(event), end->input_pos, text, kind, lines_);
  }

  void list(TextNode& into, std::size_t depth) {
    into.kind = TextNode::Kind::kList;
    while (!stopped_) {
      Event event = next_inside();
      if (!event || event->type == FYET_SEQUENCE_END) return;
      into.items.push_back(node(event.get(), depth + 1));
    }
  }

  void map(fy_event* start, TextNode& into, std::size_t depth) {
    into.kind = TextNode::Kind::kMap;
    const std::size_t begin = offset(start);
    std::unordered_set<std::string> keys;
    while (!stopped_) {
      Event event = next_inside();
      if (!event || event->type == FYET_MAPPING_END) return;
      if (event->type == FYET_MAPPING_START && offset(event.get()) == begin + 1 &&
          text_.substr(begin, 2) == "{{") {
        unquoted(begin, into);
        return;
      }
      std::optional<TextMember> member = key(event.get());
      if (!member) return;
      Event value = next_inside();
      if (!value) return;
      last_ = member->key_pos;
      member->value = node(value.get(), depth + 1);
      if (member->key == "<<") {
        into.broken = true;  // what it would have brought is missing
        continue;
      }
      if (!keys.insert(member->key).second) {
        out_.error(ErrorCode::kKeyDuplicate, member->key_pos,
                   fmt::format("{} stands twice in this map", shown(member->key)));
        continue;
      }
      into.members.push_back(*std::move(member));
    }
  }

  std::optional<TextMember> key(fy_event* event) {
    TextMember member;
    member.key_pos = position(event);
    if (event->type == FYET_SCALAR && event->scalar.value) {
      const fy_scalar_style style = fy_token_scalar_style(event->scalar.value);
      bool quoted = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED;
      if (quoted) --member.key_pos.column;  // the mark stands behind the quote
    }
    if (event->type != FYET_SCALAR) {
      stop(ErrorCode::kPlanSyntax, member.key_pos,
           event->type == FYET_ALIAS ? "an alias (*) cannot be a key"
                                     : "a key must be a word, not a list or a map");
      return std::nullopt;
    }
    std::size_t size = 0;
    const char* bytes = event->scalar.value ? fy_token_get_text(event->scalar.value, &size) : "";
    member.key = std::string(bytes ? bytes : "", bytes ? size : 0);
    if (!valid_utf8(member.key)) {
      stop(ErrorCode::kPlanSyntax, member.key_pos, "a key with an escape that is no character");
      return std::nullopt;
    }
    TextNode extras;
    extras.pos = member.key_pos;
    refuse_extras(event, extras);
    if (member.key == "<<") {
      out_.error(ErrorCode::kPlanSyntax, member.key_pos,
                 "a merge key (<<) is not part of the plan language; write the keys again");
    }
    return member;
  }

  // `{{` outside quotes: YAML reads a map within a map. Skips to where that map ends.
  void unquoted(std::size_t begin, TextNode& into) {
    unquoted_error(begin);
    into.kind = TextNode::Kind::kScalar;
    into.broken = true;
    for (std::size_t open = 2; open > 0 && !stopped_;) {
      Event event = next_inside();
      if (!event) return;
      bool opens = event->type == FYET_MAPPING_START || event->type == FYET_SEQUENCE_START;
      bool closes = event->type == FYET_MAPPING_END || event->type == FYET_SEQUENCE_END;
      if (opens && open > 4 * limits_.max_depth) {
        stop(ErrorCode::kPlanTooLarge, lines_.at(begin), "maps and lists are nested too deeply");
      }
      open += opens ? 1 : 0;
      open -= closes ? 1 : 0;
    }
  }

  void unquoted_error(std::size_t begin) {
    std::string_view rest = text_.substr(begin);
    rest = rest.substr(0, rest.find_first_of("\r\n"));
    std::string_view close = rest.starts_with("{%") ? "%}" : "}}";
    std::size_t end = rest.find(close);
    std::string_view expression = rest.substr(0, end == std::string_view::npos ? end : end + 2);
    char quote = expression.find('"') == std::string_view::npos ? '"' : '\'';
    out_.error(ErrorCode::kExprUnquoted, lines_.at(begin),
               fmt::format("an expression stands in quotes: write {}{}{}", quote, shown(expression),
                           quote));
  }

  // The next event inside a list or map; null after the parser's own error.
  Event next_inside() {
    Event event = next();
    if (!event && !stopped_) syntax_error();
    return event;
  }

  void syntax_error() {
    SourcePos pos = last_;
    std::string message = "the text ends too early";
    void* iterator = nullptr;
    if (fy_diag_error* error = fy_diag_errors_iterate(diag_.get(), &iterator)) {
      if (error->line > 0) {
        pos = lines_.at(0);
        pos.line = static_cast<std::uint32_t>(error->line);
        pos.column = static_cast<std::uint32_t>(std::max(error->column, 1));
      }
      if (error->msg) message = error->msg;
    }
    if (auto place = unquoted_in(pos.line)) {
      unquoted_error(*place);
      stopped_ = true;
      return;
    }
    explain_syntax(pos, message);
    stop(ErrorCode::kPlanSyntax, pos, std::move(message));
  }

  // Some of the parser's sentences, said so that they help.
  void explain_syntax(SourcePos& pos, std::string& message) const {
    std::string_view line = lines_.line(pos.line);
    std::size_t indent = line.find_first_not_of(' ');
    if (indent != std::string_view::npos && line[indent] == '\t') {
      pos.column = static_cast<std::uint32_t>(indent + 1);
      message = "a tab indents this line; YAML wants spaces, two a level";
    } else if (message.find("without a closing") != std::string::npos ||
               message.find("missing comma") != std::string::npos ||
               message.find("did not find expected node content") != std::string::npos) {
      message += "; is a bracket or a quote left open above?";
    } else if (message.find("could not find expected ':'") != std::string::npos ||
               message.find("invalid multiline plain key") != std::string::npos) {
      message += "; a key needs a colon and a space behind it";
    }
  }

  // The offset of a `{{` or `{%` outside quotes on the line of an error, or the one above it.
  std::optional<std::size_t> unquoted_in(std::uint32_t number) const {
    for (std::uint32_t candidate : {number, number > 1 ? number - 1 : number}) {
      std::string_view line = lines_.line(candidate);
      char quote = 0;
      for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        char c = line[i];
        if (quote != 0) {
          if (quote == '"' && c == '\\')
            ++i;
          else if (c == quote)
            quote = 0;
        } else if (c == '#' && (i == 0 || line[i - 1] == ' ')) {
          break;
        } else if ((c == '"' || c == '\'') &&
                   (i == 0 ||
                    std::string_view(" [{,:").find(line[i - 1]) != std::string_view::npos)) {
          quote = c;
        } else if (c == '{' && (line[i + 1] == '{' || line[i + 1] == '%')) {
          return static_cast<std::size_t>(line.data() - text_.data()) + i;
        }
      }
    }
    return std::nullopt;
  }

  std::string_view text_;
  const ParseLimits& limits_;
  Diagnostics& out_;
  LineTable lines_;
  std::unique_ptr<fy_diag, DiagCloser> diag_;
  std::unique_ptr<fy_parser, ParserCloser> parser_;
  SourcePos last_;
  std::size_t nodes_ = 0;
  bool stopped_ = false;
};

// What a file that is no text starts with, and what it then is.
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kMagic = {{
    {"%PDF", "a PDF document"},
    {"\x7f"
     "ELF",
     "a program (ELF)"},
    {"\x1f\x8b", "compressed with gzip; unpack it first"},
    {"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it first"},
    {"PK\x03\x04", "a ZIP archive (or an office document)"},
    {"\x89PNG", "a PNG image"},
    {"\xff\xd8\xff", "a JPEG image"},
    {"GGUF", "a model (GGUF); name it with --model"},
    {"SQLite format 3", "an SQLite database"},
}};

bool check_bytes(std::string_view text, const ParseLimits& limits, const LineTable& lines,
                 Diagnostics& out) {
  SourcePos start = lines.at(0);
  if (text.size() > limits.max_bytes) {
    out.error(ErrorCode::kPlanTooLarge, start,
              fmt::format("the plan has {} bytes and may have {}; put data into a file that a step "
                          "reads, or into parameters",
                          text.size(), limits.max_bytes));
    return false;
  }
  for (const auto& [magic, what] : kMagic) {
    if (!text.starts_with(magic)) continue;
    out.error(ErrorCode::kPlanSyntax, start,
              fmt::format("this file is {}; a plan is YAML or JSON text", what));
    return false;
  }
  if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
    out.error(ErrorCode::kPlanSyntax, start, "the text is UTF-16; save it as UTF-8");
    return false;
  }
  if (std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    out.error(ErrorCode::kPlanSyntax, lines.at(zero),
              "a NUL byte: this is no text; a plan is YAML or JSON in UTF-8");
    return false;
  }
  if (std::size_t good = utf8_valid_prefix(text); good < text.size()) {
    out.error(ErrorCode::kPlanSyntax, lines.at(good),
              "a byte here is not UTF-8; save the file as UTF-8");
    return false;
  }
  return true;
}

std::optional<TextNode> convert(const Value& value, const ParseLimits& limits, Diagnostics& out,
                                std::size_t depth, std::size_t& nodes) {
  if (depth > limits.max_depth || ++nodes > limits.max_nodes) {
    if (!out.has_errors()) {
      out.error(ErrorCode::kPlanTooLarge, {},
                fmt::format("a plan has at most {} values, nested at most {} deep",
                            limits.max_nodes, limits.max_depth));
    }
    return std::nullopt;
  }
  TextNode node;
  if (value.is_array()) {
    node.kind = TextNode::Kind::kList;
    for (const Value& item : value.items()) {
      auto child = convert(item, limits, out, depth + 1, nodes);
      if (!child) return std::nullopt;
      node.items.push_back(*std::move(child));
    }
  } else if (value.is_object()) {
    node.kind = TextNode::Kind::kMap;
    for (const auto& [key, member] : value.members()) {
      auto child = convert(member, limits, out, depth + 1, nodes);
      if (!child) return std::nullopt;
      node.members.push_back({key, {}, *std::move(child)});
    }
  } else {
    node.scalar = value;
  }
  return node;
}

}  // namespace

const TextMember* TextNode::find(std::string_view key) const {
  auto found = std::ranges::find(members, key, &TextMember::key);
  return found == members.end() ? nullptr : &*found;
}

Value TextNode::to_value() const {
  if (kind == Kind::kScalar) return scalar;
  if (kind == Kind::kList) {
    std::vector<Value> values;
    values.reserve(items.size());
    for (const TextNode& item : items) values.push_back(item.to_value());
    return Value::array(std::move(values));
  }
  std::vector<Value::Member> values;
  values.reserve(members.size());
  for (const TextMember& member : members) values.emplace_back(member.key, member.value.to_value());
  return Value::object(std::move(values));
}

std::size_t TextNode::count_nodes(std::size_t limit) const {
  std::size_t count = 1;
  for (const TextNode& item : items) {
    if (count >= limit) return limit;
    count += item.count_nodes(limit - count);
  }
  for (const TextMember& member : members) {
    if (count >= limit) return limit;
    count += member.value.count_nodes(limit - count);
  }
  return count;
}

std::optional<TextNode> read_text_tree(std::string_view text, std::uint32_t file,
                                       const ParseLimits& limits, Diagnostics& out) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > limits.max_bytes) {  // before the lines of something huge are counted
    check_bytes(text, limits, LineTable("", file), out);
    return std::nullopt;
  }
  if (!check_bytes(text, limits, LineTable(text, file), out)) return std::nullopt;
  std::size_t errors_before = out.all().size();
  std::optional<TextNode> root = TreeReader(text, file, limits, out).read();
  if (!root && out.all().size() == errors_before) {
    out.error(ErrorCode::kPlanSyntax, {file, 1, 1},
              "the plan is empty; it starts with `sluice: 1` and `steps:` (try `sluice init`)");
  }
  return root;
}

std::optional<TextNode> tree_of_value(const Value& value, const ParseLimits& limits,
                                      Diagnostics& out) {
  std::size_t nodes = 0;
  return convert(value, limits, out, 1, nodes);
}

}  // namespace sluice
