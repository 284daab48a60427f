// An activation of your own, in a model of your own. The library is not touched.
#include <cmath>
#include <cstdio>

#include "g4/backend/reference.h"
#include "g4/g4.h"

/// relu(x)², as in Primer (So et al., 2021). A policy is a constant; an activation is one that can be called.
inline constexpr struct squared_relu_t {
  template <class Scalar>
  constexpr Scalar operator()(Scalar x) const {
    return x > 0 ? x * x : Scalar(0);
  }
} squared_relu{};

struct my_model : g4::transformer<
    g4::shape{.layers = 6, .width = 256, .vocab = 1024},
    g4::embed::tied_scaled,
    g4::norm::sandwich<g4::plain_weight>,
    g4::attention<g4::heads{.query = 4, .key_value = 2}, g4::qk_norm, g4::unscaled>,
    g4::repeat<g4::times<2, g4::local<g4::head{64}, g4::window{128}, g4::rope{.theta = 1e4f}>>,
               g4::times<1, g4::global<g4::head{64}, g4::rope{.theta = 1e6f}>>>,
    g4::feed::gated<squared_relu, g4::hidden{1024}>,
    g4::logits::uncapped> {};

// What follows from the policies is constant, and can be relied on before the program runs.
static_assert(my_model::activation(3.0f) == 9.0f && my_model::activation(-3.0f) == 0.0f);
static_assert(my_model::kinds.count == 2);  // however deep the model: code for one local and one global layer
static_assert(my_model::spec.layer[5].sees == g4::reach::global);

// Every backend runs it: those that have no fast version of the activation take this one.
static_assert(g4::Variant<my_model>);
template class g4::session<my_model, g4::backend::reference<float>>;

int main() {
  constexpr g4::session_options options{.context = 2048, .batch = 64};
  constexpr auto plan = g4::plan_session(my_model::spec, my_model::kinds, options, sizeof(float), g4::storage::f32);
  std::printf("squared_relu(1.5) = %g\n", static_cast<double>(my_model::activation(1.5f)));
  std::printf("%lld parameters; a session of %zu tokens takes %zu bytes of cache\n", g4::parameters_of(my_model::spec),
              options.context, plan.cache);
}
