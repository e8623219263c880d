// The settings of an operation, by name.
#pragma once
#include <stddef.h>

#include "tensorflow.h"

namespace peft {

struct Setting {
  const char* name;
  size_t length;  // of the name
  float number;
  bool flag;
};

struct Settings {
  Setting entries[MAX_SETTINGS];
  int count = 0;
};

}  // namespace peft
