// g4::g4 alone: a model as a type, its constants, and the reference backend. Nothing to link.
#include <cmath>

#include "g4/backend/reference.h"
#include "g4/variants/gemma3_270m.h"

using model = g4::gemma3_270m;
static_assert(g4::Variant<model>);
static_assert(model::layers == 18 && model::width == 640 && model::vocab == 262'144);
static_assert(model::spec.layer[0].query_heads == 4 && model::spec.layer[0].key_value_heads == 1);
static_assert(model::spec.layer[4].sees == g4::reach::local && model::spec.layer[5].sees == g4::reach::global);

int main() {
  g4::backend::reference<float> on;
  const float x[2] = {3, 4};
  float y[2] = {};
  on.rms_norm(x, nullptr, 1, 2, 0.0f, y);  // mean square 12.5
  return std::abs(y[0] - 3 / std::sqrt(12.5f)) < 1e-6f && std::abs(y[1] - 4 / std::sqrt(12.5f)) < 1e-6f ? 0 : 1;
}
