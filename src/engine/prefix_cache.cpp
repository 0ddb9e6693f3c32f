#include "engine/prefix_cache.h"

#include <algorithm>

#include "base/ensure.h"

namespace sluice {

struct PrefixCache::Node {
  std::vector<Token> tokens;
  Node* parent = nullptr;
  std::uint32_t start = 0;  // position of the first token
  std::vector<std::unique_ptr<Node>> children;
  std::vector<SequenceId> ends;  // sequences that end with this run
  std::uint32_t holders = 0;     // sequences on whose path it lies
  std::uint32_t active = 0;      // of those: active ones
  std::uint64_t used_at = 0;     // tick

  std::uint32_t end() const { return start + static_cast<std::uint32_t>(tokens.size()); }
};

PrefixCache::PrefixCache() : root_(std::make_unique<Node>()) {}
PrefixCache::~PrefixCache() = default;

void PrefixCache::count(const Node& node, std::int64_t sign) {
  auto cells = static_cast<std::uint32_t>(sign * static_cast<std::int64_t>(node.tokens.size()));
  if (node.active > 0) {
    active_cells_ += cells;
  } else if (node.holders > 0) {
    idle_cells_ += cells;
  }
}

// One more or one less sequence on the path from `node` to the root.
void PrefixCache::hold(Node* node, bool active, int change) {
  for (; node != root_.get(); node = node->parent) {
    count(*node, -1);
    node->holders += static_cast<std::uint32_t>(change);
    if (active) node->active += static_cast<std::uint32_t>(change);
    count(*node, +1);
  }
}

void PrefixCache::touch(Node* node) {
  ++tick_;
  for (; node != root_.get(); node = node->parent) node->used_at = tick_;
}

// Cuts `node` in two; `node` keeps the tokens before `at`, a new child takes the rest and all that
// hangs below or ends there.
void PrefixCache::split(Node* node, std::size_t at) {
  SLUICE_ENSURE(at > 0 && at < node->tokens.size(), "a split inside the run");
  auto rest = std::make_unique<Node>();
  rest->tokens.assign(node->tokens.begin() + static_cast<std::ptrdiff_t>(at), node->tokens.end());
  node->tokens.resize(at);
  rest->parent = node;
  rest->start = node->end();
  rest->children = std::move(node->children);
  for (auto& child : rest->children) child->parent = rest.get();
  rest->ends = std::move(node->ends);
  for (SequenceId id : rest->ends) sequences_.at(id).end = rest.get();
  rest->holders = node->holders;
  rest->active = node->active;
  rest->used_at = node->used_at;
  node->children.clear();
  node->ends.clear();
  node->children.push_back(std::move(rest));
}

void PrefixCache::drop_unheld(Node* node) {
  while (node != root_.get() && node->holders == 0) {
    Node* parent = node->parent;
    std::erase_if(parent->children, [&](const auto& child) { return child.get() == node; });
    node = parent;
  }
}

PrefixCache::Match PrefixCache::match(std::span<const Token> tokens) const {
  Match best;
  struct Visit {
    const Node* node;
    std::uint32_t depth;
    std::uint32_t idle;
  };
  std::vector<Visit> stack{{root_.get(), 0, 0}};
  const Node* best_node = nullptr;
  while (!stack.empty()) {
    Visit visit = stack.back();
    stack.pop_back();
    for (const auto& child : visit.node->children) {
      auto rest = tokens.subspan(visit.depth);
      auto [mine, theirs] = std::ranges::mismatch(child->tokens, rest);
      auto same = static_cast<std::uint32_t>(mine - child->tokens.begin());
      if (same == 0) continue;
      std::uint32_t idle = visit.idle + (child->active == 0 ? same : 0);
      std::uint32_t depth = visit.depth + same;
      if (depth > best.tokens) {
        best = {.sequence = -1, .tokens = depth, .idle_tokens = idle};
        best_node = child.get();
      }
      if (same == child->tokens.size()) stack.push_back({child.get(), depth, idle});
    }
  }
  while (best_node && best_node->ends.empty()) best_node = best_node->children.front().get();
  if (best_node) best.sequence = best_node->ends.front();
  return best;
}

void PrefixCache::open(SequenceId id, SequenceId source, std::uint32_t shared) {
  SLUICE_ENSURE(!sequences_.contains(id), "a sequence is opened once");
  Node* end = root_.get();
  if (shared > 0) {
    const Sequence& from = sequences_.at(source);
    SLUICE_ENSURE(shared <= from.length, "only cells that are there can be shared");
    end = from.end;
    while (end->start >= shared) end = end->parent;
    if (end->end() > shared) split(end, shared - end->start);
  }
  sequences_[id] = {.end = end, .length = shared, .idle = false};
  end->ends.push_back(id);
  hold(end, true, +1);
  touch(end);
}

void PrefixCache::append(SequenceId id, std::span<const Token> tokens) {
  if (tokens.empty()) return;
  Sequence& sequence = sequences_.at(id);
  Node* end = sequence.end;
  if (end != root_.get() && end->holders == 1) {
    count(*end, -1);
    end->tokens.insert(end->tokens.end(), tokens.begin(), tokens.end());
    count(*end, +1);
  } else {
    std::erase(end->ends, id);
    auto node = std::make_unique<Node>();
    node->tokens.assign(tokens.begin(), tokens.end());
    node->parent = end;
    node->start = sequence.length;
    node->ends = {id};
    node->holders = 1;
    node->active = sequence.idle ? 0 : 1;
    node->used_at = ++tick_;
    count(*node, +1);
    sequence.end = node.get();
    end->children.push_back(std::move(node));
  }
  sequence.length += static_cast<std::uint32_t>(tokens.size());
}

void PrefixCache::truncate(SequenceId id, std::uint32_t length) {
  Sequence& sequence = sequences_.at(id);
  if (length >= sequence.length) return;
  Node* old_end = sequence.end;
  Node* end = old_end;
  while (end != root_.get() && end->start >= length) end = end->parent;
  if (end != root_.get() && end->end() > length) {
    split(end, length - end->start);
    old_end = sequence.end;  // the split may have moved it
  }
  bool active = !sequence.idle;
  hold(old_end, active, -1);
  std::erase(old_end->ends, id);
  end->ends.push_back(id);
  sequence.end = end;
  sequence.length = length;
  hold(end, active, +1);
  drop_unheld(old_end);
}

void PrefixCache::make_idle(SequenceId id) {
  Sequence& sequence = sequences_.at(id);
  if (sequence.idle) return;
  hold(sequence.end, true, -1);
  sequence.idle = true;
  ++idle_sequences_;
  hold(sequence.end, false, +1);
  touch(sequence.end);
}

void PrefixCache::close(SequenceId id) {
  auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  Sequence sequence = found->second;
  if (sequence.idle) --idle_sequences_;
  sequences_.erase(found);
  std::erase(sequence.end->ends, id);
  hold(sequence.end, !sequence.idle, -1);
  drop_unheld(sequence.end);
}

bool PrefixCache::redundant(SequenceId id) const {
  const Node* end = sequences_.at(id).end;
  return end == root_.get() || end->holders > 1;
}

std::optional<PrefixCache::Eviction> PrefixCache::oldest_idle() const {
  std::optional<Eviction> oldest;
  std::uint64_t used_at = 0;
  for (const auto& [id, sequence] : sequences_) {
    if (!sequence.idle) continue;
    if (redundant(id)) return Eviction{.sequence = id, .keep = 0};
    if (oldest && sequence.end->used_at >= used_at) continue;
    used_at = sequence.end->used_at;
    oldest = {.sequence = id, .keep = sequence.end->start};
  }
  return oldest;
}

bool PrefixCache::consistent() const {
  std::uint32_t active = 0;
  std::uint32_t idle = 0;
  std::map<const Node*, std::pair<std::uint32_t, std::uint32_t>> held;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence.end->end() != sequence.length) return false;
    for (const Node* node = sequence.end; node != root_.get(); node = node->parent) {
      auto& [holders, actives] = held[node];
      holders += 1;
      actives += sequence.idle ? 0 : 1;
    }
  }
  std::vector<const Node*> stack{root_.get()};
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    for (const auto& child : node->children) stack.push_back(child.get());
    if (node == root_.get()) continue;
    auto expected = held[node];
    if (node->holders == 0 || node->holders != expected.first || node->active != expected.second) {
      return false;
    }
    if (node->start != node->parent->end()) return false;
    (node->active > 0 ? active : idle) += static_cast<std::uint32_t>(node->tokens.size());
  }
  return active == active_cells_ && idle == idle_cells_;
}

}  // namespace sluice
