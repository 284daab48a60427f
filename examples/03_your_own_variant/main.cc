// Variants of your own: a slice of Gemma 3n E4B, and one made from a config.json while this program was built.
#include <cstdio>

#include "g4/g4.h"
#include "g4/variants/gemma3n_e2b.h"
#include "my_gemma.h"  // made by g4_add_variant(my_gemma CONFIG config.json): see CMakeLists.txt

/// Gemma 3n E4B is a MatFormer: its feed-forwards can be cut to their first half, and five layers left out. The first
/// 20 layers keep their own keys and values, so the last 10 share, not the last 15.
template <g4::hidden... Hidden>
struct slice_of_e4b : g4::transformer<
    g4::shape{.layers = 30, .width = 2048, .vocab = 262'400},
    g4::embed::tied_scaled,
    g4::norm::sandwich<g4::plain_weight>,
    g4::attention<g4::heads{.query = 8, .key_value = 2}, g4::qk_norm, g4::v_norm, g4::unscaled>,
    g4::repeat<g4::times<4, g4::local<g4::head{256}, g4::window{512}, g4::rope{.theta = 1e4f}>>,
               g4::times<1, g4::global<g4::head{256}, g4::rope{.theta = 1e6f}>>>,
    g4::share_kv<g4::last{10}>,
    g4::feed::gated<g4::gelu_tanh, Hidden..., g4::sparse{0.95f, 10}>,
    g4::altup{.streams = 4},
    g4::laurel{.rank = 64},
    g4::per_layer_embedding{.width = 256, .vocab = 262'144},
    g4::logits::soft_cap{30}> {};

/// Every feed-forward halved: this is E2B.
struct half : slice_of_e4b<g4::hidden{8192}> {};
static_assert(half::spec == g4::gemma3n_e2b::text::spec);

/// Between the two: wide where layers make their own keys and values, halved where they share.
struct mixed : slice_of_e4b<g4::hidden{16'384, 20}, g4::hidden{8192}> {};
static_assert(mixed::spec.layer[19].hidden == 16'384 && mixed::spec.layer[20].hidden == 8192);
static_assert(g4::parameters_of(half::spec) < g4::parameters_of(mixed::spec));

template <class V>
void show(const char* name) {
  std::printf("\n%s: %d layers of %d kinds, %lld million parameters\n", name, V::layers, V::kinds.count,
              g4::parameters_of(V::spec) / 1'000'000);
  for (int l = 0; l < V::layers; ++l) {
    const g4::layer_kind& k = V::spec.layer[l];
    std::printf("%3d  %-6s  hidden %5d  ", l, k.sees == g4::reach::local ? "local" : "global", k.hidden);
    if (k.role == g4::cache_role::owner) {
      std::puts("its own keys and values");
    } else {
      std::printf("reads those of layer %d\n", V::spec.producer[l]);
    }
  }
}

int main() {
  show<half>("half of E4B");
  show<mixed>("mixed slice of E4B");
  show<g4::my_gemma>("my_gemma, from config.json");
}
