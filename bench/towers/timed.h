/// A backend that knows what it spent its time on.
#pragma once

#include <array>
#include <ctime>
#include <cstddef>
#include <span>
#include <utility>

#include "g4/backend/cpu.h"

namespace g4::bench {

/// Seconds on the wall; or, where others share the machine, those that this process had of its CPUs.
class stopwatch {
 public:
  static inline bool of_cpus = false;

  [[nodiscard]] static double now() {
    timespec t{};
    clock_gettime(of_cpus ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
};
[[nodiscard]] inline double seconds_since(double start) { return stopwatch::now() - start; }

/// What an operation of a tower is counted as.
enum class kind : std::size_t { products, attention, norms, activations, rope, bounds, convolution, rows };
inline constexpr std::array<const char*, 8> kind_names{"products", "attention", "norms", "activations", "rotation",
                                                       "bounds",   "convolution", "rows and tables"};

struct spent {
  double seconds = 0;
  double operations = 0;  ///< multiplications and additions, of products and attention
};

/// The cpu backend, each of whose operations is timed under its kind.
class timed : public backend::cpu {
 public:
  using backend::cpu::cpu;

  std::array<spent, kind_names.size()> by_kind{};

  void matmul(const weight_view& w, const float* x, std::size_t n, float* y) {
    in(kind::products, products_of(w, n), [&] { cpu::matmul(w, x, n, y); });
  }
  void matmuls(std::span<const projection> several, const float* x, std::size_t n) {
    double operations = 0;
    for (const projection& p : several) operations += products_of(p.w, n);
    in(kind::products, operations, [&] { cpu::matmuls(several, x, n); });
  }
  void exact_matmul(const weight_view& w, const float* x, std::size_t n, float* y) {
    in(kind::convolution, products_of(w, n), [&] { cpu::exact_matmul(w, x, n, y); });
  }
  void attend(const row_attention<float>& call) {
    const double keys = static_cast<double>(call.of.tokens) * static_cast<double>(call.of.tokens);
    const auto width = static_cast<double>(call.of.heads * call.caches[0][call.layer].head_size);
    in(kind::attention, 4 * keys * width, [&] { cpu::attend(call); });
  }
  void attend_all(const ops::all_attention<float>& call) {
    const double keys = static_cast<double>(call.rows) * static_cast<double>(call.rows);
    in(kind::attention, 4 * keys * static_cast<double>(call.heads * call.head_size), [&] { cpu::attend_all(call); });
  }
  void attend_near(const ops::near_attention<float>& call) {
    in(kind::attention, 0, [&] { cpu::attend_near(call); });
  }

#define G4_TIMED(operation, counted_as)                                             \
  template <class... Given>                                                         \
  void operation(Given&&... given) {                                                \
    in(kind::counted_as, 0, [&] { cpu::operation(std::forward<Given>(given)...); }); \
  }
  G4_TIMED(store, attention)
  G4_TIMED(rms_norm, norms)
  G4_TIMED(add_norm, norms)
  G4_TIMED(layer_norm, norms)
  G4_TIMED(gelu, activations)
  G4_TIMED(gelu_gate, activations)
  G4_TIMED(silu, activations)
  G4_TIMED(glu, activations)
  G4_TIMED(relu, activations)
  G4_TIMED(rope_2d, rope)
  G4_TIMED(clamp, bounds)
  G4_TIMED(keep_within, bounds)
  G4_TIMED(unfold, convolution)
  G4_TIMED(convolve_back, convolution)
  G4_TIMED(begin, rows)
  G4_TIMED(add, rows)
  G4_TIMED(add_bias, rows)
  G4_TIMED(scale, rows)
  G4_TIMED(centre, rows)
  G4_TIMED(standardise, rows)
  G4_TIMED(mean_groups, rows)
  G4_TIMED(mix_embedded, rows)
#undef G4_TIMED

 private:
  [[nodiscard]] static double products_of(const weight_view& w, std::size_t n) {
    return 2.0 * static_cast<double>(w.rows) * static_cast<double>(w.columns) * static_cast<double>(n);
  }
  template <class Body>
  void in(kind what, double operations, Body&& body) {
    const double start = stopwatch::now();
    body();
    spent& at = by_kind[static_cast<std::size_t>(what)];
    at.seconds += seconds_since(start);
    at.operations += operations;
  }
};

}  // namespace g4::bench
