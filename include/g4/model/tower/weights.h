/// The weights of a tower as a list of typed views. It owns no numbers: whoever fills it keeps them alive.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "g4/model/tower/conformer.h"
#include "g4/model/tower/encoder.h"
#include "g4/model/tower/into_text.h"
#include "g4/model/tower/into_text_with_ids.h"
#include "g4/model/tower/layer_norm.h"
#include "g4/model/tower/linear.h"
#include "g4/model/tower/mobilenet.h"
#include "g4/model/tower/names.h"
#include "g4/model/tower/part.h"
#include "g4/model/tower/per_axis.h"
#include "g4/model/tower/small_stages.h"
#include "g4/model/tower/subsample.h"
#include "g4/model/tower/tower.h"

namespace g4 {

namespace detail {

template <class T, int Text, class Stages>
struct stages_on_rows;
template <class T, int Text, int... I>
struct stages_on_rows<T, Text, std::integer_sequence<int, I...>> {
  using type = std::tuple<stage_weights<stage_of<T, T::first_on_rows + I>, T::widths[T::first_on_rows + I], Text>...>;
};

}  // namespace detail

/// All weights of a tower that ends in rows of `Text` numbers: const once loaded, and shared.
template <Tower T, int Text>
struct tower_weights {
  static constexpr int first = T::first_on_rows;
  using list = typename detail::stages_on_rows<T, Text, std::make_integer_sequence<int, T::stages - first>>::type;

  list stages;
  bool colours_apart = false;  ///< a patch's numbers lie colour by colour: what mmproj files are made for
  std::vector<std::shared_ptr<const void>> keep;  ///< files and buffers that the views point into

  /// Calls `visit(names, weights)` for every stage, in the order data meets them.
  template <class Visit>
  void each(Visit&& visit) {
    each_of(*this, visit);
  }
  template <class Visit>
  void each(Visit&& visit) const {
    each_of(*this, visit);
  }

 private:
  template <class Self, class Visit>
  static void each_of(Self& self, Visit& visit) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (visit(names_of(T::spec, first + I), std::get<I>(self.stages)), ...);
    }(std::make_index_sequence<std::tuple_size_v<list>>{});
  }
};

}  // namespace g4
