// login/proxy.h - carrying a logged-in client's bytes between TLS and its worker
//
//   Memory   one buffer for each direction, written out before the next is read: a slow side
//            delays the other side and nobody else
//   Ends     the client's end is passed on as the end of input; the worker's end ends the task
#pragma once

#include <string>

#include "login/channel.h"

namespace rims::login {

// Until the worker has closed `inside`, or the client is gone. If `returned` is true then, the
// worker has given its end back: nothing is said to the client, and the result is what came from it
// and has not reached the worker's end.
Task<std::string> carry(Channel& channel, Fd inside, Milliseconds write_limit,
                        const bool& returned);

}  // namespace rims::login
