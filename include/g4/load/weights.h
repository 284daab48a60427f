/// From a checkpoint's tensors to a model's weights: every name, extent and storage checked once, here.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/finite.h"
#include "g4/io/tensor_file.h"
#include "g4/load/matcher.h"
#include "g4/load/names.h"
#include "g4/model/weights.h"
#include "g4/ops/dequantise.h"

namespace g4::load {

/// What a checkpoint is looked at for before it is believed.
struct checks {
  /// Refuse infinities, NaNs, and weights that are all zero. Reads every tensor once, except the per-layer embedding
  /// table, of which only the rows that are needed are ever read.
  bool contents = true;
};

/// Told how far loading has come, in bytes. Null: nobody wants to know.
struct progress {
  void* self = nullptr;
  void (*tell)(void* self, std::size_t done, std::size_t total) = nullptr;
};

namespace detail {

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
concept prepares_weights = requires { typename B::weight_store; };

struct no_store {};
template <class B>
struct store_of {
  using type = no_store;
};
template <prepares_weights B>
struct store_of<B> {
  using type = typename B::weight_store;
};

/// Whether norms scale by 1 + weight; the weights of a model hold the sum.
template <class Module>
inline constexpr bool norms_add_one = false;
template <Variant V>
inline constexpr bool norms_add_one<V> = V::spec.one_plus_weight;

/// Fills the weights of a module: of a variant's text, or of anything else that has `weights<Module>` and `each_weight`.
template <class Module, class B>
class filler {
 public:
  filler(const io::tensor_file& file, format f, matcher match, B& on, checks look, progress told)
      : file_(file), match_(std::move(match)), format_(f), on_(on), look_(look), told_(told) {}

  [[nodiscard]] result<std::shared_ptr<const weights<Module>>> run() {
    auto w = std::make_shared<weights<Module>>();
    for (const io::tensor_entry& t : file_.tensors()) total_ += t.bytes.size();
    each_weight(*w, [&](const tensor_entry& t, auto& member) {
      if (!failed_) fill(t, member);
    });
    if (failed_) return unexpected(std::move(*failed_));
    if constexpr (Variant<Module>) {
      if (auto known = match_.refuse_unknown(); !known) return unexpected(std::move(known.error()));
      tie_head(*w);
      if (failed_) return unexpected(std::move(*failed_));
    }
    w->keep.push_back(small_);
    w->keep.push_back(std::make_shared<io::tensor_file>(file_));
    w->keep.push_back(store_);
    return std::shared_ptr<const weights<Module>>(std::move(w));
  }

 private:
  void refuse(error why) { failed_ = std::make_unique<error>(std::move(why)); }

  /// The head is the token table where the two are one.
  void tie_head(weights<Module>& w) {
    if constexpr (Module::spec.tied_head) {
      w.head = prepared(w.embed, table_, weight_use::head);
      // Rows are then read from the backend's own table: a page of the file for every token would come back and stay.
      // A drafter cuts single rows out, which only the file's order allows.
      if constexpr (!Module::spec.is_drafter()) w.embed = w.head;
    }
  }

  /// A weight that this kind of layer does not have: the file may carry it all the same.
  void fill(const tensor_entry& t, absent&) { (void)checked(t); }

  template <int N>
  void fill(const tensor_entry& t, vector<N>& v) {
    const io::tensor_entry* found = checked(t);
    if (found == nullptr) return;
    std::vector<float> numbers(N);
    dequantise(*found->type.weights, found->bytes.data(), N, numbers.data());
    if (t.as == role::norm_weight && norms_add_one<Module> && format_ == format::safetensors) {
      for (float& number : numbers) number += 1.0f;  // GGUF files hold 1 + w already
    }
    auto placed = small_->place(on_, numbers);
    if (!placed) return refuse(std::move(placed.error()));
    v.data = *placed;
    advance(*found);
  }

  template <int Out, int In>
  void fill(const tensor_entry& t, matrix<Out, In>& m) {
    const io::tensor_entry* found = checked(t);
    if (found == nullptr) return;
    const matrix_view raw{found->bytes.data(), found->dims.elements() / In, In, *found->type.weights};
    // Tables are read row by row, as stored; everything else goes through the backend's own layout.
    const bool table = t.as == role::token_table || t.as == role::table;
    const weight_use use = t.as == role::head ? weight_use::head : weight_use::layer;
    m = table ? weight_view{raw} : prepared(raw, found, use);
    if (t.as == role::token_table) table_ = found;
    advance(*found);
  }

  /// Several matrices: one stacked tensor, or numbered tensors where the format's name has a '#'.
  template <int Out, int In, std::size_t N>
  void fill(const tensor_entry& t, std::array<matrix<Out, In>, N>& several) {
    if (format_ == format::gguf || !t.numbered()) {
      const io::tensor_entry* found = checked(t);
      if (found == nullptr) return;
      const matrix_view all{found->bytes.data(), N * Out, In, *found->type.weights};
      for (std::size_t i = 0; i < N; ++i) several[i] = prepared(all.slice(i * Out, Out), found);
      advance(*found);
      return;
    }
    for (std::size_t i = 0; i < N; ++i) {
      const io::tensor_entry* found = checked(t.one(), static_cast<int>(i));
      if (found == nullptr) return;
      several[i] = prepared(matrix_view{found->bytes.data(), Out, In, *found->type.weights}, found);
      advance(*found);
    }
  }

  /// Tokens of the vocabulary.
  void fill(const tensor_entry& t, std::vector<std::int32_t>& ordering) {
    auto found = match_.find(t);
    if (!found) return refuse(std::move(found.error()));
    const io::tensor_entry& e = **found;
    if (!same_extents(e, t)) return refuse(match_.wrong_shape(e, t));
    auto ids = token_ids(file_, e, Module::spec.vocab);
    if (!ids) return refuse(std::move(ids.error()));
    ordering = std::move(*ids);
  }

  /// The file's tensor with the right extents, a storage g4 reads, and sound contents; null if there is none.
  const io::tensor_entry* checked(const tensor_entry& t, int number = 0) {
    auto found = match_.find(t, number);
    if (!found) {
      refuse(std::move(found.error()));
      return nullptr;
    }
    if (*found == nullptr) return nullptr;
    const io::tensor_entry& e = **found;
    if (!(same_extents(e, t) || may_be_shorter(e, t))) {
      refuse(match_.wrong_shape(e, t));
      return nullptr;
    }
    if (auto type = io::storage_of(file_, e); !type) {
      refuse(std::move(type.error()));
      return nullptr;
    }
    if (look_.contents && t.needed == need::required && t.as != role::table) {
      if (auto sound = io::check_finite(file_, e); !sound) {
        refuse(std::move(sound.error()));
        return nullptr;
      }
      // A norm weight of zeros is meant where norms add one to it; biases may be zero.
      const bool matters = is_matrix(t.as) || (t.as == role::norm_weight && !norms_add_one<Module>);
      if (auto filled = matters ? io::check_not_all_zero(file_, e) : result<void>{}; !filled) {
        refuse(std::move(filled.error()));
        return nullptr;
      }
    }
    return &e;
  }

  [[nodiscard]] bool may_be_shorter(const io::tensor_entry& e, const tensor_entry& t) const {
    if constexpr (Variant<Module>) return fitting_extents(e, t, format_, generation_of(Module::spec));
    return false;
  }

  /// A weight on its way into the backend's own order, where it has one. The file, which the
  /// weights keep, lets go of pages as they move.
  [[nodiscard]] weight_view prepared(const matrix_view& raw, const io::tensor_entry* from,
                                     weight_use use = weight_use::layer) {
    if constexpr (prepares_weights<B>) {
      auto made = on_.prepare(raw, *store_, file_.pages_of(*from), use);
      if (made) return *made;
      refuse(std::move(made.error()));
    }
    return raw;
  }

  void advance(const io::tensor_entry& e) {
    done_ += e.bytes.size();
    if (told_.tell != nullptr) told_.tell(told_.self, done_, total_);
  }

  const io::tensor_file& file_;
  matcher match_;
  format format_;
  B& on_;
  checks look_;
  progress told_;
  std::shared_ptr<typename store_of<B>::type> store_ = std::make_shared<typename store_of<B>::type>();
  const io::tensor_entry* table_ = nullptr;
  std::shared_ptr<small_vectors<B>> small_ = std::make_shared<small_vectors<B>>();
  std::unique_ptr<error> failed_;
  std::size_t done_ = 0;
  std::size_t total_ = 0;
};

}  // namespace detail

/// Makes the weights of variant V from a checkpoint. Views point into the mapped file, or into a backend's own layout
/// where `on` prepares weights; the result keeps both alive.
///
/// Fails, naming file and tensor, when a tensor is missing, has other extents, is stored in a way g4 does not read, holds
/// numbers that cannot be meant (see `checks`), or is no part of the model.
template <Variant V, class B>
[[nodiscard]] result<std::shared_ptr<const weights<V>>> make_weights(const io::tensor_file& file, format f, B& on,
                                                                     checks look = {}, progress told = {}) {
  return detail::filler<V, B>(file, f, detail::matcher(file, f), on, look, told).run();
}

/// The same for another module of the file, whose tensors a safetensors file calls `prefix`…: what the rest of the file
/// holds is no business of its.
template <class Module, class B>
[[nodiscard]] result<std::shared_ptr<const weights<Module>>> make_module(const io::tensor_file& file, format f,
                                                                         std::string_view prefix, B& on,
                                                                         checks look = {}, progress told = {}) {
  return detail::filler<Module, B>(file, f, detail::matcher(file, f, prefix), on, look, told).run();
}

}  // namespace g4::load
