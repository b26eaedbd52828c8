// tests/crash/simulation.cc - see simulation.h

#include "tests/crash/simulation.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "common/base/encoding.h"
#include "common/store/segment.h"

namespace rims::store {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUser = "foo";
constexpr int kSessions = 4;

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<uint32_t> numbers(std::span<const Uid> uids) {
  std::vector<uint32_t> list;
  for (const Uid uid : uids) list.push_back(uid.value);
  return list;
}
std::vector<Uid> to_uids(const std::vector<uint32_t>& numbers) {
  std::vector<Uid> list;
  for (const uint32_t n : numbers) list.emplace_back(n);
  return list;
}

fs::path journal_dir(const std::string& base) {
  const std::string id = unique_user_id(kUser);
  return fs::path(base) / "mailbox.3" / id.substr(0, 2) / id.substr(2) / "journal";
}

}  // namespace

Simulation::Simulation(Loop& loop, IoPool& pool, Shape shape, Tally& tally)
    : loop_(loop),
      pool_(pool),
      shape_(std::move(shape)),
      tally_(tally),
      random_(static_cast<uint32_t>(shape_.seed * 2654435761U + 1)),
      index_(shape_.files ? &disk_ : nullptr),
      journals_(loop) {
  disk_.random.seed(random_());
  disk_.ignored = shape_.ignored;
  disk_.late = shape_.late;
  disk_.syncs_lie = shape_.syncs_lie;
  index_.mutant = shape_.index_mutant;
  if (shape_.files) fs::create_directory(shape_.base);
  journals_.fate = [this](const std::string&, std::span<const Draft>) {
    if (!chance(fate_percent_)) return MemoryJournals::Fate::commit;
    faulty_ = true;
    tally_.faults++;
    if (chance(30)) {
      killed_ = true;
      loop_.stop();
    }
    return chance(50) ? MemoryJournals::Fate::fail : MemoryJournals::Fate::fail_written;
  };
}

Simulation::~Simulation() {
  sessions_.reset();
  account_.reset();
  store_.reset();
  std::error_code ignored;
  if (shape_.files) fs::remove_all(shape_.base, ignored);
}

void Simulation::fail_with(const std::string& what) {
  if (failure_.empty()) failure_ = what;
  loop_.stop();
}

void Simulation::start_store() {
  Options o;
  o.key_values = &index_;
  o.idle_close = Milliseconds(600'000);
  o.clock = [this] { return now_++; };
  if (shape_.files) {
    auto base = open_base(shape_.base);
    if (!base) return fail_with(base.error().detail());
    o.base = *std::move(base);
    o.disk = &disk_;
    o.segment_bytes = 1500 + random_() % 20'000;
  } else {
    o.journals = &journals_;
  }
  store_ = std::make_unique<Store>(loop_, pool_, std::move(o));
}

// The process ends where it stands.
void Simulation::crash(bool power) {
  sessions_.reset();
  account_.reset();
  store_.reset();
  running_ = 0;
  killed_ = false;
  tally_.states++;
  disk_.fault = nullptr;
  if (power) {
    disk_.lose_power(SimDisk::Keep::some);
    index_.lose_power(random_);
    if (shape_.files) {
      std::error_code none;
      std::string last;
      for (const auto& entry : fs::directory_iterator(journal_dir(shape_.base), none))
        last = std::max(last, entry.path().filename().string());
      if (!last.empty()) before_.emplace_back(last, slurp(journal_dir(shape_.base) / last));
    }
  } else {
    disk_.power_on();
    disk_.forget_failed_pages();
  }
  start_store();
}

// Random calls fail from some moment on, once or for a while.
void Simulation::plan_faults() {
  static constexpr int kErrors[] = {EIO, ENOSPC, EDQUOT, EMFILE, EROFS, -1};
  const int error = kErrors[pick(6)];
  auto left = std::make_shared<int64_t>(pick(120));
  const int64_t length = chance(60) ? 1 : 1 + pick(12);
  disk_.fault = [this, error, left, length](SimDisk::Call call) {
    using Call = SimDisk::Call;
    const bool fits = error == -1       ? call == Call::write
                      : error == EMFILE ? call == Call::open
                      : error == EIO
                          ? call != Call::rename
                          : call == Call::write || call == Call::mkdir || call == Call::open;
    if (!fits || (*left)-- > 0) return 0;
    if (*left < -length) return 0;
    if (error != -1) faulty_ = true;
    return error;
  };
}

bool Simulation::try_to_open() {
  auto opened = run(loop_, store_->open(kUser));
  if (opened) {
    account_ = *std::move(opened);
    return true;
  }
  if (!faulty_ && !disk_.dead()) fail_with("the account does not open: " + opened.error().detail());
  return false;
}

// With crashes and faults on the way, a few times; then without.
void Simulation::open_account() {
  for (int tries = 0; shape_.files && tries < 3 && !failed() && chance(35); tries++) {
    tally_.in_recovery++;
    const bool power = chance(60);
    const bool fault = chance(30);
    faulty_ = false;
    if (fault)
      plan_faults();
    else
      disk_.power_off_after(pick(chance(50) ? 6 : 30));
    const uint64_t before = disk_.faults;
    const bool opened = try_to_open();
    disk_.fault = nullptr;
    tally_.faults += disk_.faults - before;
    if (failed()) return;
    if (faulty_) quarantine_.clear();
    if (faulty_) before_.clear();
    if (opened && !disk_.dead()) {
      disk_.power_on();
      if (chance(50) && !(*account_).failed()) break;
    }
    account_.reset();
    crash(power);
  }
  faulty_ = false;
  if (!failed() && !account_) try_to_open();
  if (!failed() && account_->failed()) {
    account_.reset();
    try_to_open();
  }
}

// --- what is there ---

Task<Status> Simulation::observe_mailbox(const MailboxInfo* info, Model& model) {
  const std::string name = info->name;
  CO_TRY(const auto mailbox, co_await account_->open_mailbox(info->id));
  ModelMailbox& box = model.mailboxes[name];
  box.id = mailbox->info().id.value;
  box.uidvalidity = mailbox->info().uidvalidity.value;
  box.uidnext = mailbox->info().uidnext.value;
  box.highest = mailbox->info().highest_modseq.value;
  uint32_t unseen = 0, recent = 0, last = 0;
  uint64_t bytes = 0, highest = 0;
  const std::vector<MessageEntry> entries(mailbox->messages().begin(), mailbox->messages().end());
  for (const auto& e : entries) {
    auto& m = box.messages[e.uid.value];
    m.flags = e.flags;
    m.modseq = e.modseq.value;
    for (unsigned i = 0; i < mailbox->keywords().size(); i++) {
      if ((e.keywords >> i & 1) != 0) m.keywords.insert(mailbox->keywords()[i]);
    }
    CO_TRY(const std::string text, co_await account_->read(e.message));
    unsigned long long run = 0;
    if (sscanf(text.c_str(), "message %u of run %llu", &m.number, &run) != 2 ||
        text != text_of(shape_.seed, m.number) || e.size != text.size() ||
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
  mix(modseq_);
  if (shape_.files) {
    look_at_cut_bytes();
    look_at_quarantine();
  }
}

// What was saved there once stays there; a power loss alone damages nothing.
void Simulation::look_at_quarantine() {
  std::map<std::string, std::string> now;
  std::error_code none;
  const auto dir = journal_dir(shape_.base).parent_path() / "quarantine";
  for (const auto& entry : fs::directory_iterator(dir, none))
    now[entry.path().filename().string()] = slurp(entry.path());
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
  const fs::path dir = journal_dir(shape_.base);
  for (const auto& [name, before] : std::exchange(before_, {})) {
    const std::string now = slurp(dir / name);
    const size_t last = before.find_last_not_of('\0');
    if (last == before.npos || last < kFirstRecord) continue;
    size_t differs = 0;
    while (differs < now.size() && differs <= last && now[differs] == before[differs]) differs++;
    if (differs > last) continue;
    bool saved = false;
    for (const auto& entry : fs::directory_iterator(dir.parent_path() / "quarantine", none)) {
      const std::string file = entry.path().filename().string();
      if (!file.starts_with(name + "-")) continue;
      const size_t at = std::stoul(file.substr(name.size() + 1));
      const std::string bytes = slurp(entry.path());
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

// --- listeners ---

void Simulation::told(Told::Kind kind, MailboxId id, std::span<const Uid> uids,
                      const void* origin) {
  if (failed()) return;
  if (expected_.empty()) {
    OperationRef op;
    if (origin) {
      const auto found =
          std::ranges::find_if(flying_, [&](const auto& o) { return o.get() == origin; });
      if (found == flying_.end()) return fail_with("listeners are told of an operation twice");
      op = *found;
    } else if (kind == Told::Kind::mailboxes) {
      op = names_;
      if (!op) return fail_with("listeners are told of names that nobody has changed");
    } else {
      // Those that another writer wrote, in order; some change nothing.
      while (!op && !intruded_.empty()) {
        Model copy = model_;
        Operation trial = *intruded_.front();
        if (!copy.apply(trial).empty()) op = intruded_.front();
        intruded_.pop_front();
      }
      if (!op) return fail_with("listeners are told of a change that nobody has made");
    }
    const auto all = model_.apply(*op);
    expected_.assign(all.begin(), all.end());
    op->folded = true;
    std::erase(flying_, op);
    folds_++;
    if (expected_.empty()) return fail_with("a change for nothing: " + to_string(*op));
  }
  Told now{kind, {}, numbers(uids)};
  if (kind != Told::Kind::mailboxes) {
    const auto* name = model_.name_of(id.value);
    now.mailbox = name ? *name : "?";
  } else {
    // New ones have an id now.
    for (auto& [name, box] : model_.mailboxes) {
      if (box.id != 0) continue;
      const auto* info = account_->find(name);
      if (!info) return fail_with("a mailbox is not there when listeners are told");
      box.id = info->id.value;
      box.uidvalidity = info->uidvalidity.value;
      if (!uidvalidities_.insert(box.uidvalidity).second)
        return fail_with("a uidvalidity was given out twice");
    }
  }
  if (now != expected_.front())
    return fail_with("listeners are told " + to_string(now) + ", not " +
                     to_string(expected_.front()));
  expected_.pop_front();
  const uint64_t modseq = account_->modseq().value;
  if (modseq < modseq_ || (kind != Told::Kind::mailboxes && modseq == modseq_))
    return fail_with("modseq does not grow");
  modseq_ = modseq;
  mix(modseq);
  if (kind == Told::Kind::mailboxes) return;
  auto& box = model_.mailboxes[now.mailbox];
  box.highest = modseq;
  for (const uint32_t uid : now.uids) {
    if (const auto m = box.messages.find(uid); m != box.messages.end()) m->second.modseq = modseq;
  }
}

void Simulation::appended(MailboxId id, std::span<const Uid> uids, const void* origin) {
  told(Told::Kind::appended, id, uids, origin);
}
void Simulation::flags_changed(MailboxId id, std::span<const Uid> uids, ModSeq,
                               const void* origin) {
  told(Told::Kind::flags, id, uids, origin);
}
void Simulation::expunged(MailboxId id, std::span<const Uid> uids, ModSeq, const void* origin) {
  told(Told::Kind::expunged, id, uids, origin);
}
void Simulation::mailboxes_changed() { told(Told::Kind::mailboxes, MailboxId(), {}, nullptr); }

// --- sessions ---

std::vector<uint32_t> Simulation::some_uids(const ModelMailbox& mailbox) {
  std::set<uint32_t> list;
  if (chance(80) && !mailbox.messages.empty()) {
    // Those that are there, mostly.
    auto it = mailbox.messages.begin();
    std::advance(it, pick(mailbox.messages.size()));
    for (uint32_t i = 1 + pick(4); i > 0 && it != mailbox.messages.end(); i--, ++it)
      list.insert(it->first);
  } else {
    // None that is given out only now: whether an operation that waits sees it is open.
    for (uint32_t i = 1 + pick(4); i > 0 && mailbox.uidnext > 1; i--)
      list.insert(1 + pick(mailbox.uidnext - 1));
  }
  return {list.begin(), list.end()};
}

Simulation::OperationRef Simulation::think() {
  using Kind = Operation::Kind;
  static const char* const kWords[] = {"$Junk", "Work", "todo", "later", "$Forwarded"};
  static const char* const kNames[] = {"m0", "m1", "m2", "m3", "m4"};
  auto op = std::make_shared<Operation>();
  std::vector<std::string> names;
  for (const auto& [name, box] : model_.mailboxes) {
    if (box.id != 0) names.push_back(name);
  }
  // Few mailboxes have most of the mail.
  op->mailbox = chance(50) ? "INBOX" : names[pick(names.size())];
  op->to = names[pick(names.size())];
  const auto& box = model_.mailboxes[op->mailbox];
  op->mailbox_id = box.id;
  op->to_id = model_.mailboxes[op->to].id;
  op->op = static_cast<FlagOp>(pick(3));
  op->flags = static_cast<uint8_t>(pick(32));
  for (uint32_t i = pick(3); i > 0; i--) op->keywords.insert(kWords[pick(5)]);
  const uint32_t dice = pick(100);
  op->kind = dice < 40   ? Kind::append
             : dice < 62 ? Kind::flags
             : dice < 72 ? Kind::expunge
             : dice < 80 ? Kind::copy
             : dice < 88 ? Kind::move
             : dice < 92 ? Kind::create
             : dice < 94 ? Kind::remove
             : dice < 97 ? Kind::rename
             : dice < 99 ? Kind::subscribe
                         : Kind::unsubscribe;
  if (op->kind >= Kind::create) {
    if (names_) op->kind = Kind::flags;  // one at a time
  }
  if (op->kind == Kind::append) {
    for (uint32_t i = chance(80) ? 1 : 1 + pick(4); i > 0; i--)
      op->numbers.push_back(next_number_++);
  } else if (op->kind < Kind::create) {
    op->uids = some_uids(box);
    if (op->kind == Kind::flags && chance(15)) op->unchanged_since = modseq_ - pick(6);
  } else {
    op->mailbox_id = op->to_id = 0;
    if (op->kind == Kind::create) op->mailbox = kNames[pick(5)];
    if (op->kind == Kind::rename || op->kind == Kind::subscribe) op->to = kNames[pick(5)];
    if (op->kind == Kind::rename && op->mailbox == "INBOX" && chance(70)) op->mailbox = op->to;
    names_ = op;
  }
  return op;
}

// Another node writes flags behind the owner's back.
void Simulation::intrude() {
  auto op = std::make_shared<Operation>();
  op->kind = Operation::Kind::flags;
  op->op = static_cast<FlagOp>(pick(2) + 1);
  op->flags = static_cast<uint8_t>(1 + pick(31));
  const auto box = model_.mailboxes.find("INBOX");
  op->mailbox_id = box->second.id;
  const uint32_t first = 1 + pick(box->second.uidnext);
  Flags record{.mailbox = MailboxId(op->mailbox_id),
               .op = op->op,
               .flags = op->flags,
               .keywords = 0,
               .ranges = {{first, first + 2}}};
  // Such a record changes every message in its ranges, whatever its flags were: only those are
  // told apart here that it really changes.
  for (uint32_t uid = first; uid <= first + 2; uid++) op->uids.push_back(uid);
  Model copy = model_;
  Operation trial = *op;
  if (!intruded_.empty() || copy.apply(trial).empty()) return;
  record.ranges = to_ranges(to_uids(trial.result));
  op->uids = trial.result;
  if (!flying_.empty()) {
    // Only while nobody else may change the same: the model must know what it does.
    return;
  }
  journals_.intrude(kUser, RecordType::flags, record.encode());
  intruded_.push_back(std::move(op));
  tally_.races++;
}

Task<Status> Simulation::perform(std::shared_ptr<Account> account, OperationRef op) {
  using Kind = Operation::Kind;
  const MailboxId id(op->mailbox_id), to(op->to_id);
  const void* origin = op.get();
  switch (op->kind) {
    case Kind::append: {
      std::vector<NewMessage> list;
      for (const uint32_t number : op->numbers) {
        NewMessage m;
        m.bytes = MessageBytes(text_of(shape_.seed, number));
        m.structure = structure_of(number);
        m.flags = op->flags;
        m.keywords.assign(op->keywords.begin(), op->keywords.end());
        m.date = 1'000'000'000 + number;
        list.push_back(std::move(m));
      }
      CO_TRY(const Appended done, co_await account->append(id, std::move(list), origin));
      if (!op->folded || numbers(done.uids) != op->result) fail_with("append: other uids");
      break;
    }
    case Kind::flags: {
      FlagChange change{.uids = to_uids(op->uids),
                        .op = op->op,
                        .flags = op->flags,
                        .keywords = {op->keywords.begin(), op->keywords.end()},
                        .unchanged_since = {}};
      if (op->unchanged_since != UINT64_MAX) change.unchanged_since = ModSeq(op->unchanged_since);
      CO_TRY(const auto outcomes, co_await account->change_flags(id, std::move(change), origin));
      for (const auto& outcome : outcomes) {
        if (outcome.verdict == FlagOutcome::Verdict::changed &&
            std::ranges::find(op->result, outcome.uid.value) == op->result.end())
          fail_with("flags: changed and not told");
      }
      break;
    }
    case Kind::expunge: {
      CO_TRY(const auto gone, co_await account->expunge(id, to_uids(op->uids), origin));
      if (numbers(gone) != op->result) fail_with("expunge: other uids");
      break;
    }
    case Kind::copy:
    case Kind::move: {
      CO_TRY(const Copied copied,
             co_await (op->kind == Kind::copy ? account->copy(id, to_uids(op->uids), to, origin)
                                              : account->move(id, to_uids(op->uids), to, origin)));
      std::vector<uint32_t> made;
      for (const auto& pair : copied.uids) made.push_back(pair.second.value);
      if (made != op->result) fail_with("copy: other uids");
      break;
    }
    case Kind::create: {
      CO_TRY([[maybe_unused]] const MailboxId made, co_await account->create(op->mailbox));
      break;
    }
    case Kind::remove:
      co_return co_await account->remove(op->mailbox);
    case Kind::rename:
      co_return co_await account->rename(op->mailbox, op->to);
    case Kind::subscribe:
      co_return co_await account->subscribe(op->mailbox);
    case Kind::unsubscribe:
      co_return co_await account->unsubscribe(op->mailbox);
  }
  co_return Status();
}

Task<void> Simulation::read_one(std::shared_ptr<Account> account) {
  const auto& box = model_.mailboxes["INBOX"];
  if (box.messages.empty()) co_return;
  auto it = box.messages.begin();
  std::advance(it, pick(box.messages.size()));
  const Uid uid(it->first);
  const uint32_t number = it->second.number;
  auto mailbox = co_await account->open_mailbox(MailboxId(box.id));
  const auto* e = mailbox ? (*mailbox)->find(uid) : nullptr;
  if (!e) co_return;
  const auto text = co_await account->read(e->message);
  if (text ? *text != text_of(shape_.seed, number)
           : !faulty_ && !disk_.dead() && !account->failed())
    fail_with(fmt::format("INBOX uid {} reads as another message", uid.value));
}

Task<void> Simulation::one(std::shared_ptr<Account> account) {
  if (chance(12)) co_return co_await read_one(std::move(account));
  if (chance(4)) {
    account->claim_recent(account->find("INBOX")->id);
    co_return;
  }
  if (!shape_.files && chance(8)) intrude();
  const auto op = think();
  const uint64_t folds = folds_;
  const bool alone = flying_.empty() && intruded_.empty();
  flying_.push_back(op);
  tally_.operations++;
  mix(static_cast<uint64_t>(op->kind));
  const auto done = co_await perform(account, op);
  mix(done ? 1 : 2);
  if (names_ == op) names_.reset();
  const bool unknown = !done && account->failed();
  if (!done && op->folded && !unknown)
    fail_with("refused, but done: " + to_string(*op) + ": " + done.error().detail());
  if (!done && done.error().fault() == Fault::storage && !faulty_ && !disk_.dead() && !killed_)
    fail_with("fails for no reason: " + done.error().detail());
  if (!unknown) std::erase(flying_, op);
  if (done && alone && !op->folded && folds_ == folds) {
    Model copy = model_;
    Operation again = *op;
    if (!copy.apply(again).empty()) fail_with("acknowledged, not done: " + to_string(*op));
  }
}

Task<void> Simulation::session(int operations) {
  const auto account = account_;
  for (int i = 0; i < operations && !account->failed() && !failed() && !disk_.dead(); i++) {
    for (uint32_t pause = pick(3); pause > 0; pause--) co_await sleep_for(loop_, Milliseconds(0));
    co_await one(account);
  }
  if (--running_ == 0) loop_.stop();
}

// --- the course of events ---

void Simulation::phase() {
  // What the opening found must last, whatever comes next.
  if (shape_.files && chance(12)) return crash(true);
  const auto end = static_cast<End>(pick(4));
  faulty_ = false;
  fate_percent_ = 0;
  account_->listen(this);
  if (shape_.files) {
    if (end == End::fault)
      plan_faults();
    else if (end != End::stop && chance(80))
      disk_.power_off_after(pick(chance(30) ? 10 : 80));
  } else if (end != End::stop) {
    fate_percent_ = 1 + pick(25);
  }
  const uint64_t before = disk_.faults;
  sessions_ = std::make_unique<Scope>(loop_);
  const int sessions = 1 + static_cast<int>(pick(kSessions));
  running_ = sessions;
  for (int i = 0; i < sessions && running_ > 0; i++)
    sessions_->spawn(session(2 + static_cast<int>(pick(6))));
  while (running_ > 0 && !killed_ && !failed()) loop_.run();
  tally_.faults += disk_.faults - before;
  fate_percent_ = 0;
  disk_.fault = nullptr;
  if (failed()) return;
  end_phase(end);
}

void Simulation::end_phase(End end) {
  account_->unlisten(this);
  if (faulty_ && shape_.files) {
    quarantine_.clear();
    before_.clear();
  }
  if (killed_ || disk_.dead() || end == End::kill || end == End::power)
    return crash(end == End::power);
  sessions_.reset();
  const bool broken = account_->failed();
  account_.reset();
  if (broken && chance(60)) return;  // the same process opens it again
  run(loop_, store_->close_all());
  store_.reset();
  start_store();
}

std::string Simulation::play() {
  tally_.runs++;
  start_store();
  const int phases = 1 + static_cast<int>(pick(3));
  for (int i = 0; i <= phases && !failed(); i++) {
    open_account();
    if (!failed()) verify();
    if (!failed() && i < phases) phase();
  }
  if (failed()) return failure_;
  auto broken = run(loop_, account_->check());
  if (!broken) return "check: " + broken.error().detail();
  account_.reset();
  if (!broken->empty()) return broken->front();
  run(loop_, store_->close_all());
  if (shape_.files) {
    // Nobody is late: after an orderly stop and a loss of power all is as it was.
    store_.reset();
    crash(true);
    open_account();
    if (!failed()) verify();
  }
  return failure_;
}

}  // namespace rims::store
