// cli/ctl_restore.cc - rims-ctl restore: an account, a mailbox or messages, as they were
//
// From a backup (--from), or from the account's own journal. An account that does not exist is
// made from the backup's segments; one that exists gets what it lacks, by ordinary changes.

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <string>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "cli/ctl.h"
#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/time_point.h"
#include "common/base/encoding.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/store/backup.h"
#include "common/store/offline.h"
#include "common/store/reader.h"
#include "common/store/restore_account.h"
#include "common/store/restore_plan.h"
#include "common/store/restore_run.h"

namespace rims::ctl {
namespace {

using cli::size_text;
constexpr Milliseconds kTakeOver{30'000};

struct Wanted {
  std::string user, account, from, at_text;
  std::optional<uint32_t> at;
  store::RestoreScope scope;
  bool dry_run = false, json = false, quiet = false;
};

// Files of an account belong to the mail user, also when root restores; a backup may be root's.
class MailUser {
 public:
  explicit MailUser(const Fd& base) {
    struct stat st{};
    if (geteuid() != 0 || fstat(base.get(), &st) != 0) return;
    uid_ = st.st_uid;
    gid_ = st.st_gid;
  }
  [[nodiscard]] uid_t uid() const { return uid_; }
  [[nodiscard]] gid_t gid() const { return gid_; }
  // For all threads. Ends the process when it can not: nothing may be made as somebody else.
  void become() const {
    if (changes() && (setegid(gid_) != 0 || seteuid(uid_) != 0))
      fatal("can not become the owner of base_dir");
  }
  void leave() const {
    if (changes() && (seteuid(0) != 0 || setegid(0) != 0)) fatal("can not become root again");
  }
  // While it lives this thread, and no other, opens files as root.
  class Reading {
   public:
    explicit Reading(const MailUser& user) : user_(user) {
      if (user_.changes()) setfsuid(0);
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() {
      if (user_.changes()) setfsuid(user_.uid_);
    }

   private:
    const MailUser& user_;
  };

 private:
  [[nodiscard]] bool changes() const { return uid_ != kNobody && uid_ != 0; }
  static constexpr uid_t kNobody = static_cast<uid_t>(-1);
  uid_t uid_ = kNobody;
  gid_t gid_ = static_cast<gid_t>(-1);
};

// Where the messages come from, and what the account was then.
struct Source {
  std::optional<store::AccountDir> backup;  // none: the account's own journal
  store::BackupManifest manifest;
  std::unique_ptr<store::JournalReader> reader;
  store::Folded then;
  std::vector<std::string> problems, notes;
};

struct Report {
  bool new_account = false;
  uint64_t last_seq = 0;
  uint32_t last_time = 0;
  store::RestorePlan plan;
  store::RestoreOutcome outcome;
  std::vector<std::string> problems, notes;
};

Result<Source> open_source(const Fd& base, const Wanted& wanted) {
  Source source;
  store::FoldUntil until;
  if (wanted.at) until.time = *wanted.at;
  if (wanted.from.empty()) {
    TRY(auto own, store::JournalReader::open(base, wanted.user));
    source.reader = std::make_unique<store::JournalReader>(std::move(own));
  } else {
    std::string path = wanted.from + "/" + wanted.account;
    struct stat st{};
    // A backup that was put aside is named itself.
    if (stat((wanted.from + "/" + store::kManifestName).c_str(), &st) == 0) path = wanted.from;
    if (stat(path.c_str(), &st) != 0 && errno == ENOENT)
      return fail(Fault::not_found,
                  fmt::format("{} has no backup of {}", wanted.from, wanted.user));
    TRY(store::AccountDir dir, store::AccountDir::at(store::Disk::real(), path));
    auto manifest = store::read_manifest(dir);
    if (!manifest && manifest.error().code() == "VERSION") return std::unexpected(manifest.error());
    if (!manifest) {
      // Its segments speak for themselves.
      source.problems.push_back(manifest.error().detail() + "; done without it");
      manifest = store::salvage_manifest(dir, wanted.account);
      if (!manifest) return std::unexpected(manifest.error());
    }
    source.manifest = *std::move(manifest);
    if (source.manifest.account != wanted.account)
      return fail(Fault::refused,
                  fmt::format("{} is a backup of {}, not of {}", path,
                              source.manifest.user.empty() ? "account " + source.manifest.account
                                                           : source.manifest.user,
                              wanted.user));
    TRY(Fd journal, dir.open_file("journal", O_RDONLY | O_DIRECTORY));
    source.reader = std::make_unique<store::JournalReader>(std::move(journal), path + "/journal");
    source.backup.emplace(std::move(dir));
    until.seq = source.manifest.end.seq;
    if (wanted.at && source.manifest.end.time != 0 && *wanted.at > source.manifest.end.time)
      source.notes.push_back(fmt::format("the backup ends earlier, with record {} of {}",
                                         source.manifest.end.seq,
                                         store::utc_text(source.manifest.end.time)));
  }
  TRY(source.then, source.reader->fold(until, [&](const store::JournalDamage& damage) {
    source.problems.push_back(store::to_string(damage));
  }));
  if (source.then.state.mailboxes().empty())
    return fail(Fault::not_found,
                wanted.at ? fmt::format("there is nothing of {} or before", wanted.at_text)
                          : std::string("the backup is empty"));
  return source;
}

// How much higher the numbers are that the backup knows to be given out later.
uint32_t skip_after(const store::AccountState& then, const store::AccountState& end) {
  uint64_t most =
      end.next_message().value - std::min(then.next_message(), end.next_message()).value;
  most = std::max<uint64_t>(most, end.next_mailbox().value - then.next_mailbox().value);
  for (const auto& [id, mailbox] : then.mailboxes()) {
    if (const auto later = end.mailbox(id))
      most = std::max<uint64_t>(most, later->info().uidnext.value - mailbox->info().uidnext.value);
  }
  return static_cast<uint32_t>(std::min<uint64_t>(most, 100'000'000));
}

Status make_account(const Fd& base, const Wanted& wanted, const MailUser& owner, Source& source,
                    Report& report) {
  report.new_account = true;
  report.last_seq = source.then.state.seq();
  for (const auto& [id, mailbox] : source.then.state.mailboxes())
    report.outcome.restored += mailbox->info().messages;
  report.outcome.created = source.then.state.mailboxes().size();
  if (wanted.dry_run) return {};
  TRY(const store::Folded end, source.reader->fold({.seq = source.manifest.end.seq}));
  cli::Progress progress(!wanted.quiet);
  const store::RestoreJob job{
      .account = wanted.account,
      .upto = source.then.state.seq(),
      .skip = skip_after(source.then.state, end.state),
      .now = static_cast<uint32_t>(time(nullptr)),
      .uid = owner.uid(),
      .gid = owner.gid(),
      .progress = [&](uint64_t done, uint64_t total) {
        progress.show(fmt::format("{} of {}", size_text(done), size_text(total)));
      }};
  TRY(auto made, store::restore_account(base, *source.backup, source.manifest, job));
  report.outcome.bytes = made.bytes;
  for (auto& text : made.problems)
    if (std::ranges::find(report.problems, text) == report.problems.end())
      report.problems.push_back(std::move(text));
  return {};
}

// Is the backup a beginning of this journal? Then message ids mean the same in both.
Result<bool> begins_with(store::JournalReader& journal, const store::BackupManifest& manifest) {
  bool found = false;
  TRY_STATUS(journal.visit({.record =
                                [&](const store::JournalRecord& record) {
                                  if (record.header.seq == manifest.end.seq)
                                    found = record.header.id == manifest.end.id;
                                  return record.header.seq < manifest.end.seq;
                                }},
                           {.from = manifest.end.seq, .thorough = true}));
  return found;
}

// `journal`: of the account as it is, nullptr when there is none.
Result<store::RestorePlan> compare(const Wanted& wanted, bool same, Source& source,
                                   const store::Folded& now, store::JournalReader* journal) {
  const auto digest = [](store::JournalReader* reader, const store::Folded& folded) {
    return [reader, &folded](const store::MessageEntry& entry) -> Result<std::string> {
      const auto place = folded.places.find(entry.message);
      if (place == folded.places.end()) return fail(Fault::not_found, "no such message");
      TRY(const std::string bytes,
          reader->read(place->second, entry.message, store::Part::message));
      return sha256(bytes);
    };
  };
  return store::plan_restore({.then = source.then.state,
                              .now = now.state,
                              .same_ids = same,
                              .then_digest = digest(source.reader.get(), source.then),
                              .now_digest = digest(journal, now)},
                             wanted.scope);
}

// `exists`: there is an account. Otherwise one is made, as for a user who logs in.
Status change_account(const config::Config& config, const Wanted& wanted, const MailUser& owner,
                      bool exists, Source& source, Report& report) {
  std::unique_ptr<store::OfflineAccount> offline;
  TRY(Fd base, store::open_base(config.base_dir));
  if (!wanted.dry_run) {
    log::set_level(log::Level::warn);
    TRY(Fd own, store::open_base(config.base_dir));
    owner.become();
    auto opened = store::OfflineAccount::open(store_options(config, std::move(own)), wanted.user,
                                              kTakeOver, /*create=*/!exists);
    owner.leave();
    if (!opened) return std::unexpected(opened.error());
    offline = *std::move(opened);
  }
  std::optional<store::JournalReader> journal;
  store::Folded now;
  if (exists || offline) {
    TRY(journal, store::JournalReader::open(base, wanted.user));
    TRY(now, journal->fold());
  }
  bool same = true;
  if (source.backup && journal) {
    TRY(same, begins_with(*journal, source.manifest));
  }
  TRY(report.plan, compare(wanted, same, source, now, journal ? &*journal : nullptr));
  if (wanted.dry_run) return {};

  cli::Progress progress(!wanted.quiet);
  store::RestoreSteps steps;
  steps.same_ids = same;
  steps.read = [&](const store::MessageEntry& entry) -> Result<store::MessageParts> {
    const auto place = source.then.places.find(entry.message);
    if (place == source.then.places.end())
      return fail(Fault::not_found, "its record is not in the journal");
    const MailUser::Reading as_root(owner);
    auto bytes = source.reader->read(place->second, entry.message, store::Part::message);
    auto structure = source.reader->read(place->second, entry.message, store::Part::structure);
    if (!bytes) return std::unexpected(bytes.error());
    if (!structure) return std::unexpected(structure.error());
    return store::MessageParts{*std::move(bytes), *std::move(structure)};
  };
  steps.progress = [&](uint64_t done, uint64_t total) {
    progress.show(fmt::format("{} of {} messages", done, total));
  };
  owner.become();
  auto outcome = offline->run(store::carry_out(offline->account(), report.plan, std::move(steps)));
  offline->close();
  owner.leave();
  if (!outcome) return std::unexpected(outcome.error());
  report.outcome = *std::move(outcome);
  for (const auto& text : report.outcome.problems) report.problems.push_back(text);
  return {};
}

Json texts(const std::vector<std::string>& list) {
  Json::List out;
  for (const auto& text : list) out.emplace_back(text);
  return Json(std::move(out));
}

void print_json(const Wanted& wanted, const Report& report, const std::string& error) {
  const auto& o = report.outcome;
  Json::List mailboxes;
  for (const auto& m : report.plan.mailboxes) {
    uint64_t flags = 0;
    for (const auto& [what, uids] : m.flags) flags += uids.size();
    mailboxes.emplace_back(Json::Object{{"name", Json(m.name)},
                                        {"create", Json(m.create)},
                                        {"missing", Json(m.missing.size())},
                                        {"there", Json(m.there)},
                                        {"flags", Json(flags)},
                                        {"later", Json(m.later.size())}});
  }
  const Json all(Json::Object{
      {"user", Json(wanted.user)},
      {"from", wanted.from.empty() ? Json() : Json(wanted.from)},
      {"at", wanted.at ? Json(store::utc_text(*wanted.at)) : Json()},
      {"dry_run", Json(wanted.dry_run)},
      {"good", Json(error.empty() && report.problems.empty())},
      {"new_account", Json(report.new_account)},
      {"last_record", Json(report.last_seq)},
      {"last_time", report.last_time ? Json(store::utc_text(report.last_time)) : Json()},
      {"mailboxes_created", Json(o.created)},
      {"messages_restored", Json(o.restored)},
      {"bytes", Json(o.bytes)},
      {"flags_changed", Json(o.reflagged)},
      {"messages_expunged", Json(o.expunged)},
      {"mailboxes_removed", Json(o.removed)},
      {"subscriptions_changed", Json(o.subscriptions)},
      {"special_uses_changed", Json(o.uses)},
      {"plan", Json(std::move(mailboxes))},
      {"notes", texts(report.notes)},
      {"problems", texts(report.problems)},
      {"error", error.empty() ? Json() : Json(error)}});
  std::printf("%s\n", all.dump(true).c_str());
}

void print(const Wanted& wanted, const Report& report) {
  for (const auto& text : report.notes) complain("note: " + text, kDone);
  for (const auto& text : report.problems) complain(text, kFailed);
  if (wanted.quiet) return;
  const std::string when =
      fmt::format("as of record {}{}", report.last_seq,
                  report.last_time ? " of " + store::utc_text(report.last_time) : "");
  const auto& o = report.outcome;
  if (report.new_account) {
    std::printf("%s: the account %s made %s, %llu mailboxes, %llu messages\n", wanted.user.c_str(),
                wanted.dry_run ? "would be" : "was", when.c_str(),
                static_cast<unsigned long long>(o.created),
                static_cast<unsigned long long>(o.restored));
    return;
  }
  for (const auto& m : report.plan.mailboxes) {
    size_t flags = 0;
    for (const auto& [what, uids] : m.flags) flags += uids.size();
    if (!m.create && m.missing.empty() && flags == 0 && m.later.empty()) continue;
    std::printf("  %s: %s%zu missing, %zu there, %zu with other flags", m.name.c_str(),
                m.create ? "new, " : "", m.missing.size(), m.there, flags);
    if (wanted.scope.exact) std::printf(", %zu came later", m.later.size());
    std::printf("\n");
  }
  for (const auto& name : report.plan.noselect)
    std::printf("  %s: new, \\Noselect\n", name.c_str());
  for (const auto& name : report.plan.remove)
    std::printf("  %s: made later, removed\n", name.c_str());
  for (const auto& [name, use] : report.plan.uses)
    std::printf(
        "  %s: %s\n", name.c_str(),
        use == store::SpecialUse::none ? "no special use" : std::string(store::name(use)).c_str());
  if (wanted.dry_run) {
    std::printf("%s: compared %s; nothing was changed\n", wanted.user.c_str(), when.c_str());
    return;
  }
  std::printf("%s: %llu messages (%s) restored %s, %llu got other flags, %llu expunged\n",
              wanted.user.c_str(), static_cast<unsigned long long>(o.restored),
              size_text(o.bytes).c_str(), when.c_str(),
              static_cast<unsigned long long>(o.reflagged),
              static_cast<unsigned long long>(o.expunged));
}

int carry_out(const Invocation& how, const Wanted& wanted) {
  const Loaded loaded = load(how, false);
  if (!loaded.config) return loaded.status;
  const auto base = store::open_base(loaded.config->base_dir);
  if (!base) return complain(base.error());
  const MailUser owner(*base);
  Report report;
  const auto end = [&](const Error& error) {
    if (wanted.json) print_json(wanted, report, error.detail());
    if (error.code() == "INUSE")
      return complain(error.detail() + "; try again, or stop the suite", kFailed);
    return complain(error);
  };
  const bool exists = store::account_exists(*base, wanted.account);
  if (!exists && wanted.from.empty())
    return end(Error(Fault::not_found, wanted.user + " has no account; --from names a backup"));
  // A mailbox or a message goes into an account, which is made for whom the user list has.
  const bool into = exists || !wanted.scope.mailbox.empty();
  if (into && !exists && std::ranges::none_of(loaded.config->users, [&](const auto& known) {
        return known.name == wanted.user;
      }))
    return end(Error(Fault::not_found,
                     fmt::format("{} has no account and is not in user_list of {}; add the user, "
                                 "or restore the whole account, without --mailbox",
                                 wanted.user, loaded.file)));
  auto source = open_source(*base, wanted);
  if (!source) return end(source.error());
  report.last_seq = source->then.state.seq();
  report.last_time = source->then.time;
  report.problems = source->problems;
  report.notes = source->notes;
  const Status done = into ? change_account(*loaded.config, wanted, owner, exists, *source, report)
                           : make_account(*base, wanted, owner, *source, report);
  if (!done) return end(done.error());
  if (wanted.json)
    print_json(wanted, report, "");
  else
    print(wanted, report);
  return report.problems.empty() ? kDone : kFailed;
}

}  // namespace

int restore(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Wanted wanted;
  bool help = false;
  std::string uids;
  cli::OptionParser parser("rims-ctl restore [options] USER");
  parser.add_flag('h', "help", "Show this message.", help);
  parser.add_value('c', "config", "FILE", "The configuration.", with.config);
  parser.add_value(0, "from", "DIR", "The backup; without it, the account's own journal.",
                   wanted.from);
  parser.add_value(0, "at", "TIME", "As it was then: RFC 3339, or \"YYYY-MM-DD HH:MM\" local time.",
                   wanted.at_text);
  parser.add_value(0, "mailbox", "NAME", "Only this mailbox.", wanted.scope.mailbox);
  parser.add_value(0, "uid", "SET", "Only these messages of it, such as 1:5,8.", uids);
  parser.add_value(0, "into", "NAME", "Into this mailbox.", wanted.scope.into);
  parser.add_flag(0, "exact", "What came later is expunged.", wanted.scope.exact);
  parser.add_flag('n', "dry-run", "Change nothing, only say what would be done.", wanted.dry_run);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  parser.add_flag('q', "quiet", "Say only what is not well.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("restore: " + operands.error().reply(), kUsage);
  if (help) {
    std::fputs(parser.help().c_str(), stdout);
    return kDone;
  }
  const auto wrong = [](const std::string& text) { return complain("restore: " + text, kUsage); };
  if (operands->size() != 1) return wrong("need one USER");
  wanted.user = operands->front();
  wanted.account = unique_user_id(wanted.user);
  if (wanted.from.empty() && wanted.at_text.empty())
    return wrong("need --from DIR, --at TIME or both");
  if (wanted.scope.mailbox.empty() && (!uids.empty() || !wanted.scope.into.empty()))
    return wrong("--uid and --into need --mailbox");
  if (wanted.scope.exact && (!uids.empty() || !wanted.scope.into.empty()))
    return wrong("--exact is for whole mailboxes, without --uid and --into");
  if (!wanted.at_text.empty()) {
    const auto at = cli::parse_time_point(wanted.at_text);
    if (!at) return wrong(at.error().reply());
    if (*at <= 0 || *at >= INT64_C(0xffffffff)) return wrong(wanted.at_text + " is out of range");
    wanted.at = static_cast<uint32_t>(*at);
  }
  if (!uids.empty()) {
    auto set = store::parse_uid_set(uids);
    if (!set) return wrong(set.error().reply());
    wanted.scope.uids = *std::move(set);
  }
  if (wanted.json) wanted.quiet = true;
  return carry_out(with, wanted);
}

}  // namespace rims::ctl
