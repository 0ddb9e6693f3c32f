#include <ggml-cpu.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <span>

#include "base/ensure.h"
#include "engine/attention/attention.h"
#include "tests/engine/attention/op_case.h"

namespace sluice::attention_test {
namespace {

// What a fault is reported with: the case at hand, or nothing.
std::atomic<const char*> case_at_hand = nullptr;
struct sigaction action_before;

void tell_case(int) {
  static constexpr char kIntroduction[] = "\na page was touched that nobody may touch, in ";
  [[maybe_unused]] ssize_t told = write(STDERR_FILENO, kIntroduction, sizeof kIntroduction - 1);
  const char* text = case_at_hand.load();
  if (text) told = write(STDERR_FILENO, text, std::strlen(text));
  told = write(STDERR_FILENO, "\n", 1);
  sigaction(SIGSEGV, &action_before, nullptr);  // the fault comes again, and ends the process
}

void watch_faults() {
  static const bool watching = [] {
    struct sigaction action = {};
    action.sa_handler = tell_case;
    action.sa_flags = SA_NODEFER;
    return sigaction(SIGSEGV, &action, &action_before) == 0;
  }();
  SLUICE_ENSURE(watching, "sigaction");
}

// A row that ggml makes of floats.
void write_row(ggml_type type, std::span<const float> values, char* out) {
  if (type == GGML_TYPE_F32) {
    std::memcpy(out, values.data(), values.size_bytes());
  } else {
    ggml_quantize_chunk(type, values.data(), out, 0, 1, static_cast<std::int64_t>(values.size()),
                        nullptr);
  }
}

char* row_of(ggml_tensor* tensor, std::size_t cell, std::size_t head, std::size_t stream) {
  return static_cast<char*>(tensor->data) + cell * tensor->nb[1] + head * tensor->nb[2] +
         stream * tensor->nb[3];
}

// Bytes that are no numbers in any of the types: NaN or infinite, as F16 or as a scale of Q8_0.
void spoil_row(ggml_type type, std::size_t size, char* out, Random& random) {
  static constexpr std::array<std::uint16_t, 4> kBad = {0x7E00, 0xFE00, 0x7C00, 0xFC00};
  const std::uint16_t bad = kBad[random.below(kBad.size())];
  if (type == GGML_TYPE_F16) {
    for (std::size_t i = 0; i < size; ++i) std::memcpy(out + 2 * i, &bad, sizeof bad);
  } else if (type == GGML_TYPE_Q8_0) {
    for (std::size_t i = 0; i < size / 32; ++i) std::memcpy(out + 34 * i, &bad, sizeof bad);
  }
}

}  // namespace

GuardedMemory::GuardedMemory(std::size_t bytes, bool guard_behind) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  page_bytes_ = std::max<std::size_t>(1, (bytes + page - 1) / page) * page;
  void* mapped =
      mmap(nullptr, page_bytes_ + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  SLUICE_ENSURE(mapped != MAP_FAILED, "mmap");
  pages_ = static_cast<std::byte*>(mapped) + page;
  SLUICE_ENSURE(mprotect(pages_, page_bytes_, PROT_READ | PROT_WRITE) == 0, "mprotect");
  data_ = guard_behind ? pages_ + page_bytes_ - bytes : pages_;
}

GuardedMemory::~GuardedMemory() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  munmap(pages_ - page, page_bytes_ + 2 * page);
}

OpRun::OpRun(const OpCase& op_case) : case_(op_case) {
  context_.reset(ggml_init({.mem_size = 32 * ggml_tensor_overhead() + ggml_graph_overhead(),
                            .mem_buffer = nullptr,
                            .no_alloc = true}));
  backend_.reset(ggml_backend_cpu_init());
  ggml_backend_cpu_set_n_threads(backend_.get(), static_cast<int>(case_.threads));
  Random random(case_.seed ^ 0x5EEDDA7A);
  q_ = new_queries();
  fill_queries(random);
  k_ = new_kv(case_.key_type, case_.key_size);
  fill_kv(k_, 0, random);
  if (case_.layout == KvLayout::kValuesInKeys) {
    v_ = ggml_view_4d(context_.get(), k_, case_.value_size, k_->ne[1], k_->ne[2], k_->ne[3],
                      k_->nb[1], k_->nb[2], k_->nb[3], 0);
    ggml_backend_view_init(v_);
  } else {
    v_ = new_kv(case_.value_type, case_.value_size);
    fill_kv(v_, case_.value_offset, random);
  }
  if (case_.mask.kind != MaskKind::kNone) {
    mask_ = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F16, case_.cells + case_.mask_padding,
                               case_.queries + case_.mask_padding,
                               case_.mask_per_head ? case_.heads() : 1,
                               case_.mask_for_all_streams ? 1 : case_.streams);
    place(mask_);
    draw_mask(case_.seed);
  }
  op_ = ggml_flash_attn_ext(context_.get(), q_, k_, v_, mask_, case_.scale, case_.max_bias,
                            case_.soft_cap);
  if (case_.sinks) {
    sinks_ = ggml_new_tensor_1d(context_.get(), GGML_TYPE_F32, case_.heads());
    place(sinks_);
    for (std::uint32_t i = 0; i < case_.heads(); ++i) {
      static_cast<float*>(sinks_->data)[i] = static_cast<float>(4 * some_normal(random));
    }
    ggml_flash_attn_ext_add_sinks(op_, sinks_);
  }
  place(op_);
  graph_ = ggml_new_graph(context_.get());
  ggml_build_forward_expand(graph_, op_);
}

OpRun::~OpRun() = default;

void OpRun::place(ggml_tensor* tensor) {
  auto memory = std::make_unique<GuardedMemory>(ggml_nbytes(tensor), case_.guard_behind);
  buffers_.emplace_back(ggml_backend_cpu_buffer_from_ptr(memory->pages(), memory->page_bytes()));
  ggml_backend_tensor_alloc(buffers_.back().get(), tensor, memory->data());
  memory_.push_back(std::move(memory));
}

ggml_tensor* OpRun::new_queries() {
  const std::uint32_t heads = case_.heads();
  ggml_tensor* out = ggml_new_tensor_4d(context_.get(), GGML_TYPE_F32, case_.key_size,
                                        case_.queries, heads, case_.streams);
  if (!case_.queries_of_a_head_together) {
    const std::size_t row = out->nb[1];
    out->nb[1] = row * heads;
    out->nb[2] = row;
  }
  place(out);
  return out;
}

ggml_tensor* OpRun::new_kv(ggml_type type, std::uint32_t size) {
  ggml_tensor* out =
      ggml_new_tensor_4d(context_.get(), type, size, case_.cells, case_.kv_heads, case_.streams);
  if (case_.layout != KvLayout::kHeads) {
    const bool gaps = case_.layout == KvLayout::kPoolWithGaps;
    const std::size_t row = ggml_row_size(type, size);
    out->nb[2] = row;
    out->nb[1] = row * case_.kv_heads + (gaps ? 3 * ggml_type_size(type) : 0);
    out->nb[3] = out->nb[1] * (case_.cells + (gaps ? 5 : 0));
  }
  place(out);
  return out;
}

void OpRun::fill_queries(Random& random) {
  for (std::size_t stream = 0; stream < case_.streams; ++stream) {
    for (std::size_t head = 0; head < case_.heads(); ++head) {
      for (std::size_t query = 0; query < case_.queries; ++query) {
        auto* row = reinterpret_cast<float*>(row_of(q_, query, head, stream));
        for (std::size_t i = 0; i < case_.key_size; ++i) {
          row[i] = static_cast<float>(some_normal(random));
        }
      }
    }
  }
}

void OpRun::fill_kv(ggml_tensor* tensor, double offset, Random& random) {
  // What lies between the rows is no number, and nobody's business.
  std::memset(tensor->data, 0xFF, ggml_nbytes(tensor));
  std::vector<float> row(static_cast<std::size_t>(tensor->ne[0]));
  std::vector<double> factors(row.size(), 1);
  for (double& factor : factors) factor = random.unit() < case_.outliers ? 20 : 1;
  for (std::size_t stream = 0; stream < case_.streams; ++stream) {
    for (std::size_t head = 0; head < case_.kv_heads; ++head) {
      for (std::size_t cell = 0; cell < case_.cells; ++cell) {
        for (std::size_t i = 0; i < row.size(); ++i) {
          row[i] = static_cast<float>(some_normal(random) * factors[i] + offset);
        }
        write_row(tensor->type, row, row_of(tensor, cell, head, stream));
      }
    }
  }
}

void OpRun::draw_mask(std::uint64_t seed) {
  Random random(seed ^ 0x3A5C);
  std::memset(mask_->data, 0xFF, ggml_nbytes(mask_));  // the padding is NaN
  for (std::int64_t stream = 0; stream < mask_->ne[3]; ++stream) {
    for (std::int64_t head = 0; head < mask_->ne[2]; ++head) {
      std::vector<float> values = make_mask(case_.mask, case_.queries, case_.cells, random);
      for (std::size_t query = 0; query < case_.queries; ++query) {
        char* row =
            row_of(mask_, query, static_cast<std::size_t>(head), static_cast<std::size_t>(stream));
        ggml_fp32_to_fp16_row(&values[query * case_.cells], reinterpret_cast<ggml_fp16_t*>(row),
                              case_.cells);
      }
    }
  }
}

std::vector<bool> OpRun::open_cells() const {
  std::vector<bool> open(std::size_t{case_.streams} * case_.cells, mask_ == nullptr);
  if (!mask_) return open;
  for (std::size_t stream = 0; stream < case_.streams; ++stream) {
    for (std::size_t head = 0; head < static_cast<std::size_t>(mask_->ne[2]); ++head) {
      for (std::size_t query = 0; query < case_.queries; ++query) {
        const auto* row = reinterpret_cast<const ggml_fp16_t*>(
            row_of(mask_, query, head, stream % static_cast<std::size_t>(mask_->ne[3])));
        for (std::size_t cell = 0; cell < case_.cells; ++cell) {
          if (row[cell] != 0xFC00) open[stream * case_.cells + cell] = true;
        }
      }
    }
  }
  return open;
}

bool OpRun::spoil_closed_cells(std::uint64_t seed) {
  Random random(seed ^ 0xBAD);
  std::vector<bool> open = open_cells();
  bool spoiled = false;
  for (std::size_t stream = 0; stream < case_.streams; ++stream) {
    for (std::size_t cell = 0; cell < case_.cells; ++cell) {
      if (open[stream * case_.cells + cell]) continue;
      spoiled = true;
      for (std::size_t head = 0; head < case_.kv_heads; ++head) {
        spoil_row(k_->type, case_.key_size, row_of(k_, cell, head, stream), random);
        spoil_row(v_->type, case_.value_size, row_of(v_, cell, head, stream), random);
      }
    }
  }
  return spoiled;
}

std::vector<float> OpRun::compute(bool ours) {
  watch_faults();
  std::string text = describe(case_) + (ours ? ", by our kernel" : ", by ggml's");
  case_at_hand = text.c_str();
  std::memset(op_->data, 0xFF, ggml_nbytes(op_));
  AttentionScope scope(ours);
  SLUICE_ENSURE(ggml_backend_graph_compute(backend_.get(), graph_) == GGML_STATUS_SUCCESS,
                "ggml failed");
  case_at_hand = nullptr;
  const auto* out = static_cast<const float*>(op_->data);
  return {out, out + ggml_nelements(op_)};
}

}  // namespace sluice::attention_test
