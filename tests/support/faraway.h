/// The definitions over memory that only operations may touch: what a GPU's memory is to the host, on any machine.
///
/// All that `take` gives is unreadable and unwritable (mprotect) but for the time of an operation. A model that looks at a
/// number itself, or writes one, ends with a segmentation fault at the line that does it.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "g4/backend/composed.h"
#include "g4/backend/concept.h"
#include "g4/backend/reference.h"
#include "g4/core/result.h"

namespace g4::test {

/// Every stretch of far memory of one backend, open or shut together.
class far_pages {
 public:
  [[nodiscard]] std::byte* take(std::size_t bytes) {
    void* const p = mmap(nullptr, bytes, depth_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    stretches_.push_back({static_cast<std::byte*>(p), bytes});
    return static_cast<std::byte*>(p);
  }
  void release(std::byte* p) {
    const auto found = std::find_if(stretches_.begin(), stretches_.end(), [p](const auto& s) { return s.first == p; });
    munmap(found->first, found->second);
    stretches_.erase(found);
  }
  void open() {
    if (depth_++ == 0) protect(PROT_READ | PROT_WRITE);
  }
  void shut() {
    if (--depth_ == 0) protect(PROT_NONE);
  }

 private:
  void protect(int how) {
    for (const auto& [p, bytes] : stretches_) mprotect(p, bytes, how);
  }
  std::vector<std::pair<std::byte*, std::size_t>> stretches_;
  int depth_ = 0;
};

class far_memory {
 public:
  static constexpr bool host_readable = false;

  far_memory() = default;
  far_memory(std::shared_ptr<far_pages> pages, std::byte* p, std::size_t bytes)
      : pages_(std::move(pages)), p_(p), bytes_(bytes) {}
  far_memory(far_memory&& other) noexcept { *this = std::move(other); }
  far_memory& operator=(far_memory&& other) noexcept {
    std::swap(pages_, other.pages_);
    std::swap(p_, other.p_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~far_memory() {
    if (p_ != nullptr) pages_->release(p_);
  }
  [[nodiscard]] std::byte* data() const { return p_; }
  [[nodiscard]] std::size_t size() const { return bytes_; }

 private:
  std::shared_ptr<far_pages> pages_;
  std::byte* p_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Weights beside each other in a few stretches of far memory.
struct far_weights {
  static constexpr std::size_t block = 1 << 22;
  std::vector<far_memory> blocks;
  std::size_t used = 0;  ///< of the last block
};

template <class Scalar>
class faraway {
 public:
  using scalar = Scalar;
  using owned_memory = far_memory;
  using weight_store = far_weights;

  /// The same bytes, where the host cannot read them.
  template <class Told>
  [[nodiscard]] result<weight_view> prepare(const matrix_view& w, far_weights& store, const Told&,
                                            weight_use = weight_use::layer) {
    const std::size_t bytes = w.rows * w.stride();
    if (store.blocks.empty() || store.used + bytes > store.blocks.back().size()) {
      auto taken = take(std::max(bytes, far_weights::block));
      if (!taken) return unexpected(std::move(taken.error()));
      store.blocks.push_back(std::move(*taken));
      store.used = 0;
    }
    std::byte* const to = store.blocks.back().data() + store.used;
    store.used += (bytes + 63) / 64 * 64;
    put(w.data, bytes, to);
    return weight_view{matrix_view{to, w.rows, w.columns, w.type}};
  }

  [[nodiscard]] result<far_memory> take(std::size_t bytes) {
    const std::size_t whole = std::max<std::size_t>(bytes, 1);
    if (bytes > static_cast<std::size_t>(-1) / 2) return fail("there is no memory for ", bytes, " bytes");
    std::byte* const p = pages_->take(whole);
    if (p == nullptr) return fail("there is no memory for ", bytes, " bytes");
    return far_memory(pages_, p, whole);
  }
  template <class T>
  void put(const T* from, std::size_t n, T* to) {
    const opened o(*pages_);
    here_.put(from, n, to);
  }
  template <class T>
  [[nodiscard]] const T* host(const T* p, std::size_t n, T* room) {
    const opened o(*pages_);
    if (n != 0) std::memcpy(room, p, n * sizeof(T));
    return room;
  }
  template <class T>
  void copy(const T* x, std::size_t n, T* y) {
    const opened o(*pages_);
    here_.copy(x, n, y);
  }

#define G4_FAR_OPERATION(name)            \
  template <class... Arguments>           \
  void name(const Arguments&... what) {   \
    const opened o(*pages_);              \
    here_.name(what...);                  \
  }
  G4_FAR_OPERATION(fill)
  G4_FAR_OPERATION(scale)
  G4_FAR_OPERATION(scale_by)
  G4_FAR_OPERATION(divide)
  G4_FAR_OPERATION(scale_columns)
  G4_FAR_OPERATION(add)
  G4_FAR_OPERATION(add_three)
  G4_FAR_OPERATION(add_bias)
  G4_FAR_OPERATION(tanh)
  G4_FAR_OPERATION(soft_cap)
  G4_FAR_OPERATION(gate)
  G4_FAR_OPERATION(gelu_gate)
  G4_FAR_OPERATION(sparsify)
  G4_FAR_OPERATION(embed)
  G4_FAR_OPERATION(mix_embedded)
  G4_FAR_OPERATION(route)
  G4_FAR_OPERATION(mean_rows)
  G4_FAR_OPERATION(unit)
  G4_FAR_OPERATION(best)
  G4_FAR_OPERATION(matmul)
  G4_FAR_OPERATION(rms_norm)
  G4_FAR_OPERATION(layer_norm)
  G4_FAR_OPERATION(centre)
  G4_FAR_OPERATION(clamp)
  G4_FAR_OPERATION(gelu)
  G4_FAR_OPERATION(standardise)
  G4_FAR_OPERATION(rope_2d)
  G4_FAR_OPERATION(mean_groups)
  G4_FAR_OPERATION(exact_matmul)
  G4_FAR_OPERATION(keep_within)
  G4_FAR_OPERATION(silu)
  G4_FAR_OPERATION(relu)
  G4_FAR_OPERATION(glu)
  G4_FAR_OPERATION(unfold)
  G4_FAR_OPERATION(depthwise)
  G4_FAR_OPERATION(lay_beside)
  G4_FAR_OPERATION(cumulative_norm)
  G4_FAR_OPERATION(convolve_back)
  G4_FAR_OPERATION(attend_near)
  G4_FAR_OPERATION(add_norm)
  G4_FAR_OPERATION(begin)
  G4_FAR_OPERATION(rope)
  G4_FAR_OPERATION(store)
  G4_FAR_OPERATION(attend)
  G4_FAR_OPERATION(altup_predict)
  G4_FAR_OPERATION(altup_correct)
  G4_FAR_OPERATION(match_magnitude)
#undef G4_FAR_OPERATION

  template <class GateUp, class Down, class Gate>
  void experts(const GateUp& gate_up, const Down& down, Gate gate, const experts_call<Scalar>& call) {
    const opened o(*pages_);
    composed::experts(here_, gate_up, down, gate, call);
  }
  template <class Table>
  void best_of_clusters(const Table& table, const clusters_call<Scalar>& call) {
    const opened o(*pages_);
    composed::best_of_clusters(here_, table, call);
  }

  [[nodiscard]] storage cache_storage() const { return here_.cache_storage(); }
  [[nodiscard]] bool caches(storage type) const { return here_.caches(type); }

 private:
  class opened {
   public:
    explicit opened(far_pages& pages) : pages_(pages) { pages_.open(); }
    ~opened() { pages_.shut(); }
    opened(const opened&) = delete;
    opened& operator=(const opened&) = delete;

   private:
    far_pages& pages_;
  };

  backend::reference<Scalar> here_;
  std::shared_ptr<far_pages> pages_ = std::make_shared<far_pages>();
};

static_assert(Backend<faraway<float>>);

}  // namespace g4::test
