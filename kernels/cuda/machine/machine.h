/// A CUDA device on the CPU, to prove kernels on: blocks one after the other, the threads of a block as fibres.
///
/// A thread runs until it must wait: for a collective of its warp, at the block's barrier, for a copy. Who runs next, which
/// block, and when a copy lands is drawn by a seeded generator, so that an order which only happens to work fails for
/// some seed. Shared memory is a block of the heap for each CUDA block (a sanitizer's guards lie round it), full of what
/// no sum survives.
///
/// A kernel may begin before those in front of it have ended (dependent launch): with a seed, some of its blocks run up to
/// where their threads wait for that (`wait_for_kernels_in_front`) while one or two kernels in front have not begun. Whoever
/// reads too early finds old numbers, and a thread that ends without having waited ends the launch.
///
/// It finds wrong indices, layouts and barriers. It says nothing of speed, and does not look for what the memory model
/// of a GPU allows beyond an order of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/machine/stack.h"
#include "kernels/cuda/machine/thread_sanitizer.h"
#include "kernels/cuda/launch_limits.h"

namespace g4::cuda_machine {

constexpr unsigned warp_lanes = 32;
constexpr unsigned group_lanes = 4 * warp_lanes;  // a warpgroup

/// As CUDA's: places in a grid or a block.
struct extents {
  unsigned x = 1, y = 1, z = 1;
  constexpr extents(unsigned of_x = 1, unsigned of_y = 1, unsigned of_z = 1) : x(of_x), y(of_y), z(of_z) {}
  [[nodiscard]] constexpr std::size_t count() const { return std::size_t{x} * y * z; }
};

/// What orders threads. A machine can be told to leave one out, as if the kernel's author had forgotten it.
enum class ordering : std::uint8_t { none, block_barrier, warp_barrier, landing, kernels_in_front, products };

struct settings {
  std::uint64_t seed = 0;               ///< 0: threads and blocks in order; else drawn
  ordering forgotten = ordering::none;  ///< for tests of the machine and of what tests catch
  int capability = 80;                  ///< compute capability that it stands for: 80 or 90
};

/// What was done, for tests and for whoever wants it faster.
struct counts {
  std::size_t launches = 0;
  std::size_t threads = 0;
  std::size_t switches = 0;
  std::size_t early_blocks = 0;  ///< begun before the kernels in front had ended
};

class block;
/// The block that runs on this host thread.
inline thread_local block* now = nullptr;

/// Threads that wait for each other.
struct meeting {
  std::vector<unsigned> waiting;
};

/// A barrier in shared memory that copies land at: a phase ends when one thread has announced bytes and all have landed.
struct mbarrier {
  std::uint32_t phase = 0;
  std::uint32_t announced = 0;  ///< by how many threads
  std::uint32_t in_flight = 0;  ///< bytes
};

class block {
 public:
  static constexpr std::size_t box_bytes = 64;

  extents grid, threads, index, thread;  ///< as the running thread sees them
  std::byte* shared = nullptr;
  std::size_t shared_bytes = 0;
  bool waits_for_kernels_in_front = false;  ///< every thread must, before it ends
  const void* kernels_in_front = nullptr;   ///< what they leave a mark at, for ThreadSanitizer

  void set(const settings& how, std::uint64_t random) {
    how_ = how;
    random_ = random | 1;
  }

  /// At the end of a launch: all of its threads have come before what comes next.
  void end_launch();
  /// Runs all threads of a block; the sentence that says what went wrong, or nothing.
  [[nodiscard]] std::string run(void (*body)(void*), void* arguments);
  /// The same in two pieces: up to where threads wait for the kernels in front, and, when those have ended, the rest.
  [[nodiscard]] std::string begin_early(void (*body)(void*), void* arguments);
  [[nodiscard]] std::string go_on();
  void wait_for_kernels_in_front();

  void block_barrier();
  void warp_barrier();
  /// Ends the launch: the block's threads are left where they are.
  [[noreturn]] void stop(std::string why);

  [[nodiscard]] unsigned lane() const { return current_ % warp_lanes; }

  /// Every lane shows a value of at most `box_bytes`; `read(of)` then sees them all, of(lane) being a lane's.
  template <class T, class Read>
  auto exchange(const T& mine, Read&& read) {
    return exchange(mine, std::forward<Read>(read), [this] { meet_warp(); });
  }
  /// The same where all four warps of a warpgroup come.
  template <class T, class Read>
  auto exchange_in_group(const T& mine, Read&& read) {
    return exchange(mine, std::forward<Read>(read), [this] { meet_group(); });
  }

  /// What becomes of the n numbers at `to` when the thread waits for it (`finish_postponed`), in order; until then they are none.
  /// It may happen earlier, where nobody sees it.
  void postpone(float* to, std::size_t n, std::function<void(float*)> what);
  void finish_postponed();

  template <class T, class Read, class Meet>
  auto exchange(const T& mine, Read&& read, Meet&& meet_others) {
    static_assert(sizeof(T) <= box_bytes);
    std::byte* const shown = my_boxes();
    {
      const hidden here;
      std::memcpy(shown + lane() * box_bytes, &mine, sizeof(T));
    }
    meet_others();
    return read([shown](unsigned of) {
      T v;
      std::memcpy(&v, shown + of * box_bytes, sizeof(T));
      return v;
    });
  }

  /// Every lane shows a value; one of them turns all into all results: `body(in, out)`, arrays of 32.
  template <class Out, class In, class Body>
  Out together(const In& mine, Body&& body) {
    static_assert(sizeof(In) <= box_bytes && sizeof(Out) <= box_bytes);
    std::byte* const shown = my_boxes();
    std::byte* const my_box = shown + lane() * box_bytes;
    if (const hidden here; true) std::memcpy(my_box, &mine, sizeof(In));
    if (meeting& m = warps_[current_ / warp_lanes]; m.waiting.size() + 1 == warp_lanes) {
      const hidden here;
      In in[warp_lanes];
      Out out[warp_lanes];
      for (unsigned l = 0; l < warp_lanes; ++l) std::memcpy(&in[l], shown + l * box_bytes, sizeof(In));
      body(in, out);
      for (unsigned l = 0; l < warp_lanes; ++l) std::memcpy(shown + l * box_bytes, &out[l], sizeof(Out));
    }
    meet_warp();
    Out out;
    std::memcpy(&out, my_box, sizeof(Out));
    return out;
  }

  /// Announces bytes at `at` and copies them to shared memory, later: as late as somebody waits for them, or at once.
  void copy_later(mbarrier& at, void* to, const void* from, std::uint32_t bytes);
  /// Waits for the end of the phase of this parity.
  void wait_for_landing(const mbarrier& at, unsigned parity);

  /// What stood at `counter`, which is one more now: blocks that come here later see what came before.
  [[nodiscard]] unsigned count(unsigned* counter) {
    release(counter);
    const hidden here;
    acquire(counter);
    return (*counter)++;
  }

  counts done;

 private:
  static constexpr std::size_t warp_boxes = warp_lanes * box_bytes;
  struct postponed {
    float* to;
    std::vector<float> numbers;
    std::vector<std::function<void(float*)>> what;
  };
  struct fibre {
    resume_point at;
    std::byte* stack = nullptr;
    unsigned met_warp = 0, met_block = 0;  // how often
    void* as = nullptr;                    // to ThreadSanitizer
    unsigned round = 0;  // two sets of boxes, so that one meeting suffices: nobody is two rounds ahead
    bool waited = false;  // for the kernels in front
    unsigned met_group = 0;
    std::vector<postponed> later;
    void* fake_stack = nullptr;
  };

  struct copy {
    mbarrier* at;
    void* to;
    const void* from;
    std::uint32_t bytes;
  };

  [[nodiscard]] std::uint64_t draw() {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return random_;
  }
  void make_ready(const std::vector<unsigned>& some);
  [[nodiscard]] std::byte* my_boxes() {
    const hidden here;
    return boxes_.data() + (current_ / warp_lanes * 2 + (all_[current_].round++ & 1)) * warp_boxes;
  }
  void meet_warp();
  void meet_group();
  /// `mark`: of this round of the meeting, for nobody is two rounds ahead.
  void meet(meeting& m, std::size_t needed, const char* mark);
  /// The thread that goes on, or −1 where none can.
  [[nodiscard]] std::ptrdiff_t next();
  [[nodiscard]] bool land_one();
  void copy_now(const copy& c);
  void one_less();
  void give_back(std::byte* stack);
  [[nodiscard]] const char* mark_of(unsigned meeting, unsigned& met);
  void become(unsigned thread);
  /// To another thread, or home (−1). Does not come back where the running thread has ended.
  void leave_for(std::ptrdiff_t thread, bool ended);
  void prepare_to_leave(fibre& from, std::ptrdiff_t to, bool ended, const resume_point*& target, void*& as);
  static void begin_fibre();
  void run_threads();
  [[nodiscard]] std::string prepare(void (*body)(void*), void* arguments);
  /// From home to a thread, until none can go on.
  void enter(std::ptrdiff_t thread);
  [[nodiscard]] std::string end_of_block();
  /// Whether the block stops where it is until the kernels in front have ended: nobody can go on, and that is why.
  [[nodiscard]] bool is_held() const { return early_ && !held_.empty(); }

  settings how_;
  std::uint64_t random_ = 1;
  stack_shelf shelf_;
  std::vector<fibre> all_;
  std::vector<meeting> warps_, groups_;
  meeting whole_;
  std::vector<std::byte> boxes_;
  struct of_launch {  // kept until its end where threads are told apart
    std::vector<void*> fibres;
    std::vector<std::byte*> stacks;
    std::vector<std::vector<char>> marks;
    char end = 0;
  } launch_;
  const char* marks_ = nullptr;  // of the block: two of its barrier, two of each warp
  void* home_as_ = nullptr;
  void* engine_as_ = nullptr;      // who copies
  std::vector<copy> copies_;       // on their way
  std::vector<unsigned> polling_;  // who waits for one
  std::vector<unsigned> held_;     // who waits for the kernels in front
  bool early_ = false;             // those have not ended
  std::vector<unsigned> ready_;
  std::size_t head_ = 0;
  bool depth_first_ = false;
  unsigned current_ = 0;
  std::size_t left_ = 0;
  resume_point home_;
  const void* home_bottom_ = nullptr;  // for AddressSanitizer
  std::size_t home_bytes_ = 0;
  void* home_fake_stack_ = nullptr;
  void (*body_)(void*) = nullptr;
  void* arguments_ = nullptr;
  std::string failure_;
};

/// A device: what it is told to do, and what went wrong first.
class machine {
 public:
  explicit machine(settings how = {}) : how_(how), random_(how.seed * 0x9e3779b97f4a7c15u + 1) {}

  [[nodiscard]] const settings& how() const { return how_; }
  [[nodiscard]] const counts& done() const { return block_.done; }
  /// The first failure's sentence; empty where all that has run went well. Nothing runs after one.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  /// kernel<<<grid, threads, shared>>>(arguments…), and waits for it.
  template <class Kernel, class... A>
  void launch(const char* name, Kernel kernel, const grid_size& grid, extents threads, std::size_t shared,
              const A&... arguments) {
    finish();
    add(std::make_unique<asked>(asked{name, grid, threads, shared, [=] { kernel(arguments...); }, false, {}}), false);
    finish();
  }
  /// The same as one of a stream: the kernel waits for those in front itself. With a seed it is run later, `finish` at the
  /// latest; where it `begins_early`, some of its blocks may be begun before those in front.
  template <class Kernel, class... A>
  void launch_behind(const char* name, Kernel kernel, const grid_size& grid, extents threads, std::size_t shared,
                     bool begins_early, const A&... arguments) {
    add(std::make_unique<asked>(asked{name, grid, threads, shared, [=] { kernel(arguments...); }, true, {}}),
        begins_early);
  }
  /// Runs what has not been run yet.
  void finish() {
    while (!asked_for_.empty()) finish_one();
  }

 private:
  using shared_room = std::unique_ptr<std::byte, void (*)(std::byte*)>;
  struct early_block {
    std::size_t number;
    std::unique_ptr<block> of;
    shared_room room;
  };
  struct asked {
    const char* name;
    grid_size grid;
    extents threads;
    std::size_t shared;
    std::function<void()> kernel;
    bool waits;
    std::vector<early_block> early;
  };

  [[nodiscard]] std::uint64_t draw() {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    return random_ >> 33;
  }
  void add(std::unique_ptr<asked> one, bool begins_early);
  void begin_early(asked& one);
  void finish_one();
  void run(asked& one);
  /// A block of a launch before it runs; its shared memory. Null where there is none for it, and `failure_` says so.
  [[nodiscard]] shared_room set_up(block& b, const asked& one, std::size_t number);
  void fail(const asked& one, const std::string& why) { failure_ = std::string(one.name) + ": " + why; }

  settings how_;
  std::uint64_t random_;
  std::string failure_;
  block block_;
  std::deque<std::unique_ptr<asked>> asked_for_;  // in their order; blocks that have begun know where theirs is
  std::vector<std::unique_ptr<block>> idle_;
  char ended_ = 0;  // the mark of kernels that have
};

}  // namespace g4::cuda_machine
