#include "kernels/cuda/machine/machine.h"

#include <algorithm>
#include <limits>
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
    if (left_ == 0 || (early_ && polling_.empty()) || !land_one()) return -1;  // what is held needs nothing to land
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
      if (left_ != 0 && !is_held()) {
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
  if (!all_[current_].later.empty() && failure_.empty()) failure_ = "a thread has ended without waiting for its products";
  if (waits_for_kernels_in_front && !all_[current_].waited && failure_.empty()) {
    failure_ = "a thread has ended without waiting for the kernels in front (dependency_wait)";
  }
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
  if (to < 0 && !is_held()) stop("every thread waits for another: a barrier or a collective that not all reach");
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

void block::meet_group() {
  const unsigned group = current_ / group_lanes;
  meet(groups_[group], group_lanes, mark_of(static_cast<unsigned>(1 + warps_.size()) + group, all_[current_].met_group));
}

void block::postpone(float* to, std::size_t n, std::function<void(float*)> what) {
  std::vector<postponed>& mine = all_[current_].later;
  postponed* of = nullptr;
  if (const hidden here; true) {
    for (postponed& one : mine) of = one.to == to ? &one : of;
    if (of == nullptr) {
      of = &mine.emplace_back(postponed{to, {to, to + n}, {}});
      std::fill(to, to + n, std::numeric_limits<float>::quiet_NaN());
    }
    if (!of->what.empty() || how_.seed == 0 || draw() % 2 == 0) {
      of->what.push_back(std::move(what));
      return;
    }
  }
  what(of->numbers.data());
}

void block::finish_postponed() {
  if (how_.forgotten == ordering::products) return;
  for (postponed& one : all_[current_].later) {
    for (const auto& what : one.what) what(one.numbers.data());
    std::copy(one.numbers.begin(), one.numbers.end(), one.to);
  }
  const hidden here;
  all_[current_].later.clear();
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
    if (to < 0 && !is_held()) stop("every thread waits: for a copy that nobody began, or a barrier that not all reach");
    if (to != static_cast<std::ptrdiff_t>(current_)) leave_for(to, false);
  }
  acquire(&at);
}

void block::wait_for_kernels_in_front() {
  if (const hidden here; true) {
    all_[current_].waited = true;
    if (!early_ || how_.forgotten == ordering::kernels_in_front) return;
    held_.push_back(current_);
  }
  leave_for(next(), false);
  acquire(kernels_in_front);
}

void block::stop(std::string why) {
  if (const hidden here; failure_.empty()) failure_ = std::move(why);
  for (;;) leave_for(-1, false);  // nobody comes back to a thread that was left
}

std::string block::prepare(void (*body)(void*), void* arguments) {
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
    marks_ = launch_.marks.emplace_back(2 * (n / warp_lanes + n / group_lanes + 1)).data();
  }
  warps_.resize(n / warp_lanes);
  groups_.resize(n / group_lanes);
  for (meeting& m : warps_) m.waiting.clear();
  for (meeting& m : groups_) m.waiting.clear();
  whole_.waiting.clear();
  boxes_.resize(warps_.size() * 2 * warp_boxes);
  copies_.clear();
  polling_.clear();
  held_.clear();
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
#ifdef G4_MACHINE_ASAN
  home_bottom_ = nullptr;
#endif
  return {};
}

void block::enter(std::ptrdiff_t thread_number) {
  fibre& one = all_[static_cast<std::size_t>(thread_number)];
  if (one.stack == nullptr) {
    one.stack = shelf_.take();
    if (one.stack == nullptr) {
      failure_ = "there is no memory for a stack";
      return;
    }
#ifdef G4_MACHINE_ASAN
    __asan_unpoison_memory_region(one.stack, stack_shelf::bytes);
#endif
    one.at = begin_on(one.stack, stack_shelf::bytes, &begin_fibre);
  }
  become(static_cast<unsigned>(thread_number));
  now = this;
#ifdef G4_MACHINE_ASAN
  __sanitizer_start_switch_fiber(&home_fake_stack_, one.stack, stack_shelf::bytes);
#endif
  go_on_as(one.as);
  switch_stacks(home_, one.at);
#ifdef G4_MACHINE_ASAN
  __sanitizer_finish_switch_fiber(home_fake_stack_, nullptr, nullptr);
#endif
  now = nullptr;
}

std::string block::end_of_block() {
  for (fibre& f : all_) {
    if (f.stack != nullptr) give_back(std::exchange(f.stack, nullptr));  // of threads that were left where they were
  }
  if (failure_.empty() && !copies_.empty()) failure_ = "a copy that nobody waited for";
  return failure_;
}

std::string block::run(void (*body)(void*), void* arguments) {
  early_ = false;
  if (std::string why = prepare(body, arguments); !why.empty()) return why;
  enter(next());
  return end_of_block();
}

std::string block::begin_early(void (*body)(void*), void* arguments) {
  early_ = true;
  if (std::string why = prepare(body, arguments); !why.empty()) return why;
  ++done.early_blocks;
  enter(next());
  return failure_.empty() ? std::string() : end_of_block();
}

std::string block::go_on() {
  early_ = false;
  make_ready(held_);
  held_.clear();
  if (left_ != 0) enter(next());
  return end_of_block();
}

// ---- The device ------------------------------------------------------------------------------------------------------

void machine::add(std::unique_ptr<asked> one, bool begins_early) {
  if (!failure_.empty()) return;
  if (const std::size_t most = most_shared_memory_of(how_.capability); one->shared > most) {
    return fail(*one, std::to_string(one->shared) + " bytes of shared memory; some GPUs give a block " +
                          std::to_string(most));
  }
  if (const std::string why = why_not(one->grid); !why.empty()) return fail(*one, why);
  if (how_.seed == 0) return run(*one);
  constexpr std::size_t most_in_front = 2;
  if (!begins_early) finish();
  if (!asked_for_.empty()) begin_early(*one);
  asked_for_.push_back(std::move(one));
  for (const std::size_t kept = draw() % (most_in_front + 1); asked_for_.size() > kept;) finish_one();
}

machine::shared_room machine::set_up(block& b, const asked& one, std::size_t number) {
  constexpr std::size_t line = 128;
  shared_room room(nullptr, [](std::byte* p) { ::operator delete (p, std::align_val_t{line}); });
  if (one.shared != 0) {
    room.reset(static_cast<std::byte*>(::operator new (one.shared, std::align_val_t{line}, std::nothrow)));
    if (room == nullptr) {
      fail(one, "there is no memory for " + std::to_string(one.shared) + " bytes of shared memory");
    } else {
      std::memset(room.get(), 0xff, one.shared);
    }
  }
  b.grid = {static_cast<unsigned>(one.grid.x), static_cast<unsigned>(one.grid.y), static_cast<unsigned>(one.grid.z)};
  b.threads = one.threads;
  b.index = {static_cast<unsigned>(number % one.grid.x), static_cast<unsigned>(number / one.grid.x % one.grid.y),
             static_cast<unsigned>(number / one.grid.x / one.grid.y)};
  b.shared = room.get();
  b.shared_bytes = one.shared;
  b.waits_for_kernels_in_front = one.waits;
  b.kernels_in_front = &ended_;
  return room;
}

namespace {

void call(void* kernel) { (*static_cast<std::function<void()>*>(kernel))(); }

}  // namespace

void machine::begin_early(asked& one) {
  const hidden here;
  const std::size_t blocks = one.grid.x * one.grid.y * one.grid.z;
  for (std::size_t i = draw() % 3; i != 0 && failure_.empty(); --i) {  // none, one or two
    const std::size_t number = draw() % blocks;
    if (!one.early.empty() && one.early.front().number == number) continue;
    if (idle_.empty()) idle_.push_back(std::make_unique<block>());
    std::unique_ptr<block> of = std::move(idle_.back());
    idle_.pop_back();
    of->set(how_, draw());
    shared_room room = set_up(*of, one, number);
    if (!failure_.empty()) return;
    const std::string why = of->begin_early(&call, &one.kernel);
    if (!why.empty()) fail(one, why);
    one.early.push_back({number, std::move(of), std::move(room)});
  }
}

void machine::finish_one() {
  const std::unique_ptr<asked> one = std::move(asked_for_.front());
  asked_for_.pop_front();
  run(*one);
}

void machine::run(asked& one) {
  if (!failure_.empty()) return;
  const hidden here;
  const std::size_t blocks = one.grid.x * one.grid.y * one.grid.z;
  std::vector<shared_room> kept;  // where threads are told apart, until all have ended
  struct ending {
    machine& on;
    asked& of;
    ~ending() {
      on.block_.end_launch();
      for (early_block& b : of.early) {
        b.of->end_launch();
        on.block_.done.threads += b.of->done.threads;
        on.block_.done.switches += b.of->done.switches;
        on.block_.done.early_blocks += b.of->done.early_blocks;
        b.of->done = {};
        on.idle_.push_back(std::move(b.of));
      }
      release(&on.ended_);
    }
  } const at_the_end{*this, one};
  ++block_.done.launches;
  std::vector<std::size_t> order;
  if (how_.seed != 0) {
    block_.set(how_, draw());
    order.resize(blocks);
    for (std::size_t i = 0; i < blocks; ++i) order[i] = i;
    for (std::size_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[draw() % i]);
  } else {
    block_.set(how_, 1);
  }
  for (std::size_t i = 0; i < blocks; ++i) {
    const std::size_t number = order.empty() ? i : order[i];
    std::string why;
    early_block* begun = nullptr;
    for (early_block& b : one.early) begun = b.number == number ? &b : begun;
    if (begun != nullptr) {
      why = begun->of->go_on();
    } else {
      kept.push_back(set_up(block_, one, number));
      if (!failure_.empty()) return;
      why = block_.run(&call, &one.kernel);
      if (!tells_threads_apart) kept.clear();
    }
    if (!why.empty()) return fail(one, why);
  }
}

}  // namespace g4::cuda_machine
