// imapd/imap/protocol.cc - makes IMAP sessions

#include "imapd/imap/protocol.h"

#include <string>
#include <utility>

#include "common/imap/parser.h"
#include "imapd/imap/session.h"

namespace rims::imapd {
namespace {

bool is_tag(std::string_view tag) { return imap::leading_tag(std::string(tag) + " ") == tag; }

std::unique_ptr<HostedSession> make(SessionHost& host, Client client) {
  return std::make_unique<Session>(host, std::move(client));
}

}  // namespace

Protocol imap_protocol() { return {.is_tag = is_tag, .make = make}; }

}  // namespace rims::imapd
