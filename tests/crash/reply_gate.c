// tests/crash/reply_gate.c - stops a process at the write of a reply, to be preloaded
//
// A DeliverReply of rims-imapd and a SubmitReply of rims-deliverd (common/ipc/deliver_link.h) that
// says "delivered" comes after the commit. When the gate is shut, the next thread that is about to
// write one tells its process id and goes no further: the test kills the process there. Each reply
// that is let through costs nothing.
//
//   RIMS_GATE        a file of two u32 that the test maps as well: shut, who stands there
//   RIMS_GATE_REPLY  the type of the message, a decimal number

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { kStatus = 8, kLength = 9, kReason = 13 };  // u64 request, u8 status, counted reason

static volatile uint32_t* gate;
static uint32_t me;
static int reply;
static ssize_t (*real_sendmsg)(int, const struct msghdr*, int);

__attribute__((constructor)) static void start(void) {
  real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
  const char* path = getenv("RIMS_GATE");
  const char* type = getenv("RIMS_GATE_REPLY");
  if (!path || !type) return;
  const int fd = open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) abort();
  void* at = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (at == MAP_FAILED) abort();
  me = (uint32_t)getpid();
  reply = atoi(type);
  gate = at;
}

static int says_delivered(const struct msghdr* message) {
  if (message->msg_iovlen != 2 || message->msg_iov[0].iov_len != 2) return 0;
  const uint8_t* head = message->msg_iov[0].iov_base;
  const uint8_t* body = message->msg_iov[1].iov_base;
  const size_t size = message->msg_iov[1].iov_len;
  if ((head[0] << 8 | head[1]) != reply || size < kReason || body[kStatus] != 0) return 0;
  const uint32_t length = (uint32_t)body[kLength] << 24 | (uint32_t)body[kLength + 1] << 16 |
                          (uint32_t)body[kLength + 2] << 8 | body[kLength + 3];
  return size == kReason + length;
}

ssize_t sendmsg(int fd, const struct msghdr* message, int flags) {
  if (gate && gate[0] && says_delivered(message) && __sync_bool_compare_and_swap(&gate[0], 1, 0)) {
    gate[1] = me;
    // No system call: the filter would end this process before the test does.
    for (;;) __sync_synchronize();
  }
  return real_sendmsg(fd, message, flags);
}
