/// The model in one piece that a rank's share is of.
#pragma once

namespace g4 {

namespace detail {

template <class V>
struct in_one_piece {
  using type = V;
};
template <class V>
  requires requires { typename V::whole; }
struct in_one_piece<V> {
  using type = typename V::whole;
};

}  // namespace detail

/// `whole_of<sharded<gemma4_31b, tensor_parallel<2>>>` is `gemma4_31b`; a model in one piece is its own.
template <class V>
using whole_of = typename detail::in_one_piece<V>::type;

}  // namespace g4
