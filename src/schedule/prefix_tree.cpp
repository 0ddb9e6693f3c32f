#include "schedule/prefix_tree.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "base/ensure.h"

namespace sluice {

struct PrefixTree::Node {
  RunId id = 0;
  std::vector<Token> tokens;
  Node* parent = nullptr;
  std::uint32_t start = 0;  // position of the first token
  std::vector<std::unique_ptr<Node>> children;
  std::vector<SequenceId> ends;  // sequences that end with this run
  std::uint32_t holders = 0;     // sequences on whose path it lies
  std::uint32_t active = 0;      // of those: active ones
  std::uint64_t used_at = 0;     // tick
  std::uint32_t used = 0;        // requests that began with it
  SteadyNs used_ns = 0;
  std::string program;   // the first that used it
  bool several = false;  // another one did too
  std::optional<KeptFor> kept_for;
  bool in_host = false;
  BlobId blob = 0;
  std::uint64_t bytes = 0;

  std::uint32_t cells() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::uint32_t end() const { return start + cells(); }
  bool kept() const { return active == 0; }
  // A sequence that holds it; it lies in the pool.
  SequenceId holder() const {
    const Node* node = this;
    while (node->ends.empty()) {
      auto in_pool = [](const auto& child) { return !child->in_host; };
      node = std::ranges::find_if(node->children, in_pool)->get();
    }
    return node->ends.front();
  }
  bool leaf_in_pool() const {
    return !in_host && std::ranges::all_of(children, [](auto& child) { return child->in_host; });
  }
};

namespace {

// Who is expected first: those with a time, then those without, then those who are not expected.
bool comes_first(const KeptFor& a, const KeptFor& b) {
  auto key = [](const KeptFor& kept) {
    return std::tuple(!kept.expected(),
                      kept.returns_at_ns.value_or(std::numeric_limits<SteadyNs>::max()));
  };
  return key(a) < key(b);
}

}  // namespace

PrefixTree::PrefixTree() : root_(std::make_unique<Node>()) {}
PrefixTree::~PrefixTree() {
  // Not by recursion: a chain of runs may be long.
  std::vector<std::unique_ptr<Node>> all = std::move(root_->children);
  while (!all.empty()) {
    auto node = std::move(all.back());
    all.pop_back();
    for (auto& child : node->children) all.push_back(std::move(child));
  }
}

PrefixTree::Node* PrefixTree::new_node(Node* parent, std::uint32_t start) {
  auto node = std::make_unique<Node>();
  node->id = next_run_++;
  node->parent = parent;
  node->start = start;
  runs_[node->id] = node.get();
  parent->children.push_back(std::move(node));
  return parent->children.back().get();
}

PrefixTree::Node* PrefixTree::kept_node(RunId run) const {
  auto found = runs_.find(run);
  SLUICE_ENSURE(found != runs_.end() && found->second->kept(), "only a kept run can be moved");
  return found->second;
}

PrefixTree::Node* PrefixTree::leaf_in_pool(RunId run) const {
  Node* node = kept_node(run);
  SLUICE_ENSURE(node->leaf_in_pool(), "what continues a run leaves the pool before it");
  return node;
}

void PrefixTree::count(const Node& node, std::int64_t sign) {
  auto cells = static_cast<std::uint32_t>(sign * static_cast<std::int64_t>(node.tokens.size()));
  if (node.active > 0) {
    active_cells_ += cells;
  } else if (node.holders > 0) {
    idle_cells_ += cells;
  } else if (node.in_host) {
    host_cells_ += cells;
    host_bytes_ += static_cast<std::uint64_t>(sign) * node.bytes;
  }
}

// One more or one less sequence on the path from `node` to the root.
void PrefixTree::hold(Node* node, bool active, int change) {
  for (; node != root_.get(); node = node->parent) {
    count(*node, -1);
    node->holders += static_cast<std::uint32_t>(change);
    if (active) node->active += static_cast<std::uint32_t>(change);
    count(*node, +1);
  }
}

// A request of `program` begins with the path to `node`; if it was expected there, it is no more.
void PrefixTree::use(Node* node, std::string_view program, SteadyNs now_ns) {
  ++tick_;
  for (; node != root_.get(); node = node->parent) {
    node->used_at = tick_;
    node->used_ns = now_ns;
    node->used += 1;
    node->several = node->several || node->program != program;
    if (node->kept_for && node->kept_for->program == program) node->kept_for.reset();
  }
}

// Cuts `node` in two; `node` keeps the tokens before `at`, a new child takes the rest and all that
// hangs below or ends there.
void PrefixTree::split(Node* node, std::size_t at) {
  SLUICE_ENSURE(at > 0 && at < node->tokens.size(), "a split inside the run");
  SLUICE_ENSURE(!node->in_host, "a run in host memory is not split");
  auto below = std::move(node->children);
  node->children.clear();
  Node* rest = new_node(node, node->start + static_cast<std::uint32_t>(at));
  rest->tokens.assign(node->tokens.begin() + static_cast<std::ptrdiff_t>(at), node->tokens.end());
  node->tokens.resize(at);
  rest->children = std::move(below);
  for (auto& child : rest->children) child->parent = rest;
  rest->ends = std::exchange(node->ends, {});
  for (SequenceId id : rest->ends) sequences_.at(id).end = rest;
  rest->holders = node->holders;
  rest->active = node->active;
  rest->used_at = node->used_at;
  rest->used = node->used;
  rest->used_ns = node->used_ns;
  rest->program = node->program;
  rest->several = node->several;
  rest->kept_for = std::exchange(node->kept_for, std::nullopt);
}

void PrefixTree::end_at(SequenceId id, Node* node) {
  Sequence& sequence = sequences_.at(id);
  sequence.end = node;
  sequence.length = node->end();
  node->ends.push_back(id);
}

// Removes a run that no sequence holds, with all that continues it; who was expected there is
// expected at its parent.
void PrefixTree::remove(Node* node) {
  Node* parent = node->parent;
  auto found =
      std::ranges::find_if(parent->children, [&](auto& child) { return child.get() == node; });
  std::vector<std::unique_ptr<Node>> all;
  all.push_back(std::move(*found));
  parent->children.erase(found);
  while (!all.empty()) {
    auto gone = std::move(all.back());
    all.pop_back();
    SLUICE_ENSURE(gone->holders == 0, "what a sequence holds stays");
    count(*gone, -1);
    if (gone->in_host) free_blobs_.push_back(gone->blob);
    bool known = gone->kept_for && parent != root_.get() && parent->kept();
    if (known && (!parent->kept_for || comes_first(*gone->kept_for, *parent->kept_for))) {
      parent->kept_for = std::move(gone->kept_for);
    }
    runs_.erase(gone->id);
    for (auto& child : gone->children) all.push_back(std::move(child));
  }
}

void PrefixTree::drop_unheld(Node* node) {
  while (node != root_.get() && node->holders == 0 && !node->in_host) {
    remove(std::exchange(node, node->parent));
  }
}

PrefixTree::Match PrefixTree::match(std::span<const Token> tokens) const {
  Match best;
  struct Visit {
    const Node* node;
    std::uint32_t depth;
    std::uint32_t pool;
    std::uint32_t idle;
  };
  std::vector<Visit> stack{{root_.get(), 0, 0, 0}};
  const Node* best_node = nullptr;
  while (!stack.empty()) {
    Visit visit = stack.back();
    stack.pop_back();
    for (const auto& child : visit.node->children) {
      auto rest = tokens.subspan(visit.depth);
      auto [mine, theirs] = std::ranges::mismatch(child->tokens, rest);
      auto same = static_cast<std::uint32_t>(mine - child->tokens.begin());
      if (same == 0 || (child->in_host && same * 2 < child->cells())) continue;
      Visit next{child.get(), visit.depth + same, visit.pool, visit.idle};
      if (!child->in_host) {
        next.pool += same;
        if (child->active == 0) next.idle += same;
      }
      if (std::tuple(next.depth, next.pool) >
          std::tuple(best.tokens + best.host_tokens, best.tokens)) {
        best.tokens = next.pool;
        best.idle_tokens = next.idle;
        best.host_tokens = next.depth - next.pool;
        best_node = child.get();
      }
      if (same == child->cells()) stack.push_back(next);
    }
  }
  if (best_node && best_node->kept()) best.kept_run = best_node->id;
  std::uint32_t end = best.tokens + best.host_tokens;
  for (; best_node && best_node->in_host; best_node = best_node->parent) {
    best.host.push_back({best_node->id, end - best_node->start});
    end = best_node->start;
  }
  std::ranges::reverse(best.host);
  if (best.tokens > 0) best.sequence = best_node->holder();
  return best;
}

// The run with which the first `shared` cells of `source` end.
PrefixTree::Node* PrefixTree::shared_end(SequenceId source, std::uint32_t shared) {
  if (shared == 0) return root_.get();
  const Sequence& from = sequences_.at(source);
  SLUICE_ENSURE(shared <= from.length, "only cells that are there can be shared");
  Node* end = from.end;
  while (end->start >= shared) end = end->parent;
  if (end->end() > shared) split(end, shared - end->start);
  return end;
}

// A program has come back with a whole prompt of before, and goes on after `end` in another way
// than what it wrote then: it is not expected with that any more.
void PrefixTree::forget_missed(Node* end, std::string_view program) {
  if (program.empty() || end == root_.get()) return;
  std::vector<Node*> below{end};
  while (!below.empty()) {
    Node* node = below.back();
    below.pop_back();
    for (auto& child : node->children) below.push_back(child.get());
    if (!node->kept_for || node->kept_for->program != program) continue;
    if (node->kept_for->prompt > 0 && node->kept_for->prompt <= end->end()) node->kept_for.reset();
  }
}

void PrefixTree::open(SequenceId id, SequenceId source, std::uint32_t shared,
                      std::string_view program, SteadyNs now_ns) {
  SLUICE_ENSURE(!sequences_.contains(id), "a sequence is opened once");
  Node* end = shared_end(source, shared);
  sequences_[id].program = program;
  end_at(id, end);
  hold(end, true, +1);
  use(end, program, now_ns);
  forget_missed(end, program);
  ++version_;
}

void PrefixTree::open_idle(SequenceId id, SequenceId source, std::uint32_t shared) {
  SLUICE_ENSURE(!sequences_.contains(id), "a sequence is opened once");
  Node* end = shared_end(source, shared);
  sequences_[id].idle = true;
  ++idle_sequences_;
  end_at(id, end);
  hold(end, false, +1);
  ++version_;
}

void PrefixTree::append(SequenceId id, std::span<const Token> tokens) {
  if (tokens.empty()) return;
  Sequence& sequence = sequences_.at(id);
  Node* end = sequence.end;
  if (end == root_.get() || end->holders > 1 || !end->children.empty() || end->kept_for) {
    std::erase(end->ends, id);
    Node* node = new_node(end, sequence.length);
    node->ends = {id};
    node->holders = 1;
    node->active = sequence.idle ? 0 : 1;
    node->used_at = ++tick_;
    node->program = sequence.program;
    sequence.end = end = node;
  }
  count(*end, -1);
  end->tokens.insert(end->tokens.end(), tokens.begin(), tokens.end());
  count(*end, +1);
  sequence.length += static_cast<std::uint32_t>(tokens.size());
}

void PrefixTree::truncate(SequenceId id, std::uint32_t length) {
  Sequence& sequence = sequences_.at(id);
  if (length >= sequence.length) return;
  Node* end = sequence.end;
  while (end != root_.get() && end->start >= length) end = end->parent;
  if (end != root_.get() && end->end() > length) split(end, length - end->start);
  Node* old_end = sequence.end;  // the split may have moved it
  bool active = !sequence.idle;
  hold(old_end, active, -1);
  std::erase(old_end->ends, id);
  end_at(id, end);
  hold(end, active, +1);
  drop_unheld(old_end);
  ++version_;
}

void PrefixTree::make_idle(SequenceId id, KeptFor kept_for, SteadyNs now_ns) {
  Sequence& sequence = sequences_.at(id);
  if (sequence.idle) return;
  Node* end = sequence.end;
  hold(end, true, -1);
  sequence.idle = true;
  ++idle_sequences_;
  hold(end, false, +1);
  ++tick_;
  for (Node* node = end; node != root_.get(); node = node->parent) {
    node->used_at = tick_;
    node->used_ns = std::max(node->used_ns, now_ns);
  }
  bool others = end->kept_for && end->kept_for->program != kept_for.program;
  if (end != root_.get() && !(others && comes_first(*end->kept_for, kept_for))) {
    end->kept_for = std::move(kept_for);
  }
  ++version_;
}

void PrefixTree::close(SequenceId id) {
  auto found = sequences_.find(id);
  if (found == sequences_.end()) return;
  Sequence sequence = std::move(found->second);
  if (sequence.idle) --idle_sequences_;
  sequences_.erase(found);
  std::erase(sequence.end->ends, id);
  hold(sequence.end, !sequence.idle, -1);
  drop_unheld(sequence.end);
  ++version_;
}

// The sequences that end with `leaf` end before it.
void PrefixTree::end_before(Node& leaf) {
  Node* parent = leaf.parent;
  for (SequenceId id : std::exchange(leaf.ends, {})) {
    SLUICE_ENSURE(sequences_.at(id).idle, "a kept run is held by idle sequences");
    count(leaf, -1);
    leaf.holders -= 1;
    count(leaf, +1);
    end_at(id, parent);
  }
}

void PrefixTree::move_to_host(RunId run, BlobId blob, std::uint64_t bytes) {
  Node* node = leaf_in_pool(run);
  end_before(*node);
  node->in_host = true;
  node->blob = blob;
  node->bytes = bytes;
  count(*node, +1);
  ++version_;
}

void PrefixTree::move_to_pool(RunId run, SequenceId id) {
  Node* node = kept_node(run);
  Sequence& sequence = sequences_.at(id);
  SLUICE_ENSURE(node->in_host && node->parent == sequence.end, "the sequence ends before the run");
  count(*node, -1);
  free_blobs_.push_back(node->blob);
  node->in_host = false;
  node->blob = 0;
  node->bytes = 0;
  node->holders = 1;
  node->active = sequence.idle ? 0 : 1;
  count(*node, +1);
  std::erase(sequence.end->ends, id);
  end_at(id, node);
  node->used_at = ++tick_;
  ++version_;
  if (sequence.idle) return;
  node->used += 1;
  node->several = node->several || node->program != sequence.program;
  if (node->kept_for && node->kept_for->program == sequence.program) node->kept_for.reset();
}

void PrefixTree::touch(RunId run) {
  if (auto found = runs_.find(run); found != runs_.end()) found->second->used_at = ++tick_;
}

void PrefixTree::drop(RunId run) {
  Node* node = kept_node(run);
  if (!node->in_host) end_before(*leaf_in_pool(run));
  remove(node);
  ++version_;
}

std::vector<BlobId> PrefixTree::take_free_blobs() { return std::exchange(free_blobs_, {}); }

bool PrefixTree::redundant(SequenceId id) const {
  const Node* end = sequences_.at(id).end;
  return end == root_.get() || end->holders > 1;
}

std::vector<SequenceId> PrefixTree::spare_sequences() const {
  std::vector<SequenceId> out;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence.idle && redundant(id)) out.push_back(id);
  }
  return out;
}

std::uint32_t PrefixTree::own_cells(SequenceId id) const {
  std::uint32_t cells = 0;
  for (const Node* node = sequences_.at(id).end; node != root_.get() && node->holders == 1;
       node = node->parent) {
    cells += node->cells();
  }
  return cells;
}

std::optional<PrefixTree::Run> PrefixTree::run(RunId run) const {
  auto found = runs_.find(run);
  if (found == runs_.end()) return std::nullopt;
  const Node& node = *found->second;
  Run out{.start = node.start,
          .cells = node.cells(),
          .in_host = node.in_host,
          .active = node.active > 0,
          .pool_leaf = node.leaf_in_pool(),
          .ends = node.ends,
          .blob = node.blob};
  if (node.parent != root_.get()) out.parent = node.parent->id;
  return out;
}

SequenceId PrefixTree::holder(RunId run) const {
  auto found = runs_.find(run);
  bool in_pool = found != runs_.end() && !found->second->in_host;
  return in_pool ? found->second->holder() : -1;
}

std::vector<KeptRunView> PrefixTree::kept_runs() const {
  struct Entry {
    const Node* node;
    std::size_t parent;  // its entry
    const KeptFor* first;
  };
  constexpr auto kNone = std::numeric_limits<std::size_t>::max();
  std::vector<Entry> entries;
  std::vector<std::pair<const Node*, std::size_t>> stack{{root_.get(), kNone}};
  while (!stack.empty()) {
    auto [node, parent] = stack.back();
    stack.pop_back();
    if (node != root_.get() && node->kept()) {
      entries.push_back({node, parent, node->kept_for ? &*node->kept_for : nullptr});
      parent = entries.size() - 1;
    }
    for (const auto& child : node->children) stack.emplace_back(child.get(), parent);
  }
  for (std::size_t i = entries.size(); i-- > 0;) {
    const Entry& entry = entries[i];
    if (!entry.first || entry.parent == kNone) continue;
    const KeptFor*& above = entries[entry.parent].first;
    if (!above || comes_first(*entry.first, *above)) above = entry.first;
  }
  std::vector<KeptRunView> out;
  out.reserve(entries.size());
  for (const Entry& entry : entries) {
    const Node& node = *entry.node;
    KeptRunView view{.id = node.id,
                     .start = node.start,
                     .cells = node.cells(),
                     .in_host = node.in_host,
                     .used = node.used,
                     .used_ns = node.used_ns,
                     .program = node.program};
    if (entry.parent != kNone) view.parent = entries[entry.parent].node->id;
    if (entry.first) {
      view.program = entry.first->program;
      view.tenant = entry.first->tenant;
      view.returns_at_ns = entry.first->returns_at_ns;
      view.returns = entry.first->returns;
      view.next_tool = entry.first->next_tool;
      view.policies = entry.first->policies;
    }
    out.push_back(std::move(view));
  }
  return out;
}

std::optional<RunId> PrefixTree::oldest_in_pool() const {
  const Node* oldest = nullptr;
  for (const auto& [id, node] : runs_) {
    if (!node->kept() || !node->leaf_in_pool()) continue;
    if (!oldest || node->used_at < oldest->used_at) oldest = node;
  }
  return oldest ? std::optional(oldest->id) : std::nullopt;
}

std::optional<RunId> PrefixTree::oldest_in_host() const {
  const Node* oldest = nullptr;
  for (const auto& [id, node] : runs_) {
    if (!node->in_host || !node->children.empty()) continue;
    if (!oldest || node->used_at < oldest->used_at) oldest = node;
  }
  return oldest ? std::optional(oldest->id) : std::nullopt;
}

std::vector<RunId> PrefixTree::runs_of(std::string_view program) const {
  std::vector<const Node*> order;
  std::vector<const Node*> stack{root_.get()};
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    order.push_back(node);
    for (const auto& child : node->children) stack.push_back(child.get());
  }
  std::vector<RunId> out;
  std::unordered_map<const Node*, std::size_t> left;  // children that stay
  for (const Node* node : order) left[node] = node->children.size();
  for (std::size_t i = order.size(); i-- > 1;) {
    const Node* node = order[i];
    if (!node->kept() || node->several || node->program != program || left[node] > 0) continue;
    out.push_back(node->id);
    left[node->parent] -= 1;
  }
  return out;
}

bool PrefixTree::consistent() const {
  std::unordered_map<const Node*, std::pair<std::uint32_t, std::uint32_t>> held;
  std::size_t idle_sequences = 0;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence.end->end() != sequence.length) return false;
    if (std::ranges::count(sequence.end->ends, id) != 1) return false;
    idle_sequences += sequence.idle ? 1 : 0;
    for (const Node* node = sequence.end; node != root_.get(); node = node->parent) {
      auto& [holders, actives] = held[node];
      holders += 1;
      actives += sequence.idle ? 0 : 1;
    }
  }
  std::uint32_t active = 0;
  std::uint32_t idle = 0;
  std::uint32_t host = 0;
  std::uint64_t bytes = 0;
  std::size_t runs = 0;
  std::vector<const Node*> stack{root_.get()};
  while (!stack.empty()) {
    const Node* node = stack.back();
    stack.pop_back();
    for (const auto& child : node->children) stack.push_back(child.get());
    if (node == root_.get()) continue;
    runs += 1;
    auto found = runs_.find(node->id);
    if (found == runs_.end() || found->second != node || node->tokens.empty()) return false;
    auto expected = held[node];
    if (node->holders != expected.first || node->active != expected.second) return false;
    if ((node->holders == 0) != node->in_host) return false;
    if (node->parent->in_host && !node->in_host) return false;
    if (node->start != node->parent->end()) return false;
    std::uint32_t& cells = node->in_host ? host : node->active > 0 ? active : idle;
    cells += node->cells();
    bytes += node->bytes;
  }
  return active == active_cells_ && idle == idle_cells_ && host == host_cells_ &&
         bytes == host_bytes_ && runs == runs_.size() && idle_sequences == idle_sequences_;
}

}  // namespace sluice
