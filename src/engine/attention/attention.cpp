#include "engine/attention/attention.h"

#include <traits.h>  // of ggml's CPU backend, the release that we pin

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "engine/attention/huge_pages.h"
#include "engine/attention/kernel.h"
#include "engine/attention/scratch.h"

namespace sluice {
namespace {

enum class Choice : std::uint8_t { kDefault, kOurs, kGgml };
thread_local Choice choice = Choice::kDefault;

std::atomic<std::uint64_t> ops = 0;
std::atomic<std::uint64_t> declined = 0;
std::atomic<std::uint64_t> work_maps = 0;

bool kv_type(const ggml_tensor& tensor, KvType& type) {
  if (tensor.type == GGML_TYPE_F16) type = KvType::kF16;
  if (tensor.type == GGML_TYPE_Q8_0) type = KvType::kQ8_0;
  return tensor.type == GGML_TYPE_F16 || tensor.type == GGML_TYPE_Q8_0;
}

std::uint32_t size32(std::int64_t size) { return static_cast<std::uint32_t>(size); }

bool same_layout(const ggml_tensor& q, const ggml_tensor& k, const ggml_tensor& v) {
  constexpr std::int64_t kStep = 16;  // the widest vector in floats
  bool sizes = k.ne[0] % kStep == 0 && v.ne[0] % kStep == 0 && q.ne[0] == k.ne[0];
  bool cells = k.ne[1] == v.ne[1] && k.ne[1] > 0 && k.ne[1] < (std::int64_t{1} << 31);
  bool heads = k.ne[2] == v.ne[2] && q.ne[2] % k.ne[2] == 0;
  bool streams = k.ne[3] == v.ne[3] && q.ne[3] % k.ne[3] == 0;
  bool rows = q.nb[0] == sizeof(float) && k.nb[0] == ggml_type_size(k.type) &&
              v.nb[0] == ggml_type_size(v.type);
  return sizes && cells && heads && streams && rows && ggml_nelements(&q) > 0;
}

bool plain_mask(const ggml_tensor* mask, const ggml_tensor& q, const ggml_tensor& k) {
  if (!mask) return true;
  return mask->type == GGML_TYPE_F16 && mask->nb[0] == sizeof(ggml_fp16_t) &&
         mask->ne[0] >= k.ne[1] && mask->ne[1] >= q.ne[1] && mask->ne[2] == 1;
}

// Whether we compute this op: everything but unusual types, head sizes and masks per head.
bool declares(const ggml_tensor& op) {
  if (op.op != GGML_OP_FLASH_ATTN_EXT || op.type != GGML_TYPE_F32) return false;
  const ggml_tensor* q = op.src[0];
  const ggml_tensor* k = op.src[1];
  const ggml_tensor* v = op.src[2];
  KvType type{};
  return q->type == GGML_TYPE_F32 && kv_type(*k, type) && kv_type(*v, type) &&
         same_layout(*q, *k, *v) && plain_mask(op.src[3], *q, *k) && ggml_is_contiguous(&op) &&
         attention_lanes() > 0;
}

KvTensor kv_tensor(const ggml_tensor& tensor, const ggml_tensor& q) {
  KvTensor out{.data = static_cast<const std::byte*>(tensor.data)};
  kv_type(tensor, out.type);
  out.cell_stride = tensor.nb[1];
  out.head_stride = tensor.nb[2];
  out.stream_stride = tensor.nb[3];
  out.streams_each = size32(q.ne[3] / tensor.ne[3]);
  return out;
}

AttentionCall call_of(const ggml_tensor& op) {
  const ggml_tensor& q = *op.src[0];
  AttentionCall call;
  call.k = kv_tensor(*op.src[1], q);
  call.v = kv_tensor(*op.src[2], q);
  call.shape = {.key_size = size32(op.src[1]->ne[0]),
                .value_size = size32(op.src[2]->ne[0]),
                .queries = size32(q.ne[1]),
                .heads = size32(q.ne[2]),
                .kv_heads = size32(op.src[1]->ne[2]),
                .cells = size32(op.src[1]->ne[1]),
                .streams = size32(q.ne[3])};
  call.scale = ggml_get_op_params_f32(&op, 0);
  call.max_bias = ggml_get_op_params_f32(&op, 1);
  call.soft_cap = ggml_get_op_params_f32(&op, 2);
  call.q = static_cast<const std::byte*>(q.data);
  call.q_query_stride = q.nb[1];
  call.q_head_stride = q.nb[2];
  call.q_stream_stride = q.nb[3];
  if (const ggml_tensor* mask = op.src[3]) {
    call.mask = {.data = static_cast<const std::byte*>(mask->data),
                 .query_stride = mask->nb[1],
                 .stream_stride = mask->nb[3],
                 .streams = size32(mask->ne[3])};
  }
  if (op.src[4]) call.sinks = static_cast<const float*>(op.src[4]->data);
  call.out = static_cast<float*>(op.data);
  return call;
}

// The pool that an op reads, the first time it is seen.
class Pools {
 public:
  void see(const ggml_tensor& op) {
    const ggml_tensor* keys = op.src[1];
    ggml_backend_buffer_t pool = keys->view_src ? keys->view_src->buffer : nullptr;
    if (!pool || ggml_backend_buffer_get_size(pool) < kWorthIt) return;
    void* base = ggml_backend_buffer_get_base(pool);
    {
      std::lock_guard lock(mutex_);
      if (!seen_.insert({base, ggml_backend_buffer_get_size(pool)}).second) return;
      if (seen_.size() > kMost) seen_.clear();
    }
    prefer_huge_pages(base, ggml_backend_buffer_get_size(pool));
  }

 private:
  static constexpr std::size_t kWorthIt = std::size_t{16} << 20;
  static constexpr std::size_t kMost = 1000;
  std::mutex mutex_;
  std::set<std::pair<void*, std::size_t>> seen_;
};

// A work map in use, and what its threads share. Layers follow one another, so one set of states
// serves them all.
struct Plan {
  WorkMap map;
  const ggml_tensor* maker = nullptr;  // the first op of a run that needed it; not dereferenced
  std::uint32_t threads = 0;
  AlignedFloats states;
  float* state_memory = nullptr;
  // Counts on over the layers: each takes one ticket a piece and one a thread, to hear it is done.
  std::atomic<std::uint64_t> next_ticket = 0;
};

// The plans of the graphs that run now. A graph is planned before it runs and every time that it
// runs, on the thread that starts it, and its mask is an input that does not change while it runs:
// so a mask is read anew exactly once per run.
class Plans {
 public:
  // A graph with this op is about to run.
  void begin(const ggml_tensor& op) {
    std::lock_guard lock(mutex_);
    const void* key = key_of(op);
    auto found = entries_.find(key);
    if (found == entries_.end()) {
      found = entries_.emplace(key, Entry{}).first;
      found->second.age = ages_.insert(ages_.end(), key);
    }
    ages_.splice(ages_.end(), ages_, found->second.age);
    found->second.ours = choice != Choice::kGgml;
    found->second.plans.clear();
    while (entries_.size() > kMost) {
      entries_.erase(ages_.front());
      ages_.pop_front();
    }
  }

  // Null: ggml computes this op.
  std::shared_ptr<Plan> plan(const ggml_tensor& op, const AttentionCall& call,
                             std::uint32_t threads) {
    {
      std::lock_guard lock(mutex_);
      auto found = entries_.find(key_of(op));
      if (found == entries_.end() || !found->second.ours) return nullptr;
      auto& plans = found->second.plans;
      // Seen before by this op: a graph that was planned once runs again, maybe with another mask.
      std::erase_if(plans, [&](const auto& plan) { return plan->maker == &op; });
      for (auto& plan : plans) {
        if (plan->threads == threads && plan->map.shape == call.shape) return plan;
      }
    }
    auto plan = std::make_shared<Plan>();
    plan->map = map_work(call.shape, call.mask, threads, attention_lanes());
    plan->maker = &op;
    plan->threads = threads;
    plan->state_memory = plan->states.at_least(plan->map.state_floats);
    work_maps.fetch_add(1, std::memory_order_relaxed);
    std::lock_guard lock(mutex_);
    auto found = entries_.find(key_of(op));
    if (found != entries_.end()) found->second.plans.push_back(plan);
    return plan;
  }

 private:
  struct Entry {
    bool ours = true;
    std::vector<std::shared_ptr<Plan>> plans;  // layers of other shapes have their own
    std::list<const void*>::iterator age;
  };
  static constexpr std::size_t kMost = 256;  // old ones go; a running graph's is not old

  // A mask is shared by the layers; what a graph computes is not an input, so it is its op's alone.
  static const void* key_of(const ggml_tensor& op) {
    const ggml_tensor* mask = op.src[3];
    return mask && mask->op == GGML_OP_NONE ? static_cast<const void*>(mask) : &op;
  }

  std::mutex mutex_;
  std::map<const void*, Entry> entries_;
  std::list<const void*> ages_;
};

Plans& plans() {
  static Plans all;
  return all;
}

class Kernel final : public ggml::cpu::tensor_traits {
 public:
  // Asked before a graph runs. Needs no memory of ggml's; false lets it plan for its own kernel.
  bool work_size(int, const ggml_tensor* op, size_t&) override {
    plans().begin(*op);
    if (choice != Choice::kGgml) pools_.see(*op);
    return false;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    if (params->use_ref) return false;
    // One thread decides for all: what it finds goes through the work buffer of the graph.
    thread_local std::shared_ptr<Plan> held;
    auto** shared = static_cast<Plan**>(params->wdata);
    const AttentionCall call = call_of(*op);
    const auto threads = size32(params->nth);
    if (params->ith == 0) {
      held = plans().plan(*op, call, threads);
      *shared = held.get();
      (held ? ops : declined).fetch_add(1, std::memory_order_relaxed);
    }
    ggml_barrier(params->threadpool);
    Plan* plan = *shared;
    if (!plan) {
      ggml_barrier(params->threadpool);  // before ggml's kernel writes to the buffer
      return false;
    }
    compute(call, *plan, size32(params->ith), params);
    return true;
  }

 private:
  Pools pools_;

  static void compute(const AttentionCall& call, Plan& plan, std::uint32_t thread,
                      const ggml_compute_params* params) {
    const std::uint64_t pieces = plan.map.pieces.size();
    while (true) {
      std::uint64_t ticket = plan.next_ticket.fetch_add(1, std::memory_order_relaxed);
      ticket %= pieces + plan.threads;
      if (ticket >= pieces) break;
      run_piece(call, plan.map, plan.map.pieces[ticket], plan.state_memory);
    }
    if (plan.map.joins.empty()) return;
    ggml_barrier(params->threadpool);
    run_joins(call, plan.map, plan.state_memory, thread, plan.threads);
  }
};

// Holds no buffers: it is only how ops reach the kernel.
class Hook final : public ggml::cpu::extra_buffer_type {
 public:
  bool supports_op(ggml_backend_dev_t, const ggml_tensor*) override { return false; }
  ggml::cpu::tensor_traits* get_tensor_traits(const ggml_tensor* op) override {
    return declares(*op) ? &kernel_ : nullptr;
  }

 private:
  Kernel kernel_;
};

}  // namespace

void install_attention() {
  static std::once_flag once;
  std::call_once(once, [] {
    static Hook hook;
    static ggml_backend_buffer_type type{};
    type.iface.get_name = [](ggml_backend_buffer_type_t) { return "sluice attention"; };
    type.iface.alloc_buffer = [](ggml_backend_buffer_type_t, std::size_t) {
      return ggml_backend_buffer_t{nullptr};
    };
    type.iface.get_alignment = [](ggml_backend_buffer_type_t) { return std::size_t{64}; };
    type.device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    type.context = static_cast<ggml::cpu::extra_buffer_type*>(&hook);
    ggml_backend_cpu_get_extra_buffer_types().push_back(&type);
  });
}

AttentionScope::AttentionScope(bool ours) : before_(static_cast<int>(choice)) {
  choice = ours ? Choice::kOurs : Choice::kGgml;
}
AttentionScope::~AttentionScope() { choice = static_cast<Choice>(before_); }

AttentionStats attention_stats() {
  return {.ops = ops.load(), .declined = declined.load(), .work_maps = work_maps.load()};
}

const char* attention_target() { return attention_target_name(); }

}  // namespace sluice
