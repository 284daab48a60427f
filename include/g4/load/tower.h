/// From a checkpoint's tensors to a tower's weights: every name, extent and storage checked once, here.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "g4/core/result.h"
#include "g4/io/tensor_file.h"
#include "g4/load/matcher.h"
#include "g4/load/module_source.h"
#include "g4/load/names.h"
#include "g4/load/weight_places.h"
#include "g4/model/tower/weights.h"
#include "g4/ops/dequantise.h"

namespace g4::load {

namespace detail {

template <class T, int Text, class B>
class tower_filler {
 public:
  tower_filler(const io::tensor_file& file, format f, B& on, checks look)
      : file_(file), format_(f), look_(look), places_(on) {}

  [[nodiscard]] result<std::shared_ptr<const tower_weights<T, Text>>> run() {
    auto w = std::make_shared<tower_weights<T, Text>>();
    if (format_ == format::safetensors) {
      const std::string inside = "model." + std::string(safetensors_rooms(T::spec)[0]);
      const auto& all = file_.tensors();
      const bool nested = std::any_of(all.begin(), all.end(), [&](const auto& t) { return t.name.starts_with(inside); });
      prefix_ = nested ? "model." : "";
      // As Gemma 3 was published: the encoder once more inside the tower.
      const std::string published = prefix_ + "vision_tower.vision_model.";
      if (std::any_of(all.begin(), all.end(), [&](const auto& t) { return t.name.starts_with(published); })) {
        inner_ = "vision_model.";
      }
    }
    if constexpr (constexpr auto stack = T::spec.template find<stage::encoder>(); stack.has_value() && !stack->gated) {
      // The first mmproj files of Gemma 3 call the way up down, and the other way round: their extents tell.
      const io::stored_tensor* const up = format_ == format::gguf ? file_.find("v.blk.0.ffn_up.weight") : nullptr;
      const auto rows = static_cast<std::size_t>(stack->hidden);
      exchanged_ = up != nullptr && up->dims.rank() == 2 && up->dims[0] != rows && up->dims[1] == rows;
    }
    w->each([&](const stage_names& names, auto& stage) {
      if constexpr (requires { stage.by_axis; }) stage.by_axis = places_by_axis(T::spec, format_ == format::gguf);
      stage.each([&](const stage_tensor& t, auto& member) {
        if (!failed_) fill(names, t, member);
      });
      if constexpr (requires { stage.softened; }) stage.softened = format_ == format::gguf;
    });
    if (!failed_) refuse_unknown();
    if (failed_) return unexpected(std::move(*failed_));
    w->colours_apart = colours_lie_apart(T::spec, format_ == format::gguf);
    w->keep.push_back(std::make_shared<io::tensor_file>(file_));
    places_.keep_in(w->keep);
    return std::shared_ptr<const tower_weights<T, Text>>(std::move(w));
  }

 private:
  void refuse(error why) { failed_ = std::make_unique<error>(std::move(why)); }
  template <class... Pieces>
  void refuse_saying(const Pieces&... pieces) {
    result<void> why = fail(pieces...);
    refuse(std::move(why.error()));
  }

  [[nodiscard]] std::string name(const stage_names& names, const stage_tensor& t) const {
    if (format_ == format::gguf) {
      std::string all = std::string(names.gguf) + t.gguf;
      if (exchanged_) {
        const bool up = all.find(".ffn_up.") != std::string::npos;
        if (const auto at = all.find(up ? ".ffn_up." : ".ffn_down."); at != std::string::npos) {
          all.replace(at, up ? 8 : 10, up ? ".ffn_down." : ".ffn_up.");
        }
      }
      return all;
    }
    const std::string all = std::string(names.safetensors) + t.safetensors;
    constexpr std::string_view tower = "vision_tower.";
    if (!inner_.empty() && all.starts_with(tower)) {
      return prefix_ + std::string(tower) + inner_ + all.substr(tower.size());
    }
    return prefix_ + all;
  }

  template <int N>
  void fill(const stage_names& names, const stage_tensor& t, vector<N>& v) {
    if (t.as == stage_role::bound) return fill_bound(names, t, v);
    const io::stored_tensor* found = checked(names, t);
    if (found == nullptr) return;
    std::vector<float> numbers(N);
    dequantise(*found->type.weights, found->bytes.data(), N, numbers.data());
    if (t.as == stage_role::channelwise) numbers = place_by_place(numbers, 1, static_cast<std::size_t>(t.extents[0]));
    if (t.as == stage_role::one_plus && format_ == format::safetensors) {
      for (float& number : numbers) number += 1.0f;  // GGUF files hold 1 + w already
    }
    put(places_.place(numbers), v.data);
  }
  /// One number, in whatever rank a file gives it; none where the file has none, and infinite where it sets no bound.
  template <int N>
  void fill_bound(const stage_names& names, const stage_tensor& t, vector<N>& v) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const std::string tensor = name(names, t);
    float number = tensor.ends_with("_min") ? -infinity : infinity;
    if (const io::stored_tensor* const found = file_.find(tensor); found != nullptr) {
      known_.push_back(found);
      if (found->dims.elements() != 1) {
        return refuse_saying(file_.file_name(*found), ": ", tensor, " is ", io::to_string(found->dims),
                             "; the tower needs one number");
      }
      if (auto type = io::storage_of(file_, *found); !type) return refuse(std::move(type.error()));
      if (io::element_of(*found->type.weights).block_elements != 1) {
        return refuse_saying(file_.file_name(*found), ": ", tensor, " is no plain number");
      }
      dequantise(*found->type.weights, found->bytes.data(), 1, &number);
      if (std::isnan(number)) return refuse_saying(file_.file_name(*found), ": ", tensor, " is not a number");
    }
    put(places_.place(std::span<const float>(&number, 1)), v.data);
  }
  template <int Out, int In>
  void fill(const stage_names& names, const stage_tensor& t, matrix<Out, In>& m) {
    const io::stored_tensor* found = checked(names, t);
    if (found == nullptr) return;
    if (t.as == stage_role::turned) return fill_turned(*found, m);
    if (t.as == stage_role::convolution) return fill_convolution(*found, t, m);
    const matrix_view raw{found->bytes.data(), Out, In, *found->type.weights};
    if (t.as == stage_role::table && !prepares_tables<B>) {
      m = weight_view{raw};
    } else {
      put(places_.prepare(raw, file_.pages_of(*found), weight_use::many_rows), m);
    }
  }

  /// [out, in, places] as [out, places, in].
  [[nodiscard]] static std::vector<float> place_by_place(std::span<const float> numbers, std::size_t out,
                                                         std::size_t in) {
    const std::size_t places = numbers.size() / out / in;
    std::vector<float> turned(numbers.size());
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t p = 0; p < places; ++p) turned[(o * places + p) * in + i] = numbers[(o * in + i) * places + p];
      }
    }
    return turned;
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

  /// The file's tensor with the right extents, a storage g4 reads, and sound contents; null if there is none.
  const io::stored_tensor* checked(const stage_names& names, const stage_tensor& t) {
    const std::string tensor = name(names, t);
    const bool turned = format_ == format::gguf && t.gguf_extents[0] != 0;
    tensor_entry wanted{};
    wanted.extents = turned ? t.gguf_extents : t.extents;
    wanted.rank = turned ? static_cast<int>(std::find(wanted.extents.begin(), wanted.extents.end(), 0) -
                                            wanted.extents.begin())
                         : t.rank;
    const io::stored_tensor* found = file_.find(tensor);
    if (found == nullptr) {
      refuse_saying(file_.name(), ": the tensor ", tensor, " ", extents_text(wanted), " is missing");
      return nullptr;
    }
    known_.push_back(found);
    // An mmproj file, or a convolution, may give a patch's colours, rows and columns as three extents.
    const bool unfolded = colours_lie_apart(T::spec, format_ == format::gguf) && t.as == stage_role::matrix && found->dims.rank() > 2 &&
                          found->dims[0] == static_cast<std::size_t>(t.extents[0]) &&
                          found->dims.elements() == static_cast<std::size_t>(wanted.elements()) &&
                          io::element_of(*found->type.weights).block_elements == 1;
    // A convolution of side 1 may be given as the matrix it is; an mmproj file gives a row of numbers as a plane.
    constexpr bool convolves = T::spec.template find<stage::mobilenet>().has_value();
    if (!same_extents(*found, wanted) && !unfolded && !(convolves && same_but_for_ones(found->dims, wanted))) {
      refuse_saying(file_.file_name(*found), ": ", tensor, " is ", io::to_string(found->dims), "; the tower needs ",
                    extents_text(wanted));
      return nullptr;
    }
    const bool looked_at = look_.contents && t.as != stage_role::bound;
    // Biases may be zero; nothing else can be meant so.
    if (auto sound = check_contents(file_, *found, looked_at, looked_at && t.as != stage_role::bias); !sound) {
      refuse(std::move(sound.error()));
      return nullptr;
    }
    return found;
  }

  [[nodiscard]] static bool same_but_for_ones(const io::extents& found, const tensor_entry& wanted) {
    std::size_t next = 0;
    const auto rank = static_cast<std::size_t>(wanted.rank);
    for (std::size_t i = 0; i < found.rank(); ++i) {
      if (found[i] == 1) continue;
      while (next < rank && wanted.extents[next] == 1) ++next;
      if (next == rank || found[i] != static_cast<std::size_t>(wanted.extents[next++])) return false;
    }
    while (next < rank && wanted.extents[next] == 1) ++next;
    return next == rank;
  }

  /// Where something came to lie, or why it could not.
  template <class Place, class Member>
  void put(result<Place> place, Member& member) {
    if (place) {
      member = *place;
    } else {
      refuse(std::move(place.error()));
    }
  }

  /// Refuses a tensor that would be this tower's if it had such a part.
  void refuse_unknown() {
    if (format_ == format::gguf) return;
    for (const io::stored_tensor& t : file_.tensors()) {
      for (const std::string_view room : safetensors_rooms(T::spec)) {
        if (!t.name.starts_with(prefix_ + std::string(room))) continue;
        if (std::find(known_.begin(), known_.end(), &t) != known_.end()) continue;
        refuse_saying(file_.file_name(t), ": the tensor ", t.name, " ", io::to_string(t.dims),
                      " is no part of this tower");
        return;
      }
    }
  }

  const io::tensor_file& file_;
  format format_;
  checks look_;
  std::string prefix_;
  std::string inner_;
  bool exchanged_ = false;  ///< the names of a plain feed-forward's two maps
  weight_places<B> places_;
  std::vector<const io::stored_tensor*> known_;
  std::unique_ptr<error> failed_;
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
