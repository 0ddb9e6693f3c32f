// reorder_templates: what a prompt says to every row comes before what differs from row to row.
//
// An engine computes the beginning that prompts have in common once and takes it from its KV cache
// for all other rows. A prompt that begins with the row's own text shares nothing, however long the
// instructions are that follow. This pass puts the paragraphs of a message (its lines, where it has
// one paragraph) that are the same for all rows before those that read the row, each group in its
// own order. Only the first message that differs between rows is changed, and no message, role or
// example changes its place: what stands behind the first difference cannot be shared anyway.
//
// Approximate, because a model may answer a question that comes first otherwise than one that comes
// last. So it runs only where the plan says `allow: [reorder_templates]`, and `sluice batch` and
// `sluice quality` measure how often the answers stay the same.
//
// A line that ends with a colon and a mark such as <text> or """ stay with the text that they
// introduce, and the last line stays last where it ends with a colon ("Answer:"). In a raw `prompt`
// the last paragraph stays last whatever it says: it is what the model goes on from.
//
// Refuses: texts that speak of what stands "above" or "before"; templates with {% %} or whitespace
// control; raw prompts with the special tokens of a chat format; prompts that begin as another
// step's does, with the same row, since the row's text is then what is shared; what gains less than
// eight tokens a row; steps that run once.
//
// Example: with allow: [reorder_templates]
//
//   ask:
//     for_each: "{{ params.entries }}"
//     llm: default
//     with:
//       messages:
//         - role: user
//           content: "Entry: {{ item.text }}\n\nIs it about security? Answer yes or no."
//
//   becomes
//
//           content: "Is it about security? Answer yes or no.\n\nEntry: {{ item.text }}"
//
// Saves: the tokens of what comes first now, for every row but the first.
//
// Source: prompt caching in order of stability, as in Gim et al., "Prompt Cache: Modular Attention
// Reuse for Low-Latency Inference", MLSys 2024.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cost/plan_cost.h"
#include "cost/prompt_tokens.h"
#include "fmt/format.h"
#include "optimize/passes/passes.h"
#include "plan/scope.h"

namespace sluice {
namespace {

constexpr double kLeastTokens = 8;        // a row; less is lost in the noise
constexpr std::size_t kLongestMark = 40;  // of a line that is only there to set text apart
constexpr std::string_view kBlanks = " \t\r\n";

// ---- texts

std::string_view trimmed(std::string_view text) {
  const std::size_t from = text.find_first_not_of(kBlanks);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlanks) - from + 1);
}

// Behind the {{ }} that begins at `open`; npos when it has no end. Quotes may hold }}.
std::size_t end_of_expression(std::string_view text, std::size_t open) {
  char quote = 0;
  for (std::size_t i = open + 2; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '}' && text.substr(i, 2) == "}}") {
      return i + 2;
    }
  }
  return std::string_view::npos;
}

// A template whose pieces may change places: nothing in it but text and plain {{ }}.
bool plain_template(std::string_view text) {
  if (text.find("{%") != text.npos || text.find("{#") != text.npos) return false;
  return text.find("{{-") == text.npos && text.find("-}}") == text.npos;
}

// The pieces of a text between separators of at least `newlines` line ends, outside of {{ }}.
std::optional<std::vector<std::string>> split(std::string_view text, std::size_t newlines) {
  std::vector<std::string> pieces(1);
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "{{") {
      const std::size_t end = end_of_expression(text, i);
      if (end == std::string_view::npos) return std::nullopt;
      pieces.back() += text.substr(i, end - i);
      i = end;
      continue;
    }
    const std::size_t to = std::min(text.find_first_not_of('\n', i), text.size());
    if (to - i >= newlines) {
      pieces.emplace_back();
      i = to;
    } else {
      pieces.back() += text[i++];
    }
  }
  std::erase_if(pieces, [](const std::string& piece) { return trimmed(piece).empty(); });
  return pieces;
}

std::string_view last_line(std::string_view text) {
  text = trimmed(text);
  const std::size_t at = text.rfind('\n');
  return at == std::string_view::npos ? text : trimmed(text.substr(at + 1));
}

// <text>, """, ```, ---: it sets apart what stands beside it.
bool is_mark(std::string_view text) {
  text = trimmed(text);
  if (text.empty() || text.size() > kLongestMark || text.find('\n') != text.npos) return false;
  if ((text.front() == '<' && text.back() == '>') || text.starts_with("```")) return true;
  return std::ranges::none_of(text, [](unsigned char c) { return std::isalnum(c) || c >= 0x80; });
}

bool introduces(std::string_view text) {
  const std::string_view line = last_line(text);
  return line.ends_with(':') || is_mark(line);
}

// What says where something else stands.
std::optional<std::string_view> word_of_place(std::string_view text) {
  static constexpr std::array<std::string_view, 8> kWords = {
      "above",     "preceding",      "previous", "previously",
      "foregoing", "aforementioned", "before",   "earlier"};
  std::string word;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const auto c = static_cast<unsigned char>(i < text.size() ? text[i] : ' ');
    if (std::isalpha(c)) {
      word += static_cast<char>(std::tolower(c));
      continue;
    }
    const auto* found = std::ranges::find(kWords, word);
    if (found != kWords.end()) return *found;
    word.clear();
  }
  return std::nullopt;
}

// ---- one text and its order

struct Piece {
  std::string text;
  bool varies = false;  // reads something that differs from row to row
  bool bound = false;   // constant, but belongs to a neighbour that varies
};

// What is made of a text, or why not.
struct Reordered {
  std::string text;
  double gained_bytes = 0;  // by which the common beginning grows
  std::string refused;      // "": nothing to do, where the text is empty too
};

double front_bytes(const std::vector<Piece>& pieces) {
  double bytes = 0;
  for (const Piece& piece : pieces) {
    if (piece.varies) return bytes + static_cast<double>(fixed_text(piece.text).front);
    bytes += static_cast<double>(piece.text.size());
  }
  return bytes;
}

void bind_neighbours(std::vector<Piece>& pieces) {
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    if (!pieces[i].varies) continue;
    for (std::size_t k = i; k-- > 0 && !pieces[k].varies && introduces(pieces[k].text);) {
      pieces[k].bound = true;
    }
    if (i + 1 < pieces.size() && !pieces[i + 1].varies && is_mark(pieces[i + 1].text)) {
      pieces[i + 1].bound = true;
    }
  }
}

// `raw`: a prompt that the model goes on from, not a message.
Reordered reorder(std::vector<Piece> pieces, std::string_view between, bool raw) {
  Reordered made;
  const auto first = std::ranges::find(pieces, true, &Piece::varies);
  if (first == pieces.end()) return made;
  const double before = front_bytes(pieces);
  bind_neighbours(pieces);
  Piece& last = pieces.back();
  if (!last.varies && (raw || introduces(last.text))) last.bound = true;
  std::vector<Piece> front, back;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Piece& piece = pieces[i];
    const bool moves = !piece.varies && !piece.bound;
    if (moves && i > static_cast<std::size_t>(first - pieces.begin())) {
      if (auto word = word_of_place(piece.text)) {
        made.refused = fmt::format("its text says \"{}\": it would not be true any more", *word);
        return made;
      }
    }
    (moves ? front : back).push_back(std::move(piece));
  }
  front.insert(front.end(), std::make_move_iterator(back.begin()),
               std::make_move_iterator(back.end()));
  made.gained_bytes = front_bytes(front) - before;
  if (made.gained_bytes <= 0) return made;
  for (const Piece& piece : front) {
    if (!made.text.empty()) made.text += between;
    made.text += piece.text;
  }
  return made;
}

// ---- steps

const Binding* member(const Binding& map, std::string_view key) {
  return map.kind == Binding::Kind::kMap ? map.find(key) : nullptr;
}

bool is_leaf(const Binding* binding) {
  return binding != nullptr && binding->kind == Binding::Kind::kExpr && !binding->broken;
}

std::string source_of(const Binding& leaf) {
  if (!leaf.text.empty()) return leaf.text;
  const auto constant = leaf.expr.as_constant();
  if (constant && constant->is_string()) return std::string(constant->as_string());
  return leaf.expr.to_string();
}

std::multiset<std::string> inputs_of(const Expr& expr) {
  std::multiset<std::string> all;
  for (const ExprInput& input : expr.inputs()) all.insert(input.dotted());
  return all;
}

// The text of a step that is the first to differ from row to row, and what stands before it.
struct Opening {
  std::size_t message = 0;  // its number
  bool raw = false;         // a prompt
  const Binding* leaf = nullptr;
  std::string start;  // all that the model reads up to the first thing that varies, and that
};

class ReorderTemplates {
 public:
  explicit ReorderTemplates(LogicalPassContext& context)
      : context_(context), draft_(context.draft) {}

  void run() {
    const std::size_t count = draft_.steps().size();
    std::vector<std::optional<Opening>> openings(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      openings[i] = opening_of(draft_.steps()[i]);
      if (openings[i]) starts_[openings[i]->start].push_back(i);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      if (openings[i]) consider(i, *openings[i]);
    }
  }

 private:
  bool varies(const ExprInput& input) const {
    if (input.root == "run") return false;
    // A plan that another one calls for each row gets the row as its parameters.
    if (input.root == "params") return context_.sub_plan;
    if (input.root == "steps") return input.slot || context_.sub_plan;
    return true;
  }

  bool varies(const Expr& expr) const {
    return std::ranges::any_of(expr.inputs(),
                               [&](const ExprInput& input) { return varies(input); });
  }

  // Up to the end of the first {{ }} that varies.
  std::string start_of(const std::string& text) const {
    for (std::size_t open = text.find("{{"); open != text.npos; open = text.find("{{", open)) {
      const std::size_t end = end_of_expression(text, open);
      if (end == text.npos) break;
      const auto expr = Expr::compile(text.substr(open, end - open), checked_names(true));
      if (expr && varies(*expr)) return text.substr(0, end);
      open = end;
    }
    return text;
  }

  std::optional<Opening> opening_of(const Step& step) const {
    if (step.op != OperatorKind::kLlm || step.with.find("tools") != nullptr) return std::nullopt;
    Opening made;
    made.start = step.target + "\n";
    if (step.for_each) made.start += source_of(*step.for_each) + "\n";
    if (const Binding* prompt = step.with.find("prompt")) {
      if (!is_leaf(prompt) || !varies(prompt->expr)) return std::nullopt;
      made.raw = true;
      made.leaf = prompt;
      made.start += start_of(source_of(*prompt));
      return made;
    }
    const Binding* messages = step.with.find("messages");
    if (messages == nullptr || messages->kind != Binding::Kind::kList) return std::nullopt;
    for (const Binding& message : messages->items) {
      const Binding* role = member(message, "role");
      const Binding* content = member(message, "content");
      if (!is_leaf(role) || !is_leaf(content) || varies(role->expr)) return std::nullopt;
      made.start += source_of(*role) + "\n";
      if (!varies(content->expr)) {
        made.start += source_of(*content) + "\n";
        ++made.message;
        continue;
      }
      made.leaf = content;
      made.start += start_of(source_of(*content));
      return made;
    }
    return std::nullopt;
  }

  double rows_of(const Step& step) const {
    const StepEstimate* known = context_.estimate.find(step.id);
    if (known != nullptr) return known->rows.middle;
    return step.for_each || context_.sub_plan ? cost_defaults().items : 1;
  }

  void consider(std::uint32_t index, const Opening& opening) {
    const Step& step = draft_.steps()[index];
    const double rows = rows_of(step);
    if (rows < 2) return;
    const std::string text = source_of(*opening.leaf);
    if (!opening.leaf->expr.is_template()) return;  // nothing but what it reads
    if (!plain_template(text)) {
      return refuse(step,
                    "its text has {% %} or whitespace control: its parts may belong together");
    }
    if (opening.raw && (text.find("<|") != text.npos || text.find("[INST]") != text.npos)) {
      return refuse(step, "its prompt is written in a chat format of its own");
    }
    const Reordered made = reordered(text, opening.raw);
    if (!made.refused.empty()) return refuse(step, made.refused);
    if (made.text.empty()) return;
    const double tokens = made.gained_bytes / cost_defaults().bytes_per_token;
    if (tokens < kLeastTokens) {
      return refuse(step, fmt::format("only about {:.0f} tokens more would come first", tokens));
    }
    if (const Step* other = twin_of(index, opening)) {
      return refuse(step,
                    fmt::format("{} begins with the same row: that is shared as it is", other->id));
    }
    replace(index, opening, made.text, tokens, rows);
  }

  // In paragraphs, else in lines.
  Reordered reordered(const std::string& text, bool raw) const {
    for (const std::string_view between : {"\n\n", "\n"}) {
      auto texts = split(text, between.size());
      if (!texts) return {};
      if (texts->size() < 2) continue;
      std::vector<Piece> pieces;
      for (std::string& piece : *texts) {
        const bool reads = piece.find("{{") != piece.npos;
        auto expr = reads ? Expr::compile(piece, checked_names(true)) : Expr::constant(Value());
        if (!expr) return {};
        pieces.push_back({.text = std::move(piece), .varies = varies(*expr)});
      }
      return reorder(std::move(pieces), between, raw);
    }
    return {};
  }

  const Step* twin_of(std::uint32_t index, const Opening& opening) const {
    for (const std::uint32_t other : starts_.at(opening.start)) {
      if (other != index) return &draft_.steps()[other];
    }
    return nullptr;
  }

  void replace(std::uint32_t index, const Opening& opening, const std::string& text, double tokens,
               double rows) {
    auto expr = Expr::compile(text, checked_names(true));
    const bool same =
        expr && expr->is_template() && inputs_of(*expr) == inputs_of(opening.leaf->expr);
    if (!same) return refuse(draft_.steps()[index], "its parts cannot be read one by one");
    Step made = draft_.steps()[index];
    Binding* leaf = leaf_of(made, opening);
    leaf->expr = *std::move(expr);
    leaf->text = text;
    leaf->marks.clear();
    PassNote& note = context_.notes.did(
        made.id, fmt::format("what is the same for all rows comes first: about {:.0f} tokens more "
                             "are computed once",
                             tokens));
    note.saved_tokens = tokens * (rows - 1);
    draft_.replace(index, std::move(made));
  }

  static Binding* leaf_of(Step& step, const Opening& opening) {
    auto member_of = [](Binding& map, std::string_view key) {
      return &std::ranges::find(map.members, key, [](const auto& each) -> std::string_view {
                return each.first;
              })->second;
    };
    if (opening.raw) return member_of(step.with, "prompt");
    return member_of(member_of(step.with, "messages")->items[opening.message], "content");
  }

  void refuse(const Step& step, std::string why) {
    context_.notes.refused(step.id, std::move(why));
  }

  LogicalPassContext& context_;
  PlanDraft& draft_;
  // How prompts begin, up to the first thing that varies: the steps that begin so.
  std::map<std::string, std::vector<std::uint32_t>> starts_;
};

}  // namespace

void rewrite_reorder_templates(LogicalPassContext& context) { ReorderTemplates(context).run(); }

}  // namespace sluice
