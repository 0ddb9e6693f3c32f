// Bytes of records: numbers as LEB128, texts with their length, values by data/value_codec.h. A
// WireReader checks every bound: bytes from anywhere give wrong values or `bad`, never a crash.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/value.h"
#include "runtime/event.h"
#include "runtime/task_ref.h"

namespace sluice {

class WireWriter {
 public:
  void byte(std::uint8_t number) { out_.push_back(static_cast<char>(number)); }
  void flag(bool set) { byte(set ? 1 : 0); }
  void number(std::uint64_t number);
  void whole(std::int64_t number);  // small negative numbers stay small
  void fixed32(std::uint32_t number);
  void fixed64(std::uint64_t number);
  void real(double number);
  void text(std::string_view text);
  void value(const Value& value);
  void error(const Error& error);  // with its causes
  void task(const TaskRef& task);
  void call(const CallRef& call);
  void usage(const Usage& usage);

  // From now on references to values that rest in the ValueStore are added there too; null: not.
  void collect(std::vector<Value>* resting) { resting_ = resting; }

  std::size_t size() const { return out_.size(); }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
  std::vector<Value>* resting_ = nullptr;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  std::uint8_t byte();
  bool flag();  // 0 or 1, else bad
  std::uint64_t number();
  std::uint32_t number32();  // larger ones are bad
  std::uint16_t number16();
  std::int64_t whole();
  std::uint32_t fixed32();
  std::uint64_t fixed64();
  double real();
  std::string_view text();
  Value value();
  Error error();
  TaskRef task();
  CallRef call();
  Usage usage();
  // A count of things of at least one byte each: never more than what is left.
  std::size_t count();

  bool bad() const { return bad_; }
  void spoil() { bad_ = true; }  // what was read makes no sense
  bool at_end() const { return rest_.empty(); }
  bool good_end() const { return !bad_ && rest_.empty(); }

 private:
  std::string_view bytes(std::uint64_t size);

  std::string_view rest_;
  bool bad_ = false;
};

}  // namespace sluice
