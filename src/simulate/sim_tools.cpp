#include "simulate/sim_tools.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "data/json.h"

namespace sluice {
namespace {

std::int64_t travel_ns(Random& random) {
  return static_cast<std::int64_t>(random.below(20) + 1) * kNsPerMs;
}

// {kind} chooses; every one of them asks for what the limits of the shape "produced" allow, but
// one.
Value plan_value(std::uint64_t kind) {
  static const std::vector<Value> plans = [] {
    std::vector<Value> made;
    for (const char* text : {
             R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
                 "a": {"tool": "t.put", "with": {"x": "{{ params.x }}"}},
                 "b": {"tool": "t.charge", "with": {"x": "{{ steps.a.output }}"}}},
                 "result": "{{ steps.b.output }}"})",
             R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
                 "l": {"tool": "t.list", "with": {"n": 3, "x": "{{ params.x }}"}},
                 "a": {"for_each": "{{ steps.l.output }}", "tool": "t.put",
                       "with": {"x": "{{ item }}"}}},
                 "result": "{{ steps.a.output | sum }}"})",
             R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
                 "a": {"tool": "t.charge", "with": {"x": "{{ params.x }}"}},
                 "b": {"tool": "t.charge", "with": {"x": 3}},
                 "c": {"value": "{{ steps.a.output + steps.b.output }}"}},
                 "result": "{{ steps.c.output }}"})",
             R"({"sluice": 1, "params": {"x": {"type": "integer"}}, "steps": {
                 "a": {"tool": "t.pay", "with": {"x": "{{ params.x }}"}}},
                 "result": "{{ steps.a.output }}"})",
         }) {
      made.push_back(*parse_json(text));
    }
    return made;
  }();
  return plans[kind % plans.size()];
}

Error wrong_output() {
  return {ErrorCode::kOutputInvalid, "the output does not fit its schema: it is \"garbage\""};
}

}  // namespace

std::uint64_t text_number(std::string_view text, std::uint64_t salt) {
  std::uint64_t hash = salt * 0x9E37'79B9'7F4A'7C15ULL + 0xCBF2'9CE4'8422'2325ULL;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x0000'0100'0000'01B3ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t value_number(const Value& value, std::uint64_t salt, std::uint64_t bound) {
  return Random(text_number(canonical_json(value), salt)).next() % bound;
}

Value SimTools::output_of(const SimFunction& function, const Value& args) {
  const std::uint64_t salt = text_number(function.name, 1);
  switch (function.deed) {
    case SimDeed::kNumber:
    case SimDeed::kRefuse:
      return Value::integer(static_cast<std::int64_t>(value_number(args, salt, 997)));
    case SimDeed::kLook:
      return Value::integer(
          static_cast<std::int64_t>(value_number(args, settings_.seed + ++looks_, 997)));
    case SimDeed::kPlan: {
      const Value* kind = args.find("kind");
      std::uint64_t number = kind != nullptr ? static_cast<std::uint64_t>(kind->as_int()) : 0;
      if (function.effect == Effect::kRead)
        number += text_number("draft", settings_.seed + ++looks_);
      return plan_value(number);
    }
    case SimDeed::kList:
      break;
  }
  const Value* count = args.find("n");
  std::vector<Value> items;
  for (std::int64_t i = 0; count != nullptr && i < count->as_int(); ++i) {
    items.push_back(Value::integer(
        static_cast<std::int64_t>(value_number(args, salt + static_cast<std::uint64_t>(i), 997))));
  }
  return Value::array(std::move(items));
}

bool SimTools::refuses(const SimFunction& function, const Value& args) {
  return function.deed == SimDeed::kRefuse && value_number(args, 77, 3) == 0;
}

SimTools::Fate SimTools::draw(Random& random) const {
  if (down_) return Fate::kUnreachable;
  if (settings_.trouble == 0 || random.unit() >= settings_.trouble) return Fate::kFine;
  static constexpr Fate kFates[] = {Fate::kFailsBefore, Fate::kFailsBefore, Fate::kUnreachable,
                                    Fate::kCallLost,    Fate::kAnswerLost,  Fate::kDies,
                                    Fate::kWrong,       Fate::kSlow};
  return kFates[random.below(std::size(kFates))];
}

std::uint64_t SimTools::send(ToolRequest request, std::function<void(ToolAnswer)> answer) {
  // Chance by key and try: what happens to one call does not depend on the others.
  Random random(text_number(request.key, settings_.seed + 31 * ++sent_[request.key]));
  Travelling call;
  call.fate = draw(random);
  if (call.fate != Fate::kFine) ++troubles_;
  call.back_ns = travel_ns(random);
  call.dies_done = random.below(2) == 0;
  const bool twice = settings_.duplicates && random.below(3) == 0;
  if (twice) call.again_ns = static_cast<std::int64_t>(random.below(400) + 1) * kNsPerMs;
  std::int64_t there_ns = travel_ns(random);
  if (call.fate == Fate::kSlow)
    there_ns += static_cast<std::int64_t>(random.below(5000)) * kNsPerMs;
  call.request = std::move(request);
  call.answer = std::move(answer);
  const std::uint64_t ticket = ++tickets_;
  travelling_.emplace(ticket, std::move(call));
  queue_.after(EventQueue::kWorld, there_ns, [this, ticket] { arrive(ticket); });
  return ticket;
}

bool SimTools::stop(std::uint64_t ticket) {
  auto found = travelling_.find(ticket);
  if (found == travelling_.end()) return false;
  // Some connections are cut before anything was read, others are not.
  if (ticket % 2 == 0) return false;
  travelling_.erase(found);
  return true;
}

void SimTools::arrive(std::uint64_t ticket) {
  auto found = travelling_.find(ticket);
  if (found == travelling_.end()) return;
  const Travelling call = std::move(found->second);
  travelling_.erase(found);
  const SimFunction& function = *call.request.function;
  auto trouble = [&](ErrorCode code, std::string words, bool left) {
    reply(call, std::unexpected(ToolTrouble{Error(code, std::move(words)), left}));
  };
  switch (call.fate) {
    case Fate::kUnreachable:
      return trouble(ErrorCode::kHttpUnreachable, "no connection", false);
    case Fate::kFailsBefore:
      return trouble(ErrorCode::kToolFailed, "busy, try again", false);
    case Fate::kCallLost:
      return;
    case Fate::kDies:
      if (call.dies_done) deed(call);
      return trouble(ErrorCode::kToolDied, "it died", true);
    case Fate::kAnswerLost:
      deed(call);
      return;
    case Fate::kWrong:
      deed(call);
      return reply(call, std::unexpected(ToolTrouble{wrong_output(), true}));
    case Fate::kFine:
    case Fate::kSlow:
      break;
  }
  if (refuses(function, call.request.args)) {
    return trouble(ErrorCode::kToolOutput, "it does not like the arguments", false);
  }
  reply(call, deed(call));
}

Value SimTools::deed(const Travelling& call) {
  const ToolRequest& request = call.request;
  const SimFunction& function = *request.function;
  if (function.effect < Effect::kIdempotent) return output_of(function, request.args);
  Deed done;
  done.call = request.call;
  done.task = request.task;
  done.key = request.key;
  done.function = function.name;
  done.effect = function.effect;
  done.args = request.args;
  done.undo = request.undo;
  done.at = queue_.now();
  done.process = request.process;
  const Deed* known = ledger_.find(request.key);
  done.repeated = known != nullptr && function.effect == Effect::kIdempotent;
  done.output = done.repeated ? known->output : output_of(function, request.args);
  return ledger_.add(std::move(done)).output;
}

void SimTools::reply(const Travelling& call, ToolAnswer answer) {
  queue_.after(call.request.process, call.back_ns, [tell = call.answer, answer] { tell(answer); });
  if (call.again_ns > 0) {
    queue_.after(call.request.process, call.back_ns + call.again_ns,
                 [tell = call.answer, answer] { tell(answer); });
  }
}

bool SimTools::in_flight(const std::string& key) const {
  for (const auto& [ticket, call] : travelling_) {
    if (call.request.key == key && call.fate != Fate::kCallLost) return true;
  }
  return false;
}

CallProbed SimTools::probe(const std::string& key, std::uint64_t tickets,
                           EventQueue::Owner process) {
  CallProbed probed;
  Random random(text_number(key, settings_.seed + 7 * ++sent_[key + "?"]));
  const bool helps = settings_.trouble == 0 || random.below(4) != 0;
  const Deed* done = ledger_.find(key);
  bool under_way = false, of_another = false;
  for (const auto& [ticket, call] : travelling_) {
    if (call.request.key != key) continue;
    under_way = under_way || ticket <= tickets;
    of_another = of_another || (ticket > tickets && call.request.process != process);
  }
  if (down_ || (!helps && done != nullptr)) {
    probed.error = Error(ErrorCode::kHttpUnreachable, "no connection");
  } else if (done != nullptr) {
    probed.state = CallProbed::State::kDone;
    probed.output = done->output;
  } else if (of_another || (under_way && random.below(2) == 0)) {
    probed.error = Error(ErrorCode::kToolFailed, "it is still under way");
  } else {
    probed.state = CallProbed::State::kAbsent;
    std::erase_if(travelling_, [&](const auto& entry) {
      return entry.second.request.key == key && entry.first <= tickets;
    });
  }
  return probed;
}

}  // namespace sluice
