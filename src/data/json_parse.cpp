// Strict JSON in: Boost.JSON's parser with a handler that builds our values.
#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>
#include <charconv>
#include <unordered_set>

#include "data/json.h"

namespace sluice {
namespace {

namespace bj = boost::json;
using ErrorFlag = bj::error_code;

// Builds values bottom-up. Complete children wait on `values_`, names on `names_`. A careful one
// also looks at every key as it comes, to say exactly which stands twice.
class Builder {
 public:
  explicit Builder(bool careful) : careful_(careful) {}

  // NOLINTBEGIN(readability-identifier-naming): the names that Boost.JSON looks for.
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  // NOLINTEND(readability-identifier-naming)

  Value take() { return std::move(values_.back()); }
  const std::string& problem() const { return problem_; }
  bool key_stands_twice() const { return key_stands_twice_; }

  bool on_document_begin(ErrorFlag&) { return true; }
  bool on_document_end(ErrorFlag&) { return true; }
  bool on_array_begin(ErrorFlag&) { return true; }
  bool on_object_begin(ErrorFlag&) {
    if (careful_) keys_.emplace_back();
    return true;
  }

  bool on_array_end(std::size_t count, ErrorFlag&) {
    auto first = values_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Value> items(std::make_move_iterator(first),
                             std::make_move_iterator(values_.end()));
    values_.erase(first, values_.end());
    values_.push_back(Value::array(std::move(items)));
    return true;
  }

  bool on_object_end(std::size_t count, ErrorFlag& flag) {
    std::size_t first_value = values_.size() - count;
    std::size_t first_name = names_.size() - count;
    std::vector<Value::Member> members;
    members.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      members.emplace_back(std::move(names_[first_name + i]), std::move(values_[first_value + i]));
    }
    values_.resize(first_value);
    names_.resize(first_name);
    if (careful_) keys_.pop_back();
    Value object = Value::object(std::move(members));
    if (object.size() != count) {
      key_stands_twice_ = true;
      return refuse("an object that ends here has a key twice", flag);
    }
    values_.push_back(std::move(object));
    return true;
  }

  bool on_key_part(bj::string_view part, std::size_t, ErrorFlag&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(bj::string_view part, std::size_t, ErrorFlag& flag) {
    text_.append(part.data(), part.size());
    if (careful_ && !keys_.back().insert(text_).second) {
      return refuse("the key " + preview(Value::string(text_), 60) + " stands twice in its object",
                    flag);
    }
    names_.push_back(std::exchange(text_, {}));
    return true;
  }
  bool on_string_part(bj::string_view part, std::size_t, ErrorFlag&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(bj::string_view part, std::size_t, ErrorFlag&) {
    if (text_.empty()) {
      values_.push_back(Value::string({part.data(), part.size()}));
      return true;
    }
    text_.append(part.data(), part.size());
    values_.push_back(Value::string(text_));
    text_.clear();
    return true;
  }
  bool on_number_part(bj::string_view part, ErrorFlag&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_int64(std::int64_t number, bj::string_view part, ErrorFlag& flag) {
    if (text_.empty() && number != 0) {
      values_.push_back(Value::integer(number));
      return true;
    }
    return add_number(part, flag);
  }
  bool on_uint64(std::uint64_t, bj::string_view part, ErrorFlag& flag) {
    return add_number(part, flag);
  }
  bool on_double(double, bj::string_view part, ErrorFlag& flag) { return add_number(part, flag); }
  bool on_bool(bool value, ErrorFlag&) {
    values_.push_back(Value::boolean(value));
    return true;
  }
  bool on_null(ErrorFlag&) {
    values_.emplace_back();
    return true;
  }
  bool on_comment_part(bj::string_view, ErrorFlag&) { return true; }
  bool on_comment(bj::string_view, ErrorFlag&) { return true; }

 private:
  // From the text itself: Boost 1.81 rounds doubles wrongly and cuts long integers.
  bool add_number(bj::string_view part, ErrorFlag& flag) {
    text_.append(part.data(), part.size());
    std::string text = std::exchange(text_, {});
    if (text.find_first_of(".eE") == std::string::npos) {
      values_.push_back(text == "-0" ? Value::integer(0) : Value::big_integer(text));
      return true;
    }
    double number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) {
      // Too small is as good as zero; too large has no double.
      if (text.find("e-") == std::string::npos && text.find("E-") == std::string::npos) {
        return refuse("a number is too large for a double", flag);
      }
      number = 0;
    }
    values_.push_back(Value::number(number));
    return true;
  }

  bool refuse(std::string problem, ErrorFlag& flag) {
    problem_ = std::move(problem);
    flag = bj::error::syntax;
    return false;
  }

  std::vector<Value> values_;
  std::vector<std::string> names_;
  std::string text_;
  std::string problem_;
  bool careful_;
  bool key_stands_twice_ = false;
  std::vector<std::unordered_set<std::string>> keys_;  // of the open objects
};

SourcePos position_in(std::string_view text, std::size_t offset) {
  std::string_view before = text.substr(0, std::min(offset, text.size()));
  SourcePos pos;
  pos.line = static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
  std::size_t line_start = before.rfind('\n');
  line_start = line_start == std::string_view::npos ? 0 : line_start + 1;
  pos.column = static_cast<std::uint32_t>(before.size() - line_start + 1);
  return pos;
}

std::unexpected<Error> refuse_at(std::string_view text, std::size_t offset,
                                 std::string_view problem) {
  SourcePos pos = position_in(text, offset);
  return fail(ErrorCode::kJsonInvalid,
              "not valid JSON at line " + std::to_string(pos.line) + ", column " +
                  std::to_string(pos.column) + ": " + std::string(problem),
              pos);
}

// Boost says no more than "syntax error"; the character there says the rest.
std::string words_for_character(std::string_view text, std::size_t offset) {
  if (offset >= text.size()) return "the text ends too early";
  auto byte = static_cast<unsigned char>(text[offset]);
  if (byte == '\'') return "text stands in double quotes, not in '";
  if (byte == '\n' || byte == '\r') return "a line ends where a value or a closing quote belongs";
  if (byte < 0x20) return "a control character; write it as an escape like \\u0009";
  if (byte < 0x7F) return std::string("'") + static_cast<char>(byte) + "' is not expected here";
  if (!valid_utf8(text)) return "bytes that are not valid UTF-8";
  return "a character that is not expected here";
}

std::string words_for(const ErrorFlag& flag, std::string_view text, std::size_t offset,
                      const JsonLimits& limits) {
  if (flag == bj::error::incomplete) return "the text ends too early";
  if (flag == bj::error::extra_data) return "more text follows the value";
  if (flag == bj::error::too_deep) {
    return "nested deeper than " + std::to_string(limits.max_depth) + " levels";
  }
  if (flag == bj::error::exponent_overflow) return "a number is too large for a double";
  if (flag == bj::error::syntax) return words_for_character(text, offset);
  return flag.message();
}

// Where the key begins whose closing quote stands at `closing`.
std::size_t start_of_key(std::string_view text, std::size_t closing) {
  for (std::size_t at = std::min(closing, text.size()); at-- > 0;) {
    if (text[at] != '"') continue;
    std::size_t slashes = 0;
    while (slashes < at && text[at - 1 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 0) return at;
  }
  return closing;
}

Result<Value> parse_with(std::string_view text, const JsonLimits& limits, bool careful) {
  bj::parse_options options;
  options.max_depth = limits.max_depth;
  bj::basic_parser<Builder> parser(options, careful);
  ErrorFlag flag;
  std::size_t used = parser.write_some(false, text.data(), text.size(), flag);
  if (!flag && used < text.size()) flag = bj::error::extra_data;
  if (!flag) return parser.handler().take();
  if (parser.handler().key_stands_twice() && !careful) return parse_with(text, limits, true);
  std::string problem = parser.handler().problem();
  if (problem.empty()) {
    problem = words_for(flag, text, used, limits);
  } else if (careful) {
    used = start_of_key(text, used);
  }
  return refuse_at(text, used, problem);
}

}  // namespace

Result<Value> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return fail(ErrorCode::kJsonInvalid, "the JSON text has " + std::to_string(text.size()) +
                                             " bytes; the limit is " +
                                             std::to_string(limits.max_bytes));
  }
  return parse_with(text, limits, false);
}

}  // namespace sluice
