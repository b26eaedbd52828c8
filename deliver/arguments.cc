// deliver/arguments.cc - a strict reader of options

#include "deliver/arguments.h"

#include <algorithm>
#include <charconv>
#include <sysexits.h>

#include "common/ipc/deliver_link.h"

namespace rims::deliver {
namespace {

bool has_control_bytes(std::string_view text) {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

// MTAs write the null sender as "" or "<>", and some put every sender in angle brackets.
std::string without_brackets(std::string address) {
  if (address.size() >= 2 && address.front() == '<' && address.back() == '>')
    return address.substr(1, address.size() - 2);
  return address;
}

class Reader {
 public:
  explicit Reader(std::span<const char* const> argv) : rest_(argv) {}

  std::optional<Ending> run(Arguments& out) {
    while (!rest_.empty()) {
      const std::string_view arg = next();
      if (arg == "--") {
        while (!rest_.empty()) out.recipients.emplace_back(next());
        return {};
      }
      if (auto wrong = option(arg, out)) return wrong;
      if (out.help || out.version) return {};
    }
    return {};
  }

  [[nodiscard]] bool sender_given() const { return given_.contains('f'); }

 private:
  std::string_view next() {
    const char* arg = rest_.front();
    rest_ = rest_.subspan(1);
    return arg;
  }

  static Ending usage_error(std::string reason) { return {EX_USAGE, std::move(reason)}; }

  std::optional<Ending> option(std::string_view arg, Arguments& out) {
    if (arg == "-h" || arg == "--help") {
      out.help = true;
      return {};
    }
    if (arg == "-V" || arg == "--version") {
      out.version = true;
      return {};
    }
    if (arg == "-r") {
      out.trace_fields = true;
      return {};
    }
    if (arg.size() != 2 || arg[0] != '-' || !std::string_view("dfmcSit").contains(arg[1])) {
      if (arg.starts_with('-'))
        return usage_error("unknown option \"" + std::string(arg) + "\"; -h lists them");
      return usage_error("unexpected argument \"" + std::string(arg) +
                         "\"; recipients follow -d or --");
    }
    if (rest_.empty()) return usage_error("option " + std::string(arg) + " needs a value");
    const std::string value(next());
    if (arg[1] == 'd') {
      out.recipients.push_back(value);
      return {};
    }
    // A second -f or -m is an injection or a mistake, so it does not override the first.
    if (given_.contains(arg[1])) return usage_error("option " + std::string(arg) + " given twice");
    given_.push_back(arg[1]);
    switch (arg[1]) {
      case 'f':
        out.sender = value;
        break;
      case 'm':
        out.mailbox = value;
        break;
      case 'c':
        out.config = value;
        break;
      case 'S':
        out.socket = value;
        break;
      case 'i':
        out.delivery_id = value;
        break;
      default: {
        const auto [end, error] =
            std::from_chars(value.data(), value.data() + value.size(), out.time_limit_s);
        if (error != std::errc() || end != value.data() + value.size() || out.time_limit_s == 0 ||
            out.time_limit_s > kMaxTimeLimit)
          return usage_error("-t needs a number of seconds from 1 to " +
                             std::to_string(kMaxTimeLimit));
      }
    }
    return {};
  }

  std::span<const char* const> rest_;
  std::string given_;  // options that may be given once
};

void take_from(const Environment& environment, bool sender_given, Arguments& out) {
  const auto value = [&](std::string_view name) { return environment(name).value_or(""); };
  if (out.recipients.empty()) {
    if (std::string whole = value("RECIPIENT"); !whole.empty()) {
      out.recipients.push_back(std::move(whole));
    } else if (std::string local = value("LOCAL_PART"); !local.empty()) {
      const std::string domain = value("DOMAIN");
      out.recipients.push_back(domain.empty() ? local : local + "@" + domain);
    }
  }
  if (!sender_given) out.sender = value("SENDER");
  if (out.delivery_id.empty()) out.delivery_id = value("QUEUE_ID");
  if (out.delivery_id.empty()) out.delivery_id = value("MESSAGE_ID");
  // Used in the log, and with other data to recognise a repeated delivery: it may be shortened, an
  // address may not.
  if (out.delivery_id.size() > ipc::kMaxDeliveryId) out.delivery_id.resize(ipc::kMaxDeliveryId);
  // Nor may a name that is too long for a mailbox, as a part of an address may be: such mail goes
  // to INBOX.
  if (out.mailbox.size() > ipc::kMaxMailbox) out.mailbox.resize(ipc::kMaxMailbox);
}

std::optional<Ending> check(const Arguments& args) {
  if (args.recipients.empty()) return Ending{EX_USAGE, "no recipient: use -d or $RECIPIENT"};
  if (args.recipients.size() > kMaxRecipients) return Ending{EX_USAGE, "too many recipients"};
  for (const std::string& recipient : args.recipients) {
    if (recipient.empty()) return Ending{EX_USAGE, "the recipient is empty"};
    if (recipient.size() > ipc::kMaxAddress || has_control_bytes(recipient))
      return Ending{EX_NOUSER, "no such user: not a possible address"};
  }
  if (args.sender.size() > ipc::kMaxAddress || has_control_bytes(args.sender))
    return Ending{EX_DATAERR, "the sender is not a possible address"};
  return {};
}

}  // namespace

std::variant<Arguments, Ending> read_arguments(std::span<const char* const> argv,
                                               const Environment& environment) {
  Arguments args;
  Reader reader(argv);
  if (auto wrong = reader.run(args)) return *wrong;
  if (args.help || args.version) return args;
  take_from(environment, reader.sender_given(), args);
  args.sender = without_brackets(std::move(args.sender));
  if (auto wrong = check(args)) return *wrong;
  return args;
}

std::string_view usage() {
  return "usage: rims-deliver [-r] [-c FILE] [-S SOCKET] [-f SENDER] [-m MAILBOX] [-i ID]\n"
         "                    [-t SECONDS] [-d RECIPIENT ...] [-- RECIPIENT ...]\n"
         "\n"
         "Reads one message from standard input and hands it to RIMS.\n"
         "  -d RECIPIENT  user name or address; may be repeated; default $RECIPIENT, $LOCAL_PART\n"
         "  -f SENDER     envelope sender; default $SENDER\n"
         "  -m MAILBOX    mailbox to deliver to; default INBOX\n"
         "  -i ID         the MTA's queue id, to recognise repeated deliveries; default\n"
         "                $QUEUE_ID, $MESSAGE_ID\n"
         "  -r            put Return-Path and Delivered-To in front of the message\n"
         "  -t SECONDS    how long to wait for the answer; default 60\n"
         "  -c FILE       configuration; default $RIMS_CONFIG, then the installed one\n"
         "  -S SOCKET     socket of rims-deliverd; default as configured\n"
         "  -V            show the version\n"
         "Ends with 0 only when the message is stored durably, with 75 when the MTA should try\n"
         "again, and with another status of sysexits.h when it can not be delivered.\n";
}

}  // namespace rims::deliver
