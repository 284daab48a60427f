/// A tower's weights with random numbers, in memory, in either format.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/tensor_file.h"
#include "g4/load/names.h"
#include "g4/model/tower/weights.h"

namespace g4::test {

/// One tensor's numbers under its name in a safetensors file, without "model.".
struct random_tensor {
  std::string gguf;
  io::extents dims;
  std::vector<float> numbers;
  std::vector<float> turned;  ///< as an mmproj file has them
  io::extents turned_dims;
};

/// Tensors of tower T in rows of `Text` numbers.
template <class T, int Text>
class random_tower {
 public:
  explicit random_tower(unsigned seed = 1) {
    std::mt19937 random(seed);
    tower_weights<T, Text> w;
    w.each([&](const stage_names& names, auto& stage) {
      if constexpr (requires { stage.by_axis; }) stage.by_axis = places_by_axis(T::spec, false);
      stage.each([&](const stage_tensor& t, auto&) {
        random_tensor made;
        for (int i = 0; i < t.rank; ++i) made.dims.push_back(static_cast<std::size_t>(t.extents[i]));
        for (std::size_t i = 0; i < made.dims.elements(); ++i) {
          made.numbers.push_back(static_cast<float>(random() >> 8) * 0x1p-24f * 2 - (t.rank == 1 ? 0.5f : 1.0f));
        }
        if (t.as == stage_role::bound) made.numbers = {t.safetensors.ends_with("_min") ? -0.6f : 0.7f};
        made.gguf = std::string(names.gguf) + t.gguf;
        turn(t, made);
        tensors[std::string(names.safetensors) + t.safetensors] = std::move(made);
      });
    });
  }

  /// The file; this object must outlive it.
  [[nodiscard]] io::tensor_file file(load::format f = load::format::safetensors) const {
    std::vector<io::stored_tensor> entries;
    for (const auto& [name, t] : tensors) {
      const bool gguf = f == load::format::gguf;
      const std::vector<float>& numbers = gguf ? t.turned : t.numbers;
      entries.push_back({gguf ? t.gguf : "model." + name,
                         io::element_of(storage::f32),
                         gguf ? t.turned_dims : t.dims,
                         {reinterpret_cast<const std::byte*>(numbers.data()), numbers.size() * sizeof(float)},
                         0});
    }
    return *io::tensor_file::make("random tower", std::move(entries), {});
  }

  std::map<std::string, random_tensor> tensors;

 private:
  /// A patch's numbers colour by colour, and a table's axes one after the other.
  static void turn(const stage_tensor& t, random_tensor& made) {
    made.turned = made.numbers;
    made.turned_dims = made.dims;
    const std::size_t columns = made.dims.columns();
    if (t.gguf_extents[0] != 0 && t.as != stage_role::table) {
      made.turned_dims = {};
      for (const int extent : t.gguf_extents) {
        if (extent != 0) made.turned_dims.push_back(static_cast<std::size_t>(extent));
      }
    } else if (t.gguf_extents[0] != 0 && t.gguf_extents != t.extents) {
      const std::size_t places = made.dims[0];
      for (std::size_t p = 0; p < places; ++p) {
        for (std::size_t axis = 0; axis < 2; ++axis) {
          std::copy_n(made.numbers.data() + (2 * p + axis) * columns, columns,
                      made.turned.data() + (axis * places + p) * columns);
        }
      }
      made.turned_dims = {2, places, columns};
    } else if (t.as == stage_role::one_plus) {
      for (float& x : made.turned) x += 1;  // such files hold the sum
    } else if (T::of_pictures && !colours_lie_apart(T::spec, false) &&
               columns == static_cast<std::size_t>(T::input_width)) {
      const std::size_t pixels = columns / 3;
      for (std::size_t r = 0; r < made.dims.rows(); ++r) {
        for (std::size_t i = 0; i < columns; ++i) {
          made.turned[r * columns + i % 3 * pixels + i / 3] = made.numbers[r * columns + i];
        }
      }
    }
  }
};

}  // namespace g4::test
