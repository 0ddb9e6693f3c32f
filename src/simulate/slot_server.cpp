#include <algorithm>
#include <deque>
#include <optional>

#include "schedule/round.h"
#include "simulate/engine_world.h"

namespace sluice {
namespace {

// A saved prompt replaces what a slot holds when it has more of the new one.
constexpr double kLeastAlike = 0.1;  // of a prompt that a slot has, to be chosen for it

std::uint32_t common(const std::vector<Token>& a, const std::vector<Token>& b) {
  return static_cast<std::uint32_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

struct Slot {
  std::vector<Token> cells;  // of its last request
  std::optional<WorldRequest> request;
  std::uint32_t computed = 0;  // of the prompt
  std::uint32_t recomputed = 0;
  std::uint32_t generated = 0;
  SteadyNs used_ns = 0;

  bool decoding() const { return request && computed == request->prompt_tokens; }
};

class SlotServer {
 public:
  SlotServer(const Workload& workload, const SlotServerOptions& options)
      : options_(options),
        clients_(workload),
        slots_(std::max(options.slots, 1U)),
        context_(workload.pool_cells / std::max(options.slots, 1U)) {}

  EngineWorldReport run() {
    while (!clients_.done() && now_ns_ < ns_of(options_.longest_s)) {
      for (WorldRequest& request : clients_.take_arrivals(now_ns_)) {
        queue_.push_back(std::move(request));
      }
      assign();
      bool idle = std::ranges::none_of(slots_, [](auto& slot) { return slot.request.has_value(); });
      if (!idle) {
        step();
        continue;
      }
      auto next = clients_.next_arrival_ns();
      if (!next) break;
      now_ns_ = std::max(now_ns_, *next);
    }
    EngineWorldReport out = clients_.report(now_ns_);
    out.busy_s = busy_s_;
    out.batches = batches_;
    return out;
  }

 private:
  void assign() {
    while (!queue_.empty()) {
      Slot* best = nullptr;
      std::uint32_t most = 0;
      for (Slot& slot : slots_) {
        if (slot.request) continue;
        std::uint32_t same = common(slot.cells, queue_.front().tokens);
        bool alike = same > kLeastAlike * static_cast<double>(queue_.front().tokens.size());
        if (alike && same > most) {
          best = &slot;
          most = same;
        }
      }
      for (Slot& slot : slots_) {
        if (most > 0 || slot.request) continue;
        if (!best || slot.used_ns < best->used_ns) best = &slot;
      }
      if (!best) return;
      WorldRequest request = std::move(queue_.front());
      queue_.pop_front();
      if (request.prompt_tokens + clients_.program(request).max_tokens > context_) {
        clients_.ended(std::move(request), now_ns_, 0, true);  // the context size is exceeded
        continue;
      }
      begin(*best, std::move(request));
    }
  }

  void begin(Slot& slot, WorldRequest request) {
    std::uint32_t same = common(slot.cells, request.tokens);
    auto best = saved_.end();
    for (auto at = saved_.begin(); at != saved_.end(); ++at) {
      std::uint32_t with = common(*at, request.tokens);
      if (with > same) {
        same = with;
        best = at;
      }
    }
    std::optional<std::vector<Token>> restored;
    if (best != saved_.end()) {
      restored = std::move(*best);
      saved_bytes_ -= bytes(*restored);
      saved_.erase(best);
    }
    if (common(slot.cells, request.tokens) < slot.cells.size()) save(slot);
    if (restored) {
      spend(options_.cost.copy_in_s(restored->size()));
      slot.cells = std::move(*restored);
    }
    same = std::min(common(slot.cells, request.tokens), request.prompt_tokens - 1);
    slot.cells.resize(same);
    slot.computed = same;
    slot.recomputed = request.prompt_tokens - same;
    slot.generated = 0;
    slot.request = std::move(request);
  }

  std::uint64_t bytes(const std::vector<Token>& cells) const {
    return cells.size() * options_.cost.parts().cell_bytes;
  }

  void save(const Slot& slot) {
    if (slot.cells.empty() || bytes(slot.cells) > options_.host_bytes) return;
    spend(options_.cost.copy_out_s(slot.cells.size()));
    saved_bytes_ += bytes(slot.cells);
    saved_.push_back(slot.cells);
    while (saved_bytes_ > options_.host_bytes) {
      saved_bytes_ -= bytes(saved_.front());
      saved_.pop_front();
    }
  }

  void spend(double seconds) {
    now_ns_ += ns_of(seconds);
    busy_s_ += seconds;
  }

  // One token of each decoding slot, then prompts in the order of the slots; computed in pieces,
  // and all outputs come at the end.
  void step() {
    BatchShape shape;
    std::vector<Slot*> decoded;
    for (Slot& slot : slots_) {
      if (!slot.decoding()) continue;
      shape.decode_tokens += 1;
      shape.decode_cells += slot.cells.size();
      decoded.push_back(&slot);
    }
    std::uint32_t left = options_.step_tokens - shape.decode_tokens;
    std::uint32_t piece = options_.batch_tokens - shape.decode_tokens;
    for (Slot& slot : slots_) {
      if (!slot.request || slot.decoding()) continue;
      std::uint32_t tokens = std::min(left, slot.request->prompt_tokens - slot.computed);
      left -= tokens;
      while (tokens > 0) {
        std::uint32_t part = std::min(tokens, piece);
        shape.prefill_tokens += part;
        shape.prefill_cells += chunk_cells(slot.computed, part);
        slot.computed += part;
        tokens -= part;
        piece -= part;
        if (piece > 0) continue;
        compute(shape);
        piece = options_.batch_tokens;
      }
      if (slot.decoding()) decoded.push_back(&slot);
    }
    if (shape.decode_tokens + shape.prefill_tokens > 0) compute(shape);
    for (Slot* slot : decoded) take_token(*slot);
  }

  void compute(BatchShape& shape) {
    spend(options_.cost.batch_s(shape));
    batches_ += 1;
    shape = {};
  }

  void take_token(Slot& slot) {
    WorldRequest& request = *slot.request;
    slot.cells = request.tokens;  // the last sampled token has no cell yet
    slot.used_ns = now_ns_;
    if (slot.generated == 0) clients_.first_token(request, now_ns_);
    slot.generated += 1;
    request.tokens.push_back(
        static_cast<Token>(50'000 + (request.id * 31 + slot.generated) % 9'000));
    if (slot.generated < request.output) return;
    WorldRequest done = std::move(request);
    slot.request.reset();
    clients_.ended(std::move(done), now_ns_, slot.recomputed);
  }

  const SlotServerOptions& options_;
  WorldClients clients_;
  std::vector<Slot> slots_;
  std::uint32_t context_;
  std::deque<WorldRequest> queue_;
  std::deque<std::vector<Token>> saved_;
  std::uint64_t saved_bytes_ = 0;
  SteadyNs now_ns_ = 0;
  double busy_s_ = 0;
  std::uint64_t batches_ = 0;
};

}  // namespace

EngineWorldReport run_slot_server(const Workload& workload, const SlotServerOptions& options) {
  return SlotServer(workload, options).run();
}

}  // namespace sluice
