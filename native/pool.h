// Threads that share out the rows of a kernel.
//
// They are our own because TensorFlow's C kernel API does not hand out TensorFlow's, as many as TensorFlow's, and asleep
// whenever no kernel of ours runs: a thread that waits by spinning would take the processor from TensorFlow's.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace peft {

using Work = void (*)(const void* context, int64_t begin, int64_t end);

/// Runs `work` over [0, count) in pieces of `grain` or more, on all threads; returns when all is done.
void parallelRun(int64_t count, int64_t grain, Work work, const void* context);

/// How many threads take part, the calling one included.
int threadCount();

/// At least `floats` floats of memory, aligned to 64 bytes, of the calling thread alone; valid until its next call.
float* scratch(size_t floats);

/// The same beside it, for what the calling thread gives all threads to read.
float* sharedScratch(size_t floats);

}  // namespace peft
