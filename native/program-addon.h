#pragma once
#include <node_api.h>

namespace peft {

/// Adds the functions of program-addon.cc to the addon's exports.
void exportPrograms(napi_env env, napi_value exports);

}  // namespace peft
