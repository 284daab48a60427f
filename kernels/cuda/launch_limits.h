/// What every GPU that the kernels run on takes of a launch.
#pragma once

#include <cstddef>
#include <string>

namespace g4 {

/// Bytes of shared memory that a block may have from compute capability 8.0 on: 8.6, 8.9 and 12.0 give 99 KiB, others more.
inline constexpr std::size_t most_shared_memory = std::size_t{99} << 10;
/// The same of GPUs of one compute capability, 90 being 9.0.
[[nodiscard]] constexpr std::size_t most_shared_memory_of(int capability) {
  return capability == 90 ? std::size_t{227} << 10 : most_shared_memory;
}

/// Blocks of a launch, counted so that none is lost on the way to the device. What grows with a pass or with a weight's rows
/// goes along x: the others end at 65535.
struct grid_size {
  std::size_t x = 1, y = 1, z = 1;
  constexpr grid_size(std::size_t of_x = 1, std::size_t of_y = 1, std::size_t of_z = 1) : x(of_x), y(of_y), z(of_z) {}
};
inline constexpr grid_size most_blocks{0x7fffffff, 0xffff, 0xffff};

/// Why a GPU would not take a launch of so many blocks; empty where it would.
[[nodiscard]] inline std::string why_not(const grid_size& grid) {
  const auto within = [](std::size_t n, std::size_t most) { return n != 0 && n <= most; };
  if (within(grid.x, most_blocks.x) && within(grid.y, most_blocks.y) && within(grid.z, most_blocks.z)) return {};
  const auto shown = [](const grid_size& g) {
    return std::to_string(g.x) + " × " + std::to_string(g.y) + " × " + std::to_string(g.z);
  };
  return "a grid of " + shown(grid) + " blocks; a GPU takes 1 × 1 × 1 to " + shown(most_blocks);
}

}  // namespace g4
