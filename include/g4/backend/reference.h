/// The definitions as a backend: slow, plain, and what every other backend is measured against.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "g4/backend/concept.h"
#include "g4/backend/definitions/memory.h"
#include "g4/backend/definitions/rows.h"
#include "g4/backend/definitions/streams.h"
#include "g4/backend/definitions/tower.h"
#include "g4/ops/attend.h"
#include "g4/ops/begin.h"
#include "g4/ops/matmul.h"
#include "g4/ops/rms_norm.h"
#include "g4/ops/rope.h"

namespace g4::backend {

/// Runs every operation as `ops/` defines it, in `Scalar` arithmetic: float as the published models run, double to
/// know what float's rounding costs. One object serves one thread at a time; it owns its working memory.
template <class Scalar>
class reference : public memory_definitions,
                  public row_definitions<Scalar>,
                  public stream_definitions<Scalar>,
                  public tower_definitions<Scalar> {
  static_assert(std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>,
                "g4: the reference backend computes in float or double.");

 public:
  using scalar = Scalar;

  /// What keys and values are kept as unless a session says otherwise: `Scalar`s.
  [[nodiscard]] storage cache_storage() const { return std::is_same_v<Scalar, float> ? storage::f32 : storage::f64; }

  /// Whether it can keep keys and values so.
  [[nodiscard]] bool caches(storage type) const { return type == storage::q8_0 || type == reference::cache_storage(); }

  void matmul(const matrix_view& w, const Scalar* x, std::size_t tokens, Scalar* y) {
    ops::matmul(w, x, tokens, y, floats_);
  }
  void matmul(const matrix_view& w, const Scalar* x, std::size_t tokens, Scalar* y, std::size_t room) {
    for (std::size_t t = 0; t < tokens; ++t) ops::matmul(w, x + t * w.columns, 1, y + t * room, floats_);
  }
  void exact_matmul(const matrix_view& w, const Scalar* x, std::size_t tokens, Scalar* y) {
    ops::matmul(w, x, tokens, y, floats_);
  }
  void rms_norm(const Scalar* x, const float* scale, std::size_t tokens, std::size_t width, float eps, Scalar* y) {
    ops::rms_norm(x, scale, tokens, width, eps, y);
  }
  void add_norm(Scalar* x, Scalar* delta, const float* scale, std::size_t tokens, std::size_t width, float eps) {
    ops::rms_norm(delta, scale, tokens, width, eps, delta);
    for (std::size_t i = 0; i < tokens * width; ++i) x[i] += delta[i];
  }
  void rope(Scalar* x, std::size_t tokens, std::size_t heads, std::size_t d, const Scalar* cos, const Scalar* sin) {
    ops::rope(x, tokens, heads, d, cos, sin);
  }
  /// Key ranges, angles and ids of rows that begin a pass.
  void begin(const begin_call<Scalar>& call) { ops::begin(call); }
  /// Keys and values of rows of several texts, or of one.
  void store(const cached_rows<Scalar>& call) {
    store_by_text(call, [this](const auto&... one) { this->store(one...); });
  }
  void store(const cache_view& cache, const Scalar* keys, const Scalar* values, std::size_t tokens, position at) {
    ops::store(cache, keys, values, tokens, at);
  }
  void attend(const row_attention<Scalar>& call) {
    attend_by_text(call, [this](const auto&... one) { this->attend(one...); });
  }
  void attend(const cache_view& cache, const attention_call<Scalar>& call) { ops::attend(cache, call, scores_); }

 private:
  std::vector<float> floats_;
  std::vector<Scalar> scores_;
};

static_assert(Backend<reference<float>> && Backend<reference<double>>);
static_assert(TowerBackend<reference<float>> && TowerBackend<reference<double>>);

}  // namespace g4::backend
