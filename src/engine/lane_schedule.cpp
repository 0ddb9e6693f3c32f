// What the policy sees of a lane, and its decisions carried out.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "engine/lane.h"
#include "schedule/engine_policy.h"

namespace sluice {
namespace {

// How many waiting requests the policy sees at once, with what they would find in the pool.
constexpr std::size_t kWindow = 128;
// Decisions carried out before a batch is computed in any case.
constexpr int kMostRounds = 64;
constexpr std::uint32_t kLongestGroup = 256;

std::uint32_t size32(std::size_t size) { return static_cast<std::uint32_t>(size); }

std::uint32_t common_prefix(std::span<const Token> a, std::span<const Token> b) {
  return size32(static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin()));
}

// Prompts that begin alike have the same: their first tokens, a power of two of them, so that
// lengths which differ a little give the same.
std::uint64_t group_of(std::span<const Token> prompt) {
  std::size_t tokens = kLongestGroup;
  while (tokens > 16 && tokens * 4 > prompt.size() * 3) tokens /= 2;
  if (tokens > prompt.size()) return 0;
  std::uint64_t hash = tokens;
  for (Token token : prompt.first(tokens)) {
    hash = (hash ^ static_cast<std::uint32_t>(token)) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  return hash | 1;
}

bool arrived_before(const RequestView& a, const RequestView& b) {
  return std::pair(a.arrived_ns, a.id) < std::pair(b.arrived_ns, b.id);
}

}  // namespace

void Lane::wait(std::unique_ptr<Generation> request) {
  auto at = std::ranges::upper_bound(
      waiting_, request->view(), arrived_before,
      [](const Waiting& w) -> const RequestView& { return w.request->view(); });
  std::uint64_t group = options_.share ? group_of(request->prompt()) : 0;
  waiting_.insert(at, {.request = std::move(request), .group = group});
}

// A request has come: what was prefetched for it so far is what it takes, the rest it computes
// itself, at its own priority.
void Lane::end_prefetches_for(const Generation& request, SteadyNs now_ns) {
  auto serves = [&](const Generation& other) {
    auto guess = other.prompt();
    return other.view().prefetch && common_prefix(guess, request.prompt()) * 2 >= guess.size();
  };
  for (std::size_t i = running_.size(); i-- > 0;) {
    if (serves(*running_[i].request)) finish(i, ModelReply{}, now_ns);
  }
  for (std::size_t i = waiting_.size(); i-- > 0;) {
    if (!serves(*waiting_[i].request)) continue;
    end_waiting(i, Error(ErrorCode::kCancelled, "the request itself has come"), now_ns);
  }
}

// What a waiting request could take from the pool, and what it could take soon.
void Lane::look_for_prefixes(Waiting& waiting) {
  RequestView& view = waiting.request->view();
  if (waiting.looked_at == pool_state()) return;
  waiting.looked_at = pool_state();
  view.prefix_group = waiting.group;
  view.shared_tokens = view.shared_idle_tokens = view.host_tokens = view.soon_shared_tokens = 0;
  view.kept_run.reset();
  if (!options_.share) return;
  // The last token is always computed: its logits are needed. Not those of a prefetch.
  auto prompt = waiting.request->prompt();
  if (!view.prefetch) prompt = prompt.first(prompt.size() - 1);
  PrefixTree::Match match = pool_.match(prompt);
  view.shared_tokens = match.tokens;
  view.shared_idle_tokens = match.idle_tokens;
  view.host_tokens = match.host_tokens;
  view.kept_run = match.kept_run;
  for (const Running& other : running_) {
    if (other.request->view().phase != RequestPhase::kPrefill) continue;
    view.soon_shared_tokens =
        std::max(view.soon_shared_tokens, common_prefix(prompt, other.request->prompt()));
  }
}

void Lane::add_waiting(ScheduleSnapshot& out) {
  if (waiting_.size() <= kWindow) {
    for (Waiting& waiting : waiting_) {
      look_for_prefixes(waiting);
      out.requests.push_back(waiting.request->view());
    }
    return;
  }
  ScheduleSnapshot all = out;
  for (const Waiting& waiting : waiting_) all.requests.push_back(waiting.request->view());
  auto first = first_waiting(all, kWindow);
  std::unordered_set<RequestId> chosen(first.begin(), first.end());
  for (Waiting& waiting : waiting_) {
    if (!chosen.contains(waiting.request->view().id)) continue;
    look_for_prefixes(waiting);
    out.requests.push_back(waiting.request->view());
  }
}

ScheduleSnapshot Lane::snapshot(SteadyNs now_ns) {
  ScheduleSnapshot out;
  out.now_ns = now_ns;
  out.batch_tokens = options_.batch_tokens;
  out.max_running = options_.max_running;
  out.settings = options_.policies;
  out.cost = &options_.cost;
  out.return_times = &book_.times();
  out.output_history = book_.outputs();
  out.tenants = book_.ledger().tenants();
  out.programs = book_.ledger().programs();
  out.random_seed = steps_;
  out.pool = pool_.view();
  out.kept = pool_.kept_runs();
  for (KeptRunView& run : out.kept) {
    run.idle_since_ns = book_.idle_since(run.program);
    run.program_since_ns = book_.ledger().program_since_ns(run.program, now_ns);
  }
  for (Running& running : running_) {
    RequestView& view = running.request->view();
    view.own_cells = pool_.own_cells(running.sequence);
    out.requests.push_back(view);
  }
  add_waiting(out);
  std::ranges::sort(out.requests, arrived_before);
  return out;
}

// Carries decisions out until there is a batch to compute. One admission at a time: each changes
// what the next one can share.
ScheduleDecision Lane::settle(SteadyNs now_ns) {
  for (int round = 0;; ++round) {
    ScheduleDecision decision = decide(snapshot(now_ns));
    bool last = round == kMostRounds;
    if (!last) {
      for (RequestId id : decision.preempt) preempt(id, now_ns);
      for (const KvMove& move : decision.moves) changes_ += pool_.move(move) ? 1 : 0;
    }
    if (last || decision.admit.empty() || !admit(decision.admit.front(), now_ns)) return decision;
  }
}

// False when it does not wait or there is no place for it.
bool Lane::admit(RequestId id, SteadyNs now_ns) {
  auto found = std::ranges::find_if(waiting_, [&](auto& w) { return w.request->view().id == id; });
  if (found == waiting_.end() || running_.size() >= options_.max_running) return false;
  Running running{.request = std::move(found->request)};
  waiting_.erase(found);
  RequestView& view = running.request->view();
  auto prompt = running.request->prompt();
  KvPool::Opened opened =
      pool_.open(view.prefetch ? prompt : prompt.first(prompt.size() - 1), view.program, now_ns);
  running.sequence = opened.sequence;
  view.phase = RequestPhase::kPrefill;
  view.computed_tokens = opened.shared;
  view.shared_tokens = view.shared_idle_tokens = view.host_tokens = view.soon_shared_tokens = 0;
  view.kept_run.reset();
  if (view.preempted == 0) running.request->set_cached_tokens(opened.shared);
  running_.push_back(std::move(running));
  changes_ += 1;
  if (view.computed_tokens == view.prompt_tokens) {
    finish(running_.size() - 1, ModelReply{}, now_ns);  // a prefetch of what is there
  }
  return true;
}

// What is done when the policy finds nothing to do, so that all requests end whatever it says: who
// runs goes on, or the first that came begins.
ScheduleDecision Lane::anything(SteadyNs now_ns) {
  if (running_.empty()) admit(waiting_.front().request->view().id, now_ns);
  ScheduleDecision out;
  for (const Running& running : running_) {
    const RequestView& view = running.request->view();
    if (view.phase == RequestPhase::kDecode) {
      out.decode.push_back(view.id);
    } else {
      out.prefill.push_back({view.id, view.prompt_tokens - view.computed_tokens});
    }
  }
  return out;
}

// The request waits again, with what it has generated as part of its prompt; its cells are kept.
bool Lane::preempt(RequestId id, SteadyNs now_ns) {
  std::size_t at = find(id);
  if (at == running_.size() || running_[at].request->view().deterministic) return false;
  Running running = std::move(running_[at]);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(at));
  Generation& request = *running.request;
  const RequestView& view = request.view();
  pool_.keep(running.sequence, pool_.length(running.sequence),
             {.program = view.program,
              .tenant = view.tenant,
              .returns_at_ns = now_ns,
              .returns = true,
              .policies = view.policies},
             now_ns);
  request.preempt();
  counters_.preemptions += 1;
  changes_ += 1;
  wait(std::move(running.request));
  return true;
}

}  // namespace sluice
