/// Where the numbers of a module come to lie on a backend.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/tensor/let_go.h"
#include "g4/tensor/matrix.h"
#include "g4/tensor/share.h"

namespace g4::load::detail {

/// Small vectors in float32, gathered in blocks of the backend's memory, which stay where they are.
template <class B>
class small_vectors {
 public:
  /// Where the numbers now lie, for the backend's operations to read.
  [[nodiscard]] result<const float*> place(B& on, std::span<const float> numbers) {
    if (numbers.size() > left_) {
      left_ = std::max<std::size_t>(numbers.size(), 1 << 16);
      auto taken = on.take(left_ * sizeof(float));
      if (!taken) return unexpected(std::move(taken.error()));
      blocks_.push_back(std::move(*taken));
      next_ = reinterpret_cast<float*>(blocks_.back().data());
    }
    float* const at = next_;
    on.put(numbers.data(), numbers.size(), at);
    next_ += numbers.size();
    left_ -= numbers.size();
    return at;
  }

 private:
  std::vector<typename B::owned_memory> blocks_;
  float* next_ = nullptr;
  std::size_t left_ = 0;
};

/// A backend that has an order of its own for weights, kept in a store of its choosing.
template <class B>
concept prepares_weights = requires {
  typename B::weight_store;
};

/// One that cannot read from the file's own pages: tables, which are read row by row as they are stored, move too.
template <class B>
concept prepares_tables = prepares_weights<B> && requires {
  requires B::prepares_tables;
};

struct no_store {};
template <class B>
struct store_of {
  using type = no_store;
};
template <prepares_weights B>
struct store_of<B> {
  using type = typename B::weight_store;
};

/// Takes a module's numbers, one tensor after the other, to where the backend's operations read them.
template <class B>
class weight_places {
 public:
  explicit weight_places(B& on) : on_(on) {}

  /// Small vectors, and matrices that were turned while they were read: in the backend's memory.
  [[nodiscard]] result<const float*> place(std::span<const float> numbers) { return small_->place(on_, numbers); }
  /// The same as a matrix of float32.
  [[nodiscard]] result<weight_view> place(std::span<const float> numbers, std::size_t rows, std::size_t columns) {
    auto placed = place(numbers);
    if (!placed) return unexpected(std::move(placed.error()));
    return weight_view{matrix_view{reinterpret_cast<const std::byte*>(*placed), rows, columns, storage::f32}};
  }

  /// Some columns of a matrix, copied: `mine` begins and ends at blocks.
  [[nodiscard]] result<matrix_view> columns_of(const matrix_view& all, stretch mine) {
    const std::size_t row = row_bytes(all.type, mine.count), at = row_bytes(all.type, mine.first);
    auto taken = on_.take(all.rows * row);
    if (!taken) return unexpected(std::move(taken.error()));
    for (std::size_t r = 0; r < all.rows; ++r) std::memcpy(taken->data() + r * row, all.row(r) + at, row);
    columns_->push_back(std::move(*taken));
    return matrix_view{columns_->back().data(), all.rows, mine.count, all.type};
  }

  /// A weight on its way into the backend's own order, where it has one. The file, which the weights keep, lets go of
  /// pages as they move.
  [[nodiscard]] result<weight_view> prepare(const matrix_view& raw, [[maybe_unused]] let_go pages,
                                            [[maybe_unused]] weight_use use = weight_use::layer) {
    if constexpr (prepares_weights<B>) return on_.prepare(raw, *store_, pages, use);
    return weight_view{raw};
  }

  /// Keeps alive what the weights point into.
  void keep_in(std::vector<std::shared_ptr<const void>>& keep) const {
    keep.push_back(small_);
    keep.push_back(store_);
    keep.push_back(columns_);
  }

 private:
  B& on_;
  std::shared_ptr<typename store_of<B>::type> store_ = std::make_shared<typename store_of<B>::type>();
  std::shared_ptr<std::vector<typename B::owned_memory>> columns_ =
      std::make_shared<std::vector<typename B::owned_memory>>();
  std::shared_ptr<small_vectors<B>> small_ = std::make_shared<small_vectors<B>>();
};

}  // namespace g4::load::detail
