/// A checkpoint with random weights for any variant, in memory: what the tests run when no golden is needed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "g4/io/tensor_file.h"
#include "g4/load/names.h"
#include "g4/load/weights.h"
#include "g4/model/schema.h"

namespace g4::test {

/// Tensors named as in a safetensors file, float32, scaled so that activations neither vanish nor explode. Norm weights,
/// stream scales and expert scales are far from 1, so that leaving one out is seen.
class random_checkpoint {
 public:
  explicit random_checkpoint(const text_spec& m, unsigned seed = 1) {
    std::mt19937 random(seed);
    std::vector<io::stored_tensor> entries;
    const auto add = [&](const std::string& name, io::extents dims, float spread, float middle) {
      auto numbers = std::make_unique<std::vector<float>>(dims.elements());
      for (float& x : *numbers) {
        const auto uniform = static_cast<float>(random() >> 8) * 0x1p-24f;  // the same on every machine
        x = middle + spread * (2 * uniform - 1);
      }
      entries.push_back({name,
                         io::element_of(storage::f32),
                         dims,
                         {reinterpret_cast<const std::byte*>(numbers->data()), numbers->size() * sizeof(float)},
                         0});
      buffers_.push_back(std::move(numbers));
    };
    each_tensor(m, [&](const tensor_entry& t) {
      if (t.needed != need::required) return;
      io::extents dims;
      for (int i = 0; i < t.rank; ++i) dims.push_back(static_cast<std::size_t>(t.extents[static_cast<std::size_t>(i)]));
      if (t.as == role::integers)
        return add_ordering(load::name_in(load::format::safetensors, "model.", t), dims, random, entries);
      const float spread = is_matrix(t.as) ? std::sqrt(3.0f / static_cast<float>(dims.columns())) : 0.4f;
      const float middle = is_matrix(t.as) || m.one_plus_weight ? 0.0f : 1.0f;
      if (t.numbered()) {
        for (int j = 0; j < t.extents[0]; ++j) {
          add(load::name_in(load::format::safetensors, "model.", t, j), {dims[1], dims[2]}, spread,
              middle);
        }
        return;
      }
      add(load::name_in(load::format::safetensors, "model.", t), dims, spread, middle);
    });
    file_ = *io::tensor_file::make("random weights", std::move(entries), {});
  }

  [[nodiscard]] const io::tensor_file& file() const { return file_; }

  /// The weights of V; the checkpoint must outlive them.
  template <class V, class B>
  [[nodiscard]] std::shared_ptr<const weights<V>> load(B& on) const {
    auto made = load::make_weights<V>(file_, load::format::safetensors, on);
    if (!made) throw std::runtime_error(made.error().message);
    return *made;
  }

 private:
  void add_ordering(const std::string& name, io::extents dims, std::mt19937& random,
                    std::vector<io::stored_tensor>& entries) {
    auto ids = std::make_unique<std::vector<float>>(dims.elements());
    std::vector<std::int32_t> order(dims.elements());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
    for (std::size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random() % (i + 1)]);
    std::memcpy(ids->data(), order.data(), order.size() * 4);
    entries.push_back({name,
                       {"I32", 1, 4, std::nullopt},
                       dims,
                       {reinterpret_cast<const std::byte*>(ids->data()), ids->size() * 4},
                       0});
    buffers_.push_back(std::move(ids));
  }

  std::vector<std::unique_ptr<std::vector<float>>> buffers_;
  io::tensor_file file_;
};

}  // namespace g4::test
