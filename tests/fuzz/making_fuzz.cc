// tests/fuzz/making_fuzz.cc - what is put into messages between processes, and what they can carry
//
// The first byte chooses where the values come from: a configuration, a client's login, the
// arguments of rims-deliver, an error. Whatever is accepted there fits into the message that
// carries it: encode() ends the program otherwise.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/log.h"
#include "common/config/config.h"
#include "common/imap/parser.h"
#include "common/ipc/links.h"
#include "common/names/names.h"
#include "controller/identity.h"
#include "deliver/submit.h"
#include "login/request.h"

namespace {

using namespace rims;

// Made, read, and made again.
template <class Message>
void carried(const Message& message) {
  const std::string bytes = ipc::encode(message);
  if (bytes.size() > ipc::kMaxSize<Message>) std::abort();
  const auto read = ipc::decode<Message>(bytes);
  if (!read || ipc::encode(*read) != bytes) std::abort();
}

void whose_account(const std::string& name) {
  carried(ipc::Ticket{.ticket = {}, .user = name});
  carried(ipc::UserReply{.exists = true, .user = name});
  carried(ipc::Deliver{.user = name, .recipient = "x"});
}

// `above` has the length that `size` says: each path is short enough only with what is above it.
void configuration(std::string_view text, size_t size) {
  const auto config = config::parse(text, "f", "/" + std::string(size, 'd'));
  if (!config || !names::check(*config)) return;
  carried(config::auth_part(*config));
  carried(config::log_part(*config));
  carried(config::imapd_part(*config));
  carried(config::deliverd_part(*config));
  if (config->tls_certificate.empty()) {  // else it reads files
    const auto part = config::login_part(*config);
    if (!part) std::abort();
    carried(*part);
    carried(login::cram_request("x", login::make_challenge(std::string(ipc::kChallengeRandom, 'x'),
                                                           INT64_MIN, part->hostname.value)));
  }
  controller::Identities identities;
  auto& who = identities.of[0];
  who.chroot = controller::empty_root(*config);
  for (const auto& directory :
       {config->base_dir, controller::directory_of(config->log_file), std::string()}) {
    who.directory = directory;
    carried(controller::configure(identities, ipc::Role{}, UINT32_MAX, UINT32_MAX));
  }
  for (const auto& user : config->users) {
    const auto name = names::account_of(*config, user.name);
    if (!name) std::abort();
    whose_account(*name);
  }
}

void login_of(std::string_view bytes) {
  const size_t middle = std::min(bytes.find('\n'), bytes.size());
  carried(login::login_request(bytes.substr(0, middle), bytes.substr(middle)));
  if (const auto plain = login::plain_request(bytes)) carried(*plain);
  carried(login::cram_request(bytes, login::make_challenge("0123456789abcdef", 0, "host")));
  if (const auto name = names::account_name(bytes)) whose_account(*name);
  // The command that logged in, handed over.
  const std::string_view tag = imap::leading_tag(bytes);
  if (!tag.empty()) {
    ipc::Handover handover;
    handover.tag = tag;
    handover.session = login::session_id(UINT32_MAX, UINT64_MAX);
    carried(handover);
    // And that which unauthenticates, given back.
    ipc::Returned returned;
    returned.tag = tag;
    returned.session = handover.session.value;
    carried(returned);
  }
}

// Arguments end with NUL; after two of them in a row follow SENDER, RECIPIENT, QUEUE_ID.
void delivery(std::string_view bytes) {
  std::vector<std::string> words, environment;
  for (bool second = false; !bytes.empty();) {
    const size_t end = std::min(bytes.find('\0'), bytes.size());
    if (end == 0 && !second)
      second = true;
    else
      (second ? environment : words).emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  std::vector<const char*> argv;
  for (const auto& word : words) argv.push_back(word.c_str());
  const auto read =
      deliver::read_arguments(argv, [&](std::string_view name) -> std::optional<std::string> {
        constexpr std::array<std::string_view, 3> kNames = {"SENDER", "RECIPIENT", "QUEUE_ID"};
        for (size_t i = 0; i < kNames.size() && i < environment.size(); i++)
          if (name == kNames[i]) return environment[i];
        return std::nullopt;
      });
  const auto* args = std::get_if<deliver::Arguments>(&read);
  if (!args || args->help || args->version) return;
  for (const auto& recipient : args->recipients) {
    const auto submit = deliver::submission(*args, recipient, 1);
    carried(submit);
    carried(ipc::UserQuery{.recipient = submit.recipient.value});
    carried(ipc::Deliver{.user = "x",
                         .recipient = submit.recipient,
                         .sender = submit.sender,
                         .mailbox = submit.mailbox,
                         .delivery_id = submit.delivery_id});
  }
}

void line(std::string_view bytes) {
  carried(ipc::LogLine{.text = log::printable(bytes)});
  carried(ipc::Tell{.text = log::printable(bytes)});
  carried(ipc::SubmitReply{.reason = log::printable(bytes, ipc::kMaxReason)});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const size_t length = static_cast<size_t>(data[1]) << 8 | data[2];
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data + 3)),
                               size - 3);
  switch (data[0] % 4) {
    case 0:
      configuration(bytes, length % (2 * ipc::kMaxPath));
      break;
    case 1:
      login_of(bytes);
      break;
    case 2:
      delivery(bytes);
      break;
    default:
      line(bytes);
  }
  return 0;
}
