// cli/ctl_import.cc - rims-ctl import: mail of another program into an account

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "cli/ctl.h"
#include "cli/ctl_account.h"
#include "cli/formats/dbox_files.h"
#include "cli/formats/files.h"
#include "cli/formats/maildir.h"
#include "cli/formats/mbox_files.h"
#include "cli/formats/ruby_rims.h"
#include "cli/import_mail.h"
#include "cli/migration_report.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "common/account/offline.h"
#include "common/names/names.h"

namespace rims::ctl {
namespace {

constexpr Milliseconds kTakeOver{30'000};

volatile std::sig_atomic_t stop_asked = 0;

// From now on an interrupt ends the import between two commits.
void catch_signals() {
  struct sigaction how{};
  how.sa_handler = [](int) { stop_asked = 1; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &how, nullptr);
}

struct Wanted {
  bool json = false, quiet = false;
  std::string user, path, from, mailbox, quoting, alt;  // empty: not given
};

Result<std::unique_ptr<cli::MailSource>> open_source(const Wanted& wanted) {
  // A directory of another format would only give a complaint about each of its files.
  if (const auto other = cli::dbox_kind(cli::real_path(wanted.path));
      other && wanted.from == "mbox") {
    const char* kind = *other == cli::DboxKind::mdbox ? "mdbox" : "sdbox";
    return fail(Fault::refused,
                fmt::format("{0}: this is {1} of Dovecot: say --from {1}", wanted.path, kind));
  }
  if (wanted.from == "maildir") return cli::open_maildir(cli::real_path(wanted.path));
  if (wanted.from == "mbox")
    return cli::open_mbox(
        cli::real_path(wanted.path), wanted.mailbox,
        wanted.quoting == "mboxo" ? cli::MboxQuoting::mboxo : cli::MboxQuoting::mboxrd);
  if (wanted.from == "sdbox" || wanted.from == "mdbox")
    return cli::open_dbox(wanted.from == "sdbox" ? cli::DboxKind::sdbox : cli::DboxKind::mdbox,
                          cli::real_path(wanted.path),
                          wanted.alt.empty() ? "" : cli::real_path(wanted.alt));
  return cli::open_ruby_rims(cli::real_path(wanted.path), wanted.user);
}

int import_into(const Invocation& how, const Wanted& wanted) {
  const Loaded loaded = load(how, false);
  if (!loaded.config) return loaded.status;
  const auto& config = *loaded.config;
  const auto user = account_of_user(config, wanted.user);
  if (!user)
    return complain(fmt::format("{} is not in user_list of {}, and no suite that runs has this "
                                "user in its directory",
                                wanted.user, loaded.file),
                    kFailed);
  auto base = store::open_base(config.base_dir);
  if (!base) return complain(base.error());
  if (const Status now = become_owner(*base, privdrop::Keep::reading); !now)
    return complain(now.error());
  auto source = open_source(wanted);
  if (!source) return complain(source.error());
  MigrationReport report(wanted.quiet);
  const cli::Remarks remarks = report.remarks();
  catch_signals();
  // What can not be read at all costs the user's sessions nothing.
  const auto mailboxes = (*source)->mailboxes(remarks);
  if (!mailboxes) return complain(mailboxes.error());
  auto options = store_options(config, *std::move(base));
  options.importing = true;
  auto account = store::OfflineAccount::open(std::move(options), *user, kTakeOver, /*create=*/true);
  if (!account) return complain(account.error());

  uint64_t earlier = 0;
  std::string last;
  cli::ImportOptions how_to;
  how_to.kind = wanted.from;
  how_to.structure.depth = static_cast<uint32_t>(config.limits_mime_depth);
  how_to.structure.parts = static_cast<uint32_t>(config.limits_mime_parts);
  how_to.stop = [] { return stop_asked != 0; };
  const auto done = cli::import_mail(**account, **source, *mailboxes, how_to, remarks,
                                     [&](const std::string& mailbox, uint64_t at, uint64_t all) {
                                       if (at == 0 && mailbox != last) last = mailbox;
                                       report.show(mailbox, at, all, ++earlier);
                                     });
  (*account)->close();
  report.finish();
  if (!done) {
    complain(done.error());
    return complain("what was taken stays; run the same command again to go on", kFailed);
  }
  return report.tell({.user = *user,
                      .before_verb = "taken",
                      .mailboxes = done->mailboxes,
                      .messages = done->messages,
                      .bytes = done->bytes,
                      .before = done->before,
                      .failed = done->failed,
                      .stopped = done->stopped},
                     wanted.json);
}

}  // namespace

int import_account(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  cli::OptionParser parser(
      "rims-ctl import [options] USER --from maildir|sdbox|mdbox|mbox|rims PATH");
  add_common(parser, with);
  parser.add_choice(0, "from", "FORMAT", "What PATH holds: maildir, sdbox, mdbox, mbox or rims.",
                    {"maildir", "sdbox", "mdbox", "mbox", "rims"}, wanted.from);
  parser.add_value(0, "mailbox", "NAME",
                   "mbox: the mailbox, when PATH is a file. default is INBOX.", wanted.mailbox);
  parser.add_choice(0, "quoting", "FORM", "mbox: mboxrd or mboxo. default is mboxrd.",
                    {"mboxrd", "mboxo"}, wanted.quoting);
  parser.add_value(0, "alt", "PATH", "sdbox, mdbox: the alternate storage (ALT= of Dovecot).",
                   wanted.alt);
  parser.add_flag(0, "json", "Report as JSON.", wanted.json);
  parser.add_flag('q', "quiet", "Report only what was not imported.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("import: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 2) return complain("import: need USER and PATH", kUsage);
  if (wanted.from.empty())
    return complain("import: need --from maildir, sdbox, mdbox, mbox or rims", kUsage);
  const auto only_for = [&](const char* option, bool given, bool fits, const char* what) {
    return given && !fits ? fmt::format("import: {} is for --from {} only", option, what)
                          : std::string();
  };
  const bool mbox = wanted.from == "mbox", dbox = wanted.from.ends_with("dbox");
  for (const auto& wrong : {only_for("--mailbox", !wanted.mailbox.empty(), mbox, "mbox"),
                            only_for("--quoting", !wanted.quoting.empty(), mbox, "mbox"),
                            only_for("--alt", !wanted.alt.empty(), dbox, "sdbox or mdbox")})
    if (!wrong.empty()) return complain(wrong, kUsage);
  if (wanted.mailbox.empty()) wanted.mailbox = "INBOX";
  wanted.user = operands->front();
  wanted.path = operands->back();
  return import_into(with, wanted);
}

}  // namespace rims::ctl
