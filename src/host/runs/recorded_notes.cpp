#include "host/runs/recorded_notes.h"

#include <cmath>
#include <utility>

namespace sluice {
namespace {

Value text(const std::string& bytes) { return Value::from_utf8(bytes).value_or(Value::string("")); }

std::string text_of(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  return member != nullptr && member->is_string() ? std::string(member->as_string()) : "";
}

std::optional<double> number_of(const Value& value, std::string_view key) {
  const Value* member = value.find(key);
  if (member == nullptr || !member->is_number()) return std::nullopt;
  return member->as_double();
}

}  // namespace

PassNote RecordedNote::note() const {
  PassNote made{.pass = pass, .refused = refused, .step = step, .text = text};
  made.saved_calls = saved_calls;
  made.saved_trips = saved_trips;
  made.saved_tokens = saved_tokens;
  made.saved_s = saved_s;
  return made;
}

std::vector<RecordedNote> recorded_notes(std::span<const PassNote> notes) {
  std::vector<RecordedNote> made;
  for (const PassNote& note : notes) {
    if (made.size() == kMostRecordedNotes) break;
    made.push_back({std::string(note.pass), note.refused, note.step, note.text, note.saved_calls,
                    note.saved_trips, note.saved_tokens, note.saved_s});
  }
  return made;
}

Value encode_notes(std::span<const RecordedNote> notes) {
  std::vector<Value> made;
  for (const RecordedNote& note : notes) {
    std::vector<Value::Member> members{{"pass", text(note.pass)}, {"text", text(note.text)}};
    if (!note.step.empty()) members.emplace_back("step", text(note.step));
    if (note.refused) members.emplace_back("refused", Value::boolean(true));
    auto add = [&members](std::string_view key, const std::optional<double>& saved) {
      if (saved && std::isfinite(*saved)) members.emplace_back(key, Value::number(*saved));
    };
    add("saved_calls", note.saved_calls);
    add("saved_trips", note.saved_trips);
    add("saved_tokens", note.saved_tokens);
    add("saved_s", note.saved_s);
    made.push_back(Value::object(std::move(members)));
  }
  return Value::array(std::move(made));
}

std::optional<std::vector<RecordedNote>> decode_notes(const Value* notes) {
  if (notes == nullptr || !notes->is_array()) return std::nullopt;
  std::vector<RecordedNote> made;
  for (const Value& value : notes->items()) {
    RecordedNote note;
    note.pass = text_of(value, "pass");
    note.text = text_of(value, "text");
    if (note.pass.empty() || note.text.empty()) continue;
    note.step = text_of(value, "step");
    const Value* refused = value.find("refused");
    note.refused = refused != nullptr && refused->is_bool() && refused->as_bool();
    note.saved_calls = number_of(value, "saved_calls");
    note.saved_trips = number_of(value, "saved_trips");
    note.saved_tokens = number_of(value, "saved_tokens");
    note.saved_s = number_of(value, "saved_s");
    made.push_back(std::move(note));
  }
  return made;
}

}  // namespace sluice
