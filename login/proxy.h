// login/proxy.h - carrying a logged-in client's bytes between TLS and its worker
//
//   Memory   one buffer each way, each written out before the next is read: whoever is slow
//            stops the other side and nobody else
//   Ends     the client's end is passed on as the end of input; the worker's end is the end
#pragma once

#include "login/channel.h"

namespace rims::login {

// Until the worker has closed `inside`, or the client is gone.
Task<void> carry(Channel& channel, Fd inside, Milliseconds write_limit);

}  // namespace rims::login
