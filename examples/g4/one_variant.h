// What the lists of a program for one variant are made with.
#pragma once

#include "g4/model/one_of.h"

namespace program {

template <class V>
struct text_half {
  using type = V;
};
template <class V>
requires requires { typename V::text; }
struct text_half<V> {
  using type = typename V::text;
};

/// A variant, or the text of one that also sees or hears.
template <class V>
using text_of = typename text_half<V>::type;

}  // namespace program
