// Which connections a server of this process lets in.
#pragma once
#include <stdint.h>

#include <string>

namespace peft {

/// Drops what was sent to another IPv4 address than this one (in the byte order of the processor) at a port that this process listens on:
/// gRPC listens on all addresses of the machine, whatever it is told. Returns what went wrong, or an empty text.
std::string listenOnlyOn(uint32_t address, int port);

}  // namespace peft
