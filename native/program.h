// A list of operations over memory of their own, run by one call: what a pass of a model comes to once it is known that the next pass does
// the same with other numbers. The kernels are those that TensorFlow runs; between them no time goes into JavaScript, into tensors or
// into waking threads.
#pragma once
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "plain.h"
#include "settings.h"
#include "tensorflow.h"

namespace peft {

class Program {
 public:
  static constexpr int32_t OWN = -1, PINNED = -2;

  /// A memory: its own, a pinned tensor's, or that of an earlier memory from `offset` elements on.
  struct Place {
    int32_t source, offset;
    int type;
    Shape shape;
  };

  /// @param pins tensors of TensorFlow's, which the program deletes when it ends: its PINNED memories, in order
  explicit Program(std::vector<TF_Tensor*> pins);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Once, before all else.
  void place(const std::vector<Place>& places);
  void add(const std::string& name, const Settings& settings, const std::vector<int32_t>& numbers, const std::vector<int32_t>& inputs,
           const std::vector<int32_t>& outputs);
  void run() const;

  const Memory& memory(int32_t index) const;

 private:
  struct Step {
    const Operation* operation;  // a kernel, or
    Plain plain;
    Settings settings;
    std::vector<int32_t> numbers;
    std::vector<const Memory*> inputs, outputs;
  };

  std::vector<TF_Tensor*> pins_;
  std::unique_ptr<void, decltype(&std::free)> own_;
  std::vector<Memory> memories_;
  std::vector<Step> steps_;
};

/// Operations that keep their input for the next program of the thread; registered beside the kernels of each instruction set.
extern const Operation pinOperations[];

/// What they have kept since the last call, which is the caller's to delete.
std::vector<TF_Tensor*> takePins();

}  // namespace peft
