// The greatest products of a head's rows: upper nibbles of every row, lower ones where they can matter. Definition and proof:
// include/g4/backend/cpu/rank.h.
#if defined(G4_KERNELS_CPU_RANK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef G4_KERNELS_CPU_RANK_INL_H_
#undef G4_KERNELS_CPU_RANK_INL_H_
#else
#define G4_KERNELS_CPU_RANK_INL_H_
#endif

#include <algorithm>
#include <limits>

#include "g4/backend/cpu/calls.h"
#include "kernels/cpu/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace g4::HWY_NAMESPACE {

// A panel's integer sums [blocks, 16 rows] over upper nibbles: levels 16·upper + 8.
//
// read   bytes from the panel's beginning that are used of every panel
inline void sum_upper_nibbles(const std::byte* panel, size_t panel_bytes, size_t read, const int16_t* x, size_t blocks,
                              int32_t* sums) {
  const level_lanes dl;
  const hn::RebindToUnsigned<level_lanes> du;
  const auto high = hn::Set(du, uint16_t{0xf0f0});
  const auto middle = hn::Set(du, uint16_t{0x0808});
  const std::byte* ahead = panel + (early / read + 1) * panel_bytes;
  const std::byte* const fetched = ahead + read;
  const size_t share = (read / blocks + 127) / 64 * 64;
  for (size_t b = 0; b < blocks; ++b, panel += 256, x += 32) {
    for (const std::byte* const end = std::min(ahead + share, fetched); ahead < end; ahead += 64) fetch_early(ahead);
    G4_UNROLL for (size_t part = 0; part < parts; ++part) {
      const int_lanes di;
      sums32 chain[4] = {hn::Zero(di), hn::Zero(di), hn::Zero(di), hn::Zero(di)};
      const auto add_word = [&](auto word, const int16_t* at, size_t c) HWY_ATTR {
        const levels16 coarse = hn::BitCast(dl, hn::Or(hn::And(word, high), middle));
        chain[c] = dot(chain[c], hn::ShiftRight<8>(hn::ShiftLeft<8>(coarse)), both_columns(at));
        chain[c + 1] = dot(chain[c + 1], hn::ShiftRight<8>(coarse), both_columns(at + 2));
      };
      G4_UNROLL for (size_t w = 0; w < 4; ++w) {
        const auto word = hn::BitCast(du, words(panel, w, part));
        add_word(word, x + 8 * w, 0);
        add_word(hn::ShiftLeft<4>(word), x + 8 * w + 4, 2);
      }
      hn::StoreU(hn::Add(hn::Add(chain[0], chain[1]), hn::Add(chain[2], chain[3])), di, sums + 16 * b + part * lanes);
    }
  }
}

// What lower nibbles of eight columns add to the sums of their block.
HWY_INLINE void add_lower_nibbles(const std::byte* line, const int16_t* x, int32_t sum, int32_t* sums) {
  const int_lanes di;
  G4_UNROLL for (size_t part = 0; part < parts; ++part) {
    const levels16 word = words(line, 0, part);
    sums32 a = hn::Add(hn::LoadU(di, sums + part * lanes), hn::Set(di, -8 * sum));
    sums32 b = hn::Zero(di);
    a = dot(a, field<0, 0, 15>(word), both_columns(x));
    b = dot(b, field<8, 0, 15>(word), both_columns(x + 2));
    a = dot(a, field<4, 0, 15>(word), both_columns(x + 4));
    b = dot(b, field<12, 0, 15>(word), both_columns(x + 6));
    hn::StoreU(hn::Add(a, b), di, sums + part * lanes);
  }
}

// The products as far as they are known, as panel_matmul adds them up.
HWY_INLINE floats products(const cpu::rank_call& call, const std::byte* scales, const int32_t* sums, size_t blocks,
                           size_t part) {
  const float_lanes df;
  floats y = hn::Zero(df);
  for (size_t b = 0; b < blocks; ++b) {
    const floats factor = hn::Mul(halves(scales, b, part), hn::Set(df, call.x.step[b]));
    y = hn::MulAdd(hn::ConvertTo(df, hn::LoadU(int_lanes(), sums + 16 * b + part * lanes)), factor, y);
  }
  return y;
}

// Whether some row of the panel can still be among the greatest, before `stage`.
inline bool can_matter(const cpu::rank_call& call, const std::byte* panel, size_t there, const int32_t* sums,
                       size_t stage) {
  const float_lanes df;
  const size_t blocks = call.columns / 32;
  const cpu::nibble_panel at = cpu::nibble_panel_of(call.columns);
  const float* rest = call.plan->rest + stage * blocks;
  const float* cap = call.plan->cap + stage * blocks;
  const floats floor = hn::Set(df, call.best->floor);
  for (size_t part = 0; part < parts; ++part) {
    if (part * lanes >= there) break;
    const floats y = products(call, panel + at.scales, sums, blocks, part);
    floats spread = hn::Zero(df);
    for (size_t b = 0; b < blocks; ++b) {
      const floats d = hn::Abs(halves(panel + at.scales, b, part));
      const floats norm = to_floats(load_bytes(panel + at.norms + 16 * b + part * lanes));
      const floats least =
          hn::MulAdd(hn::Min(norm, hn::Set(df, cap[b])), hn::Set(df, rest[b]), hn::Set(df, call.plan->slack[b]));
      spread = hn::MulAdd(d, least, spread);
    }
    // The spread's own rounding: one unit in the last place for every block and a few more.
    const floats bound = hn::MulAdd(spread, hn::Set(df, 1.0f + 1e-6f * static_cast<float>(blocks + 8)), y);
    const auto rows = hn::FirstN(df, there - part * lanes);
    if (!hn::AllFalse(df, hn::AndNot(hn::Lt(bound, floor), rows))) return true;  // a NaN is not below the floor
  }
  return false;
}

inline void rank_panels(const cpu::rank_call& call, size_t first, size_t count) {
  const float_lanes df;
  const size_t blocks = call.columns / 32;
  const cpu::nibble_panel at = cpu::nibble_panel_of(call.columns);
  const cpu::rank_plan& plan = *call.plan;
  auto* const sums = reinterpret_cast<int32_t*>(call.scratch);
  const auto panel_of = [&](size_t i) { return call.panels + (first + i) * at.bytes; };
  const auto rows_of = [&](size_t i) { return std::min(cpu::panel_rows, call.rows - (first + i) * cpu::panel_rows); };
  const auto fetch = [&](size_t i, size_t stage) {
    for (size_t g = stage == 0 ? 0 : plan.end(stage - 1); g < plan.end(stage); ++g)
      fetch_soon(panel_of(i) + at.lower + 64 * g);
  };
  const auto add_groups = [&](size_t i, size_t begin, size_t end) HWY_ATTR {
    const std::byte* lower = panel_of(i) + at.lower;
    for (size_t g = begin; g < end; ++g) {
      const size_t group = plan.order[g];
      add_lower_nibbles(lower + 64 * g, call.x.levels + 8 * group, plan.sum[group],
                        sums + (i * blocks + group / 4) * 16);
    }
  };
  const auto give_up = [&](size_t i) {
    float* const y = call.y + (first + i) * cpu::panel_rows;
    std::fill(y, y + rows_of(i), -std::numeric_limits<float>::infinity());
  };
  const size_t unasked = call.first_check == 0 ? 0 : plan.end(call.first_check - 1);
  size_t alive[cpu::rank_batch_most];
  size_t living = 0;
  for (size_t i = 0; i < count; ++i) {
    int32_t* const mine = sums + i * blocks * 16;
    sum_upper_nibbles(panel_of(i), at.bytes, at.lower + 64 * unasked, call.x.levels, blocks, mine);
    add_groups(i, 0, unasked);
    if (can_matter(call, panel_of(i), rows_of(i), mine, call.first_check)) {
      alive[living++] = i;
      fetch(i, call.first_check);
    } else {
      give_up(i);
    }
  }
  call.best->checked += count;
  call.best->kept += living;
  for (size_t stage = call.first_check; stage < cpu::rank_plan::stages && living > 0; ++stage) {
    size_t still = 0;
    for (size_t a = 0; a < living; ++a) {
      const size_t i = alive[a];
      int32_t* const mine = sums + i * blocks * 16;
      add_groups(i, stage == 0 ? 0 : plan.end(stage - 1), plan.end(stage));
      if (stage + 1 == cpu::rank_plan::stages) {
        HWY_ALIGN float whole[cpu::panel_rows];
        for (size_t part = 0; part < parts; ++part) {
          hn::StoreU(products(call, panel_of(i) + at.scales, mine, blocks, part), df, whole + part * lanes);
        }
        const size_t row = (first + i) * cpu::panel_rows;
        for (size_t r = 0; r < rows_of(i); ++r) {
          call.y[row + r] = whole[r];
          if (!(whole[r] < call.best->floor)) call.best->add(whole[r], static_cast<int32_t>(row + r));
        }
      } else if (can_matter(call, panel_of(i), rows_of(i), mine, stage + 1)) {
        alive[still++] = i;
        fetch(i, stage + 1);
      } else {
        give_up(i);
      }
    }
    living = still;
  }
}

// By measurement (docs/performance.md): AVX2 multiplies all of a head's rows as fast as memory brings them, and not two thirds
// of them in two thirds of the time.
inline bool ranking_pays() { return HWY_TARGET != HWY_AVX2; }

inline void rank(const cpu::rank_call& call) {
  const size_t batch = cpu::rank_batch(call.columns);
  for (size_t p = call.first; p < call.first + call.count; p += batch) {
    rank_panels(call, p, std::min(batch, call.first + call.count - p));
  }
}

}  // namespace g4::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // G4_KERNELS_CPU_RANK_INL_H_
