// g4::cuda: a model on a GPU, or the sentence that says why there is none.
#include <cstdio>
#include <cstring>
#include <vector>

#include "g4/backend/cuda.h"

int main() {
  auto on = g4::backend::cuda::open({.mode = g4::backend::numeric::fast});
  if (!on) {
    std::puts(on.error().message.c_str());
    return std::strncmp(on.error().message.c_str(), "CUDA: ", 6) == 0 ? 0 : 1;
  }
  auto memory = on->take(3 * sizeof(float));
  if (!memory) return 1;
  auto* const x = reinterpret_cast<float*>(memory->data());
  on->fill(x, 3, 1.5f);
  on->scale(x, 3, 2.0f);
  std::vector<float> room(3);
  return on->host(x, 3, room.data())[2] == 3.0f && on->failure() ? 0 : 1;
}
