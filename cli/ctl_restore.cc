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
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sodium.h>

#include "cli/ctl.h"
#include "cli/ctl_account.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/time_point.h"
#include "common/account/offline.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_segments.h"
#include "common/journal/reader.h"
#include "common/journal/takeover.h"
#include "common/maintenance/backup.h"
#include "common/maintenance/inspect.h"
#include "common/maintenance/lost_records.h"
#include "common/maintenance/restore_account.h"
#include "common/maintenance/restore_plan.h"
#include "common/maintenance/restore_run.h"
#include "common/maintenance/restore_segments.h"
#include "common/names/names.h"

namespace rims::ctl {
namespace {

using cli::size_text;
constexpr Milliseconds kTakeOver{30'000};

struct Wanted {
  std::string user, account, of, from, at_text;
  std::optional<uint32_t> at;
  store::RestoreScope scope;
  bool dry_run = false, json = false, quiet = false;
};

// Where the messages come from, and the state of the account at the wanted time.
struct Source {
  std::optional<store::AccountDir> backup;  // none: the account's own journal
  store::BackupManifest manifest;
  std::unique_ptr<store::JournalReader> reader;
  store::Folded then;
  bool lost = false;  // records that others build on
  std::vector<std::string> problems, notes;
};

struct Report {
  bool new_account = false;
  uint64_t last_seq = 0;
  uint32_t last_time = 0;
  store::RestorePlan plan;
  store::RestoreOutcome outcome;
  std::vector<std::string> mended;  // segments of the journal
  std::vector<std::string> problems, notes;
};

// Files that are shorter than the manifest says, or not there: the state that they give is an
// earlier one, or one that the account never had.
Status tell_lost_ends(Source& source, const store::FoldUntil& until) {
  store::FileSegments files(*source.backup);
  for (const auto& s : source.manifest.segments) {
    if (s.records == 0 || s.from > until.seq) continue;
    const auto file = files.open(s.number, store::Access::read);
    if (!file && file.error().system() != ENOENT) continue;  // told by whoever reads it
    const uint64_t size = file ? (*file)->size().value_or(0) : 0;
    if (size >= s.size) continue;
    source.problems.push_back(fmt::format(
        "{}/journal/{} {}: the backup had records {} to {} there; what is restored is what the "
        "rest "
        "of it says",
        source.backup->path(), store::segment_name(s.number),
        file ? fmt::format("has {} of {} bytes", size, s.size) : std::string("is missing"), s.from,
        s.to));
  }
  return {};
}

Result<Source> open_source(const Fd& base, const Wanted& wanted) {
  Source source;
  store::FoldUntil until;
  if (wanted.at) until.time = *wanted.at;
  if (wanted.from.empty()) {
    TRY(auto own, store::JournalReader::open(base, wanted.user));
    source.reader = std::make_unique<store::JournalReader>(std::move(own));
  } else {
    std::string path = wanted.from + "/" + unique_user_id(wanted.of);
    struct stat st{};
    // --from may also be the directory of one account's backup, for example a copy of it.
    if (stat((wanted.from + "/" + store::kManifestName).c_str(), &st) == 0) path = wanted.from;
    if (stat(wanted.from.c_str(), &st) != 0)
      return fail(Fault::not_found, fmt::format("{}: {}; --from names the directory of a backup",
                                                wanted.from, errno_text(errno)));
    if (!S_ISDIR(st.st_mode))
      return fail(Fault::not_found,
                  fmt::format("{} is not a directory; --from names the directory of a backup",
                              wanted.from));
    if (stat(path.c_str(), &st) != 0 && errno == ENOENT)
      return fail(Fault::not_found, fmt::format("{} has no backup of {}", wanted.from, wanted.of));
    TRY(store::AccountDir dir, store::AccountDir::at(store::Disk::real(), path));
    auto manifest = store::read_manifest(dir);
    if (!manifest && manifest.error().code() == "VERSION") return std::unexpected(manifest.error());
    if (!manifest) {
      // The segments alone are enough to restore from.
      source.problems.push_back(manifest.error().detail() + "; the restore works without it");
      manifest = store::salvage_manifest(dir, unique_user_id(wanted.of));
      if (!manifest) return std::unexpected(manifest.error());
    }
    source.manifest = *std::move(manifest);
    TRY(Fd journal, dir.open_file("journal", O_RDONLY | O_DIRECTORY));
    source.reader = std::make_unique<store::JournalReader>(std::move(journal), path + "/journal");
    TRY_STATUS(store::is_backup_of(wanted.of, *source.reader, source.manifest, path));
    source.backup.emplace(std::move(dir));
    until.seq = source.manifest.end.seq;
    if (wanted.at && source.manifest.end.time != 0 && *wanted.at > source.manifest.end.time)
      source.notes.push_back(fmt::format("the backup ends earlier, with record {} of {}",
                                         source.manifest.end.seq,
                                         store::utc_text(source.manifest.end.time)));
  }
  TRY(source.then, source.reader->fold(until, [&](const store::JournalDamage& damage) {
    source.problems.push_back(store::to_string(damage));
    source.lost = source.lost || damage.lost > 0;
  }));
  if (source.backup) {
    TRY_STATUS(tell_lost_ends(source, until));
  }
  if (source.then.state.mailboxes().empty())
    return fail(Fault::not_found,
                wanted.at ? fmt::format("there is no record from {} or before", wanted.at_text)
                          : std::string("the backup is empty"));
  return source;
}

// The account as the backup knows it last, whatever time is wanted: what it has given out must not
// be given out again.
Result<store::AccountState> end_of(Source& source) {
  if (source.then.state.seq() == source.manifest.end.seq) return source.then.state;
  TRY(store::Folded end, source.reader->fold({.seq = source.manifest.end.seq}));
  return std::move(end.state);
}

store::Unseen unseen(const Source& source, const store::AccountState& end) {
  const auto& manifest = source.manifest;
  return store::unseen_since(end, manifest.made > 0 ? manifest.made : manifest.end.time,
                             time(nullptr), randombytes_random());
}

// How many numbers (of messages, mailboxes and UIDs) were given out between `then` and `end`:
// clients may know them, so they must not be given out again.
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

Status make_account(const Fd& base, const Wanted& wanted, Source& source, Report& report) {
  report.new_account = true;
  report.last_seq = source.then.state.seq();
  for (const auto& [id, mailbox] : source.then.state.mailboxes()) {
    report.outcome.restored += mailbox->info().messages;
    for (const auto& e : mailbox->messages())
      if (!source.then.places.contains(e.message))
        report.problems.push_back(fmt::format(
            "{}: the message with uid {} has no bytes in the backup: they were given back, or are "
            "lost; it is listed and can not be read",
            mailbox->info().name, e.uid.value));
  }
  report.outcome.created = source.then.state.mailboxes().size();
  if (wanted.dry_run) return {};
  TRY(const store::AccountState end, end_of(source));
  std::vector<MailboxId> selectable;
  for (const auto& [id, mailbox] : source.then.state.mailboxes())
    if (!mailbox->info().noselect) selectable.push_back(id);
  cli::Progress progress(!wanted.quiet);
  const store::RestoreJob job{
      .account = wanted.account,
      .new_user = wanted.of == wanted.user ? std::string() : wanted.user,
      .upto = source.then.state.seq(),
      .skip = skip_after(source.then.state, end),
      .unseen = unseen(source, end),
      .mailboxes = std::move(selectable),
      .now = static_cast<uint32_t>(time(nullptr)),
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

// True when this journal begins with the records of the backup: then message ids mean the same in
// both.
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

// Segments of the account that are there and not used: a line each, with what to do.
Result<std::vector<std::string>> unused_segments(store::JournalReader& journal) {
  std::vector<std::string> lines;
  TRY_STATUS(journal.visit({.segment = {},
                            .record = {},
                            .damage =
                                [&](const store::JournalDamage& damage) {
                                  if (!damage.remedy.empty())
                                    lines.push_back(
                                        fmt::format("{}; {}", to_string(damage), damage.remedy));
                                },
                            .foreign = {}}));
  return lines;
}

store::Digest digest_of(store::JournalReader& reader, const store::Folded& folded) {
  return [&reader, &folded](const store::MessageEntry& entry) -> Result<std::string> {
    const auto place = folded.places.find(entry.message);
    if (place == folded.places.end()) return fail(Fault::not_found, "no such message");
    TRY(const std::string bytes, reader.read(place->second, entry.message, store::Part::message));
    return sha256(bytes);
  };
}

// First the segments of the journal are made whole: what comes back so is as it was.
Status mend_journal(const Fd& base, const Wanted& wanted, const Source& source, Report& report) {
  const auto mend = [&](store::Segments& live, std::function<Status()> first) -> Status {
    store::FileSegments copies(*source.backup);
    TRY(auto mended, store::mend_segments(live, copies, source.manifest, std::move(first)));
    report.mended = std::move(mended.lines);
    for (auto& text : mended.problems) report.problems.push_back(std::move(text));
    return {};
  };
  if (wanted.dry_run) {
    const std::string path = store::account_path_of(wanted.account) + "/journal";
    store::Disk& disk = store::Disk::real();
    Fd journal(disk.open(base.get(), path.c_str(), O_RDONLY | O_DIRECTORY, 0));
    if (!journal) return store::fail_to_open(path, errno);
    store::FileSegments live(std::move(journal), path, disk);
    return mend(live, {});
  }
  TRY(const auto dir, store::take_account(base, wanted.user, kTakeOver));
  store::FileSegments live(dir);
  return mend(live, [&] { return store::set_dirty_flag(dir, true); });
}

// An older copy of the account may be in its place, or the end of its journal be lost: then the
// backup knows of numbers that clients have seen. Nothing is written before those are passed over.
Status pass_over(store::OfflineAccount* offline, store::JournalReader& journal, Source& source,
                 Report& report) {
  TRY(const store::AccountState end, end_of(source));
  bool behind = false;
  if (offline) {
    const auto& id = source.manifest.account_id;
    TRY(behind,
        offline->run(offline->account().pass_over(
            end, {reinterpret_cast<const char*>(id.data()), id.size()}, unseen(source, end))));
  } else {
    TRY(const store::Folded now, journal.fold());
    store::Id account{};
    TRY_STATUS(journal.visit(
        {.segment = [&](const store::JournalSegment& s) { account = s.header.account; },
         .record = {},
         .damage = {},
         .foreign = {}}));
    behind = account == source.manifest.account_id && now.state.is_behind(end);
  }
  if (behind)
    report.notes.push_back(fmt::format(
        "the account is older than the backup, which has records up to {}: UIDs and MODSEQs that "
        "clients may know {} passed over",
        end.seq(), offline ? "are" : "would be"));
  return {};
}

// A complete restore: that records of the journal are lost is no damage any more.
Status note_restored(const Fd& base, store::OfflineAccount& offline, const Wanted& wanted,
                     const Source& source) {
  TRY(auto journal, store::JournalReader::open(base, wanted.user));
  store::LostRecords lost;
  store::Id account{};
  TRY_STATUS(
      journal.visit({.segment = [&](const store::JournalSegment& s) { account = s.header.account; },
                     .record =
                         [&](const store::JournalRecord& record) {
                           const auto& h = record.header;
                           lost.see(h);
                           if (h.type == store::RecordType::restored)
                             if (const auto known = store::Restored::decode(record.meta, h.version))
                               lost.see(*known);
                           return true;
                         },
                     .damage = {},
                     .foreign = {}},
                    {.thorough = true}));
  if (account != source.manifest.account_id) return {};
  const std::string kept = store::account_path_of(wanted.account) + "/quarantine";
  const auto names = store::list_directory(store::Disk::real(), base.get(), kept, kept);
  const bool indexes = names && std::ranges::any_of(*names, [](const std::string& name) {
                         return name.starts_with("index-");
                       });
  auto ranges = store::made_good_by(lost, source.manifest.end.seq, indexes);
  return ranges.empty() ? Status()
                        : offline.run(offline.account().note_restored(std::move(ranges)));
}

// `exists`: there is an account. Otherwise one is made, as for a user who logs in.
Status change_account(const config::Config& config, const Wanted& wanted, bool exists,
                      Source& source, Report& report) {
  std::unique_ptr<store::OfflineAccount> offline;
  TRY(Fd base, store::open_base(config.base_dir));
  if (exists && source.backup && !wanted.at && wanted.scope.mailbox.empty()) {
    TRY_STATUS(mend_journal(base, wanted, source, report));
  }
  if (!wanted.dry_run) {
    log::set_level(log::Level::warn);
    TRY(Fd own, store::open_base(config.base_dir));
    auto opened = store::OfflineAccount::open(store_options(config, std::move(own)), wanted.user,
                                              kTakeOver, /*create=*/!exists);
    if (!opened) return std::unexpected(opened.error());
    offline = *std::move(opened);
  }
  std::optional<store::JournalReader> journal;
  store::Folded now;
  bool same = true, replace = false;
  if (exists || offline) {
    TRY(journal, store::JournalReader::open(base, wanted.user));
  }
  if (source.backup && journal) {
    TRY(same, begins_with(*journal, source.manifest));
    // What is in a segment that is not used comes back when that is mended: restored now, it would
    // be there twice.
    TRY(const auto unused, unused_segments(*journal));
    if (!unused.empty()) {
      for (const auto& text : unused) report.problems.push_back(text);
      return fail(Fault::refused,
                  "a segment of the account can not be used; nothing was restored, "
                  "because all in it is there again when that is mended");
    }
    replace = true;
    TRY_STATUS(pass_over(offline.get(), *journal, source, report));
    if (source.lost && same && wanted.scope.mailbox.empty()) {
      // Expunges and flags may be in what the backup has lost: they would be taken back.
      bool lost = false;
      TRY_STATUS(journal->visit(
          {.segment = {},
           .record = {},
           .damage = [&](const store::JournalDamage& damage) { lost = lost || damage.lost > 0; },
           .foreign = {}}));
      if (!lost)
        return fail(Fault::refused,
                    "the backup has lost records, and the account has them: nothing was restored, "
                    "because flags and expunged messages would come back as they never were "
                    "together; --mailbox NAME restores what is missing of one mailbox");
    }
  }
  store::Digest now_digest;
  if (offline) {
    // What the server has: its index may know more than a journal that has lost records.
    TRY(const auto* whole, offline->run(offline->account().whole_state()));
    now.state = *whole;  // the mailboxes stay loaded
    now_digest = [&](const store::MessageEntry& entry) -> Result<std::string> {
      TRY(const std::string bytes, offline->run(offline->account().read(entry.message)));
      return sha256(bytes);
    };
  } else if (journal) {
    bool lost = false;
    TRY(now,
        journal->fold({}, [&](const store::JournalDamage& damage) { lost |= damage.lost > 0; }));
    if (lost)
      report.notes.emplace_back(
          "the journal of the account has lost records; its index may know what they said, so that "
          "less is missing than is said here");
    now_digest = digest_of(*journal, now);
  }
  TRY(report.plan, store::plan_restore({.then = source.then.state,
                                        .now = now.state,
                                        .same_ids = same,
                                        .replace_damaged = replace,
                                        .then_digest = digest_of(*source.reader, source.then),
                                        .now_digest = now_digest},
                                       wanted.scope));
  for (const auto& mailbox : report.plan.mailboxes) {
    for (const auto uid : mailbox.hopeless)
      report.problems.push_back(
          fmt::format("{}: the message with uid {} is damaged, and in the "
                      "backup as well; expunge it, or try an older backup",
                      mailbox.name, uid.value));
  }
  if (wanted.dry_run) return {};

  cli::Progress progress(!wanted.quiet);
  store::RestoreSteps steps;
  steps.same_ids = same;
  steps.read = [&](const store::MessageEntry& entry) -> Result<store::MessageParts> {
    const auto place = source.then.places.find(entry.message);
    if (place == source.then.places.end())
      return fail(Fault::not_found, "its record is not in the journal");
    auto bytes = source.reader->read(place->second, entry.message, store::Part::message);
    auto structure = source.reader->read(place->second, entry.message, store::Part::structure);
    if (!bytes) return std::unexpected(bytes.error());
    if (!structure) return std::unexpected(structure.error());
    return store::MessageParts{*std::move(bytes), *std::move(structure)};
  };
  steps.progress = [&](uint64_t done, uint64_t total) {
    progress.show(fmt::format("{} of {} messages", done, total));
  };
  auto outcome = offline->run(store::carry_out(offline->account(), report.plan, std::move(steps)));
  if (!outcome) return std::unexpected(outcome.error());
  report.outcome = *std::move(outcome);
  for (const auto& text : report.outcome.problems) report.problems.push_back(text);
  if (source.backup && !wanted.at && wanted.scope.mailbox.empty() && report.problems.empty() &&
      !source.lost) {
    TRY_STATUS(note_restored(base, *offline, wanted, source));
  }
  offline->close();
  return {};
}

// Messages that are there, and missing because they can not be read.
size_t damaged_in(const store::MailboxPlan& plan) {
  return plan.damaged.size() - static_cast<size_t>(std::ranges::count(plan.damaged, Uid(0)));
}

void print_json(const Wanted& wanted, const Report& report, const std::string& error) {
  const auto& o = report.outcome;
  Json mailboxes = Json::array();
  for (const auto& m : report.plan.mailboxes) {
    uint64_t flags = 0;
    for (const auto& [what, uids] : m.flags) flags += uids.size();
    mailboxes.push_back(Json{{"name", m.name},
                             {"create", m.create},
                             {"missing", m.missing.size() - damaged_in(m)},
                             {"damaged", damaged_in(m) + m.doubled.size()},
                             {"there", m.there},
                             {"flags", flags},
                             {"later", m.later.size()}});
  }
  const Json all = {
      {"user", wanted.user},
      {"from", wanted.from.empty() ? Json() : Json(wanted.from)},
      {"at", wanted.at ? Json(store::utc_text(*wanted.at)) : Json()},
      {"dry_run", wanted.dry_run},
      {"good", error.empty() && report.problems.empty()},
      {"new_account", report.new_account},
      {"segments_mended", report.mended},
      {"last_record", report.last_seq},
      {"last_time", report.last_time ? Json(store::utc_text(report.last_time)) : Json()},
      {"mailboxes_created", o.created},
      {"messages_restored", o.restored},
      {"bytes", o.bytes},
      {"damaged_replaced", o.replaced},
      {"flags_changed", o.reflagged},
      {"messages_expunged", o.expunged},
      {"mailboxes_removed", o.removed},
      {"subscriptions_changed", o.subscriptions},
      {"special_uses_changed", o.uses},
      {"annotations_changed", o.annotations},
      {"plan", std::move(mailboxes)},
      {"notes", report.notes},
      {"problems", report.problems},
      {"error", error.empty() ? Json() : Json(error)}};
  std::printf("%s\n", json_text(all, true).c_str());
}

void print(const Wanted& wanted, const Report& report) {
  for (const auto& text : report.notes) complain("note: " + text, kDone);
  for (const auto& text : report.problems) complain(text, kFailed);
  if (wanted.quiet) return;
  const std::string when =
      fmt::format("as of record {}{}", report.last_seq,
                  report.last_time ? " of " + store::utc_text(report.last_time) : "");
  const auto& o = report.outcome;
  for (const auto& text : report.mended) std::printf("  %s\n", text.c_str());
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
    const size_t damaged = damaged_in(m) + m.doubled.size();
    if (!m.create && m.missing.empty() && damaged == 0 && flags == 0 && m.later.empty()) continue;
    std::printf("  %s: %s%zu missing, %zu there, %zu with other flags", m.name.c_str(),
                m.create ? "new, " : "", m.missing.size() - damaged_in(m), m.there, flags);
    if (damaged > 0) std::printf(", %zu damaged", damaged);
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
  for (const auto& [name, changes] : report.plan.annotations)
    std::printf("  %s: %zu other annotations\n", name.empty() ? "the account" : name.c_str(),
                changes.size());
  if (wanted.dry_run) {
    std::printf("%s: compared %s; nothing was changed\n", wanted.user.c_str(), when.c_str());
    return;
  }
  std::printf("%s: %llu messages (%s) restored %s, %llu got other flags, %llu expunged\n",
              wanted.user.c_str(), static_cast<unsigned long long>(o.restored),
              size_text(o.bytes).c_str(), when.c_str(),
              static_cast<unsigned long long>(o.reflagged),
              static_cast<unsigned long long>(o.expunged));
  if (o.replaced > 0)
    std::printf("%s: %llu damaged messages were replaced; they have new UIDs\n",
                wanted.user.c_str(), static_cast<unsigned long long>(o.replaced));
}

int carry_out(const Invocation& how, Wanted wanted) {
  const Loaded loaded = load(how, false);
  if (!loaded.config) return loaded.status;
  const auto base = store::open_base(loaded.config->base_dir);
  if (!base) return complain(base.error());
  const bool is_user = account_of_user(*loaded.config, wanted.user).has_value();
  // New files must belong to the mail user, but only root may be able to read the backup.
  if (const Status now = become_owner(*base, privdrop::Keep::reading); !now)
    return complain(now.error());
  Report report;
  // A backup may be of an account whose user was spelled in another way.
  const std::string exact = wanted.from + "/" + unique_user_id(wanted.user);
  if (wanted.from.empty() || access(exact.c_str(), F_OK) != 0) {
    auto name = account_name(*loaded.config, *base, wanted.user);
    if (!name) return complain(name.error());
    wanted.user = *std::move(name);
  }
  wanted.account = unique_user_id(wanted.user);
  if (wanted.of.empty()) wanted.of = wanted.user;
  const auto end = [&](const Error& error) {
    if (wanted.json) print_json(wanted, report, error.detail());
    if (error.code() == "INUSE")
      return complain(error.detail() + "; try again, or stop the suite", kFailed);
    return complain(error);
  };
  const auto there = store::account_exists(*base, wanted.account);
  if (!there) return end(there.error());
  const bool exists = *there;
  if (!exists && wanted.from.empty())
    return end(Error(Fault::not_found, wanted.user + " has no account; --from names a backup"));
  // --mailbox restores into an account. If there is none, one is made, but only for a user.
  const bool into = exists || !wanted.scope.mailbox.empty();
  if (into && !exists && !is_user)
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
  const Status done = into ? change_account(*loaded.config, wanted, exists, *source, report)
                           : make_account(*base, wanted, *source, report);
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
  std::string uids;
  cli::OptionParser parser("rims-ctl restore [options] USER");
  add_common(parser, with);
  parser.add_value(0, "from", "DIR", "The backup; without it, the account's own journal.",
                   wanted.from);
  parser.add_value(0, "of", "OTHER", "The backup is of this user's mail; it becomes that of USER.",
                   wanted.of);
  parser.add_value(0, "at", "TIME",
                   "The state at this time: RFC 3339, or \"YYYY-MM-DD HH:MM\" local time.",
                   wanted.at_text);
  parser.add_value(0, "mailbox", "NAME", "Only this mailbox.", wanted.scope.mailbox);
  parser.add_value(0, "uid", "SET", "Only these messages of it, such as 1:5,8.", uids);
  parser.add_value(0, "into", "NAME", "Into this mailbox.", wanted.scope.into);
  parser.add_flag(0, "exact", "Expunge what came after that time.", wanted.scope.exact);
  parser.add_flag('n', "dry-run", "Change nothing, only say what would be done.", wanted.dry_run);
  parser.add_flag(0, "json", "Report as JSON on standard output.", wanted.json);
  parser.add_flag('q', "quiet", "Report problems only.", wanted.quiet);
  const auto operands = parser.parse(args);
  if (!operands) return complain("restore: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const auto wrong = [](const std::string& text) { return complain("restore: " + text, kUsage); };
  if (operands->size() != 1) return wrong("need one USER");
  wanted.user = operands->front();
  if (wanted.from.empty() && wanted.at_text.empty())
    return wrong("need --from DIR, --at TIME or both");
  if (wanted.from.empty() && !wanted.of.empty()) return wrong("--of needs --from");
  if (wanted.scope.mailbox.empty() && (!uids.empty() || !wanted.scope.into.empty()))
    return wrong("--uid and --into need --mailbox");
  if (wanted.scope.exact && (!uids.empty() || !wanted.scope.into.empty()))
    return wrong("--exact is for whole mailboxes, without --uid and --into");
  if (!wanted.at_text.empty()) {
    const auto at = cli::parse_time_point(wanted.at_text);
    if (!at) return wrong(at.error().reply());
    if (*at <= 0 || *at >= INT64_C(0xffffffff)) return wrong(wanted.at_text + " is out of range");
    if (*at > time(nullptr))
      return wrong(fmt::format("--at {}: that is in the future; it is {} now", wanted.at_text,
                               store::utc_text(static_cast<uint32_t>(time(nullptr)))));
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
