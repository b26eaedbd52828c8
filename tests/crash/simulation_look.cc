// tests/crash/simulation_look.cc - what is there, and is it what the model says? See simulation.h

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "common/journal/segment.h"
#include "tests/crash/simulation.h"

namespace rims::store {

namespace fs = std::filesystem;

Task<Status> Simulation::observe_mailbox(const MailboxInfo* info, Model& model) {
  const std::string name = info->name;
  CO_TRY(const auto mailbox, co_await account_->open_mailbox(info->id));
  ModelMailbox& box = model.mailboxes[name];
  box.id = mailbox->info().id.value;
  box.uidvalidity = mailbox->info().uidvalidity.value;
  box.uidnext = mailbox->info().uidnext.value;
  box.highest = mailbox->info().highest_modseq.value;
  for (const auto& [entry, value] : account_->annotations(info->id)) box.annotations[entry] = value;
  uint32_t unseen = 0, recent = 0, last = 0;
  uint64_t bytes = 0, highest = 0;
  const std::vector<MessageEntry> entries(mailbox->messages().begin(), mailbox->messages().end());
  for (const auto& e : entries) {
    auto& m = box.messages[e.uid.value];
    m.flags = e.flags;
    m.modseq = e.modseq.value;
    for (auto& keyword : mailbox->keywords_of(e)) m.keywords.insert(std::move(keyword));
    CO_TRY(const std::string text, co_await account_->read(e.message));
    unsigned long long run = 0;
    if (sscanf(text.c_str(), "message %u of run %llu", &m.number, &run) != 2 ||
        text != text_of(run_, m.number) || e.size != text.size() ||
        e.date != 1'000'000'000 + m.number) {
      tally_.corrupt++;
      co_return fail(Fault::bug, "", fmt::format("{} uid {} is corrupt", name, e.uid.value));
    }
    CO_TRY(const std::string structure, co_await account_->read_structure(e.message));
    if (structure != structure_of(m.number))
      co_return fail(Fault::bug, "", fmt::format("{} uid {}: structure", name, e.uid.value));
    if (e.uid.value <= last || e.uid.value >= box.uidnext)
      co_return fail(Fault::bug, "", fmt::format("{} uid {}: order", name, e.uid.value));
    last = e.uid.value;
    unseen += (e.flags & kSeen) == 0;
    recent += e.uid >= mailbox->info().first_recent;
    bytes += e.size;
    highest = std::max(highest, e.modseq.value);
  }
  const auto& i = mailbox->info();
  if (i.messages != entries.size() || i.unseen != unseen || i.recent != recent ||
      i.bytes != bytes || i.highest_modseq.value < highest || i.uidnext.value != box.uidnext)
    co_return fail(Fault::bug, "", fmt::format("the counters of {} are wrong", name));
  co_return Status();
}

Task<Result<Model>> Simulation::observe() {
  Model model;
  std::vector<MailboxId> ids;
  for (const auto* info : account_->mailboxes()) ids.push_back(info->id);
  for (const MailboxId id : ids) {
    CO_TRY_STATUS(co_await observe_mailbox(account_->find(id), model));
  }
  model.subscriptions.insert(account_->subscriptions().begin(), account_->subscriptions().end());
  co_return model;
}

// Some of the operations whose end nobody has seen, in some order, make the model what was found.
bool Simulation::explain(const Model& so_far, std::vector<OperationRef> left, const Model& found,
                         std::string& why) {
  const std::string different = difference(so_far, found);
  if (different.empty()) return true;
  if (why.empty()) why = different;
  for (size_t i = 0; i < left.size(); i++) {
    Model next = so_far;
    Operation copy = *left[i];
    if (next.apply(copy).empty()) continue;
    auto rest = left;
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(i));
    if (explain(next, std::move(rest), found, why)) return true;
  }
  return false;
}

void Simulation::verify() {
  // Before anything is read: what is read wrong may be healed by that.
  if (shape_.files && chance(shape_.aim.empty() ? 10 : 50)) {
    const auto broken = run(loop_, account_->check());
    if (!broken) return fail_with("check: " + broken.error().detail());
    if (!broken->empty()) return fail_with("check: " + broken->front());
  }
  auto seen = run(loop_, observe());
  if (failed()) return;
  if (!seen) return fail_with("reading all: " + seen.error().detail());
  Model& found = *seen;
  if (model_.mailboxes.empty()) {
    // A new account.
    for (const auto& [name, box] : found.mailboxes) {
      model_.mailboxes[name].uidvalidity = box.uidvalidity;
    }
    model_.subscriptions = found.subscriptions;
    if (found.mailboxes.size() != 6) fail_with("a new account has not six mailboxes");
  }
  for (const auto& op : intruded_) {
    Operation copy = *op;
    (void)model_.apply(copy);
  }
  intruded_.clear();
  std::string why;
  if (!explain(model_, flying_, found, why)) {
    std::string all;
    for (const auto& op : flying_) all += "\n  in flight: " + to_string(*op);
    if (why.find("is lost") != why.npos || why.find("is missing") != why.npos)
      tally_.lost++;
    else if (why.find("should not be there") != why.npos)
      tally_.duplicated++;
    else
      tally_.other++;
    return fail_with(why + all);
  }
  if (account_->modseq().value < modseq_)
    return fail_with(
        fmt::format("the journal's number fell from {} to {}", modseq_, account_->modseq().value));
  for (const auto& [name, box] : found.mailboxes) {
    const auto known = std::ranges::find_if(
        model_.mailboxes, [&](const auto& m) { return m.second.uidvalidity == box.uidvalidity; });
    if (known == model_.mailboxes.end() && !uidvalidities_.insert(box.uidvalidity).second)
      return fail_with("a uidvalidity was given out twice");
    uidvalidities_.insert(box.uidvalidity);
  }
  flying_.clear();
  expected_.clear();
  names_.reset();
  model_ = std::move(found);
  // Not the journal's last number: that may be of a mark that nobody has been told of.
  for (const auto& [name, box] : model_.mailboxes) modseq_ = std::max(modseq_, box.highest);
  trace_.mix(modseq_);
  if (shape_.files) {
    look_at_cut_bytes();
    look_at_quarantine();
  }
}

std::map<std::string, Simulation::Share> Simulation::dead_bytes() const {
  std::set<uint32_t> alive;
  for (const auto& [name, box] : model_.mailboxes) {
    for (const auto& [uid, m] : box.messages) alive.insert(m.number);
  }
  std::map<std::string, Share> found;
  for (const auto& path : segment_files()) {
    const std::string bytes = content(path);
    Share& share = found[path.filename().string()];
    share.all = bytes.size();
    for (size_t at = 0; (at = bytes.find("message ", at)) != bytes.npos; at++) {
      const auto number = static_cast<uint32_t>(std::strtoul(bytes.c_str() + at + 8, nullptr, 10));
      const std::string text = text_of(run_, number);
      if (alive.contains(number) || bytes.compare(at, text.size(), text) != 0) continue;
      share.dead += text.size() + structure_of(number).size();
    }
  }
  return found;
}

// What is expunged for long enough, and only that, gives its room back.
void Simulation::free_all() {
  const auto before = dead_bytes();
  run(loop_, compact(account_, 1'000'000));
  for (const auto& [name, share] : dead_bytes()) {
    if (share.dead != before.at(name).dead)
      return fail_with(name + ": bytes are freed before their time");
  }
  run(loop_, compact(account_, 0));
  const auto after = dead_bytes();
  for (const auto& [name, share] : before) {
    const auto& now = after.at(name);
    if (now.dead > now.all / 2)
      return fail_with(fmt::format("{}: {} of {} bytes are dead", name, now.dead, now.all));
    tally_.freed += share.dead - now.dead;
  }
  verify();
}

std::vector<std::string> Simulation::quarantine_files() const {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(account_dir() / "quarantine", none))
    names.push_back(entry.path().filename().string());
  return names;
}

// What was saved there once stays there; a power loss alone damages nothing.
void Simulation::look_at_quarantine() {
  std::map<std::string, std::string> now;
  for (const auto& name : quarantine_files())
    if (!doubtful_.contains(name)) now[name] = content(account_dir() / "quarantine" / name);
  for (const auto& [name, bytes] : quarantine_) {
    if (!now.contains(name) || now[name] != bytes)
      return fail_with("quarantine/" + name + " is not what it was");
  }
  for (const auto& [name, bytes] : now) {
    if (name.find("-cut-") == name.npos) return fail_with("taken for damage: quarantine/" + name);
  }
  quarantine_ = std::move(now);
}

// What stood in the last segment after a power loss is there, or was saved.
void Simulation::look_at_cut_bytes() {
  std::error_code none;
  for (const auto& [name, before] : std::exchange(before_, {})) {
    if (before.size() <= kFirstRecord) continue;
    const size_t last = before.size() - 1;  // no zero
    const std::string now = content(account_dir() / "journal" / name);
    if (now.starts_with(before)) continue;
    const auto differs =
        static_cast<size_t>(std::ranges::mismatch(now, before).in2 - before.begin());
    bool saved = false;
    for (const auto& entry : fs::directory_iterator(account_dir() / "quarantine", none)) {
      const std::string file = entry.path().filename().string();
      if (!file.starts_with(name + "-")) continue;
      const size_t at = std::stoul(file.substr(name.size() + 1));
      const std::string bytes = content(entry.path());
      saved |= at <= differs && at + bytes.size() > last &&
               before.compare(at, last + 1 - at, bytes, 0, last + 1 - at) == 0;
    }
    // A footer that is whole and has no trailer yet is made again.
    const size_t record = before.rfind("RIMR", differs);
    const bool footer = record != before.npos && before[record + 4] == 13;
    if (!saved && !footer)
      return fail_with(fmt::format("{}: bytes from {} on were cut and not saved", name, differs));
  }
}

}  // namespace rims::store
