// Filters and tests: what one is (a row of a table) and what it gets when it is called. Adding one
// is a function in the file of its family and a row in filter_table.cpp or test_table.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "data/expr/program.h"
#include "data/type.h"
#include "data/value.h"

namespace sluice::expr {

class Evaluation;

// One call. The kinds of subject and arguments were checked against the table; an argument that
// was omitted (or null where null means nothing) is a null pointer.
struct CallFrame {
  Evaluation& run;
  NodeId node;
  const Call& call;
  const Value* subject;  // null only where the table says `soft` and it is undefined
  std::array<const Value*, kMaxParams> args;
  bool soft = false;  // who asks can live with "undefined"

  bool flag(std::size_t i, bool otherwise = false) const;  // truth of argument i
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
  std::string_view text(std::size_t i, std::string_view otherwise) const;
  // These record the error and return false.
  bool fail(ErrorCode code, std::string_view message) const;
  bool undefined(std::string_view message) const;
};

struct Param {
  std::string_view name;
  std::uint16_t kinds = Type::kAnyKind;
  bool required = false;
};

// What map, select and their kin apply: the name of a filter or test is their argument.
enum class Inner : std::uint8_t { kNone, kFilter, kTest, kAttributeThenTest };

// How the type of the result follows from that of the subject.
enum class ResultRule : std::uint8_t {
  kKinds,           // just `result`
  kSubject,         // the same type
  kElement,         // an element of the subject
  kArrayOfElement,  // an array of such elements
  kJoinDefault,     // subject or the first argument
  kMapped,          // map
};

struct FilterSpec {
  std::string_view name;
  std::string_view about;  // one line, for the reference page
  std::uint16_t accepts = Type::kAnyKind;
  std::array<Param, kMaxParams> params{};
  std::uint16_t result = Type::kAnyKind;
  ResultRule rule = ResultRule::kKinds;
  bool (*apply)(CallFrame& call, Value& out) = nullptr;
  bool soft = false;  // gets an undefined subject as a null pointer
  Inner inner = Inner::kNone;
  int regex_param = -1;
  int otherwise_param = -1;  // the result may be this argument too
};

struct TestSpec {
  std::string_view name;
  std::string_view about;
  std::array<Param, kMaxParams> params{};
  bool (*apply)(CallFrame& call, bool& out) = nullptr;
  std::uint16_t accepts = Type::kAnyKind;
  bool soft = false;
  int regex_param = -1;
  bool forgives = false;  // an error of its subject is an answer; `apply` is not asked
};

std::span<const FilterSpec> filter_table();
std::span<const TestSpec> test_table();
const FilterSpec* find_filter(std::string_view name);
const TestSpec* find_test(std::string_view name);

inline std::uint16_t kind_bit(const Value& value) {
  constexpr std::uint16_t kBits[] = {
      Type::kNull,   Type::kBoolean, Type::kInteger, Type::kInteger, Type::kFraction,
      Type::kString, Type::kArray,   Type::kObject,  Type::kBlob,    Type::kVector};
  return kBits[static_cast<std::size_t>(value.kind())];
}
// "a string or an array": for messages.
std::string kind_words(std::uint16_t kinds);
// "an integer"
std::string kind_words(const Value& value);

}  // namespace sluice::expr
