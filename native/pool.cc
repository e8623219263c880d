#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace peft {
namespace {

#if defined(__SSE__)
using Control = unsigned;
constexpr Control FLUSH = 0x8040;  // to zero, and denormal inputs are zeros
Control readControl() { return _mm_getcsr(); }
void writeControl(Control control) { _mm_setcsr(control); }
#elif defined(__aarch64__)
using Control = uint64_t;
constexpr Control FLUSH = 1ull << 24;
Control readControl() {
  Control control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  return control;
}
void writeControl(Control control) { asm volatile("msr fpcr, %0" : : "r"(control)); }
#else
using Control = uint64_t;
constexpr Control FLUSH = 0;
Control readControl() { return 0; }
void writeControl(Control) {}
#endif

/// Lets a neighbour on the same core work, in a loop that waits.
inline void pause() {
#if defined(__SSE__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int countThreads() {
  const char* limit = std::getenv("TF_NUM_INTRAOP_THREADS");  // TensorFlow reads the same
  const int asked = limit == nullptr ? 0 : std::atoi(limit);
  if (asked > 0) return asked;
  const unsigned processors = std::thread::hardware_concurrency();
  return processors == 0 ? 1 : static_cast<int>(processors);
}

class Pool {
 public:
  explicit Pool(int threads) : shares_(static_cast<size_t>(threads)) {
    try {
      for (size_t i = 1; i < shares_.size(); i++) std::thread([this, i]() noexcept { serve(i); }).detach();
    } catch (const std::system_error&) {
      // The system has no more threads: those there are take the others' shares too.
    }
  }

  void run(int64_t count, int64_t grain, Work work, const void* context) {
    const std::unique_lock<std::mutex> alone(callers_, std::try_to_lock);
    if (!alone.owns_lock()) {  // a kernel of another JavaScript thread has the pool
      work(context, 0, count);
      return;
    }
    const auto threads = static_cast<int64_t>(shares_.size());
    const int64_t piece = count / (PIECES * threads);
    piece_ = piece > grain ? piece : grain;
    work_ = work;
    context_ = context;
    for (int64_t i = 0; i < threads; i++) {
      shares_[static_cast<size_t>(i)].next.store(count * i / threads, std::memory_order_relaxed);
      shares_[static_cast<size_t>(i)].end = count * (i + 1) / threads;
    }
    if (++turns_ == CLOSED) ++turns_;
    turn_.store(turns_);
    wake();
    takePieces(0);
    turn_.store(CLOSED);  // a thread that comes only now finds nothing to join
    awaitOthers();
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  /// While any is asked for, the threads look for the next kernel before they go to sleep.
  void stayAwake(bool stay) { awake_.fetch_add(stay ? 1 : -1); }

 private:
  /// What a thread does first: the same part of each kernel, whose numbers it may have in its own cache from the last one.
  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

  /// Pieces of a share; so many even out threads that are slower or late.
  static constexpr int64_t PIECES = 32;

  static constexpr uint32_t CLOSED = 0;
  /// Looks at what another thread is to write before one sleeps until it has: some 0.1 ms. Where the processors have other work too, a
  /// thread that looked on would take time from it, and be the last to get some when it is needed.
  static constexpr int LOOKS = 4000;

  void serve(size_t self) noexcept {
    const FlushedDenormals flushed;
    uint32_t turn = CLOSED;
    for (;;) {
      turn = nextTurn(turn);
      busy_.fetch_add(1);
      if (turn_.load() == turn) takePieces(self);  // else it was closed meanwhile, and its memory may be the next one's
      if (busy_.fetch_sub(1) == 1 && waiting_.load()) {
        const std::lock_guard<std::mutex> lock(mutex_);
        idle_.notify_one();
      }
    }
  }

  uint32_t nextTurn(uint32_t last) {
    uint32_t turn = CLOSED;
    const auto isOpen = [&] {
      turn = turn_.load();
      return turn != CLOSED && turn != last;
    };
    for (int looks = 0; !isOpen(); looks++) {
      if (awake_.load() > 0 && looks < LOOKS) {
        pause();
        continue;
      }
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_.fetch_add(1);
      wake_.wait(lock, isOpen);
      sleeping_.fetch_sub(1);
    }
    return turn;
  }

  void wake() {
    if (sleeping_.load() == 0) return;
    { const std::lock_guard<std::mutex> lock(mutex_); }  // one that has just looked is asleep behind it
    wake_.notify_all();
  }

  void awaitOthers() {
    for (int i = 0; i < LOOKS; i++) {
      if (busy_.load() == 0) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    waiting_.store(true);
    idle_.wait(lock, [this] { return busy_.load() == 0; });
    waiting_.store(false);
  }

  /// Those of the thread's own share, then what is left of the others'. A failure waits for the caller; nobody begins a piece after it.
  void takePieces(size_t self) noexcept {
    try {
      work(self);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(failing_);
      if (failure_ == nullptr) failure_ = std::current_exception();
      for (Share& share : shares_) share.next.store(share.end, std::memory_order_relaxed);
    }
  }

  void work(size_t self) {
    for (size_t i = 0; i < shares_.size(); i++) {
      Share& share = shares_[(self + i) % shares_.size()];
      for (;;) {
        const int64_t begin = share.next.fetch_add(piece_, std::memory_order_relaxed);
        if (begin >= share.end) break;
        work_(context_, begin, begin + piece_ < share.end ? begin + piece_ : share.end);
      }
    }
  }

  std::mutex callers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::mutex failing_;
  std::exception_ptr failure_;
  std::vector<Share> shares_;
  int64_t piece_ = 1;
  Work work_ = nullptr;
  const void* context_ = nullptr;
  uint32_t turns_ = CLOSED;
  /// The kernel that threads may join, by a number of its own.
  std::atomic<uint32_t> turn_{CLOSED};
  /// Threads that have joined, or are about to see that they cannot.
  std::atomic<int> busy_{0};
  std::atomic<int> sleeping_{0};
  std::atomic<int> awake_{0};
  std::atomic<bool> waiting_{false};
};

/// Never destroyed: its threads sleep until the process ends.
Pool& pool() {
  static Pool* const pool = new Pool(threadCount());
  return *pool;
}

}  // namespace

FlushedDenormals::FlushedDenormals() : before_(readControl()) { writeControl(static_cast<Control>(before_) | FLUSH); }

FlushedDenormals::~FlushedDenormals() { writeControl(static_cast<Control>(before_)); }

int threadCount() {
  static const int count = countThreads();
  return count;
}

void parallelRun(int64_t count, int64_t grain, Work work, const void* context) {
  if (count <= 0) return;
  if (count <= grain || threadCount() == 1) {
    work(context, 0, count);
    return;
  }
  pool().run(count, grain, work, context);
}

AwakeThreads::AwakeThreads() { pool().stayAwake(true); }

AwakeThreads::~AwakeThreads() { pool().stayAwake(false); }

namespace {

struct Buffer {
  void* memory = nullptr;
  size_t floats = 0;
  ~Buffer() { std::free(memory); }

  float* atLeast(size_t count) {
    if (floats < count) {
      std::free(memory);
      memory = std::aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
      floats = memory == nullptr ? 0 : count;
      if (memory == nullptr) throw std::bad_alloc();
    }
    return static_cast<float*>(memory);
  }
};

}  // namespace

float* scratch(size_t floats) {
  static thread_local Buffer buffer;
  return buffer.atLeast(floats);
}

float* sharedScratch(size_t floats) {
  static thread_local Buffer buffer;
  return buffer.atLeast(floats);
}

}  // namespace peft
