// common/ipc/deliver_link.h - how a message is delivered: rims-deliver -> rims-deliverd ->
// rims-imapd
//
//   Trust   rims-deliverd treats every byte of rims-deliver as written by an attacker (its
//           socket is open to local users of one group; SO_PEERCRED is logged). rims-imapd
//           trusts rims-deliverd only to say that a message may be delivered.
//   Fd      the message: a memfd sealed against writing, growing and shrinking. A reader
//           refuses one without those seals, and one larger than the limit.
//   Several recipients of one message: one Deliver each, and the same memfd in all of them, so
//           that there is one copy of its bytes. Each has an answer of its own.
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

inline constexpr size_t kMaxMailbox = 1024;    // bytes, a name in UTF-8
inline constexpr size_t kMaxDeliveryId = 256;  // bytes
inline constexpr size_t kMaxReason = 512;      // bytes
inline constexpr size_t kMaxReceived = 2048;   // bytes of a Received field

enum class DeliverMsg : uint16_t {
  submit = 1,
  submit_reply = 2,
  deliver = 3,
  deliver_reply = 4,
};

enum class Delivery : uint8_t {
  delivered,      // durable                                     exit 0
  no_user,        // no such recipient                           exit 67
  rejected,       // refused for what it is: too large, empty    exit 65 (too large), see reason
  not_permitted,  // the caller may not deliver                  exit 77
  temporary,      // anything doubtful                           exit 75
  over_quota,     // refused: the account is full                exit 77
  full,           // temporary: the account is full              exit 75
  last = full,
};

struct Submit {
  static constexpr DeliverMsg kType = DeliverMsg::submit;
  static constexpr const char* kAbout = "a message to deliver";
  static constexpr std::array kFds{"the message, a sealed memfd"};
  uint64_t request = 0;  // chosen by the sender, returned in the reply
  Text<1, kMaxAddress> recipient;
  Text<0, kMaxAddress> sender;          // envelope sender; "" for the null sender
  Text<0, kMaxMailbox> mailbox;         // UTF-8; "" or one that is not there means INBOX
  Text<0, kMaxDeliveryId> delivery_id;  // the MTA's queue or message id, if it gave one
  uint8_t flags = 0;                    // system flags to set, store::kSeen and so on
  int64_t internal_date = 0;            // seconds since 1970 (UTC); 0 means now
  static constexpr auto kFields =
      std::tuple(&Submit::request, &Submit::recipient, &Submit::sender, &Submit::mailbox,
                 &Submit::delivery_id, &Submit::flags, &Submit::internal_date);
};

struct SubmitReply {
  static constexpr DeliverMsg kType = DeliverMsg::submit_reply;
  static constexpr const char* kAbout = "what became of it";
  uint64_t request = 0;
  Delivery status = Delivery::temporary;
  Text<0, kMaxReason> reason;  // one line, for the MTA's log
  static constexpr auto kFields =
      std::tuple(&SubmitReply::request, &SubmitReply::status, &SubmitReply::reason);
};

struct Deliver {
  static constexpr DeliverMsg kType = DeliverMsg::deliver;
  static constexpr const char* kAbout = "a message for an account of this worker";
  static constexpr std::array kFds{"the message, a sealed memfd"};
  uint64_t request = 0;
  Text<1, kMaxUserName> user;      // the account's name, as rims-auth told it
  Text<1, kMaxAddress> recipient;  // as submitted
  Text<0, kMaxAddress> sender;
  Text<0, kMaxMailbox> mailbox;
  Text<0, kMaxDeliveryId> delivery_id;
  uint8_t flags = 0;
  int64_t internal_date = 0;
  // A Received field with its CRLF (RFC 5321 §4.4): the worker puts Return-Path, Delivered-To and
  // this in front of what is in the memfd. "" puts nothing in front. All of it is stored, but no
  // part of what tells a repeated delivery.
  Text<0, kMaxReceived> received;
  static constexpr auto kFields = std::tuple(
      &Deliver::request, &Deliver::user, &Deliver::recipient, &Deliver::sender, &Deliver::mailbox,
      &Deliver::delivery_id, &Deliver::flags, &Deliver::internal_date, &Deliver::received);
};

struct DeliverReply {
  static constexpr DeliverMsg kType = DeliverMsg::deliver_reply;
  static constexpr const char* kAbout = "what became of it";
  uint64_t request = 0;
  Delivery status = Delivery::temporary;
  Text<0, kMaxReason> reason;
  static constexpr auto kFields =
      std::tuple(&DeliverReply::request, &DeliverReply::status, &DeliverReply::reason);
};

struct ClientToDeliverd : Says<Submit> {
  static constexpr const char *kFrom = "rims-deliver", *kTo = "rims-deliverd";
  static constexpr const char* kTrust = "no; every byte is treated as written by an attacker";
};
struct DeliverdToClient : Says<SubmitReply> {
  static constexpr const char *kFrom = "rims-deliverd", *kTo = "rims-deliver";
  static constexpr const char* kTrust =
      "yes; an answer that is not understood is a temporary failure";
};
struct DeliverdToImapd : Says<Deliver, SubmitReply> {
  static constexpr const char *kFrom = "rims-deliverd", *kTo = "rims-imapd";
  static constexpr const char* kTrust =
      "to say which message may be delivered to which account; for nothing else";
};
struct ImapdToDeliverd : Says<DeliverReply, Submit> {
  static constexpr const char *kFrom = "rims-imapd", *kTo = "rims-deliverd";
  static constexpr const char* kTrust =
      "to say what is durable, and to submit messages for the delivery user alone";
};

inline constexpr std::span<const Accepts> kDeliverdAcceptsFromClient = ClientToDeliverd::kAccepts;
inline constexpr std::span<const Accepts> kClientAcceptsFromDeliverd = DeliverdToClient::kAccepts;
inline constexpr std::span<const Accepts> kImapdAcceptsFromDeliverd = DeliverdToImapd::kAccepts;
inline constexpr std::span<const Accepts> kDeliverdAcceptsFromImapd = ImapdToDeliverd::kAccepts;

}  // namespace rims::ipc
