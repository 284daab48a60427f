// The machine that kernels are proven on: what a GPU may do with threads, it does with some seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/cuda/atoms.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace {

using namespace g4::cuda_machine;
using g4::cuda_on_host::lane_index;
using g4::cuda_on_host::warp_index;

constexpr std::uint64_t seeds = 20;

TEST(machine, runs_every_thread_of_every_block_once_in_any_order) {
  std::vector<std::vector<unsigned>> orders;
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed});
    std::vector<unsigned> order;
    on.launch(
        "k", [&] { order.push_back((blockIdx.y * 3 + blockIdx.x) * 64 + threadIdx.x); }, {3, 2}, 64, 0);
    EXPECT_EQ(on.failure(), "");
    auto sorted = order;
    std::sort(sorted.begin(), sorted.end());
    ASSERT_EQ(sorted.size(), 6u * 64);
    for (unsigned i = 0; i < sorted.size(); ++i) EXPECT_EQ(sorted[i], i);
    EXPECT_EQ(seed == 0, order == sorted);
    EXPECT_EQ(std::count(orders.begin(), orders.end(), order), 0);
    orders.push_back(order);
  }
}

TEST(machine, sees_a_block_of_three_dimensions_as_cuda_does) {
  machine on({7});
  std::vector<int> seen(4 * 2 * 4);
  on.launch(
      "k", [&] { ++seen[threadIdx.x + 4 * (threadIdx.y + 2 * threadIdx.z)]; }, 1, {4, 2, 4}, 0);
  EXPECT_EQ(seen, std::vector<int>(32, 1));
}

// Every thread writes a number and reads its neighbour's, which is in another warp for some.
std::vector<float> neighbours(machine& on) {
  constexpr unsigned n = 96;
  std::vector<float> out(n);
  on.launch(
      "neighbours",
      [&] {
        G4_SHARED(float, room);
        room[threadIdx.x] = static_cast<float>(threadIdx.x);
        __syncthreads();
        out[threadIdx.x] = room[threadIdx.x == 0 ? n - 1 : threadIdx.x - 1];
      },
      1, n, n * sizeof(float));
  return out;
}

TEST(machine, a_barrier_orders_all_threads_and_without_it_most_seeds_tell) {
  int wrong = 0;
  std::vector<float> right(96);
  for (unsigned i = 0; i < 96; ++i) right[i] = static_cast<float>(i == 0 ? 95 : i - 1);
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed}), forgetful({seed, ordering::block_barrier});
    EXPECT_EQ(neighbours(on), right);
    wrong += neighbours(forgetful) != right;
  }
  EXPECT_EQ(wrong, seeds + 1);
}

TEST(machine, a_read_before_the_barrier_that_is_right_in_order_is_wrong_with_seeds) {
  int wrong = 0;
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed, ordering::block_barrier});
    float got = 0;
    on.launch(
        "k",
        [&] {
          G4_SHARED(float, room);
          if (threadIdx.x == 0) *room = 1;
          __syncthreads();
          if (threadIdx.x == 63) got = *room;
        },
        1, 64, sizeof(float));
    if (seed == 0) {
      EXPECT_EQ(got, 1.0f);
    }
    wrong += got != 1.0f;
  }
  EXPECT_GT(wrong, 3);
}

TEST(machine, sums_a_warp_as_the_instructions_do) {
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed});
    std::vector<float> first(64), second(64), most(64);
    on.launch(
        "k",
        [&] {
          float values[2] = {1.0f / static_cast<float>(1 + threadIdx.x), static_cast<float>(lane_index())};
          g4::cuda_on_host::warp_sums<2>::run(values);
          first[threadIdx.x] = values[0];
          second[threadIdx.x] = values[1];
          most[threadIdx.x] =
              g4::cuda_on_host::warp_max::run(threadIdx.x % 5 == 1 ? NAN : static_cast<float>(threadIdx.x % 7));
        },
        1, 64, 0);
    // The tree of five shuffles, lane by lane.
    for (unsigned warp = 0; warp < 2; ++warp) {
      std::vector<float> x(32);
      for (unsigned l = 0; l < 32; ++l) x[l] = 1.0f / static_cast<float>(1 + warp * 32 + l);
      for (unsigned away = 16; away != 0; away /= 2) {
        std::vector<float> next(32);
        for (unsigned l = 0; l < 32; ++l) next[l] = x[l] + x[l ^ away];
        x = next;
      }
      for (unsigned l = 0; l < 32; ++l) {
        EXPECT_EQ(first[warp * 32 + l], x[l]);
        EXPECT_EQ(second[warp * 32 + l], 496.0f);
        EXPECT_EQ(most[warp * 32 + l], 6.0f);
      }
    }
  }
}

TEST(machine, says_where_a_barrier_is_not_reached_by_all_and_stops) {
  for (const std::uint64_t seed : {0, 3}) {
    machine on({seed});
    on.launch(
        "lonely",
        [] {
          if (warp_index() == 0) return;
          g4::cuda_on_host::warp_sum(lane_index() == 5 ? 0.0f : 1.0f);
          if (lane_index() != 7) __syncwarp();
        },
        1, 64, 0);
    EXPECT_EQ(on.failure(), "lonely: every thread waits for another: a barrier or a collective that not all reach");
    bool ran = false;
    on.launch(
        "next", [&] { ran = true; }, 1, 32, 0);
    EXPECT_FALSE(ran);
  }
}

TEST(machine, a_thread_that_has_ended_is_not_waited_for_at_a_barrier) {
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed});
    int behind = 0;
    on.launch(
        "k",
        [&] {
          if (threadIdx.x % 3 == 0) return;
          __syncthreads();
          ++behind;
        },
        1, 96, 0);
    EXPECT_EQ(on.failure(), "");
    EXPECT_EQ(behind, 64);
  }
}

TEST(machine, refuses_part_of_a_warp) {
  machine on;
  on.launch(
      "k", [] {}, 1, 40, 0);
  EXPECT_EQ(on.failure(), "k: a block of 40 threads, which is no whole number of warps");
}

TEST(machine, refuses_more_shared_memory_than_every_gpu_has) {
  machine fits, on;
  fits.launch(
      "k", [] {}, 1, 32, 101'376);
  EXPECT_EQ(fits.failure(), "");
  on.launch(
      "k", [] {}, 1, 32, 101'377);
  EXPECT_EQ(on.failure(), "k: 101377 bytes of shared memory; some GPUs give a block 101376");
}

TEST(machine, refuses_a_grid_that_a_gpu_would) {
  for (const g4::grid_size grid : {g4::grid_size{1, 65536}, {1, 1, 65536}, {std::size_t{1} << 31}, {0}, {5, 0}}) {
    machine on;
    bool ran = false;
    on.launch(
        "k", [&] { ran = true; }, grid, 32, 0);
    const auto shown = std::to_string(grid.x) + " × " + std::to_string(grid.y) + " × " + std::to_string(grid.z);
    EXPECT_EQ(on.failure(),
              "k: a grid of " + shown + " blocks; a GPU takes 1 × 1 × 1 to 2147483647 × 65535 × 65535");
    EXPECT_FALSE(ran);
  }
  machine on;
  std::size_t blocks = 0;
  on.launch(
      "k", [&] { blocks += threadIdx.x == 0; }, {65536, 2}, 32, 0);
  EXPECT_EQ(on.failure(), "");
  EXPECT_EQ(blocks, 2u * 65536);
}

TEST(machine, gives_every_block_shared_memory_that_no_sum_survives) {
  machine on({1});
  int fresh = 0;
  on.launch(
      "k",
      [&] {
        G4_SHARED(float, room);
        fresh += std::isnan(room[threadIdx.x]);
        room[threadIdx.x] = 1;
      },
      5, 32, 32 * sizeof(float));
  EXPECT_EQ(fresh, 5 * 32);
}

TEST(machine, needs_no_switch_where_no_thread_waits) {
  machine on({4});
  on.launch(
      "k", [] {}, 10, 256, 0);
  EXPECT_EQ(on.done().threads, 2560u);
  EXPECT_EQ(on.done().switches, 10u);  // each block's way home
}

// ---- Kernels behind each other ---------------------------------------------------------------------------------------

// Three kernels of four blocks: each number becomes one more than its left neighbour's was, behind what it was at first.
struct followed {
  std::vector<float> early, late;
};
followed three_in_a_row(machine& on) {
  constexpr unsigned blocks = 4, n = blocks * 32;
  std::vector<float> x(n, 1), y(n, 1);
  followed seen{std::vector<float>(3 * n), std::vector<float>(3 * n)};
  for (unsigned k = 0; k < 3; ++k) {
    const float* const from = k % 2 == 0 ? x.data() : y.data();
    float *const to = k % 2 == 0 ? y.data() : x.data(), *const early = seen.early.data() + k * n,
                 *const late = seen.late.data() + k * n;
    on.launch_behind(
        "k", [=] {
          const unsigned i = blockIdx.x * 32 + threadIdx.x;
          early[i] = from[(i + 1) % n];
          g4::cuda_on_host::dependency_wait();
          late[i] = from[(i + 1) % n];
          to[i] = late[i] + 1;
        },
        blocks, 32, 0, true);
  }
  on.finish();
  return seen;
}

TEST(machine, begins_kernels_before_those_in_front_have_ended_and_what_they_read_then_is_old) {
  std::size_t old = 0, oldest = 0, wrong = 0;
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed}), forgetful({seed, ordering::kernels_in_front});
    const followed seen = three_in_a_row(on);
    EXPECT_EQ(on.failure(), "");
    for (unsigned i = 0; i < 3 * 128; ++i) {
      EXPECT_EQ(seen.late[i], static_cast<float>(1 + i / 128));
      old += seen.early[i] != seen.late[i];
      oldest += seen.early[i] + 1 < seen.late[i];  // two kernels in front had not begun
    }
    EXPECT_EQ(on.done().launches, 3u);
    EXPECT_EQ(on.done().threads, 3u * 128);
    if (seed == 0) {
      EXPECT_EQ(old, 0u);
      EXPECT_EQ(on.done().early_blocks, 0u);
    }
    const followed unseen = three_in_a_row(forgetful);
    EXPECT_EQ(unseen.late, unseen.early);
    wrong += unseen.late != seen.late;
  }
  EXPECT_GT(old, 10u * 32);
  EXPECT_GT(oldest, 0u);
  EXPECT_GT(wrong, 5u);
}

TEST(machine, a_kernel_that_does_not_begin_early_finds_all_that_those_in_front_wrote) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    machine on({seed});
    float x = 0, found = 0;
    for (int k = 0; k < 3; ++k) {
      on.launch_behind(
          "writes", [&x] { g4::cuda_on_host::dependency_wait(), x += threadIdx.x == 0; }, 2, 32, 0, true);
    }
    on.launch_behind(
        "reads", [&x, &found] { found = x, g4::cuda_on_host::dependency_wait(); }, 1, 32, 0, false);
    on.finish();
    EXPECT_EQ(found, 6.0f);
  }
}

TEST(machine, keeps_what_a_block_had_begun_while_it_waits) {
  std::vector<float> weights(64), x(64), y(64);
  for (std::uint64_t seed = 0; seed <= 3 * seeds; ++seed) {
    machine on({seed});
    for (unsigned i = 0; i < 64; ++i) weights[i] = static_cast<float>(i), x[i] = NAN;
    on.launch_behind(
        "writes", [&x] { g4::cuda_on_host::dependency_wait(), x[threadIdx.x] = 2; }, 1, 64, 0, true);
    on.launch_behind(
        "multiplies", [&] {
          struct room {
            alignas(16) float w[64];
            g4::cuda_on_host::landing full[2];
          };
          G4_SHARED(room, shared);
          const unsigned warp = warp_index(), i = threadIdx.x;
          shared->full[warp].begin();
          shared->full[warp].copy(shared->w + 32 * warp, weights.data() + 32 * warp, 128);
          if (warp == 0) __syncthreads();  // some wait here for those that wait for the kernels in front
          g4::cuda_on_host::dependency_wait();
          if (warp == 1) __syncthreads();
          shared->full[warp].wait(0);
          y[i] = shared->w[i] * x[i] + g4::cuda_on_host::warp_sum(x[i]);
        },
        1, 64, 1024, true);
    on.finish();
    EXPECT_EQ(on.failure(), "");
    for (unsigned i = 0; i < 64; ++i) EXPECT_EQ(y[i], 2.0f * static_cast<float>(i) + 64) << seed;
  }
}

TEST(machine, says_that_a_thread_has_not_waited_for_the_kernels_in_front) {
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed});
    for (int k = 0; k < 2; ++k) {
      on.launch_behind(
          "hasty", [k] {
            if (k == 0 || threadIdx.x != 7) g4::cuda_on_host::dependency_wait();
          },
          3, 32, 0, true);
    }
    on.finish();
    EXPECT_EQ(on.failure(), "hasty: a thread has ended without waiting for the kernels in front (dependency_wait)");
  }
}

// ---- Products of warpgroups ------------------------------------------------------------------------------------------

/// y [64, 64] = w [64, 32] · x [32, 64] of small whole numbers, whose sums are exact; `next_k` and `next_column` as the
/// descriptor has them. `away`: a warp that does not come.
std::vector<float> warpgroup_product(machine& on, unsigned next_k = 1024, unsigned next_column = 128, unsigned away = 4) {
  std::vector<float> y(64 * 64);
  on.launch(
      "product", [&] {
        namespace gpu = g4::cuda_on_host;
        G4_SHARED(std::uint16_t, cores);  // [k / 8][column / 8][column % 8][k % 8]
        const unsigned warp = warp_index(), g = lane_index() / 4, t = lane_index() % 4;
        const auto half = [](unsigned i) { return static_cast<std::uint16_t>(gpu::half_bits(static_cast<float>(i % 13) - 6)); };
        for (unsigned i = threadIdx.x; i < 32 * 64; i += 128) {
          const unsigned k = i / 64, column = i % 64;
          cores[k / 8 * 512 + column / 8 * 64 + column % 8 * 8 + k % 8] = half(3 * k + 5 * column);
        }
        __syncthreads();
        if (warp == away) return;
        float d[32] = {};
        for (unsigned k = 0; k < 32; k += 16) {
          unsigned a[4];
          for (unsigned i = 0; i < 4; ++i) {
            const unsigned row = 16 * warp + g + 8 * (i % 2), at = k + 2 * t + 8 * (i / 2);
            a[i] = half(7 * row + at) | static_cast<unsigned>(half(7 * row + at + 1)) << 16;
          }
          gpu::wgmma_fence();
          gpu::wgmma_64xNx16<64>::run(d, a, gpu::further(gpu::cores_at(cores, next_k, next_column), k / 8 * 1024));
        }
        gpu::wgmma_wait(d);
        for (unsigned i = 0; i < 32; ++i) {
          y[(16 * warp + g + 8 * (i / 2 % 2)) * 64 + 8 * (i / 4) + 2 * t + i % 2] = d[i];
        }
      },
      1, 128, 4096);
  return y;
}

TEST(machine, multiplies_as_a_warpgroup_does) {
  std::vector<float> want(64 * 64);
  const auto number = [](unsigned i) { return static_cast<float>(i % 13) - 6; };
  for (unsigned row = 0; row < 64; ++row) {
    for (unsigned column = 0; column < 64; ++column) {
      for (unsigned k = 0; k < 32; ++k) want[row * 64 + column] += number(7 * row + k) * number(3 * k + 5 * column);
    }
  }
  for (std::uint64_t seed = 0; seed <= seeds; ++seed) {
    machine on({seed}), forgetful({seed, ordering::products});
    EXPECT_EQ(warpgroup_product(on), want);
    EXPECT_EQ(on.failure(), "");
    for (const float x : warpgroup_product(forgetful)) EXPECT_TRUE(std::isnan(x));
    EXPECT_EQ(forgetful.failure(), "product: a thread has ended without waiting for its products");
  }
}

TEST(machine, reads_the_descriptor_of_a_warpgroups_product) {
  machine exchanged, far, swizzled, lonely;
  static_cast<void>(warpgroup_product(exchanged, 128, 1024));
  EXPECT_EQ(exchanged.failure(), "product: a descriptor that leads out of shared memory: to byte 7424 of 4096");
  static_cast<void>(warpgroup_product(far, 1024, 512));
  EXPECT_EQ(far.failure(), "product: a descriptor that leads out of shared memory: to byte 4736 of 4096");
  swizzled.launch(
      "product", [] {
        float d[32] = {};
        const unsigned a[4] = {};
        g4::cuda_on_host::wgmma_64xNx16<64>::run(d, a, std::uint64_t{1} << 62);
      },
      1, 128, 4096);
  EXPECT_EQ(swizzled.failure(), "product: a descriptor that asks for more than cores in a row");
  static_cast<void>(warpgroup_product(lonely, 1024, 128, 2));
  EXPECT_EQ(lonely.failure(), "product: every thread waits for another: a barrier or a collective that not all reach");
}

}  // namespace
