// Sums over several processes, by the collectives of the TensorFlow that is loaded in this process.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <string>
#include <vector>

namespace peft {

/// The processes of a training, as TensorFlow's cluster.
struct Cluster {
  std::vector<std::string> addresses;  // host:port of each, by rank
  int rank;
  uint32_t listen;  // IPv4 address, in the byte order of the processor; nothing that was sent to another is let in
  double timeout;   // seconds
  bool on_gpu;      // sums are taken on this process's first GPU, by NCCL
};

// Each returns what went wrong, and an empty text where nothing did.

/// Once in a process: TensorFlow cannot take a server down again.
std::string connectCollectives(const Cluster& cluster);

/// The place of a sum among those of this process. All processes take theirs in the same order.
uint64_t nextSum();

/// Replaces numbers by their sums over all processes, each of which calls with the same count at the same place. Blocks until
/// those before it are done. After a failure all later calls of the process fail.
std::string sumOverProcesses(float* numbers, size_t count, uint64_t place);

/// Whether another process answers. Blocks.
std::string checkProcess(int rank, int64_t milliseconds);

/// Lets the sum that waits fail.
void abortCollectives(const char* reason);

}  // namespace peft
