// cli/ctl_export.cc - rims-ctl export: an account as Maildirs or mbox files

#include <cstdio>
#include <string>

#include "cli/ctl.h"
#include "cli/ctl_account.h"
#include "cli/export_mail.h"
#include "cli/formats/files.h"
#include "cli/migration_report.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "common/account/store.h"
#include "common/journal/reader.h"

namespace rims::ctl {
namespace {

struct Wanted {
  bool json = false, quiet = false;
  std::string user, path, to, mailbox;
};

int export_from(const Invocation& how, Wanted wanted) {
  const Loaded loaded = load(how, false);
  if (!loaded.config) return loaded.status;
  const auto base = store::open_base(loaded.config->base_dir);
  if (!base) return complain(base.error());
  auto name = account_name(*loaded.config, *base, wanted.user);
  if (!name) return complain(name.error());
  wanted.user = *std::move(name);
  MigrationReport report(wanted.quiet);
  auto reader = open_journal(*base, wanted.user);
  if (!reader) return complain(reader.error());
  const auto account = reader->fold({}, [&](const store::JournalDamage& damage) {
    report.not_taken(wanted.user, store::to_string(damage));
  });
  if (!account) return complain(account.error());

  uint64_t in_all = 0;
  const cli::ExportJob job{.directory = cli::real_path(wanted.path),
                           .mailbox = wanted.mailbox,
                           .progress = [&](const std::string& mailbox, uint64_t at, uint64_t all) {
                             report.show(mailbox, at, all, ++in_all);
                           }};
  const auto write = wanted.to == "mbox" ? cli::export_mbox : cli::export_maildir;
  const auto done = write(*reader, *account, job, report.remarks());
  report.finish();
  if (!done) {
    complain(done.error());
    return complain("what was written stays; run the same command again to go on", kFailed);
  }
  return report.tell({.user = wanted.user,
                      .before_verb = "written",
                      .mailboxes = done->mailboxes,
                      .messages = done->messages,
                      .bytes = done->bytes,
                      .before = done->before,
                      .failed = {},
                      .stopped = false},
                     wanted.json);
}

}  // namespace

int export_account(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  cli::OptionParser parser("rims-ctl export [options] USER --to maildir|mbox DIRECTORY");
  add_common(parser, with);
  parser.add_choice(0, "to", "FORMAT", "What to write: maildir or mbox.", {"maildir", "mbox"},
                    wanted.to);
  parser.add_value(0, "mailbox", "NAME", "Only this mailbox.", wanted.mailbox);
  parser.add_flag(0, "json", "Report as JSON.", wanted.json);
  parser.add_flag('q', "quiet", "Report only what was not exported.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("export: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  if (operands->size() != 2) return complain("export: need USER and DIRECTORY", kUsage);
  if (wanted.to.empty()) return complain("export: need --to maildir or --to mbox", kUsage);
  wanted.user = operands->front();
  wanted.path = operands->back();
  while (wanted.path.size() > 1 && wanted.path.ends_with('/')) wanted.path.pop_back();
  return export_from(with, wanted);
}

}  // namespace rims::ctl
