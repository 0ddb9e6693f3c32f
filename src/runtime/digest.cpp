#include "runtime/digest.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "base/overloaded.h"
#include "data/value_codec.h"

namespace sluice {
namespace {

std::uint64_t mix_value(std::uint64_t chain, const Value& value) {
  return mix_bytes(chain, encode_value(value));
}

}  // namespace

std::uint64_t mix_number(std::uint64_t chain, std::uint64_t number) {
  chain = (chain ^ number) * 0x9E37'79B9'7F4A'7C15;
  return chain ^ (chain >> 29);
}

std::uint64_t mix_bytes(std::uint64_t chain, std::string_view bytes) {
  chain = mix_number(chain, bytes.size());
  while (bytes.size() >= 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    chain = mix_number(chain, word);
    bytes.remove_prefix(8);
  }
  std::uint64_t tail = 0;
  if (!bytes.empty()) std::memcpy(&tail, bytes.data(), bytes.size());
  return mix_number(chain, tail);
}

// What is decided, not what it carries along: transcripts and undone outputs came from events.
void DecisionDigest::add(const RunEffect& effect) {
  std::uint64_t chain = mix_number(chain_, effect.body.index());
  std::visit(Overloaded{
                 [&](const StartCall& body) {
                   chain = mix_number(chain, call_hash(body.call));
                   chain = mix_bytes(chain, body.idempotency_key);
                   chain = mix_value(chain, body.args);
                   chain = mix_number(chain, std::bit_cast<std::uint64_t>(body.timeout_ms));
                 },
                 [&](const CancelCall& body) { chain = mix_number(chain, call_hash(body.call)); },
                 [&](const ResumeCall& body) { chain = mix_number(chain, call_hash(body.call)); },
                 [&](const AdmitPlan& body) {
                   chain = mix_number(chain, call_hash({.task = body.task}));
                   chain = mix_value(chain, body.plan);
                 },
                 [&](const BeginWait& body) {
                   chain = mix_number(chain, call_hash(body.call));
                   chain = mix_value(chain, body.spec);
                 },
                 [&](const SetTimer& body) {
                   chain = mix_number(chain, body.timer);
                   chain = mix_number(chain, std::bit_cast<std::uint64_t>(body.delay_ns));
                   chain = mix_number(chain, std::bit_cast<std::uint64_t>(body.until_wall_ns));
                 },
                 [&](const ClearTimer& body) { chain = mix_number(chain, body.timer); },
                 [&](const EndRun& body) {
                   chain = mix_number(chain, static_cast<std::uint64_t>(body.outcome.status));
                   chain = mix_number(chain, body.outcome.failed_tasks);
                   chain = mix_value(chain, body.outcome.result);
                 },
             },
             effect.body);
  chain_ = chain;
}

std::uint32_t DecisionDigest::mark() {
  const auto folded = static_cast<std::uint32_t>(chain_ ^ (chain_ >> 32));
  chain_ = folded == 0 ? 1 : folded;
  return static_cast<std::uint32_t>(chain_);
}

std::string describe_effect(const RunEffect& effect) {
  auto call_text = [](const CallRef& call) {
    return fmt::format("step {} item {} round {} attempt {} turn {} call {}", call.task.step,
                       call.task.item, call.round, call.attempt, call.turn, call.call);
  };
  return std::visit(
      Overloaded{
          [&](const StartCall& body) {
            return fmt::format("{} {} ({}), key {}", body.undo ? "undo" : "start a call of",
                               body.task_id, call_text(body.call), body.idempotency_key);
          },
          [&](const CancelCall& body) { return "cancel the call " + call_text(body.call); },
          [&](const ResumeCall& body) { return "resume the stream " + call_text(body.call); },
          [&](const AdmitPlan& body) {
            return fmt::format("admit the plan of step {} item {}", body.task.step, body.task.item);
          },
          [&](const BeginWait& body) { return "begin the wait " + body.task_id; },
          [&](const SetTimer& body) {
            return fmt::format("set the timer {:016x} to {} ns", body.timer, body.delay_ns);
          },
          [&](const ClearTimer& body) {
            return fmt::format("clear the timer {:016x}", body.timer);
          },
          [&](const EndRun& body) {
            return fmt::format("end the run: {}", run_status_name(body.outcome.status));
          },
      },
      effect.body);
}

}  // namespace sluice
