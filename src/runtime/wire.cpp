#include "runtime/wire.h"

#include <bit>
#include <cstring>
#include <vector>

#include "data/value_codec.h"
#include "runtime/value_store.h"

namespace sluice {
namespace {

constexpr std::size_t kMostCauses = 32;

enum ErrorFlag : std::uint8_t { kHasPos = 1, kHasRetryAfter = 2, kHasCause = 4 };
enum UsageFlag : std::uint8_t { kHasTokens = 1, kHasUsd = 2 };

void find_resting(const Value& value, std::vector<Value>& into) {
  std::vector<const Value*> open{&value};
  while (!open.empty()) {
    const Value& at = *open.back();
    open.pop_back();
    if (at.is_array()) {
      for (const Value& item : at.items()) open.push_back(&item);
    } else if (at.is_object()) {
      for (const auto& [name, member] : at.members()) open.push_back(&member);
    } else if (at.kind() == Value::Kind::kBlob && at.blob_media_type() == kSpilledMediaType) {
      into.push_back(at);
    }
  }
}

}  // namespace

void WireWriter::number(std::uint64_t number) {
  while (number >= 0x80) {
    out_.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  out_.push_back(static_cast<char>(number));
}

void WireWriter::whole(std::int64_t number) {
  this->number((static_cast<std::uint64_t>(number) << 1) ^
               static_cast<std::uint64_t>(number >> 63));
}

void WireWriter::fixed32(std::uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) byte(static_cast<std::uint8_t>(number >> shift));
}

void WireWriter::fixed64(std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) byte(static_cast<std::uint8_t>(number >> shift));
}

void WireWriter::real(double number) { fixed64(std::bit_cast<std::uint64_t>(number)); }

void WireWriter::text(std::string_view text) {
  number(text.size());
  out_ += text;
}

void WireWriter::value(const Value& value) {
  text(encode_value(value));
  if (resting_ != nullptr) find_resting(value, *resting_);
}

void WireWriter::error(const Error& error) {
  std::size_t depth = 0;
  for (const Error* at = &error; at != nullptr && depth < kMostCauses; at = at->cause(), ++depth) {
    const bool more = at->cause() != nullptr && depth + 1 < kMostCauses;
    number(static_cast<std::uint16_t>(at->code()));
    byte(static_cast<std::uint8_t>((at->pos().known() ? kHasPos : 0) |
                                   (at->retry_after_ms() ? kHasRetryAfter : 0) |
                                   (more ? kHasCause : 0)));
    text(at->message());
    if (at->pos().known()) {
      number(at->pos().file);
      number(at->pos().line);
      number(at->pos().column);
    }
    if (at->retry_after_ms()) whole(*at->retry_after_ms());
  }
}

void WireWriter::task(const TaskRef& task) {
  number(task.frame);
  number(task.step);
  number(task.item);
}

void WireWriter::call(const CallRef& call) {
  task(call.task);
  number(call.round);
  number(call.attempt);
  number(call.turn);
  number(call.call);
}

void WireWriter::usage(const Usage& usage) {
  const bool tokens =
      usage.prompt_tokens != 0 || usage.cached_tokens != 0 || usage.completion_tokens != 0;
  byte(static_cast<std::uint8_t>((tokens ? kHasTokens : 0) | (usage.usd != 0 ? kHasUsd : 0)));
  if (tokens) {
    number(usage.prompt_tokens);
    number(usage.cached_tokens);
    number(usage.completion_tokens);
  }
  if (usage.usd != 0) real(usage.usd);
}

std::string_view WireReader::bytes(std::uint64_t size) {
  if (size > rest_.size()) {
    bad_ = true;
    rest_ = {};
    return {};
  }
  std::string_view taken = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return taken;
}

std::uint8_t WireReader::byte() {
  std::string_view one = bytes(1);
  return one.empty() ? 0 : static_cast<std::uint8_t>(one.front());
}

bool WireReader::flag() {
  const std::uint8_t set = byte();
  if (set > 1) bad_ = true;
  return set == 1;
}

std::uint64_t WireReader::number() {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const std::uint8_t next = byte();
    number |= std::uint64_t{next & 0x7FU} << shift;
    if ((next & 0x80U) == 0) {
      if (shift == 63 && next > 1) bad_ = true;  // beyond 64 bits
      return number;
    }
  }
  bad_ = true;
  return 0;
}

std::uint32_t WireReader::number32() {
  const std::uint64_t wide = number();
  if (wide > UINT32_MAX) bad_ = true;
  return static_cast<std::uint32_t>(wide);
}

std::uint16_t WireReader::number16() {
  const std::uint64_t wide = number();
  if (wide > UINT16_MAX) bad_ = true;
  return static_cast<std::uint16_t>(wide);
}

std::int64_t WireReader::whole() {
  const std::uint64_t folded = number();
  return static_cast<std::int64_t>((folded >> 1) ^ (~(folded & 1) + 1));
}

std::uint32_t WireReader::fixed32() {
  std::uint32_t number = 0;
  for (int shift = 0; shift < 32; shift += 8) number |= std::uint32_t{byte()} << shift;
  return number;
}

std::uint64_t WireReader::fixed64() {
  std::uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 8) number |= std::uint64_t{byte()} << shift;
  return number;
}

double WireReader::real() { return std::bit_cast<double>(fixed64()); }

std::string_view WireReader::text() { return bytes(number()); }

Value WireReader::value() {
  std::string_view encoded = text();
  if (bad_) return {};
  auto decoded = decode_value(encoded);
  if (!decoded) bad_ = true;
  return decoded ? std::move(*decoded) : Value();
}

// Codes of a newer program, which this one does not know, read as kInternal with their number.
Error WireReader::error() {
  std::vector<Error> chain;
  for (bool more = true; more && !bad_ && chain.size() < kMostCauses;) {
    const std::uint16_t code = number16();
    const std::uint8_t flags = byte();
    std::string message(text());
    SourcePos pos;
    if ((flags & kHasPos) != 0) pos = {number32(), number32(), number32()};
    auto known = static_cast<ErrorCode>(code);
    bool found = false;
    for (const ErrorCodeInfo& row : error_codes()) found = found || row.code == known;
    if (!found) {
      message = "error " + std::to_string(code) + " of a newer program: " + message;
      known = ErrorCode::kInternal;
    }
    Error error(known, std::move(message), pos);
    if ((flags & kHasRetryAfter) != 0) error = error.with_retry_after_ms(whole());
    chain.push_back(std::move(error));
    more = (flags & kHasCause) != 0;
  }
  if (chain.empty()) return Error(ErrorCode::kInternal, "no error");
  while (chain.size() > 1) {
    Error cause = std::move(chain.back());
    chain.pop_back();
    chain.back() = chain.back().with_cause(std::move(cause));
  }
  return std::move(chain.front());
}

TaskRef WireReader::task() {
  TaskRef task;
  task.frame = number();
  task.step = number32();
  task.item = number32();
  return task;
}

CallRef WireReader::call() {
  CallRef call;
  call.task = task();
  call.round = number32();
  call.attempt = number32();
  call.turn = number16();
  call.call = number16();
  return call;
}

Usage WireReader::usage() {
  Usage usage;
  const std::uint8_t flags = byte();
  if (flags > (kHasTokens | kHasUsd)) bad_ = true;
  if ((flags & kHasTokens) != 0) {
    usage.prompt_tokens = number();
    usage.cached_tokens = number();
    usage.completion_tokens = number();
  }
  if ((flags & kHasUsd) != 0) usage.usd = real();
  return usage;
}

std::size_t WireReader::count() {
  const std::uint64_t size = number();
  if (size > rest_.size()) {
    bad_ = true;
    return 0;
  }
  return static_cast<std::size_t>(size);
}

}  // namespace sluice
