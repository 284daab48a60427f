/// What ThreadSanitizer is told of fibres: each is a thread to it, and only what a GPU orders is ordered.
///
/// Switching orders nothing; barriers, collectives, landed copies, tickets and launches do. Within a launch no fibre, stack or
/// mark is used twice, so that blocks of a launch are not ordered among themselves. What the machine writes for itself is
/// hidden. Without the sanitizer all of this is nothing.
#pragma once

#if defined(__SANITIZE_THREAD__)
#define G4_MACHINE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define G4_MACHINE_TSAN 1
#endif
#endif

#ifdef G4_MACHINE_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_acquire(void* at);
void __tsan_release(void* at);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
}
#endif

namespace g4::cuda_machine {

#ifdef G4_MACHINE_TSAN

/// What the running thread does meanwhile is the machine's own business.
struct hidden {
  hidden() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~hidden() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  hidden(const hidden&) = delete;
  hidden& operator=(const hidden&) = delete;
};
constexpr bool tells_threads_apart = true;
inline void release(const void* mark) { __tsan_release(const_cast<void*>(mark)); }
inline void acquire(const void* mark) { __tsan_acquire(const_cast<void*>(mark)); }
inline void go_on_as(void* fibre) { __tsan_switch_to_fiber(fibre, 1 /* without ordering */); }
inline void* a_fibre() { return __tsan_create_fiber(0); }
inline void end_fibre(void* fibre) { __tsan_destroy_fiber(fibre); }
inline void* this_fibre() { return __tsan_get_current_fiber(); }

#else

struct hidden {
  hidden() {}   // NOLINT: a guard that guards nothing is no unused variable
  ~hidden() {}  // NOLINT
};
constexpr bool tells_threads_apart = false;
inline void release(const void*) {}
inline void acquire(const void*) {}
inline void go_on_as(void*) {}
inline void* a_fibre() { return nullptr; }
inline void end_fibre(void*) {}
inline void* this_fibre() { return nullptr; }

#endif

}  // namespace g4::cuda_machine
