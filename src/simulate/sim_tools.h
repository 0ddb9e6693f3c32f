// SimTools: the tools of a simulated world, outside of all processes. A call travels, arrives (also
// when its sender is dead by then), is done or not, and its answer travels back, or is lost, late,
// wrong or doubled. What was done stands in the ledger. One thread.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/host.h"
#include "simulate/event_queue.h"
#include "simulate/ledger.h"
#include "simulate/sim_functions.h"

namespace sluice {

struct ToolRequest {
  EventQueue::Owner process = 0;
  const SimFunction* function = nullptr;
  CallRef call;
  std::string task;
  std::string key;
  Value args;
  bool undo = false;
};

// What the caller is told; `left`: the call may have been done.
struct ToolTrouble {
  Error error;
  bool left = false;
};
using ToolAnswer = std::expected<Value, ToolTrouble>;

struct SimToolSettings {
  std::uint64_t seed = 0;
  double trouble = 0;       // the share of calls that do not go well
  bool duplicates = false;  // some answers come twice
};

class SimTools {
 public:
  SimTools(EventQueue& queue, Ledger& ledger, SimToolSettings settings)
      : queue_(queue), ledger_(ledger), settings_(settings) {}

  // `answer` is called in the process, at most twice; never when the call or its answer is lost.
  std::uint64_t send(ToolRequest request, std::function<void(ToolAnswer)> answer);
  // The caller wants it no more. True: it had not arrived and never will.
  bool stop(std::uint64_t ticket);

  // Asks what became of a key, with a question that left when `tickets` calls had. `absent` is a
  // promise: of what had left by then nothing will arrive.
  CallProbed probe(const std::string& key, std::uint64_t tickets, EventQueue::Owner process);
  std::uint64_t tickets() const { return tickets_; }
  bool in_flight(const std::string& key) const;

  // Nothing can be reached while they are down.
  void down(bool is_down) { down_ = is_down; }
  // From now on everything goes well, so that a run can end.
  void calm() { settings_.trouble = 0; }
  // What the function gives for these arguments.
  Value output_of(const SimFunction& function, const Value& args);
  // Whether the function refuses these arguments, always.
  static bool refuses(const SimFunction& function, const Value& args);
  std::uint64_t troubles() const { return troubles_; }

 private:
  enum class Fate : std::uint8_t {
    kFine,
    kFailsBefore,  // says so, and has not done it
    kUnreachable,
    kCallLost,
    kAnswerLost,
    kDies,  // after or before it was done
    kWrong,
    kSlow,
  };
  struct Travelling {
    ToolRequest request;
    std::function<void(ToolAnswer)> answer;
    Fate fate = Fate::kFine;
    std::int64_t back_ns = 0;
    bool dies_done = false;
    std::int64_t again_ns = 0;  // a second answer, so much later; 0: none
  };

  Fate draw(Random& random) const;
  void arrive(std::uint64_t ticket);
  Value deed(const Travelling& call);
  void reply(const Travelling& call, ToolAnswer answer);

  EventQueue& queue_;
  Ledger& ledger_;
  SimToolSettings settings_;
  std::map<std::uint64_t, Travelling> travelling_;
  std::map<std::string, std::uint64_t> sent_;  // by key: how often
  std::uint64_t tickets_ = 0;
  std::uint64_t looks_ = 0;
  std::uint64_t troubles_ = 0;
  bool down_ = false;
};

// A number below `bound` that follows from the texts and numbers of a value.
std::uint64_t value_number(const Value& value, std::uint64_t salt, std::uint64_t bound);
std::uint64_t text_number(std::string_view text, std::uint64_t salt);

}  // namespace sluice
