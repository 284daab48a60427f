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

/// Small vectors in float32, all in one block that is sized before it is filled, so that views stay valid.
struct float_store {
  std::vector<float> floats;
  std::size_t used = 0;
  float* take(std::size_t n) {
    float* const at = floats.data() + used;
    used += n;
    return at;
  }
};

[[nodiscard]] inline std::string extents_text(const tensor_entry& t) {
  std::string text = "[";
  for (int i = 0; i < t.rank; ++i) text += (i > 0 ? ", " : "") + std::to_string(t.extents[static_cast<std::size_t>(i)]);
  return text + "]";
}

/// Matches the model's tensors with the file's.
class matcher {
 public:
  matcher(const io::tensor_file& file, format f) : file_(file), format_(f) {
    if (f == format::safetensors) {
      for (const std::string_view candidate : text_prefixes) {
        if (file.find(std::string(candidate) + "embed_tokens.weight") != nullptr) {
          prefix_ = candidate;
          break;
        }
      }
    }
    known_.resize(file.tensors().size());
  }

  [[nodiscard]] std::string name(part what, int layer, int number = 0) const {
    return name_in(format_, prefix_, what, layer, number);
  }

  /// The file's tensor for an entry of the schema, or why there is none; null for a skippable one that is absent.
  [[nodiscard]] result<const io::tensor_entry*> find(const tensor_entry& wanted, int number = 0) {
    const std::string tensor_name = name(wanted.what, wanted.layer, number);
    const io::tensor_entry* found = file_.find(tensor_name);
    if (found == nullptr) {
      if (wanted.needed == need::skippable) return nullptr;
      return fail(file_.name(), ": the tensor ", tensor_name, " ", extents_text(wanted), " is missing");
    }
    known_[static_cast<std::size_t>(found - file_.tensors().data())] = true;
    return found;
  }

  [[nodiscard]] error wrong_shape(const io::tensor_entry& found, const tensor_entry& wanted) const {
    return {file_.file_name(found) + ": " + found.name + " is " + io::to_string(found.dims) + "; the model needs " +
            extents_text(wanted)};
  }

  /// Whether a tensor of the file has been asked for.
  [[nodiscard]] bool knows(const io::tensor_entry& t) const {
    return known_[static_cast<std::size_t>(&t - file_.tensors().data())];
  }

  /// Refuses the file if it holds a tensor that no part of the model is called.
  [[nodiscard]] result<bool> refuse_unknown() const {
    for (std::size_t i = 0; i < known_.size(); ++i) {
      const io::tensor_entry& t = file_.tensors()[i];
      if (!known_[i] && !is_skippable(format_, t.name)) {
        return fail(file_.file_name(t), ": the tensor ", t.name, " ", io::to_string(t.dims),
                    " is no part of this model");
      }
    }
    return true;
  }

 private:
  const io::tensor_file& file_;
  format format_;
  std::string_view prefix_ = "model.";
  std::vector<bool> known_;
};

/// Whether the extents agree; leading ones are not told apart from none ([1, 640] is [640]).
[[nodiscard]] inline bool same_extents(const io::tensor_entry& found, const tensor_entry& wanted) {
  std::array<std::size_t, 3> want{};
  int rank = 0;
  for (int i = 0; i < wanted.rank; ++i)
    want[static_cast<std::size_t>(rank++)] = static_cast<std::size_t>(wanted.extents[static_cast<std::size_t>(i)]);
  std::size_t skip = 0;
  while (found.dims.rank() - skip > static_cast<std::size_t>(rank) && found.dims[skip] == 1) ++skip;
  if (found.dims.rank() == 0) return wanted.elements() == 1;
  if (found.dims.rank() - skip != static_cast<std::size_t>(rank)) return false;
  for (int i = 0; i < rank; ++i) {
    if (found.dims[skip + static_cast<std::size_t>(i)] != want[static_cast<std::size_t>(i)]) return false;
  }
  return true;
}

/// A tensor of I32 or I64 that lists tokens of the vocabulary.
[[nodiscard]] inline result<std::vector<std::int32_t>> token_ids(const io::tensor_file& file, const io::tensor_entry& e,
                                                                 int vocabulary) {
  const bool wide = e.type.name == "I64";
  if (!wide && e.type.name != "I32") {
    return fail(file.file_name(e), ": ", e.name, " is stored as ", std::string(e.type.name), "; expected I64 or I32");
  }
  std::vector<std::int32_t> ids(e.dims.elements());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::int64_t id = 0;
    if (wide) {
      std::memcpy(&id, e.bytes.data() + 8 * i, 8);
    } else {
      std::memcpy(&ids[i], e.bytes.data() + 4 * i, 4);
      id = ids[i];
    }
    if (id < 0 || id >= vocabulary) {
      return fail(file.file_name(e), ": ", e.name, " holds the token ", id, "; the vocabulary has ", vocabulary);
    }
    ids[i] = static_cast<std::int32_t>(id);
  }
  return ids;
}

/// As `same_extents`, or fewer rows of the token table: GGUF files of Gemma 3 leave out the embedding rows beyond their
/// tokenizer's tokens.
[[nodiscard]] inline bool fitting_extents(const io::tensor_entry& found, const tensor_entry& wanted, format f,
                                          generation g) {
  if (same_extents(found, wanted)) return true;
  return wanted.what == part::embed && f == format::gguf && g == generation::gemma3 && found.dims.rank() == 2 &&
         found.dims[1] == static_cast<std::size_t>(wanted.extents[1]) && found.dims[0] > 0 &&
         found.dims[0] < static_cast<std::size_t>(wanted.extents[0]);
}

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

template <Variant V, class B>
class filler {
 public:
  filler(const io::tensor_file& file, format f, B& on, checks look, progress told)
      : file_(file), match_(file, f), format_(f), on_(on), look_(look), told_(told) {}

  [[nodiscard]] result<std::shared_ptr<const weights<V>>> run() {
    auto w = std::make_shared<weights<V>>();
    small_ = std::make_shared<float_store>();
    std::size_t floats = 0;
    each_tensor(V::spec, [&](const tensor_entry& t) {
      if (t.as == role::norm_weight || t.as == role::numbers) floats += static_cast<std::size_t>(t.elements());
    });
    small_->floats.resize(floats);
    for (const io::tensor_entry& t : file_.tensors()) total_ += t.bytes.size();

    each_tensor(V::spec, [&](const tensor_entry& t) {
      if (!failed_) place(*w, t);
    });
    if (failed_) return unexpected(std::move(*failed_));
    if (auto known = match_.refuse_unknown(); !known) return unexpected(std::move(known.error()));
    if (V::spec.tied_head) {
      w->head = prepared(w->embed, table_, weight_use::head);
      // Rows are then read from the backend's own table: a page of the file for every token would come back and stay.
      // A drafter cuts single rows out, which only the file's order allows.
      if constexpr (!V::spec.is_drafter()) w->embed = w->head;
    }
    if (failed_) return unexpected(std::move(*failed_));

    w->keep.push_back(small_);
    w->keep.push_back(std::make_shared<io::tensor_file>(file_));
    w->keep.push_back(store_);
    return std::shared_ptr<const weights<V>>(std::move(w));
  }

 private:
  void refuse(error why) { failed_ = std::make_unique<error>(std::move(why)); }

  void place(weights<V>& w, const tensor_entry& t) {
    const auto visit = [&](part what, auto& member) {
      if (what == t.what && !failed_) fill(t, member);
    };
    if (t.what == part::token_ordering) {
      if constexpr (V::spec.clusters.has_value()) fill_ordering(t, w.token_ordering);
    } else if (t.layer < 0) {
      w.each(visit);
    } else {
      with_kind_of_layer<V>(t.layer, [&]<int Kind>() {
        auto& layer =
            std::get<Kind>(w.layers)[static_cast<std::size_t>(V::kinds.nth[static_cast<std::size_t>(t.layer)])];
        layer.each(visit);
      });
    }
  }

  /// A weight that this kind of layer does not have: the file may carry it all the same.
  void fill(const tensor_entry& t, absent&) { (void)checked(t); }

  template <int N>
  void fill(const tensor_entry& t, vector<N>& v) {
    const io::tensor_entry* found = checked(t);
    if (found == nullptr) return;
    float* const numbers = small_->take(N);
    dequantise(*found->type.weights, found->bytes.data(), N, numbers);
    if (t.as == role::norm_weight && V::spec.one_plus_weight && format_ == format::safetensors) {
      for (int i = 0; i < N; ++i) numbers[i] += 1.0f;  // GGUF files hold 1 + w already
    }
    v.data = numbers;
    advance(*found);
  }

  template <int Out, int In>
  void fill(const tensor_entry& t, matrix<Out, In>& m) {
    const io::tensor_entry* found = checked(t);
    if (found == nullptr) return;
    const matrix_view raw{found->bytes.data(), found->dims.elements() / In, In, *found->type.weights};
    // Tables are read row by row, as stored; everything else goes through the backend's own layout.
    const bool table = t.what == part::embed || t.what == part::per_layer_embed;
    const weight_use use = t.what == part::head ? weight_use::head : weight_use::layer;
    m = table ? weight_view{raw} : prepared(raw, found, use);
    if (t.what == part::embed) table_ = found;
    advance(*found);
  }

  /// Several matrices: one stacked tensor, or numbered tensors where the format's name has a '#'.
  template <int Out, int In, std::size_t N>
  void fill(const tensor_entry& t, std::array<matrix<Out, In>, N>& several) {
    if (format_ == format::gguf || names_of(t.what).safetensors.find('#') == std::string_view::npos) {
      const io::tensor_entry* found = checked(t);
      if (found == nullptr) return;
      const matrix_view all{found->bytes.data(), N * Out, In, *found->type.weights};
      for (std::size_t i = 0; i < N; ++i) several[i] = prepared(all.slice(i * Out, Out), found);
      advance(*found);
      return;
    }
    const tensor_entry one{t.what, t.layer, 2, {Out, In, 0}};
    for (std::size_t i = 0; i < N; ++i) {
      const io::tensor_entry* found = checked(one, static_cast<int>(i));
      if (found == nullptr) return;
      several[i] = prepared(matrix_view{found->bytes.data(), Out, In, *found->type.weights}, found);
      advance(*found);
    }
  }

  void fill_ordering(const tensor_entry& t, std::vector<std::int32_t>& ordering) {
    auto found = match_.find(t);
    if (!found) return refuse(std::move(found.error()));
    const io::tensor_entry& e = **found;
    if (!same_extents(e, t)) return refuse(match_.wrong_shape(e, t));
    auto ids = token_ids(file_, e, V::spec.vocab);
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
    if (!fitting_extents(e, t, format_, generation_of(V::spec))) {
      refuse(match_.wrong_shape(e, t));
      return nullptr;
    }
    if (auto type = io::storage_of(file_, e); !type) {
      refuse(std::move(type.error()));
      return nullptr;
    }
    if (look_.contents && t.needed == need::required && t.what != part::per_layer_embed) {
      if (auto sound = io::check_finite(file_, e); !sound) {
        refuse(std::move(sound.error()));
        return nullptr;
      }
      // A norm weight of zeros is meant where norms add one to it; biases may be zero.
      const bool matters = t.as == role::matrix || (t.as == role::norm_weight && !V::spec.one_plus_weight);
      if (auto filled = matters ? io::check_not_all_zero(file_, e) : result<void>{}; !filled) {
        refuse(std::move(filled.error()));
        return nullptr;
      }
    }
    return &e;
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
  std::shared_ptr<float_store> small_;
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
  return detail::filler<V, B>(file, f, on, look, told).run();
}

}  // namespace g4::load
