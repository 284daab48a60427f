#include "kernels/cuda/machine/machine.h"

#include <algorithm>
#include <new>

#ifdef G4_MACHINE_ASAN
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack, const void* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack, const void** bottom, std::size_t* size);
void __asan_unpoison_memory_region(const volatile void* at, std::size_t size);
}
#endif

namespace g4::cuda_machine {

void block::become(unsigned which) {
  current_ = which;
  if (threads.y == 1 && threads.z == 1) {
    thread.x = which;
  } else {
    thread = {which % threads.x, which / threads.x % threads.y, which / (threads.x * threads.y)};
  }
}

void block::make_ready(const std::vector<unsigned>& some) {
  const std::size_t first = ready_.size();
  ready_.insert(ready_.end(), some.begin(), some.end());
  if (how_.seed == 0) return;
  for (std::size_t i = ready_.size(); i > first + 1; --i)
    std::swap(ready_[i - 1], ready_[first + draw() % (i - first)]);
}

std::ptrdiff_t block::next() {
  const hidden here;
  while (head_ == ready_.size()) {  // nobody can go on before something lands
    if (left_ == 0 || !land_one()) return -1;
    make_ready(polling_);
    polling_.clear();
  }
  // Some blocks go on with one of those that have been ready longest, so that all keep pace; others with one of those that
  // are ready since last, so that a warp comes as far ahead of the rest as it can.
  if (how_.seed != 0) {
    const std::size_t waiting = ready_.size() - head_;
    const std::size_t away = draw() % (draw() % 4 == 0 ? waiting : std::min<std::size_t>(waiting, 8));
    std::swap(ready_[head_], ready_[depth_first_ ? ready_.size() - 1 - away : head_ + away]);
  }
  const unsigned found = ready_[head_++];
  if (head_ > 4096 && head_ * 2 > ready_.size()) {
    ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  return found;
}

void block::leave_for(std::ptrdiff_t to, bool ended) {
  fibre& from = all_[current_];
  const resume_point* target = &home_;
  void* as = home_as_;
  prepare_to_leave(from, to, ended, target, as);
#ifdef G4_MACHINE_ASAN
  void** const fake = ended ? nullptr : &from.fake_stack;
  if (to >= 0) {
    __sanitizer_start_switch_fiber(fake, all_[static_cast<std::size_t>(to)].stack, stack_shelf::bytes);
  } else {
    __sanitizer_start_switch_fiber(fake, home_bottom_, home_bytes_);
  }
#endif
  release(&launch_.end);  // whoever never comes back has come to the launch's end here
  go_on_as(as);
  switch_stacks(from.at, *target);
#ifdef G4_MACHINE_ASAN
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void block::prepare_to_leave(fibre& from, std::ptrdiff_t to, bool ended, const resume_point*& target, void*& as) {
  const hidden here;
  ++done.switches;
  if (ended) {
    give_back(from.stack);
    from.stack = nullptr;
  }
  if (to >= 0) {
    fibre& one = all_[static_cast<std::size_t>(to)];
    as = one.as;
    if (one.stack == nullptr) {
      one.stack = shelf_.take();
      if (one.stack == nullptr) {
        stop("there is no memory for the stacks of a block of " + std::to_string(all_.size()) + " threads");
      }
#ifdef G4_MACHINE_ASAN
      __asan_unpoison_memory_region(one.stack, stack_shelf::bytes);  // whoever was there last never returned
#endif
      one.at = begin_on(one.stack, stack_shelf::bytes, &begin_fibre);
    }
    become(static_cast<unsigned>(to));
    target = &one.at;
  }
}

// A stack that another thread would write next looks like a race to ThreadSanitizer, so it waits for the launch's end.
void block::give_back(std::byte* stack) {
  if (tells_threads_apart) {
    launch_.stacks.push_back(stack);
  } else {
    shelf_.give_back(stack);
  }
}

void block::end_launch() {
  acquire(&launch_.end);
  for (void* const one : launch_.fibres) end_fibre(one);
  for (std::byte* const stack : launch_.stacks) shelf_.give_back(stack);
  launch_ = {};
}

void block::begin_fibre() {
  block& b = *now;
#ifdef G4_MACHINE_ASAN
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (b.home_bottom_ == nullptr) {
    b.home_bottom_ = bottom;
    b.home_bytes_ = bytes;
  }
#endif
  b.run_threads();
}

// One thread after the other on this stack, for as long as none must wait: most kernels never switch.
void block::run_threads() {
  for (;;) {
    body_(arguments_);
    one_less();
    const std::ptrdiff_t to = next();
    if (to < 0) {
      if (left_ != 0) {
        const hidden here;
        failure_ = "every thread waits for another: a barrier or a collective that not all reach";
      }
      leave_for(-1, true);
    } else if (fibre& one = all_[static_cast<std::size_t>(to)]; one.stack == nullptr && !tells_threads_apart) {
      one.stack = std::exchange(all_[current_].stack, nullptr);
      become(static_cast<unsigned>(to));
    } else {
      leave_for(to, true);
    }
  }
}

void block::one_less() {
  const hidden here;
  --left_;
  // Whoever has ended no longer counts for the barrier: the others may be waiting for it alone.
  if (!whole_.waiting.empty() && whole_.waiting.size() == left_) {
    make_ready(whole_.waiting);
    whole_.waiting.clear();
  }
}

void block::meet(meeting& m, std::size_t needed, const char* mark) {
  release(mark);
  if (const hidden here; true) {
    m.waiting.push_back(current_);
    if (m.waiting.size() == needed) {
      make_ready(m.waiting);
      m.waiting.clear();
    }
  }
  const std::ptrdiff_t to = next();
  if (to < 0) stop("every thread waits for another: a barrier or a collective that not all reach");
  if (to != static_cast<std::ptrdiff_t>(current_)) leave_for(to, false);
  acquire(mark);
}

const char* block::mark_of(unsigned meeting, unsigned& met) {
  const hidden here;
  return tells_threads_apart ? marks_ + 2 * meeting + (met++ & 1) : nullptr;
}
void block::meet_warp() {
  const unsigned warp = current_ / warp_lanes;
  meet(warps_[warp], warp_lanes, mark_of(1 + warp, all_[current_].met_warp));
}

void block::block_barrier() {
  if (how_.forgotten == ordering::block_barrier) return;
  meet(whole_, left_, mark_of(0, all_[current_].met_block));
}

void block::warp_barrier() {
  if (how_.forgotten == ordering::warp_barrier) return;
  meet_warp();
}

void block::copy_later(mbarrier& at, void* to, const void* from, std::uint32_t bytes) {
  const auto place = reinterpret_cast<std::uintptr_t>(to);
  if ((place | reinterpret_cast<std::uintptr_t>(from) | bytes) % 16 != 0)
    stop("a bulk copy that is not aligned to 16 bytes");
  const auto room = reinterpret_cast<std::uintptr_t>(shared);
  if (place < room || place + bytes > room + shared_bytes) stop("a bulk copy that leads out of shared memory");
  release(&at);
  const hidden here;
  ++at.announced;
  at.in_flight += bytes;
  copies_.push_back({&at, to, from, bytes});
  if (how_.seed != 0 && draw() % 2 == 0) static_cast<void>(land_one());
}

// As a thread of its own, which comes after whoever began the copy and before whoever waited for it.
void block::copy_now(const copy& c) {
  void* const me = this_fibre();
  go_on_as(engine_as_);
  acquire(c.at);
  std::memcpy(c.to, c.from, c.bytes);
  release(c.at);
  go_on_as(me);
}

bool block::land_one() {
  if (copies_.empty()) return false;
  const std::size_t i = how_.seed != 0 ? draw() % copies_.size() : 0;
  const copy c = copies_[i];
  copies_.erase(copies_.begin() + static_cast<std::ptrdiff_t>(i));
  copy_now(c);
  c.at->in_flight -= c.bytes;
  if (c.at->in_flight == 0 && c.at->announced == 1) {
    c.at->announced = 0;
    ++c.at->phase;
  }
  return true;
}

void block::wait_for_landing(const mbarrier& at, unsigned parity) {
  if (how_.forgotten == ordering::landing) return;
  const auto landed = [&at, parity] {
    const hidden here;
    return (at.phase & 1) != parity;
  };
  while (!landed()) {
    if (const hidden here; true) polling_.push_back(current_);
    const std::ptrdiff_t to = next();
    if (to < 0) stop("every thread waits: for a copy that nobody began, or a barrier that not all reach");
    if (to != static_cast<std::ptrdiff_t>(current_)) leave_for(to, false);
  }
  acquire(&at);
}

void block::stop(std::string why) {
  if (const hidden here; failure_.empty()) failure_ = std::move(why);
  for (;;) leave_for(-1, false);  // nobody comes back to a thread that was left
}

std::string block::run(void (*body)(void*), void* arguments) {
  const std::size_t n = threads.count();
  if (n % warp_lanes != 0) return "a block of " + std::to_string(n) + " threads, which is no whole number of warps";
  all_.assign(n, fibre{});
  if (tells_threads_apart) {
    // Threads at a time: the sanitizer has names for 8128, and the system mappings for as many stacks. Blocks behind are
    // ordered behind those before, so of a larger launch a race between the two is not told.
    constexpr std::size_t most = 6000;
    if (launch_.fibres.size() + n > most) end_launch();
    for (fibre& one : all_) {
      one.as = a_fibre();
      launch_.fibres.push_back(one.as);
    }
    if (engine_as_ == nullptr) engine_as_ = a_fibre();
    home_as_ = this_fibre();
    marks_ = launch_.marks.emplace_back(2 * (n / warp_lanes + 1)).data();
  }
  warps_.resize(n / warp_lanes);
  for (meeting& m : warps_) m.waiting.clear();
  whole_.waiting.clear();
  boxes_.resize(warps_.size() * 2 * warp_boxes);
  copies_.clear();
  polling_.clear();
  ready_.clear();
  head_ = 0;
  depth_first_ = how_.seed != 0 && draw() % 2 == 0;
  std::vector<unsigned> ids(n);
  for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<unsigned>(i);
  make_ready(ids);
  left_ = n;
  body_ = body;
  arguments_ = arguments;
  failure_.clear();
  done.threads += n;

  const auto first = static_cast<unsigned>(next());
  fibre& one = all_[first];
  one.stack = shelf_.take();
  if (one.stack == nullptr) return "there is no memory for a stack";
  one.at = begin_on(one.stack, stack_shelf::bytes, &begin_fibre);
  become(first);
  now = this;
#ifdef G4_MACHINE_ASAN
  __asan_unpoison_memory_region(one.stack, stack_shelf::bytes);
  home_bottom_ = nullptr;
  __sanitizer_start_switch_fiber(&home_fake_stack_, one.stack, stack_shelf::bytes);
#endif
  go_on_as(one.as);
  switch_stacks(home_, one.at);
#ifdef G4_MACHINE_ASAN
  __sanitizer_finish_switch_fiber(home_fake_stack_, nullptr, nullptr);
#endif
  now = nullptr;
  for (const fibre& f : all_) {
    if (f.stack != nullptr) give_back(f.stack);  // of threads that were left where they were
  }
  if (failure_.empty() && !copies_.empty()) failure_ = "a copy that nobody waited for";
  return failure_;
}

void machine::run(const char* name, const grid_size& blocks_of, extents threads, std::size_t shared,
                  void (*body)(void*), void* arguments) {
  if (!failure_.empty()) return;
  const hidden here;
  if (shared > most_shared_memory) {
    failure_ = std::string(name) + ": " + std::to_string(shared) + " bytes of shared memory; some GPUs give a block " +
               std::to_string(most_shared_memory);
    return;
  }
  if (std::string why = why_not(blocks_of); !why.empty()) {
    failure_ = std::string(name) + ": " + std::move(why);
    return;
  }
  constexpr std::size_t line = 128;
  const extents grid{static_cast<unsigned>(blocks_of.x), static_cast<unsigned>(blocks_of.y),
                     static_cast<unsigned>(blocks_of.z)};
  const std::size_t blocks = grid.count();
  using shared_room = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  std::vector<shared_room> kept;  // where threads are told apart, until all have ended
  struct ending {
    block& of;
    ~ending() { of.end_launch(); }
  } const at_the_end{block_};
  ++block_.done.launches;
  block_.grid = grid;
  block_.threads = threads;
  std::vector<std::size_t> order;
  if (how_.seed != 0) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    block_.set(how_, random_ >> 11);
    order.resize(blocks);
    for (std::size_t i = 0; i < blocks; ++i) order[i] = i;
    std::uint64_t random = random_;
    for (std::size_t i = blocks; i > 1; --i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      std::swap(order[i - 1], order[(random >> 33) % i]);
    }
  } else {
    block_.set(how_, 1);
  }
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t at = order.empty() ? i : order[i];
    block_.index = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                    static_cast<unsigned>(at / grid.x / grid.y)};
    void* const room = shared == 0 ? nullptr : ::operator new (shared, std::align_val_t{line}, std::nothrow);
    if (shared != 0) {
      if (room == nullptr) {
        failure_ = std::string(name) + ": there is no memory for " + std::to_string(shared) + " bytes of shared memory";
        return;
      }
      std::memset(room, 0xff, shared);
    }
    block_.shared = static_cast<std::byte*>(room);
    block_.shared_bytes = shared;
    const std::string why = block_.run(body, arguments);
    kept.emplace_back(static_cast<std::byte*>(room),
                      [](std::byte* p) { ::operator delete (p, std::align_val_t{line}); });
    if (!tells_threads_apart) kept.clear();
    if (!why.empty()) {
      failure_ = std::string(name) + ": " + why;
      return;
    }
  }
}

}  // namespace g4::cuda_machine
