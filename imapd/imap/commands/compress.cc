// imapd/imap/commands/compress.cc - COMPRESS (RFC 4978)
//
//   deviates: RFC 4978 §3 has BAD for a second COMPRESS in its list of results, and NO with
//             COMPRESSIONACTIVE in its text; clients know the latter, and it says why
//
// What comes behind the command line is compressed data already: a client must wait for the OK
// before it sends more (§3), so nothing else is possible there.

#include "imapd/imap/session.h"

namespace rims::imapd::commands {

Task<Result<Reply>> compress(Session& session, imap::Command) {
  if (session.compressed())
    co_return fail(Fault::refused, "COMPRESS is active already", {}, "COMPRESSIONACTIVE");
  session.compress();
  co_return Reply{.text = "DEFLATE active", .code = {}};
}

}  // namespace rims::imapd::commands
