#include "tests/engine/attention/reference.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace sluice::attention_test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-24;  // half an ulp of 1 in F32
constexpr double kVanished = 1e-34;
constexpr std::size_t kLanes = 8;  // independent sums, so that the compiler can use vectors

struct Parameters {
  explicit Parameters(const ggml_tensor* op) {
    std::array<float, 3> stored;
    std::memcpy(stored.data(), op->op_params, sizeof stored);
    scale = stored[0];
    max_bias = stored[1];
    soft_cap = stored[2];
  }
  float scale, max_bias, soft_cap;
};

// ALiBi's slopes are F32 numbers by definition: these are ggml's.
double slope(float max_bias, std::int64_t heads, std::int64_t head) {
  if (max_bias <= 0) return 1;
  auto power = std::bit_floor(static_cast<std::uint32_t>(heads));
  float m0 = std::pow(2.0F, -max_bias / static_cast<float>(power));
  float m1 = std::pow(2.0F, -(max_bias / 2.0F) / static_cast<float>(power));
  if (head < power) return std::pow(m0, static_cast<float>(head + 1));
  return std::pow(m1, static_cast<float>(2 * (head - power) + 1));
}

struct Product {
  double sum = 0;
  double magnitude = 0;  // the sum of the absolute products
};

Product multiply(const double* a, const double* b, std::size_t size) {
  std::array<double, kLanes> sums{};
  std::array<double, kLanes> magnitudes{};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      double product = a[i + lane] * b[i + lane];
      sums[lane] += product;
      magnitudes[lane] += std::abs(product);
    }
  }
  Product out;
  for (; i < size; ++i) {
    out.sum += a[i] * b[i];
    out.magnitude += std::abs(a[i] * b[i]);
  }
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    out.sum += sums[lane];
    out.magnitude += magnitudes[lane];
  }
  return out;
}

// The rows of one KV head in double precision; a row is read when it is first asked for.
class Rows {
 public:
  Rows(const ggml_tensor* tensor, std::int64_t head, std::int64_t stream)
      : tensor_(tensor),
        head_(head),
        stream_(stream),
        size_(static_cast<std::size_t>(tensor->ne[0])),
        known_(static_cast<std::size_t>(tensor->ne[1])),
        values_(known_.size() * size_) {}

  const double* row(std::size_t cell) {
    double* out = values_.data() + cell * size_;
    if (!known_[cell]) {
      read_row(tensor_, static_cast<std::int64_t>(cell), head_, stream_, row_);
      std::ranges::copy(row_, out);
      known_[cell] = true;
    }
    return out;
  }
  std::size_t size() const { return size_; }

 private:
  const ggml_tensor* tensor_;
  std::int64_t head_, stream_;
  std::size_t size_;
  std::vector<bool> known_;
  std::vector<double> values_;
  std::vector<float> row_;
};

struct OpenCell {
  std::size_t cell;
  double score;
  double rounding;  // of the score in F32, absolute
  double weight;
};

// One query of one head.
class RowMath {
 public:
  RowMath(const ggml_tensor* op, Rows& keys, Rows& values)
      : op_(op), parameters_(op), keys_(keys), values_(values) {}

  void compute(std::int64_t query, std::int64_t head, std::int64_t stream, double* out,
               double* rounding) {
    find_scores(query, head, stream);
    double greatest = -kInfinity;
    for (const OpenCell& cell : open_) greatest = std::max(greatest, cell.score);
    const ggml_tensor* sinks = op_->src[4];
    double sink = sinks ? static_cast<const float*>(sinks->data)[head] : -kInfinity;
    greatest = std::max(greatest, sink);
    std::fill_n(out, values_.size(), 0.0);
    std::fill_n(rounding, values_.size(), 0.0);
    if (open_.empty()) return;
    double sum = std::exp(sink - greatest);
    for (OpenCell& cell : open_) {
      cell.weight = std::exp(cell.score - greatest);
      // The distance from the maximum is rounded, and so is its exponential.
      cell.rounding += kUnit * (4 + greatest - cell.score);
      sum += cell.weight;
    }
    add_values(sum, out, rounding);
  }

 private:
  void find_scores(std::int64_t query, std::int64_t head, std::int64_t stream) {
    const ggml_tensor* mask = op_->src[3];
    const auto* bias =
        mask ? reinterpret_cast<const ggml_fp16_t*>(
                   static_cast<const char*>(mask->data) + query * mask->nb[1] +
                   head % mask->ne[2] * mask->nb[2] + stream % mask->ne[3] * mask->nb[3])
             : nullptr;
    read_row(op_->src[0], query, head, stream, row_);
    query_.assign(row_.begin(), row_.end());
    const double slope_of_head = slope(parameters_.max_bias, op_->src[0]->ne[2], head);
    const double products = 4 + std::sqrt(static_cast<double>(keys_.size())) / 4;
    open_.clear();
    for (std::int64_t cell = 0; cell < op_->src[1]->ne[1]; ++cell) {
      double added = bias ? slope_of_head * ggml_fp16_to_fp32(bias[cell]) : 0;
      if (added == -kInfinity) continue;
      auto index = static_cast<std::size_t>(cell);
      Product product = multiply(query_.data(), keys_.row(index), keys_.size());
      double score = product.sum * parameters_.scale;
      double magnitude = product.magnitude * std::abs(parameters_.scale);
      if (parameters_.soft_cap != 0) {
        score = parameters_.soft_cap * std::tanh(score / parameters_.soft_cap);
      }
      double rounding = kUnit * (products * magnitude + 4 * std::abs(score) + 2 * std::abs(added));
      open_.push_back({index, score + added, rounding, 0});
    }
  }

  // The rounding bound of an element o = sum p v / sum p, computed in F32 in any order:
  //   sum over cells of p (|v| + |o|) times the rounding of its score (a score that is off by d
  //   changes its weight by the factor 1 + d), and the sums' own rounding, which grows with the
  //   root of their length as roundings do that know nothing of each other.
  void add_values(double sum, double* out, double* rounding) {
    const std::size_t size = values_.size();
    magnitudes_.assign(size, 0);
    double mean_rounding = 0;
    for (const OpenCell& cell : open_) {
      const double* value = values_.row(cell.cell);
      const double weight = cell.weight / sum;
      const double weighted_rounding = weight * cell.rounding;
      mean_rounding += weighted_rounding;
      if (weight == 0) continue;
      for (std::size_t i = 0; i < size; ++i) {
        out[i] += weight * value[i];
        magnitudes_[i] += weight * std::abs(value[i]);
        rounding[i] += weighted_rounding * std::abs(value[i]);
      }
    }
    const double sums = kUnit * (8 + std::sqrt(static_cast<double>(open_.size())) / 4);
    for (std::size_t i = 0; i < size; ++i) {
      rounding[i] += mean_rounding * std::abs(out[i]) + sums * magnitudes_[i] + kVanished;
    }
  }

  const ggml_tensor* op_;
  Parameters parameters_;
  Rows& keys_;
  Rows& values_;
  std::vector<float> row_;
  std::vector<double> query_;
  std::vector<double> magnitudes_;
  std::vector<OpenCell> open_;
};

}  // namespace

void read_row(const ggml_tensor* tensor, std::int64_t i1, std::int64_t i2, std::int64_t i3,
              std::vector<float>& out) {
  out.resize(static_cast<std::size_t>(tensor->ne[0]));
  const char* row = static_cast<const char*>(tensor->data) + i1 * tensor->nb[1] +
                    i2 * tensor->nb[2] + i3 * tensor->nb[3];
  if (tensor->type == GGML_TYPE_F32) {
    std::memcpy(out.data(), row, out.size() * sizeof(float));
  } else {
    ggml_get_type_traits(tensor->type)->to_float(row, out.data(), tensor->ne[0]);
  }
}

Exact exact_attention(const ggml_tensor* op) {
  const ggml_tensor* q = op->src[0];
  const ggml_tensor* k = op->src[1];
  const ggml_tensor* v = op->src[2];
  Exact out;
  out.values.resize(static_cast<std::size_t>(ggml_nelements(op)));
  out.rounding.resize(out.values.size());
  const std::int64_t group = q->ne[2] / k->ne[2];
  for (std::int64_t stream = 0; stream < q->ne[3]; ++stream) {
    for (std::int64_t kv_head = 0; kv_head < k->ne[2]; ++kv_head) {
      Rows keys(k, kv_head, stream / (q->ne[3] / k->ne[3]));
      Rows values(v, kv_head, stream / (q->ne[3] / v->ne[3]));
      RowMath math(op, keys, values);
      for (std::int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        for (std::int64_t query = 0; query < q->ne[1]; ++query) {
          auto at =
              static_cast<std::size_t>(((stream * q->ne[1] + query) * q->ne[2] + head) * v->ne[0]);
          math.compute(query, head, stream, &out.values[at], &out.rounding[at]);
        }
      }
    }
  }
  return out;
}

Distance distance(const std::vector<float>& output, const Exact& exact) {
  Distance out;
  for (std::size_t i = 0; i < output.size(); ++i) {
    double off = std::abs(static_cast<double>(output[i]) - exact.values[i]);
    if (!std::isfinite(off)) return {kInfinity, kInfinity};
    out.greatest = std::max(out.greatest, off);
    out.rms += off * off;
  }
  out.rms = std::sqrt(out.rms / static_cast<double>(output.size()));
  return out;
}

Distance rounding_of(const Exact& exact) {
  Distance out;
  for (double bound : exact.rounding) {
    out.greatest = std::max(out.greatest, bound);
    out.rms += bound * bound;
  }
  out.rms = std::sqrt(out.rms / static_cast<double>(exact.rounding.size()));
  return out;
}

}  // namespace sluice::attention_test
