#include "simulate/engine_world.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "base/ensure.h"
#include "data/hash.h"
#include "schedule/engine_policy.h"
#include "schedule/lifetime/return_times.h"
#include "schedule/prefix_tree.h"
#include "schedule/service_ledger.h"

namespace sluice {
namespace {

constexpr std::size_t kHistory = 200;
constexpr int kMostRounds = 64;  // decisions in a row without time passing

struct Active {
  WorldRequest request;
  RequestView view;
  SequenceId sequence = -1;
  std::uint32_t recomputed = 0;
};

std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

class EngineWorld {
 public:
  EngineWorld(const Workload& workload, const EngineWorldOptions& options)
      : workload_(workload),
        options_(options),
        clients_(workload),
        ledger_(options.policies.tenant_weights) {
    for (std::uint32_t i = options.sequences; i > 0; --i) {
      free_sequences_.push_back(static_cast<SequenceId>(i - 1));
    }
  }

  EngineWorldReport run() {
    while (!clients_.done() && now_ns_ < ns(options_.longest_s)) {
      arrive();
      auto again = step();
      if (again && *again <= now_ns_) continue;
      if (worked_) continue;
      SLUICE_ENSURE(active_.empty() || again, "with requests here something is done");
      auto next = clients_.next_arrival_ns();
      if (!next && !again) break;
      now_ns_ = std::max(now_ns_, std::min(next.value_or(*again), again.value_or(*next)));
    }
    EngineWorldReport out = clients_.report(now_ns_);
    out.busy_s = busy_s_;
    out.batches = batches_;
    out.preemptions = preemptions_;
    out.moved_tokens = moved_;
    out.dropped_tokens = dropped_;
    out.digest = digest_;
    out.service_gap_s = gap_s_;
    return out;
  }

 private:
  static SteadyNs ns(double s) { return static_cast<SteadyNs>(s * 1e9); }
  static double seconds(SteadyNs t) { return static_cast<double>(t) / 1e9; }

  void arrive() {
    for (WorldRequest& request : clients_.take_arrivals(now_ns_)) {
      const WorldProgram& program = clients_.program(request);
      Active one{.request = std::move(request)};
      RequestView& view = one.view;
      view.id = one.request.id;
      view.prompt_tokens = one.request.prompt_tokens;
      view.max_tokens = program.max_tokens;
      view.tenant = program.tenant;
      view.priority = program.priority;
      view.policies = program.policies;
      view.arrived_ns = one.request.arrived_ns;
      if (program.telling != Telling::kNothing) view.program = program.name;
      ledger_.arrive(view.tenant, view.program, now_ns_);
      view.program_since_ns =
          view.program.empty() ? view.arrived_ns : ledger_.program_since_ns(view.program, now_ns_);
      view.returns = program.telling >= Telling::kReturns && clients_.turns_left(one.request) > 0;
      if (program.telling == Telling::kPlan) {
        view.expected_tokens = one.request.output;
        view.rank = size32(clients_.turns_left(one.request) + 1);
        double path_s = 0;
        for (std::size_t turn = one.request.turn; turn < program.turns.size(); ++turn) {
          const WorldTurn& next = program.turns[turn];
          path_s += options_.cost.prefill_s(0, next.adds.size()) +
                    options_.cost.decode_s(next.adds.size(), next.output);
        }
        view.remaining_path_s = path_s;
      }
      auto away = away_since_.find(view.program);
      if (away != away_since_.end()) {
        times_.record("tool", seconds(now_ns_ - away->second));
        away_since_.erase(away);
      }
      active_.push_back(std::move(one));
    }
  }

  Active& find(std::uint64_t id) {
    return *std::ranges::find(active_, id, [](const Active& a) { return a.view.id; });
  }

  void look_for_prefixes(Active& one) {
    RequestView& view = one.view;
    std::span<const Token> prompt(one.request.tokens.data(), view.prompt_tokens - 1);
    PrefixTree::Match match = tree_.match(prompt);
    view.shared_tokens = match.tokens;
    view.shared_idle_tokens = match.idle_tokens;
    view.host_tokens = match.host_tokens;
    view.kept_run = match.kept_run;
    view.soon_shared_tokens = 0;
    for (const Active& other : active_) {
      if (other.view.phase != RequestPhase::kPrefill) continue;
      std::span<const Token> theirs(other.request.tokens.data(), other.view.prompt_tokens);
      auto same =
          static_cast<std::uint32_t>(std::ranges::mismatch(prompt, theirs).in1 - prompt.begin());
      view.soon_shared_tokens = std::max(view.soon_shared_tokens, same);
    }
  }

  PoolView pool() const {
    return {.total_cells = workload_.pool_cells,
            .used_cells = tree_.active_cells(),
            .cached_cells = tree_.idle_cells(),
            .sequences_free = size32(free_sequences_.size()),
            .host_budget_bytes = options_.host_bytes,
            .host_used_bytes = tree_.host_bytes()};
  }

  ScheduleSnapshot snapshot() {
    ScheduleSnapshot out;
    out.now_ns = now_ns_;
    out.pool = pool();
    out.kept = tree_.kept_runs();
    for (KeptRunView& run : out.kept) {
      run.program_since_ns = ledger_.program_since_ns(run.program, now_ns_);
      auto away = away_since_.find(run.program);
      if (away != away_since_.end()) run.idle_since_ns = away->second;
    }
    out.tenants = ledger_.tenants();
    out.programs = ledger_.programs();
    out.output_history.assign(outputs_.begin(), outputs_.end());
    out.batch_tokens = options_.batch_tokens;
    out.max_running = workload_.max_running;
    out.settings = options_.policies;
    out.cost = &options_.cost;
    out.return_times = &times_;
    out.random_seed = options_.seed + batches_;
    std::set<std::uint64_t> shown;
    if (active_.size() > options_.window) {
      for (const Active& one : active_) out.requests.push_back(one.view);
      auto first = first_waiting(out, options_.window);
      shown.insert(first.begin(), first.end());
      out.requests.clear();
    }
    for (Active& one : active_) {
      if (one.view.phase == RequestPhase::kWaiting) {
        if (!shown.empty() && !shown.contains(one.view.id)) continue;
        look_for_prefixes(one);
      } else {
        one.view.own_cells = tree_.own_cells(one.sequence);
      }
      out.requests.push_back(one.view);
    }
    return out;
  }

  // As a lane does: one admission at a time, each with a new snapshot; then one batch.
  std::optional<SteadyNs> step() {
    worked_ = false;
    for (int round = 0; round < kMostRounds; ++round) {
      ScheduleDecision decision = decide(snapshot());
      note(decision);
      for (std::uint64_t id : decision.preempt) preempt(id);
      for (const KvMove& move : decision.moves) carry_out(move);
      if (!decision.admit.empty()) {
        admit(find(decision.admit.front()));
        continue;
      }
      compute(decision);
      bool moved = !decision.moves.empty() || !decision.preempt.empty();
      if (!worked_ && moved && !active_.empty()) continue;
      return decision.decide_again_ns;
    }
    SLUICE_ENSURE(false, "decisions come to an end");
    return std::nullopt;
  }

  void note(const ScheduleDecision& decision) {
    auto add = [&](std::uint64_t value) {
      digest_ = (digest_ ^ value) * 0x9E3779B97F4A7C15ULL;
      digest_ ^= digest_ >> 31;
    };
    for (auto id : decision.preempt) add(id + 1'000'000);
    for (auto id : decision.admit) add(id + 2'000'000);
    for (auto id : decision.decode) add(id);
    for (auto chunk : decision.prefill) add(chunk.request * 4096 + chunk.tokens);
    for (auto move : decision.moves) add(move.run * 4 + static_cast<std::uint64_t>(move.action));
    add(static_cast<std::uint64_t>(now_ns_));
  }

  void close_spare() {
    for (auto spare = tree_.spare_sequences(); !spare.empty(); spare = tree_.spare_sequences()) {
      tree_.close(spare.front());
      free_sequences_.push_back(spare.front());
    }
    tree_.take_free_blobs();
  }

  SequenceId take_sequence() {
    SLUICE_ENSURE(!free_sequences_.empty(), "no more sequences than there are");
    SequenceId id = free_sequences_.back();
    free_sequences_.pop_back();
    return id;
  }

  void preempt(std::uint64_t id) {
    Active& one = find(id);
    SLUICE_ENSURE(one.view.phase != RequestPhase::kWaiting, "only running requests are preempted");
    tree_.make_idle(one.sequence,
                    {.program = one.view.program,
                     .tenant = one.view.tenant,
                     .returns_at_ns = now_ns_,
                     .returns = true},
                    now_ns_);
    one.sequence = -1;
    one.view.phase = RequestPhase::kWaiting;
    one.view.computed_tokens = 0;
    one.view.prompt_tokens = size32(one.request.tokens.size());
    one.view.preempted += 1;
    preemptions_ += 1;
    close_spare();
  }

  void carry_out(const KvMove& move) {
    auto run = tree_.run(move.run);
    SLUICE_ENSURE(run.has_value() && !run->active, "only kept runs are moved");
    if (move.action == KvAction::kMoveToPool) {
      SLUICE_ENSURE(run->in_host, "what comes back is in host memory");
      SequenceId id = take_sequence();
      SequenceId source = run->parent ? tree_.holder(*run->parent) : -1;
      SLUICE_ENSURE(!run->parent || source >= 0, "parents come back first");
      tree_.open_idle(id, source, run->start);
      tree_.move_to_pool(move.run, id);
      spend(options_.cost.copy_in_s(run->cells));
    } else if (move.action == KvAction::kMoveToHost) {
      SLUICE_ENSURE(run->pool_leaf, "children leave first");
      std::uint64_t bytes = std::uint64_t{run->cells} * options_.cost.parts().cell_bytes;
      tree_.move_to_host(move.run, ++last_blob_, bytes);
      SLUICE_ENSURE(tree_.host_bytes() <= options_.host_bytes, "host memory keeps to its budget");
      spend(options_.cost.copy_out_s(run->cells));
      moved_ += run->cells;
    } else {
      SLUICE_ENSURE(run->in_host || run->pool_leaf, "children leave first");
      tree_.drop(move.run);
      dropped_ += run->cells;
    }
    close_spare();
    check_pool();
  }

  void check_pool() const {
    SLUICE_ENSURE(tree_.active_cells() + tree_.idle_cells() <= workload_.pool_cells,
                  "never over the pool");
  }

  std::size_t running() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        active_, [](const Active& a) { return a.view.phase != RequestPhase::kWaiting; }));
  }

  void admit(Active& one) {
    SLUICE_ENSURE(one.view.phase == RequestPhase::kWaiting, "only waiting requests are admitted");
    SLUICE_ENSURE(running() < workload_.max_running, "no more run than may");
    std::span<const Token> prompt(one.request.tokens.data(), one.view.prompt_tokens - 1);
    PrefixTree::Match match = tree_.match(prompt);
    SLUICE_ENSURE(match.tokens >= one.view.shared_tokens, "what it begins with has stayed");
    SLUICE_ENSURE(match.tokens + match.host_tokens >= one.view.shared_tokens + one.view.host_tokens,
                  "what it brings back has stayed");
    one.sequence = take_sequence();
    tree_.open(one.sequence, match.sequence, match.tokens, one.view.program, now_ns_);
    std::uint32_t have = match.tokens;
    for (const PrefixTree::HostPart& part : match.host) {
      auto run = tree_.run(part.run);
      SLUICE_ENSURE(run.has_value(), "it is still in host memory");
      SLUICE_ENSURE(tree_.active_cells() + tree_.idle_cells() + run->cells <= workload_.pool_cells,
                    "there is room for what comes back");
      if (part.tokens == run->cells) {
        tree_.move_to_pool(part.run, one.sequence);
      } else {
        tree_.append(one.sequence, prompt.subspan(have, part.tokens));
      }
      have += part.tokens;
      spend(options_.cost.copy_in_s(run->cells));
    }
    tree_.take_free_blobs();
    check_pool();
    one.view.phase = RequestPhase::kPrefill;
    one.view.computed_tokens = have;
    one.view.shared_tokens = one.view.shared_idle_tokens = one.view.host_tokens = 0;
    one.view.kept_run.reset();
  }

  void spend(double s) {
    now_ns_ += ns(s);
    busy_s_ += s;
  }

  void compute(const ScheduleDecision& decision) {
    BatchShape shape{.idle_cells = tree_.idle_cells()};
    std::vector<std::pair<Active*, double>> parts;  // with their share of the time
    std::set<std::uint64_t> busy;
    const InstanceCost::Parts& cost = options_.cost.parts();
    double token_s = cost.curve.back().seconds / cost.curve.back().tokens;
    for (std::uint64_t id : decision.decode) {
      Active& one = find(id);
      SLUICE_ENSURE(one.view.phase == RequestPhase::kDecode && busy.insert(id).second,
                    "only what decodes decodes, once");
      shape.decode_tokens += 1;
      shape.decode_cells += tree_.length(one.sequence);
      parts.emplace_back(&one, token_s + cost.decode_cell_s * tree_.length(one.sequence));
    }
    for (const PrefillChunk& chunk : decision.prefill) {
      Active& one = find(chunk.request);
      SLUICE_ENSURE(one.view.phase == RequestPhase::kPrefill && chunk.tokens > 0 &&
                        busy.insert(chunk.request).second,
                    "only prompts are computed in chunks, once");
      SLUICE_ENSURE(one.view.computed_tokens + chunk.tokens <= one.view.prompt_tokens,
                    "a prompt is computed once");
      auto cells = chunk_cells(one.view.computed_tokens, chunk.tokens);
      shape.prefill_tokens += chunk.tokens;
      shape.prefill_cells += cells;
      parts.emplace_back(&one,
                         token_s * chunk.tokens + cost.prefill_cell_s * static_cast<double>(cells));
    }
    if (parts.empty()) return;
    SLUICE_ENSURE(shape.decode_tokens + shape.prefill_tokens <= options_.batch_tokens,
                  "no more tokens than a batch takes");
    worked_ = true;
    double batch_s = options_.cost.batch_s(shape);
    auto next = clients_.next_arrival_ns();
    if (decision.abortable && next && *next > now_ns_ && *next < now_ns_ + ns(batch_s) &&
        !aborted_) {
      aborted_ = true;  // what was computed is lost
      return spend(seconds(*next - now_ns_));
    }
    aborted_ = false;
    spend(batch_s);
    batches_ += 1;
    charge(parts, batch_s);
    take_results(decision);
    check_pool();
  }

  void charge(const std::vector<std::pair<Active*, double>>& parts, double batch_s) {
    double whole = 0;
    for (const auto& [one, share] : parts) whole += share;
    for (const auto& [one, share] : parts) {
      ledger_.charge(one->view.tenant, one->view.program, batch_s * share / whole);
    }
    auto tenants = ledger_.tenants();
    if (tenants.size() < 2) return;
    auto [least, most] = std::ranges::minmax(tenants, {}, &ServiceView::service);
    gap_s_ = std::max(gap_s_, most.service - least.service);
  }

  void take_results(const ScheduleDecision& decision) {
    std::vector<std::uint64_t> sampled = decision.decode;
    for (std::uint64_t id : decision.decode) {
      Active& one = find(id);
      tree_.append(one.sequence, std::span(one.request.tokens).last(1));
    }
    for (const PrefillChunk& chunk : decision.prefill) {
      Active& one = find(chunk.request);
      std::span<const Token> tokens(one.request.tokens);
      tree_.append(one.sequence, tokens.subspan(one.view.computed_tokens, chunk.tokens));
      one.view.computed_tokens += chunk.tokens;
      one.recomputed += chunk.tokens;
      if (one.view.computed_tokens < one.view.prompt_tokens) continue;
      one.view.phase = RequestPhase::kDecode;
      sampled.push_back(chunk.request);
    }
    for (std::uint64_t id : sampled) take_token(find(id));
  }

  void take_token(Active& one) {
    if (one.view.generated_tokens == 0) clients_.first_token(one.request, now_ns_);
    one.view.generated_tokens += 1;
    one.request.tokens.push_back(
        static_cast<Token>(50'000 + (one.request.id * 31 + one.view.generated_tokens) % 9'000));
    if (one.view.generated_tokens < one.request.output) return;
    finish(one);
  }

  void finish(Active& one) {
    const WorldProgram& program = clients_.program(one.request);
    bool more = clients_.turns_left(one.request) > 0;
    KeptFor kept{.program = one.view.program, .tenant = one.view.tenant, .next_tool = "tool"};
    kept.returns = more && program.telling >= Telling::kReturns;
    double pause_s = program.turns[one.request.turn].pause_s;
    if (more && program.telling == Telling::kPlan) kept.returns_at_ns = now_ns_ + ns(pause_s);
    kept.policies = program.policies;
    tree_.make_idle(one.sequence, kept, now_ns_);
    if (kept.returns) away_since_[one.view.program] = now_ns_;
    ledger_.leave(one.view.tenant, one.view.program, now_ns_);
    outputs_.push_back(one.view.generated_tokens);
    if (outputs_.size() > kHistory) outputs_.erase(outputs_.begin());
    std::uint64_t id = one.view.id;
    clients_.ended(std::move(one.request), now_ns_, one.recomputed);
    std::erase_if(active_, [&](const Active& a) { return a.view.id == id; });
    close_spare();
  }

  const Workload& workload_;
  const EngineWorldOptions& options_;
  WorldClients clients_;
  ServiceLedger ledger_;
  ReturnTimes times_;
  PrefixTree tree_;
  std::vector<SequenceId> free_sequences_;
  std::vector<Active> active_;  // arrival order
  std::vector<std::uint32_t> outputs_;
  std::unordered_map<std::string, SteadyNs> away_since_;
  SteadyNs now_ns_ = 0;
  BlobId last_blob_ = 0;
  bool worked_ = false;
  bool aborted_ = false;  // the last batch was: the next one is computed to its end
  double busy_s_ = 0;
  double gap_s_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t preemptions_ = 0;
  std::uint64_t moved_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t digest_ = 0;
};

}  // namespace

EngineWorldReport run_engine_world(const Workload& workload, const EngineWorldOptions& options) {
  return EngineWorld(workload, options).run();
}

}  // namespace sluice
