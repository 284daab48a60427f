/// The text of a model that also sees or hears.
#pragma once

namespace g4 {

namespace detail {

template <class V>
struct text_part {
  using type = V;
};
template <class V>
  requires requires { typename V::text; }
struct text_part<V> {
  using type = typename V::text;
};

}  // namespace detail

/// `text_of<gemma4_12b>` is `gemma4_12b::text`; a model of text alone is its own.
template <class V>
using text_of = typename detail::text_part<V>::type;

}  // namespace g4
