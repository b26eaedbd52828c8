// common/ipc/deliver_link.h - a message's way: rims-deliver -> rims-deliverd -> rims-imapd
//
//   Trust   rims-deliverd treats every byte of rims-deliver as written by an attacker (its
//           socket is open to local users of one group; SO_PEERCRED is logged). rims-imapd
//           trusts rims-deliverd for "may be delivered", for nothing else.
//   Fd      the message: a memfd sealed against writing, growing and shrinking. A reader
//           refuses one without those seals, and one larger than the limit.
//   Promise status `delivered` means: in the journal, durable.
//
//     rims-deliver            rims-deliverd                 rims-imapd W
//       | Submit (memfd) --------->|  UserQuery to rims-auth      |
//       |                          | Deliver (memfd) ------------>|
//       |                          |<--------------- DeliverReply |
//       |<----------- SubmitReply  |
//
//   A session of `#postman` (rims post-mail) lives in some rims-imapd and may deliver to any user:
//   that worker sends Submit to rims-deliverd on the same link and gets a SubmitReply. It is
//   accepted there because the worker was told `post_only` by rims-auth.
#pragma once

#include <tuple>

#include "common/ipc/auth_link.h"
#include "common/ipc/link.h"

namespace rims::ipc {

enum class DeliverMsg : uint16_t {
  submit = 1,
  submit_reply = 2,
  deliver = 3,
  deliver_reply = 4,
};

enum class Delivery : uint8_t {
  delivered,      // durable                                     exit 0
  no_user,        // no such recipient                           exit 67
  no_mailbox,     // -m names none and it may not be made        exit 73
  rejected,       // refused for what it is: too large, empty    exit 65 (too large), see reason
  not_permitted,  // the caller may not deliver                  exit 77
  temporary,      // anything doubtful                           exit 75
  last = temporary,
};

struct Submit {  // one descriptor
  static constexpr DeliverMsg kType = DeliverMsg::submit;
  uint64_t request = 0;  // chosen by the sender, returned in the reply
  Text<1, 320> recipient;
  Text<0, 320> sender;        // envelope sender; "" for the null sender
  Text<0, 1024> mailbox;      // UTF-8; "" means INBOX
  Text<0, 256> delivery_id;   // the MTA's queue or message id, if it gave one
  uint8_t flags = 0;          // system flags to set, as store::kSeen and its kin
  int64_t internal_date = 0;  // seconds since 1970 (UTC); 0 means now
  static constexpr auto kFields =
      std::tuple(&Submit::request, &Submit::recipient, &Submit::sender, &Submit::mailbox,
                 &Submit::delivery_id, &Submit::flags, &Submit::internal_date);
};

struct SubmitReply {
  static constexpr DeliverMsg kType = DeliverMsg::submit_reply;
  uint64_t request = 0;
  Delivery status = Delivery::temporary;
  Text<0, 512> reason;  // one line, for the MTA's log
  static constexpr auto kFields =
      std::tuple(&SubmitReply::request, &SubmitReply::status, &SubmitReply::reason);
};

struct Deliver {  // one descriptor
  static constexpr DeliverMsg kType = DeliverMsg::deliver;
  uint64_t request = 0;
  Text<1, kMaxUserName> user;  // the account's name, as rims-auth told it
  Text<1, 320> recipient;      // as submitted
  Text<0, 320> sender;
  Text<0, 1024> mailbox;
  Text<0, 256> delivery_id;
  uint8_t flags = 0;
  int64_t internal_date = 0;
  static constexpr auto kFields = std::tuple(
      &Deliver::request, &Deliver::user, &Deliver::recipient, &Deliver::sender, &Deliver::mailbox,
      &Deliver::delivery_id, &Deliver::flags, &Deliver::internal_date);
};

struct DeliverReply {
  static constexpr DeliverMsg kType = DeliverMsg::deliver_reply;
  uint64_t request = 0;
  Delivery status = Delivery::temporary;
  Text<0, 512> reason;
  static constexpr auto kFields =
      std::tuple(&DeliverReply::request, &DeliverReply::status, &DeliverReply::reason);
};

inline constexpr Accepts kDeliverdAcceptsFromClient[] = {
    {static_cast<uint16_t>(DeliverMsg::submit), 2048, 1},
};
inline constexpr Accepts kClientAcceptsFromDeliverd[] = {
    {static_cast<uint16_t>(DeliverMsg::submit_reply), 1024, 0},
};
inline constexpr Accepts kImapdAcceptsFromDeliverd[] = {
    {static_cast<uint16_t>(DeliverMsg::submit_reply), 1024, 0},
    {static_cast<uint16_t>(DeliverMsg::deliver), 4096, 1},
};
inline constexpr Accepts kDeliverdAcceptsFromImapd[] = {
    {static_cast<uint16_t>(DeliverMsg::deliver_reply), 1024, 0},
    {static_cast<uint16_t>(DeliverMsg::submit), 2048, 1},
};

}  // namespace rims::ipc
