#pragma once
#include <node_api.h>

namespace peft {

/// Adds the functions of collective-addon.cc to the addon's exports.
void exportCollectives(napi_env env, napi_value exports);

}  // namespace peft
