// Programs that use a language model, for engines in virtual time: what they ask, when they come
// back, what they tell about it. Also the client's side of a run: who arrives when, and what was
// seen. Pure data and pure functions of a seed; one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "schedule/snapshot.h"

namespace sluice {

// What a program's requests say about it (ProgramHints).
enum class Telling : std::uint8_t {
  kNothing,  // a plain client: each request for itself
  kProgram,  // which program it is of
  kReturns,  // and whether it comes back
  kPlan      // and when, and how long outputs become, and how much is left of it
};

struct WorldTurn {
  std::vector<Token> adds;   // to what was said so far (or alone, with `fresh`)
  std::uint32_t output = 0;  // tokens that it generates
  double pause_s = 0;        // until the next turn
  bool fresh = false;        // a prompt of its own, nothing of the turns before
};

struct WorldProgram {
  std::string name;
  std::string tenant;
  std::string kind;  // for the report
  double arrives_s = 0;
  std::int32_t priority = 0;
  std::uint32_t max_tokens = 512;
  Telling telling = Telling::kReturns;
  PolicyNames policies;
  std::vector<WorldTurn> turns;
};

struct Workload {
  std::string name;
  std::vector<WorldProgram> programs;
  std::uint32_t at_once = 0;  // programs in flight; the next in the list begins when one ends
  std::uint32_t pool_cells = 0;
  std::uint32_t max_running = 16;
};

// The workloads of bench/serving. `scale` (0, 1] makes them shorter.
Workload docs_workload(std::uint64_t seed, double scale = 1);
Workload agents_workload(std::uint64_t seed, std::uint32_t sessions, Telling telling);
Workload mixed_workload(std::uint64_t seed, double seconds, bool shorts, bool longs);
Workload fair_workload(std::uint64_t seed, double seconds, bool flood);
// Anything, small; for laws that must hold everywhere.
Workload random_workload(std::uint64_t seed);

struct WorldRequest {
  std::uint64_t id = 0;
  std::size_t program = 0;
  std::size_t turn = 0;
  std::vector<Token> tokens;  // of the prompt, then what is generated
  std::uint32_t prompt_tokens = 0;
  std::uint32_t output = 0;
  SteadyNs arrived_ns = 0;
};

struct RequestRecord {
  std::string kind;
  std::string tenant;
  double arrived_s = 0;
  double first_s = 0;  // time to the first token
  double whole_s = 0;
  std::uint32_t prompt_tokens = 0;
  std::uint32_t computed_tokens = 0;  // of prompts, also again
  std::uint32_t output = 0;
  bool failed = false;
};

struct EngineWorldReport {
  std::vector<RequestRecord> requests;
  std::vector<std::pair<std::string, double>> job_s;  // (kind, from its first arrival to its end)
  double wall_s = 0;
  double busy_s = 0;
  std::uint64_t batches = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t moved_tokens = 0;
  std::uint64_t dropped_tokens = 0;
  std::uint64_t digest = 0;  // of all that was decided
  double service_gap_s = 0;  // largest between two tenants that both had work throughout
  bool all_ended = false;

  double job_mean_s(const std::string& kind = "") const;
  double first_quantile_s(const std::string& kind, double part) const;
  double whole_quantile_s(const std::string& tenant, double part) const;
  // Tokens (prompt and output) a second of requests of that kind that ended.
  double tokens_per_s(const std::string& kind) const;
  std::uint64_t computed_tokens() const;
};

// The clients of a run.
class WorldClients {
 public:
  explicit WorldClients(const Workload& workload);

  std::optional<SteadyNs> next_arrival_ns() const;
  std::vector<WorldRequest> take_arrivals(SteadyNs now_ns);
  void first_token(const WorldRequest& request, SteadyNs now_ns);
  void ended(WorldRequest request, SteadyNs now_ns, std::uint32_t computed, bool failed = false);
  const WorldProgram& program(const WorldRequest& request) const {
    return workload_.programs[request.program];
  }
  // The turns that come after this request.
  std::size_t turns_left(const WorldRequest& request) const {
    return program(request).turns.size() - request.turn - 1;
  }
  bool done() const { return ended_ == workload_.programs.size(); }
  EngineWorldReport report(SteadyNs now_ns) const;

 private:
  struct Due {
    SteadyNs at_ns;
    std::size_t program;
    bool operator>(const Due& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : program > other.program;
    }
  };
  struct Session {
    std::size_t next_turn = 0;
    std::vector<Token> said;
    SteadyNs began_ns = 0;
  };
  void begin_next(SteadyNs now_ns);
  void push_due(Due due);

  const Workload& workload_;
  std::vector<Due> due_;  // a heap, the earliest first
  std::vector<Session> sessions_;
  std::vector<RequestRecord> records_;  // by request id - 1
  std::vector<std::pair<std::string, double>> job_s_;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
};

}  // namespace sluice
