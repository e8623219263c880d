#include "listen.h"

#if defined(__linux__)
#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#endif

namespace peft {

#if defined(__linux__)

namespace {

bool listensAt(int file, int port) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(file, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) return false;
  sockaddr_storage name;
  size = sizeof name;
  if (getsockname(file, reinterpret_cast<sockaddr*>(&name), &size) != 0) return false;
  if (name.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port) == port;
  return name.ss_family == AF_INET6 && ntohs(reinterpret_cast<const sockaddr_in6&>(name).sin6_port) == port;
}

}  // namespace

/// A socket filter, which needs no rights and which the accepted sockets inherit: IPv4 packets to the address pass.
std::string listenOnlyOn(uint32_t address, int port) {
  constexpr unsigned IP = static_cast<unsigned>(SKF_NET_OFF);
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, IP),            // version and length of the header
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 4),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 4, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, IP + 16),       // where it was sent to
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, address, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  rlimit files;
  const int most = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < 65536 ? static_cast<int>(files.rlim_cur) : 65536;
  int found = 0;
  for (int file = 0; file < most; file++) {
    if (!listensAt(file, port)) continue;
    found++;
    if (setsockopt(file, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
      return std::string("connections from elsewhere cannot be kept out: ") + strerror(errno);
    }
  }
  return found > 0 ? "" : "no socket listens at port " + std::to_string(port);
}

#else

std::string listenOnlyOn(uint32_t, int) { return "workers are for Linux, where connections from elsewhere can be kept out"; }

#endif

}  // namespace peft
