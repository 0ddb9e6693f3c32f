#include "engine/kv_pool.h"

#include <llama.h>

#include <utility>

#include "base/ensure.h"

namespace sluice {
namespace {

llama_pos pos(std::uint32_t position) { return static_cast<llama_pos>(position); }

}  // namespace

KvPool::KvPool(llama_context* context, const KvPoolOptions& options, EngineCounters& counters)
    : context_(context),
      options_(options),
      counters_(counters),
      total_cells_(llama_n_ctx(context)),
      host_(context, options.share ? options.host_bytes : 0),
      scratch_(static_cast<SequenceId>(options.sequences - 1)) {
  SLUICE_ENSURE(options.running + 1 <= options.sequences, "an id for each running request");
  for (std::uint32_t i = options.sequences - 1; i > 0; --i) {
    free_sequences_.push_back(static_cast<SequenceId>(i - 1));
  }
}

PrefixTree::Match KvPool::match(std::span<const Token> prompt) const {
  return options_.share ? tree_.match(prompt) : PrefixTree::Match{};
}

SequenceId KvPool::take_sequence() {
  if (free_sequences_.empty()) close_spare();
  while (free_sequences_.empty() && evict_oldest()) continue;
  SLUICE_ENSURE(!free_sequences_.empty(), "kept prefixes leave ids for the running requests");
  SequenceId id = free_sequences_.back();
  free_sequences_.pop_back();
  return id;
}

void KvPool::give_back(SequenceId id) {
  llama_memory_seq_rm(llama_get_memory(context_), id, -1, -1);
  tree_.close(id);
  free_sequences_.push_back(id);
  drop_free_blobs();
}

// Idle sequences whose cells others hold: their ids are free without losing a cell.
void KvPool::close_spare() {
  for (auto spare = tree_.spare_sequences(); !spare.empty(); spare = tree_.spare_sequences()) {
    give_back(spare.front());
  }
}

void KvPool::drop_free_blobs() {
  for (BlobId blob : tree_.take_free_blobs()) host_.drop(blob);
}

KvPool::Opened KvPool::open(std::span<const Token> prompt, std::string_view program,
                            SteadyNs now_ns) {
  SequenceId id = take_sequence();  // may evict, so it comes before the match
  PrefixTree::Match found = match(prompt);
  if (found.tokens > 0) {
    llama_memory_seq_cp(llama_get_memory(context_), found.sequence, id, 0, pos(found.tokens));
  }
  tree_.open(id, found.sequence, found.tokens, program, now_ns);
  Opened out{.sequence = id, .shared = found.tokens};
  for (const PrefixTree::HostPart& part : found.host) tree_.touch(part.run);
  for (const PrefixTree::HostPart& part : found.host) {
    if (!restore(part, prompt, id)) break;
    out.shared += part.tokens;
    out.copied_back += part.tokens;
  }
  counters_.shared_tokens += found.tokens;
  counters_.copied_back_tokens += out.copied_back;
  return out;
}

// Copies a run in host memory back to where `id` ends; false: it is to be computed again.
bool KvPool::restore(const PrefixTree::HostPart& part, std::span<const Token> prompt,
                     SequenceId id) {
  auto run = tree_.run(part.run);
  if (!run || !make_room(run->cells)) return false;
  run = tree_.run(part.run);  // making room may have dropped it
  if (!run) return false;
  if (!host_.restore(run->blob, scratch_)) {
    drop(part.run);
    return false;
  }
  llama_memory_t memory = llama_get_memory(context_);
  llama_memory_seq_cp(memory, scratch_, id, pos(run->start), pos(run->start + part.tokens));
  llama_memory_seq_rm(memory, scratch_, -1, -1);
  if (part.tokens == run->cells) {
    tree_.move_to_pool(part.run, id);
  } else {
    tree_.append(id, prompt.subspan(run->start, part.tokens));
  }
  drop_free_blobs();
  return true;
}

void KvPool::keep(SequenceId id, std::uint32_t length, KeptFor kept_for, SteadyNs now_ns) {
  bool kept = options_.share && length > 0;
  if (kept && length < tree_.length(id)) {
    kept = llama_memory_seq_rm(llama_get_memory(context_), id, pos(length), -1);
    if (kept) tree_.truncate(id, length);
  }
  if (!kept) return close(id);
  tree_.make_idle(id, std::move(kept_for), now_ns);
  drop_free_blobs();
  close_spare();
  while (tree_.idle_sequences() > idle_limit() && evict_oldest()) continue;
}

void KvPool::close(SequenceId id) {
  give_back(id);
  // A lane that shares nothing starts every request with the same pool where it can.
  if (!options_.share && tree_.active_cells() == 0) {
    llama_memory_clear(llama_get_memory(context_), false);
  }
}

bool KvPool::repair(SequenceId id) {
  llama_memory_t memory = llama_get_memory(context_);
  std::uint32_t length = tree_.length(id);
  if (llama_memory_seq_pos_max(memory, id) + 1 > pos(length) &&
      !llama_memory_seq_rm(memory, id, pos(length), -1)) {
    return false;
  }
  return llama_memory_seq_pos_max(memory, id) + 1 == pos(length);
}

bool KvPool::move(const KvMove& move) {
  auto run = tree_.run(move.run);
  if (!run || run->active || !(run->in_host || run->pool_leaf)) return false;
  switch (move.action) {
    case KvAction::kDrop:
      drop(move.run);
      return true;
    case KvAction::kMoveToHost:
      return !run->in_host && to_host(move.run);
    case KvAction::kMoveToPool:
      return run->in_host && to_pool(move.run);
  }
  return false;
}

// Takes the cells of a kept run in the pool from all that hold them.
void KvPool::cut(RunId run) {
  auto known = *tree_.run(run);
  for (SequenceId id : known.ends) {
    bool cut = llama_memory_seq_rm(llama_get_memory(context_), id, pos(known.start), -1);
    SLUICE_ENSURE(cut, "prefixes are only kept where a sequence can be cut");
  }
}

void KvPool::drop(RunId run) {
  auto known = *tree_.run(run);
  counters_.dropped_tokens += known.cells;
  if (!known.in_host) cut(run);
  tree_.drop(run);
  drop_free_blobs();
  if (!known.in_host) close_spare();
}

bool KvPool::to_host(RunId run) {
  auto known = *tree_.run(run);
  llama_memory_t memory = llama_get_memory(context_);
  llama_memory_seq_cp(memory, known.ends.front(), scratch_, pos(known.start), -1);
  std::uint64_t size = host_.size_of(scratch_);
  bool fits = size <= host_.budget_bytes();
  while (fits && host_.used_bytes() + size > host_.budget_bytes()) {
    auto oldest = tree_.oldest_in_host();
    if (!oldest) break;
    drop(*oldest);
  }
  std::optional<BlobId> blob;
  if (fits) blob = host_.save(scratch_, known.start, known.start + known.cells);
  llama_memory_seq_rm(memory, scratch_, -1, -1);
  if (!blob) return false;
  cut(run);
  tree_.move_to_host(run, *blob, host_.bytes(*blob));
  counters_.moved_to_host_tokens += known.cells;
  close_spare();
  return true;
}

bool KvPool::to_pool(RunId run) {
  auto known = *tree_.run(run);
  if (free_cells() < known.cells) return false;
  auto parent = known.parent ? tree_.run(*known.parent) : std::nullopt;
  if (parent && parent->in_host) return false;
  if (tree_.idle_sequences() >= idle_limit() || free_sequences_.empty()) return false;
  SequenceId id = free_sequences_.back();
  free_sequences_.pop_back();
  auto source = known.parent ? tree_.holder(*known.parent) : -1;
  if (parent) {
    llama_memory_seq_cp(llama_get_memory(context_), source, id, 0, pos(known.start));
  }
  tree_.open_idle(id, source, known.start);
  bool restored = restore({.run = run, .tokens = known.cells}, {}, id);
  if (restored) counters_.copied_back_tokens += known.cells;
  close_spare();
  return restored;
}

// The least recently used kept run leaves the pool.
bool KvPool::evict_oldest() {
  auto oldest = tree_.oldest_in_pool();
  if (!oldest) return false;
  if (!to_host(*oldest)) drop(*oldest);
  return true;
}

bool KvPool::make_room(std::uint32_t cells) {
  while (free_cells() < cells) {
    if (!evict_oldest()) return false;
  }
  return true;
}

void KvPool::release(std::string_view program) {
  for (RunId run : tree_.runs_of(program)) drop(run);
}

PoolView KvPool::view() const {
  return {.total_cells = total_cells_,
          .used_cells = tree_.active_cells(),
          .cached_cells = tree_.idle_cells(),
          .sequences_free = static_cast<std::uint32_t>(free_sequences_.size()),
          .host_budget_bytes = host_.budget_bytes(),
          .host_used_bytes = host_.used_bytes()};
}

bool KvPool::consistent() const {
  llama_memory_t memory = llama_get_memory(context_);
  for (std::uint32_t i = 0; i < options_.sequences; ++i) {
    auto id = static_cast<SequenceId>(i);
    std::uint32_t length = tree_.contains(id) ? tree_.length(id) : 0;
    if (llama_memory_seq_pos_max(memory, id) + 1 != pos(length)) return false;
    if (length > 0 && llama_memory_seq_pos_min(memory, id) != 0) return false;
  }
  return tree_.consistent() && tree_.host_bytes() == host_.used_bytes() &&
         host_.used_bytes() <= host_.budget_bytes();
}

}  // namespace sluice
