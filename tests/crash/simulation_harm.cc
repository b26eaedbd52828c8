// tests/crash/simulation_harm.cc - files that somebody has altered between two processes
//
// An account with a past is closed, one thing in its journal is altered, and it is opened again. It
// may miss what was altered, but must say so: in the quarantine, by a failing check or read. What
// it serves is true. See simulation.h

#include <algorithm>
#include <fcntl.h>
#include <filesystem>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/journal/reader.h"
#include "common/journal/segment.h"
#include "tests/crash/simulation.h"

namespace rims::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOther = "bar";

void write_at(const fs::path& path, size_t offset, std::string_view bytes) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) < 0)
    fatal("the harm could not be done");
}

struct Region {
  fs::path path;
  size_t offset = 0, size = 0;
};

// All places of one kind in a segment: see checksum_mutant.
void find(const std::string& kind, const fs::path& path, const std::string& bytes,
          std::vector<Region>& found) {
  SegmentHeader segment;
  if (decode(bytes, segment) != HeaderState::good) return;
  if (kind == "segment header") {
    found.push_back({path, 0, kSegmentHeader});
    found.push_back({path, kSegmentHeaderCopy, kSegmentHeader});
    return;
  }
  const ReadAt read = [&](uint64_t offset, size_t size) -> Result<std::string> {
    return bytes.substr(std::min<size_t>(offset, bytes.size()), size);
  };
  const auto scan = scan_segment(read, bytes.size(), segment, true);
  if (!scan) return;
  if (kind == "footer") {
    if (!scan->sealed) return;
    const auto footer = decode_record(bytes.substr(scan->end), segment.segment);
    found.push_back({path, scan->end + kRecordHeader, footer->meta});
    return;
  }
  for (const auto& e : scan->entries) {
    const auto& h = e.header;
    const size_t meta = e.offset + kRecordHeader, aux = meta + h.meta, body = aux + h.aux;
    if (kind == "record header") found.push_back({path, e.offset, kRecordHeader});
    if (kind == "record meta") found.push_back({path, meta, h.meta});
    if (kind == "structure" && h.aux > 0) found.push_back({path, aux, h.aux});
    if (kind == "message" && h.body > 0) found.push_back({path, body, h.body});
    if (kind == "record") found.push_back({path, e.offset, h.total()});
  }
}

}  // namespace

// Another account on the same disk, with segments and records of the same numbers.
Task<Status> Simulation::fill_another() {
  CO_TRY(const auto other, co_await store_->open(kOther));
  for (uint32_t n = 1; n <= 40; n++) {
    std::vector<NewMessage> one(1);
    one[0].bytes = MessageBytes(text_of(run_ + 1, n));
    one[0].structure = structure_of(n);
    CO_TRY([[maybe_unused]] const Appended done,
           co_await other->append(other->find("INBOX")->id, std::move(one)));
  }
  co_return Status();
}

// False: there is nothing that could be altered so.
bool Simulation::do_harm() {
  const auto mine = segment_files();
  if (shape_.harm == Harm::number) {
    // A file that was put back under the wrong name.
    if (mine.size() < 2) return false;
    const size_t n = pick(mine.size() - 1);
    fs::copy_file(mine[n + 1], mine[n], fs::copy_options::overwrite_existing);
    return true;
  }
  const auto other_of = [&](const fs::path& path) {
    return account_dir(kOther) / "journal" / path.filename();
  };
  if (shape_.harm == Harm::account) {
    const auto& path = mine[pick(mine.size())];
    if (!fs::exists(other_of(path))) return false;
    fs::copy_file(other_of(path), path, fs::copy_options::overwrite_existing);
    return true;
  }
  const bool foreign = shape_.harm == Harm::record;
  std::vector<Region> regions;
  for (const auto& path : mine)
    find(foreign ? "record" : shape_.harm_in, path, content(path), regions);
  if (regions.empty()) return false;
  const Region at = regions[pick(regions.size())];
  if (!foreign) {
    const size_t bit = random_() % (at.size * 8);
    std::string byte = content(at.path).substr(at.offset + bit / 8, 1);
    byte[0] = static_cast<char>(byte[0] ^ (1 << bit % 8));
    write_at(at.path, at.offset + bit / 8, byte);
    return true;
  }
  // A write that went astray: a record where one of ours was.
  std::vector<Region> theirs;
  if (!fs::exists(other_of(at.path))) return false;
  find("record", other_of(at.path), content(other_of(at.path)), theirs);
  std::erase_if(theirs, [&](const Region& r) { return r.size > at.size; });
  if (theirs.empty()) return false;
  const Region from = theirs[pick(theirs.size())];
  write_at(at.path, at.offset, content(from.path).substr(from.offset, from.size));
  return true;
}

// What is served, as far as it can be read; `told`: it was said that something is wrong.
Task<Result<Model>> Simulation::observe_harmed(bool* told) {
  Model model;
  std::vector<MailboxId> ids;
  for (const auto* info : account_->mailboxes()) ids.push_back(info->id);
  for (const MailboxId id : ids) {
    const MailboxInfo* info = account_->find(id);
    const auto mailbox = co_await account_->open_mailbox(id);
    ModelMailbox& box = model.mailboxes[info->name];
    box.id = id.value;
    box.uidvalidity = info->uidvalidity.value;
    box.uidnext = info->uidnext.value;
    box.highest = info->highest_modseq.value;
    for (const auto& [entry, value] : account_->annotations(id)) box.annotations[entry] = value;
    if (!mailbox) {
      *told = true;
      continue;
    }
    const auto before = model_.mailboxes.find(info->name);
    const std::vector<MessageEntry> entries((*mailbox)->messages().begin(),
                                            (*mailbox)->messages().end());
    for (const auto& e : entries) {
      ModelMessage& m = box.messages[e.uid.value];
      m.flags = e.flags;
      m.modseq = e.modseq.value;
      for (auto& name : (*mailbox)->keywords_of(e)) m.keywords.insert(std::move(name));
      const bool known =
          before != model_.mailboxes.end() && before->second.messages.contains(e.uid.value);
      if (known) m.number = before->second.messages.at(e.uid.value).number;
      const auto text = co_await account_->read(e.message);
      const auto structure = co_await account_->read_structure(e.message);
      *told = *told || !text || !structure;
      if (text && !known) m.number = static_cast<uint32_t>(atoi(text->c_str() + 8));
      if ((text && *text != text_of(run_, m.number)) ||
          (structure && m.number != 0 && *structure != structure_of(m.number)))
        co_return fail(Fault::bug, "",
                       fmt::format("{} uid {} is served altered", info->name, e.uid.value));
    }
  }
  model.subscriptions.insert(account_->subscriptions().begin(), account_->subscriptions().end());
  co_return model;
}

std::string Simulation::play_harmed() {
  start_store();
  for (int i = 0; i < 3 && !failed(); i++) {
    open_account();
    if (!failed()) verify();
    if (!failed()) phase();
    if (!failed() && shape_.harm != Harm::bit && !run(loop_, fill_another()))
      return "the other account";
  }
  if (failed()) return failure_;
  if (chance(50)) run(loop_, store_->close_all());
  store_.reset();
  const size_t quarantined = quarantine_.size();
  if (!do_harm()) return {};
  tally_.faults++;
  if (chance(80)) index_.forget();
  start_store();
  auto opened = run(loop_, store_->open(kUser));
  // Whatever one bit was: the rest is served.
  if (!opened) return shape_.harm == Harm::bit ? opened.error().detail() : "";
  account_ = *std::move(opened);
  auto broken = run(loop_, account_->check());
  bool told = !broken || !broken->empty();
  const auto found = run(loop_, observe_harmed(&told));
  if (!found) {
    tally_.corrupt++;
    return found.error().detail();
  }
  std::error_code none;
  told = told || static_cast<size_t>(
                     std::distance(fs::directory_iterator(account_dir() / "quarantine", none),
                                   fs::directory_iterator())) > quarantined;
  // A segment that is not used is named by the log and by whoever looks at the journal.
  if (shape_.harm == Harm::number || shape_.harm == Harm::account) {
    auto reader = JournalReader::at((account_dir() / "journal").string(), disk_);
    const JournalVisitor look{.segment = {},
                              .record = {},
                              .damage = [&](const JournalDamage&) { told = true; },
                              .foreign = {}};
    if (!reader || !reader->visit(look)) told = true;
  }
  // The other copy has all of it.
  if (shape_.harm_in == "segment header" || shape_.harm_in == "footer") told = false;
  const std::string different = difference(model_, *found);
  if (told || different.empty()) return {};
  tally_.lost++;
  return "nobody says that " + different;
}

}  // namespace rims::store
