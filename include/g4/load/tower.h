/// From a checkpoint's tensors to a tower's weights: every name, extent and storage checked once, here.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/load/module_source.h"
#include "g4/load/names.h"
#include "g4/load/place_by_place.h"
#include "g4/load/tower_source.h"
#include "g4/load/weight_places.h"
#include "g4/model/tower/weights.h"
#include "g4/ops/dequantise.h"

namespace g4::load {

namespace detail {

template <class T, int Text, class B>
class tower_filler {
 public:
  tower_filler(const io::tensor_file& file, format f, B& on, checks look)
      : source_(file, f, T::spec, look), places_(on) {}

  [[nodiscard]] result<std::shared_ptr<const tower_weights<T, Text>>> run() {
    auto w = std::make_shared<tower_weights<T, Text>>();
    const bool gguf = source_.in() == format::gguf;
    w->each([&](const stage_names& names, auto& stage) {
      if constexpr (requires { stage.by_axis; }) stage.by_axis = places_by_axis(T::spec, gguf);
      stage.each([&](const stage_tensor& t, auto& member) {
        if (!source_.failed()) fill(named(names, t), member);
      });
      if constexpr (requires { stage.softened; }) stage.softened = gguf;
    });
    source_.refuse_unknown();
    if (source_.failed()) return source_.why();
    w->colours_apart = colours_lie_apart(T::spec, gguf);
    source_.keep_in(w->keep);
    places_.keep_in(w->keep);
    return std::shared_ptr<const tower_weights<T, Text>>(std::move(w));
  }

 private:
  template <int N>
  void fill(const stage_tensor& t, vector<N>& v) {
    if (t.as == stage_role::bound) {
      const float number = source_.bound(t).value_or(t.is_lower_bound() ? -std::numeric_limits<float>::infinity()
                                                                        : std::numeric_limits<float>::infinity());
      return put(places_.place(std::span<const float>(&number, 1)), v.data);
    }
    const io::stored_tensor* found = source_.checked(t);
    if (found == nullptr) return;
    std::vector<float> numbers(N);
    dequantise(*found->type.weights, found->bytes.data(), N, numbers.data());
    if (t.as == stage_role::channelwise) numbers = place_by_place(numbers, 1, static_cast<std::size_t>(t.extents[0]));
    if (t.as == stage_role::one_plus && source_.in() == format::safetensors) {
      for (float& number : numbers) number += 1.0f;  // GGUF files hold 1 + w already
    }
    put(places_.place(numbers), v.data);
  }
  template <int Out, int In>
  void fill(const stage_tensor& t, matrix<Out, In>& m) {
    const io::stored_tensor* found = source_.checked(t);
    if (found == nullptr) return;
    if (t.as == stage_role::turned) return fill_turned(*found, m);
    if (t.as == stage_role::convolution) return fill_convolution(*found, t, m);
    const matrix_view raw{found->bytes.data(), Out, In, *found->type.weights};
    if (t.as == stage_role::table && !prepares_tables<B>) {
      m = weight_view{raw};
    } else {
      put(places_.prepare(raw, source_.file().pages_of(*found), weight_use::many_rows), m);
    }
  }

  /// A convolution's weights, place by place, in float32.
  template <int Out, int Columns>
  void fill_convolution(const io::stored_tensor& found, const stage_tensor& t, matrix<Out, Columns>& m) {
    std::vector<float> numbers(std::size_t{Out} * Columns);
    dequantise(*found.type.weights, found.bytes.data(), numbers.size(), numbers.data());
    put(places_.place(place_by_place(numbers, Out, static_cast<std::size_t>(t.extents[1])), Out, Columns), m);
  }

  /// A file's [In, Out] as the [Out, In] that is multiplied with, in float32.
  template <int Out, int In>
  void fill_turned(const io::stored_tensor& found, matrix<Out, In>& m) {
    std::vector<float> numbers(std::size_t{Out} * In), turned(numbers.size());
    dequantise(*found.type.weights, found.bytes.data(), numbers.size(), numbers.data());
    for (std::size_t i = 0; i < In; ++i) {
      for (std::size_t o = 0; o < Out; ++o) turned[o * In + i] = numbers[i * Out + o];
    }
    put(places_.place(turned, Out, In), m);
  }

  /// Where something came to lie, or why it could not.
  template <class Place, class Member>
  void put(result<Place> place, Member& member) {
    if (place) {
      member = *place;
    } else {
      source_.refuse(std::move(place.error()));
    }
  }

  tower_source source_;
  weight_places<B> places_;
};

}  // namespace detail

/// Makes the weights of tower T, which ends in rows of `Text` numbers, from a checkpoint: the model's own safetensors, or
/// an mmproj GGUF file beside it. Views point into the mapped file, or into a backend's own layout where `on` prepares
/// weights; the result keeps both alive.
///
/// Fails, naming file and tensor, when a tensor is missing, has other extents, is stored in a way g4 does not read, holds
/// numbers that cannot be meant (see `checks`), or has a name of this tower without being part of it.
template <Tower T, int Text, class B>
[[nodiscard]] result<std::shared_ptr<const tower_weights<T, Text>>> make_tower(const io::tensor_file& file, format f,
                                                                               B& on, checks look = {}) {
  return detail::tower_filler<T, Text, B>(file, f, on, look).run();
}

}  // namespace g4::load
