// Threads that share out the rows of a kernel.
//
// They are our own because TensorFlow's C kernel API does not hand out TensorFlow's, as many as TensorFlow's, and asleep
// whenever no kernel or program of ours runs: a thread that waits by spinning would take the processor from TensorFlow's.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace peft {

using Work = void (*)(const void* context, int64_t begin, int64_t end);

/// Numbers below 1.2e-38 count as zero in the calling thread while one of these exists, as they do in TensorFlow's own threads
/// and in those of the pool: with them arithmetic takes many times as long, and results would depend on the thread.
class FlushedDenormals {
 public:
  FlushedDenormals();
  ~FlushedDenormals();
  FlushedDenormals(const FlushedDenormals&) = delete;
  FlushedDenormals& operator=(const FlushedDenormals&) = delete;

 private:
  uint64_t before_;
};

/// Runs `work` over [0, count) in pieces of `grain` or more, on all threads; returns when all is done. What `work` throws in any
/// thread is thrown to the caller, after all threads have come to an end.
void parallelRun(int64_t count, int64_t grain, Work work, const void* context);

/// While one of these exists, threads that have nothing to do look for more for 0.1 ms before they sleep: for kernels that follow each other
/// at once.
class AwakeThreads {
 public:
  AwakeThreads();
  ~AwakeThreads();
  AwakeThreads(const AwakeThreads&) = delete;
  AwakeThreads& operator=(const AwakeThreads&) = delete;
};

/// How many threads take part, the calling one included.
int threadCount();

/// At least `floats` floats of memory, aligned to 64 bytes, of the calling thread alone; valid until its next call. Throws
/// std::bad_alloc where there is none.
float* scratch(size_t floats);

/// The same beside it, for what the calling thread gives all threads to read.
float* sharedScratch(size_t floats);

}  // namespace peft
