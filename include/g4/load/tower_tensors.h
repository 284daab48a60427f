/// The tensors of a tower as a list: what its type says of a file, for whoever reads or writes one without the type.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "g4/model/multimodal.h"
#include "g4/model/tower/names.h"
#include "g4/model/tower/part.h"
#include "g4/model/tower/tower.h"
#include "g4/model/tower/weights.h"
#include "g4/spec/tower.h"

namespace g4 {

/// A tensor under its whole names, safetensors' without "model.".
struct tower_tensor : stage_tensor {
  int patch_side = 0;  ///< its rows count the numbers of a patch of so many pixels a side; 0: of something else
  bool apart = false;  ///< those lie colour by colour already, as a convolution has them
};

/// A tower's tensors, in the order data meets them.
struct tower_tensors {
  tower_spec tower;
  int text = 0;  ///< numbers in a row of the text that the tower ends in
  std::vector<tower_tensor> list;
};

/// The tensors of tower T in front of a text whose rows have `Text` numbers, as a safetensors file holds them.
template <Tower T, int Text>
[[nodiscard]] tower_tensors tensors_of_tower() {
  tower_tensors out{T::spec, Text, {}};
  constexpr auto patches = T::spec.template find<stage::patches>();
  // Up to the first linear map rows are patches; what that map makes of them no longer is.
  bool in_patches = patches.has_value() && !T::spec.template find<stage::mobilenet>().has_value();
  const auto weights = std::make_unique<tower_weights<T, Text>>();
  weights->each([&](const stage_names& names, auto& stage) {
    if constexpr (requires { stage.by_axis; }) stage.by_axis = places_by_axis(T::spec, false);
    bool maps = false;
    stage.each([&](const stage_tensor& t, auto&) {
      tower_tensor whole{named(names, t), 0, colours_lie_apart(T::spec, false)};
      if (in_patches && !maps) whole.patch_side = patches->side;
      maps = maps || t.as == stage_role::matrix;
      out.list.push_back(std::move(whole));
    });
    in_patches = in_patches && !maps;
  });
  return out;
}

/// Those of each tower of model M: of pictures first.
template <Multimodal M>
[[nodiscard]] std::vector<tower_tensors> tensors_of_towers() {
  std::vector<tower_tensors> out;
  const auto add = [&]<class Sense>(std::type_identity<Sense>) {
    if constexpr (!std::is_same_v<Sense, no_sense>) {
      out.push_back(tensors_of_tower<typename Sense::tower, M::text::width>());
    }
  };
  add(std::type_identity<typename M::seeing>{});
  add(std::type_identity<typename M::hearing>{});
  return out;
}

}  // namespace g4
