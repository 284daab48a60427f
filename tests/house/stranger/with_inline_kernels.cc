// g4::inline: the kernels in this very file. Nothing to link.
#include <cmath>
#include <cstddef>
#include <vector>

#include "g4/backend/inline.h"
#include "g4/backend/reference.h"

int main() {
  const std::size_t width = 67;
  std::vector<float> x(width), expected(width), y(width);
  for (std::size_t i = 0; i < width; ++i) x[i] = static_cast<float>(i % 7) - 3;

  g4::backend::reference<float> meaning;
  g4::backend::inlined on;
  meaning.rms_norm(x.data(), nullptr, 1, width, 1e-6f, expected.data());
  on.rms_norm(x.data(), nullptr, 1, width, 1e-6f, y.data());
  for (std::size_t i = 0; i < width; ++i) {
    if (!(std::abs(y[i] - expected[i]) < 1e-5f)) return 1;
  }
  return 0;
}
