// Operations on one number at a time: one thread each. What they mean is in `backend/definitions/` and `ops/`.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "g4/backend/gpu_calls.h"
#include "g4/ops/begin.h"
#include "g4/ops/gate.h"
#include "g4/ops/sigmoid.h"
#include "kernels/cuda/heads.cuh"
#include "kernels/cuda/inside.h"
#include "kernels/cuda/stored.cuh"

namespace g4::G4_SPACE {

namespace gc = gpu_calls;
using std::size_t;

// ---- Rows of activations ---------------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::fill& c, size_t i) { c.y[i] = c.value; }
G4_DEVICE void one(const gc::scale& c, size_t i) { c.x[i] *= c.factor; }
G4_DEVICE void one(const gc::scale_by& c, size_t i) { c.x[i] *= *c.factor; }
G4_DEVICE void one(const gc::divide& c, size_t i) { c.x[i] /= c.divisor; }
G4_DEVICE void one(const gc::scale_columns& c, size_t i) { c.y[i] = c.x[i] * c.scale[i % c.width]; }
G4_DEVICE void one(const gc::add& c, size_t i) { c.y[i] += c.x[i]; }
G4_DEVICE void one(const gc::add_three& c, size_t i) { c.y[i] = (c.a[i] + c.b[i] + c.c[i]) * c.factor; }
G4_DEVICE void one(const gc::add_bias& c, size_t i) { c.y[i] += c.bias[i % c.width]; }
G4_DEVICE void one(const gc::add_weighted& c, size_t i) { c.y[i] += c.weight[i / c.width * c.stride] * c.x[i]; }
G4_DEVICE void one(const gc::tanh& c, size_t i) { c.x[i] = std::tanh(c.x[i]); }
G4_DEVICE void one(const gc::soft_cap& c, size_t i) {
  c.x[i] = c.cap * std::tanh(c.x[i] / c.cap) + 0 * c.x[i];  // an infinity becomes no number: it must be seen
}
G4_DEVICE void one(const gc::gelu_gate& c, size_t i) { c.gate[i] = ops::gelu_tanh(c.gate[i]) * c.up[i]; }

/// Column `i % columns` of the row of the token that it belongs to.
G4_DEVICE float looked_up(const gc::stored_matrix& table, const token_id* ids, float scale, size_t i) {
  const auto id = static_cast<size_t>(ids[i / table.columns]);
  return number_at(table.type, row_of(table, id), i % table.columns) * scale;
}
G4_DEVICE void one(const gc::embed& c, size_t i) { c.y[i] = looked_up(c.table, c.ids, c.scale, i); }
G4_DEVICE void one(const gc::mix_embedded& c, size_t i) {
  c.y[i] = (c.y[i] + looked_up(c.table, c.ids, c.scale, i)) * c.factor;
}
G4_DEVICE void one(const gc::mean_rows& c, size_t i) {
  float sum = 0;
  for (size_t t = 0; t < c.rows; ++t) sum += c.x[t * c.count + i];
  c.y[i] = sum / static_cast<float>(c.rows);
}

// ---- What a pass begins with -----------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::begin_ids& c, size_t t) {
  c.ids[t] = c.rows[t].id;
  c.looked_up[t] = c.rows[t].looked_up;
}
G4_DEVICE void one(const gc::visible& c, size_t t) { c.keys[t] = ops::visible_keys(c.rows[t], c.mask); }
G4_DEVICE void one(const gc::turn_angles& c, size_t i) {
  const std::int64_t at = c.first_position + index_of(c.rows[i / c.half].at);
  const float angle = static_cast<float>(c.frequencies[i % c.half]) * static_cast<float>(at);
  c.cos[i] = std::cos(angle);
  c.sin[i] = std::sin(angle);
}

// ---- Attention -------------------------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::rope& c, size_t i) {
  const size_t half = c.d / 2, pair = i % half, head = i / half, t = head / c.heads;
  float* const x = c.x + head * c.d + pair;
  turn(x, x + half, c.cos[t * half + pair], c.sin[t * half + pair]);
}
G4_DEVICE void one(const gc::rope_2d& c, size_t i) {
  const size_t pairs = c.d / 4, pair = i % pairs, axis = i / pairs % 2, head = i / pairs / 2, t = head / c.heads;
  const size_t angle = (t * 2 + axis) * pairs + pair;
  float* const x = c.x + head * c.d + axis * (c.d / 2) + pair;
  turn(x, x + pairs, c.cos[angle], c.sin[angle]);
}

G4_DEVICE void one(const gc::store& c, size_t i) {
  const cache_view& cache = c.into.cache;
  const size_t blocks = (cache.head_size + 31) / 32, first = i % blocks * 32;
  const size_t head = i / blocks % cache.heads, t = i / blocks / cache.heads;
  const size_t from = (t * cache.heads + head) * cache.head_size;
  if (c.into.rows[t].text == c.into.text) keep(c.into, t, head, first, c.keys + from, c.values + from);
}

// ---- Several streams -------------------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::altup_predict& c, size_t i) {
  const size_t stride = c.rows * c.width, at = i % stride, t = at / c.width, j = i / stride;
  const float* const r = c.coefficients + (t * c.streams + j) * c.streams;
  float sum = 0;
  for (size_t k = 0; k < c.streams; ++k) sum += r[k] * c.h[k * stride + at];
  c.y[i] = c.h[i] + sum;
}
G4_DEVICE void one(const gc::altup_correct& c, size_t i) {
  const size_t stride = c.rows * c.width;
  const float innovation = c.y[i] - c.predicted[c.active * stride + i];
  const float* const coefficient = c.coefficients + i / c.width * c.streams;
  for (size_t j = 0; j < c.streams; ++j) {
    c.h[j * stride + i] = c.predicted[j * stride + i] + innovation * (coefficient[j] + 1);
  }
}

// ---- Drafters --------------------------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::unscored& c, size_t i) {
  if (c.logits[i] == -INFINITY) c.logits[i] = *c.least - 1;
}

// ---- Towers ----------------------------------------------------------------------------------------------------------

G4_DEVICE void one(const gc::centre& c, size_t i) { c.x[i] = 2 * (c.x[i] - 0.5f); }
G4_DEVICE void one(const gc::gelu& c, size_t i) { c.x[i] = ops::gelu_tanh(c.x[i]); }
G4_DEVICE float kept_within(float x, float low, float high) { return x < low ? fminf(low, high) : x > high ? high : x; }
G4_DEVICE void one(const gc::clamp& c, size_t i) { c.y[i] = kept_within(c.x[i], *c.low, *c.high); }
G4_DEVICE void one(const gc::keep_within& c, size_t i) { c.y[i] = kept_within(c.x[i], c.least, c.most); }
G4_DEVICE void one(const gc::standardise& c, size_t i) {
  c.y[i] = (c.y[i] - c.bias[i % c.width]) * c.scale[i % c.width];
}
G4_DEVICE void one(const gc::mean_groups& c, size_t i) {
  const token_id* const of = c.of + i / c.width * c.size;
  float sum = 0;
  for (size_t j = 0; j < c.size; ++j) sum += c.x[static_cast<size_t>(of[j]) * c.width + i % c.width];
  c.y[i] = sum / static_cast<float>(c.size);
}
G4_DEVICE void one(const gc::silu& c, size_t i) { c.x[i] *= ops::sigmoid(c.x[i]); }
G4_DEVICE void one(const gc::relu& c, size_t i) { c.x[i] = c.x[i] < 0 ? 0.0f : c.x[i]; }
G4_DEVICE void one(const gc::glu& c, size_t i) {
  const float* const x = c.x + i / c.width * 2 * c.width + i % c.width;
  c.y[i] = x[0] * ops::sigmoid(x[c.width]);
}
G4_DEVICE void one(const gc::unfold& c, size_t i) {
  const ops::squares& s = c.plane;
  const size_t left = s.side / 2, b = i % s.side, a = i / s.side % s.side, channel = i / s.side / s.side % s.channels;
  const size_t square = i / s.numbers(), row = (c.first + square / s.columns()) * s.stride + a;
  const size_t column = square % s.columns() * s.stride + b;  // both of the plane with its margin
  const bool inside = row >= s.top && row - s.top < s.height && column >= left && column - left < s.width;
  c.y[i] = inside ? c.x[((row - s.top) * s.width + column - left) * s.channels + channel] : 0.0f;
}
G4_DEVICE void one(const gc::unfold_plane& c, size_t i) {
  const ops::plane& p = c.plane;
  const size_t channel = i % p.channels, b = i / p.channels % p.side, a = i / p.channels / p.side % p.side;
  const size_t square = i / p.numbers(), row = c.first + square / p.columns(), column = square % p.columns();
  const ops::plane::inside down = p.rows_inside(row), across = p.columns_inside(column);
  const bool inside = a >= down.first && a < down.last && b >= across.first && b < across.last;
  const size_t at = (row * p.stride + a - p.top()) * p.width + column * p.stride + b - p.left();
  c.y[i] = inside ? c.x[at * p.channels + channel] : 0.0f;
}
G4_DEVICE void one(const gc::depthwise& c, size_t i) {
  const ops::plane& p = c.plane;
  const size_t channel = i % p.channels, column = i / p.channels % p.columns(), row = i / p.channels / p.columns();
  const ops::plane::inside down = p.rows_inside(row), across = p.columns_inside(column);
  float sum = 0;
  for (size_t a = down.first; a < down.last; ++a) {
    for (size_t b = across.first; b < across.last; ++b) {
      const size_t at = (row * p.stride + a - p.top()) * p.width + column * p.stride + b - p.left();
      sum += c.kernel[(a * p.side + b) * p.channels + channel] * c.x[at * p.channels + channel];
    }
  }
  c.y[i] = sum;
}
G4_DEVICE void one(const gc::lay_beside& c, size_t i) {
  const size_t t = i / c.width, column = i % c.width;
  c.y[t * c.stride + column] = c.x[static_cast<size_t>(c.of[t]) * c.width + column];
}
G4_DEVICE void one(const gc::running_mean& c, size_t) {
  double sum = 0, count = 0;
  for (size_t t = 0; t < c.rows; ++t) {
    sum += c.of[t];
    count += static_cast<double>(c.width);
    c.of[t] = sum / count;
  }
}
G4_DEVICE void one(const gc::scale_cumulated& c, size_t i) {
  const size_t t = i / c.norm.width();
  const double factor = 1 / std::sqrt(c.variance[t] + static_cast<double>(c.norm.eps));
  const double weight = static_cast<double>(c.norm.weight[i % c.norm.channels]);
  c.y[i] = static_cast<float>((static_cast<double>(c.x[i]) - c.mean[t]) * factor * weight);
}
G4_DEVICE void one(const gc::convolve_back& c, size_t i) {
  const size_t t = i / c.width, channel = i % c.width;
  float sum = 0;
  for (size_t j = 0; j < c.side; ++j) {
    if (t + j + 1 >= c.side) sum += c.kernel[channel * c.side + j] * c.x[(t + j + 1 - c.side) * c.width + channel];
  }
  c.y[i] = sum;
}

// ---- The kernel ------------------------------------------------------------------------------------------------------

template <class Call>
G4_KERNEL void each_number(Call c) {
  begin_in_turn();
  const size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < c.count) one(c, i);
}

#define G4_RUN(call)                                                              \
  void device::run(const gc::call& c) {                                           \
    constexpr unsigned threads = 256;                                             \
    const size_t blocks = (c.count + threads - 1) / threads;                      \
    in_->launch(#call, &each_number<gc::call>, blocks, threads, 0, c);            \
  }
G4_GPU_CALLS_OF_NUMBERS(G4_RUN)

}  // namespace g4::G4_SPACE
