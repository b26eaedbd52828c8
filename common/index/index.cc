// common/index/index.cc - writes changes later, loads mailboxes, finds files that are not right

#include "common/index/index.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

constexpr std::string_view kMailboxFile = "mailbox_";

std::string mailbox_file(MailboxId id) { return fmt::format("{}{}", kMailboxFile, id.value); }

// The chunks of ascending uids: each is inserted once.
template <class List, class UidOf>
void add_chunks(std::set<uint32_t>& chunks, const List& list, UidOf uid_of) {
  uint32_t last = UINT32_MAX;
  for (const auto& one : list) {
    const auto chunk = static_cast<uint32_t>(uid_of(one).value / kSlotsPerChunk);
    if (chunk != last) chunks.insert(chunk);
    last = chunk;
  }
}

// Random, so that two openings, or two accounts, do not give the same number to different files. 0
// stands for "no file". The upper bits are free, so that counting does not overflow.
uint64_t first_generation() { return get_int<uint64_t>(random_bytes(8).data()) >> 2 | 1; }

}  // namespace

Index::Index(Loop& loop, IoPool& pool, KeyValueFactory& factory, std::string user,
             std::shared_ptr<AccountDir> dir)
    : pool_(pool),
      factory_(factory),
      user_(std::move(user)),
      dir_(std::move(dir)),
      writing_(loop),
      generation_(first_generation()) {}

void Index::apply(const JournalEvent& event, std::span<const Change> changes,
                  const AccountState& state) {
  head_ = true;
  history_.follow(event, changes, state);
  if (rebuilt_) rebuilt_->follow(event, changes, state);
  for (const MailboxId id : mailboxes_needed(event.record)) counters_.insert(id);
  if (std::holds_alternative<Keyword>(event.record) ||
      std::holds_alternative<AccountNamed>(event.record))
    list_ = true;
  if (std::holds_alternative<Annotated>(event.record)) annotations_ = true;
  if (std::holds_alternative<Gap>(event.record)) {
    for (const auto& [id, mailbox] : state.mailboxes()) counters_.insert(id);
  }
  const auto lost = state.lost_numbers().ranges();
  if (!lost.empty() && lost.back().before == event.seq) list_ = true;
  for (const auto& change : changes) note(change, state);
}

void Index::note(const Change& change, const AccountState& state) {
  if (change.mailbox.value != 0) counters_.insert(change.mailbox);
  if (change.kind == Change::Kind::renumbered) {
    const auto mailbox = state.mailbox(change.mailbox);
    add_chunks(entries_[change.mailbox], mailbox->messages(),
               [](const MessageEntry& e) { return e.uid; });
  } else if (of_messages(change.kind)) {
    add_chunks(entries_[change.mailbox], change.uids, [](Uid uid) { return uid; });
  } else if (change.kind != Change::Kind::annotated) {
    list_ = true;
  }
  if (change.kind == Change::Kind::removed) {
    note_removed(change.mailbox);
    annotations_ = true;
  }
}

void Index::note_removed(MailboxId id) {
  entries_.erase(id);
  counters_.erase(id);
  removed_.insert(id);
}

size_t Index::waiting() const {
  size_t chunks = 0;
  for (const auto& [id, set] : entries_) chunks += set.size();
  return chunks;
}

void Index::fail_with(const Error& error) {
  if (!broken_)
    log::warn("", "index of {}: {}; it is rebuilt at the next opening", log::quoted(user_),
              error.detail());
  broken_ = true;
}

Result<KeyValueStore*> Index::file(const std::string& name) {
  auto& file = files_[name];
  if (!file.store) {
    TRY(file.store, factory_.open(user_, dir_.get(), name, OpenMode::create));
  }
  return file.store.get();
}

Status Index::write(const std::string& name, const std::vector<Put>& puts) {
  TRY(KeyValueStore * store, file(name));
  files_[name].unsynced = true;
  for (const auto& put : puts) {
    if (put.value.empty()) {
      TRY_STATUS(store->remove(put.key));
    } else {
      TRY_STATUS(store->put(put.key, put.value));
    }
  }
  return {};
}

// The caller holds writing_.
Task<void> Index::put(std::string name, std::vector<Put> puts) {
  if (broken_ || puts.empty()) co_return;
  Status status;
  co_await pool_.run([&] { status = write(name, puts); });
  if (!status) fail_with(status.error());
}

Task<bool> Index::open(Clean clean, uint64_t seq, std::string made_of, AccountState& state) {
  const auto lock = co_await writing_.lock();
  AccountState read;
  bool good = false;
  std::string why = "the files are not of the last checkpoint";
  co_await pool_.run([&] {
    auto opened = factory_.open(user_, dir_.get(), "meta", OpenMode::existing);
    if (!opened) {
      why = opened.error().detail();
      return;
    }
    auto& meta = **opened;
    const auto get = [&](const std::string& key) {
      auto value = meta.get(key);
      if (!value) why = value.error().detail();
      return value && *value ? **value : std::string();
    };
    const auto head = IndexCodec::decode_head(get("meta"));
    if (!head || head->dirty || head->checkpoint != clean.checkpoint || head->seq != clean.seq)
      return;
    // An early version did not say.
    if (const std::string segments = get("segments"); !segments.empty() && segments != made_of) {
      why = "segments of the journal are missing, or are there again";
      return;
    }
    const auto list = from_pieces('L', head->list_bytes, get);
    const auto annotations = from_pieces('A', head->annotation_bytes, get);
    if (!list || !annotations || !IndexCodec::decode_list(*list, read) ||
        !IndexCodec::decode_annotations(*annotations, read))
      return;
    const auto deliveries = [&](size_t chunk) { return get(numbered_key('D', chunk)); };
    if (!IndexCodec::decode_deliveries(*head, deliveries, read)) return;
    deliveries_written_ = head->deliveries_taken;
    locations_generation_ = head->locations_generation;
    list_bytes_ = head->list_bytes;
    annotation_bytes_ = head->annotation_bytes;
    for (const auto& [id, mailbox] : read.mailboxes()) {
      const auto generation =
          IndexCodec::decode_counters(get(numbered_key('c', id.value)), *mailbox);
      if (!generation) return;
      generations_[id] = *generation;
    }
    IndexCodec::restore(*head, seq, read);
    files_["meta"].store = *std::move(opened);
    good = true;
  });
  if (!good) {
    log::info("", "index of {}: {}", log::quoted(user_), why);
    generations_.clear();
    co_return false;
  }
  if (const auto broken = read.broken_invariants(); !broken.empty()) {
    log::warn("", "index of {}: {}", log::quoted(user_), broken.front());
    co_return false;
  }
  state = std::move(read);
  co_return true;
}

// On the pool.
std::optional<IndexEvidence> Index::read_evidence(const std::string& kept_as) {
  const std::string name = kept_as.empty() ? "meta" : "quarantine/" + kept_as + "/meta";
  const auto opened = factory_.open(user_, dir_.get(), name, OpenMode::read_only);
  if (!opened) return std::nullopt;
  return IndexCodec::decode_evidence([&](const std::string& key) {
    const auto value = (*opened)->get(key);
    return value && *value ? **value : std::string();
  });
}

Task<std::optional<IndexEvidence>> Index::evidence() {
  const auto lock = co_await writing_.lock();
  std::optional<IndexEvidence> found;
  co_await pool_.run([&] {
    files_.clear();
    found = read_evidence({});
    auto kept = found ? std::vector<std::string>() : factory_.kept_aside(user_, dir_.get());
    for (; !found && !kept.empty(); kept.pop_back()) {
      found = read_evidence(kept.back());
      if (found) found->kept_as = kept.back();
    }
  });
  co_return found;
}

Task<bool> Index::keeps_one() {
  bool kept = false;
  co_await pool_.run([&] { kept = !factory_.kept_aside(user_, dir_.get()).empty(); });
  co_return kept;
}

std::string Index::dirty_head(const AccountState& state) const {
  IndexHead head;
  head.seq = state.seq();
  head.list_bytes = list_bytes_;
  head.annotation_bytes = annotation_bytes_;
  head.next_mailbox = state.next_mailbox();
  head.next_message = state.next_message();
  head.last_uidvalidity = state.last_uidvalidity();
  return IndexCodec::encode(head);
}

Task<void> Index::reset(const AccountState& state, ExpungeHistory history, std::string aside,
                        bool unpaid) {
  rebuilt_ = std::move(history);  // and gets new events while we wait
  const auto lock = co_await writing_.lock();
  Status status;
  broken_ = false;
  locations_generation_ = 0;
  generations_.clear();
  deliveries_written_ = 0;
  expunged_written_.clear();
  // Marked dirty on the disk before anything else is written: an earlier CLEAN record must not make
  // half a rebuild look complete.
  list_bytes_ = annotation_bytes_ = 0;
  const std::string head = dirty_head(unpaid ? AccountState() : state);
  co_await pool_.run([&] {
    files_.clear();
    // Also those of mailboxes that are gone, and of another journal. "meta" is first: without it
    // the others say nothing.
    std::vector<std::string> names{"meta", "message"};
    for (auto& name : factory_.names(user_, dir_.get()))
      if (name.starts_with(kMailboxFile)) names.push_back(std::move(name));
    for (const auto& name : names) {
      auto gone = aside.empty() ? factory_.remove(user_, dir_.get(), name)
                                : factory_.set_aside(user_, dir_.get(), name, aside);
      if (!gone && status) status = gone;
    }
    if (!status) return;
    status = write("meta", {{"meta", head}});
    if (status) status = files_["meta"].store->sync();
  });
  if (!status) fail_with(status.error());
  marked_dirty_ = true;
  list_ = annotations_ = head_ = true;
  entries_.clear();
  removed_.clear();
  history_ = *std::exchange(rebuilt_, std::nullopt);
  for (const auto& [id, mailbox] : state.mailboxes()) {
    counters_.insert(id);
    if (!history_.of(id).empty()) entries_[id];  // so that it is written
    if (!mailbox->messages().empty())
      add_chunks(entries_[id], mailbox->messages(), [](const MessageEntry& e) { return e.uid; });
  }
}

Result<bool> Index::read_mailbox(KeyValueStore& store, const Mailbox& mailbox, uint64_t generation,
                                 IndexCodec::Loading& loading, uint64_t& expunged) {
  const auto& info = mailbox.info();
  const auto get = [&](const std::string& key) -> Result<std::string> {
    TRY(auto value, store.get(key));
    return value ? *std::move(value) : std::string();
  };
  TRY(const std::string first, get("head"));
  const auto head = IndexCodec::decode_mailbox_head(first, mailbox);
  if (!head || head->generation != generation) return false;
  expunged = head->expunged;
  std::string sets;
  for (uint64_t i = 0; sets.size() < head->set_bytes; i++) {
    TRY(const std::string piece, get(numbered_key('s', i)));
    if (piece.size() != kListChunk) return false;
    sets += piece;
  }
  sets.resize(head->set_bytes);
  if (!IndexCodec::decode_sets(sets, loading)) return false;
  const auto chunks = static_cast<uint32_t>((info.uidnext.value - 1) / kSlotsPerChunk + 1);
  loading.messages.reserve(info.messages);
  for (uint32_t i = 0; i < chunks && loading.messages.size() < info.messages; i++) {
    TRY(const std::string value, get(numbered_key('e', i)));
    if (!value.empty() && !IndexCodec::decode_entries(value, i, loading)) return false;
  }
  return true;
}

Task<bool> Index::load(std::shared_ptr<Mailbox> mailbox) {
  const auto lock = co_await writing_.lock();
  if (AccountState::loaded(*mailbox)) co_return true;
  if (broken_) co_return false;
  const MailboxId id = mailbox->info().id;
  const std::string name = mailbox_file(id);
  const uint64_t generation = generations_[id];
  uint64_t expunged = 0;
  IndexCodec::Loading loading;
  // Never written: there is no file yet.
  Result<bool> sound = generation == 0 && mailbox->info().messages == 0;
  if (!*sound) {
    co_await pool_.run([&] {
      const auto opened = file(name);
      sound = opened ? read_mailbox(**opened, *mailbox, generation, loading, expunged)
                     : std::unexpected(opened.error());
    });
  }
  if (!sound) {
    fail_with(sound.error());
    co_return false;
  }
  if (!*sound || !IndexCodec::finish(std::move(loading), *mailbox)) {
    log::warn("", "index of {}: {} does not agree with meta", log::quoted(user_), name);
    co_return false;
  }
  expunged_written_[id] = expunged;
  co_return true;
}

Task<bool> Index::load_evidence(IndexEvidence& found, MailboxId id) {
  const auto lock = co_await writing_.lock();
  const auto mailbox = found.state.mailbox(id);
  const std::string name =
      (found.kept_as.empty() ? "" : "quarantine/" + found.kept_as + "/") + mailbox_file(id);
  Result<bool> sound = false;
  uint64_t expunged = 0;
  IndexCodec::Loading loading;
  co_await pool_.run([&] {
    const auto opened = factory_.open(user_, dir_.get(), name, OpenMode::read_only);
    if (opened) sound = read_mailbox(**opened, *mailbox, found.generations[id], loading, expunged);
  });
  co_return sound && *sound&& IndexCodec::finish(std::move(loading), *mailbox);
}

Task<std::optional<std::vector<UidRange>>> Index::vanished(MailboxId id, ModSeq since) {
  const auto lock = co_await writing_.lock();
  const uint64_t written = expunged_written_[id];
  std::vector<ExpungedRange> gone;
  if (written > 0) {
    if (broken_) co_return std::nullopt;
    bool sound = false;
    Status status;
    co_await pool_.run([&] {
      auto opened = file(mailbox_file(id));
      if (!opened) {
        status = std::unexpected(opened.error());
        return;
      }
      // Backwards from the end, so that only what is asked for is read.
      std::vector<ExpungedRange> chunk;
      for (uint64_t end = written; end > 0; end -= chunk.size()) {
        const uint64_t number = (end - 1) / kExpungedPerChunk;
        auto value = (*opened)->get(numbered_key('x', number));
        if (!value) {
          status = std::unexpected(value.error());
          return;
        }
        chunk.clear();
        if (!*value ||
            !IndexCodec::decode_expunged(**value, end - number * kExpungedPerChunk, chunk))
          return;
        const auto late = ExpungeHistory::after(chunk, since);
        gone.insert(gone.end(), late.begin(), late.end());
        if (late.size() < chunk.size()) break;
      }
      sound = true;
    });
    if (!status) fail_with(status.error());
    if (!sound) co_return std::nullopt;
  }
  const auto late = ExpungeHistory::after(history_.of(id), since);
  gone.insert(gone.end(), late.begin(), late.end());
  co_return merged(gone);
}

Task<bool> Index::load_locations(uint64_t chunk, MessageId next, Locations& into) {
  const auto lock = co_await writing_.lock();
  if (into.find(chunk)) co_return true;
  if (broken_) co_return false;
  if (locations_generation_ == 0 &&
      std::max<uint64_t>(chunk * Locations::kPerChunk, 1) >= next.value) {
    into.make(chunk);  // never written, and no message yet
    co_return true;
  }
  Locations::Chunk loaded;
  bool sound = false;
  Status status;
  co_await pool_.run([&] {
    auto opened = file("message");
    if (!opened) {
      status = std::unexpected(opened.error());
      return;
    }
    auto head = (*opened)->get("head");
    auto value = (*opened)->get(numbered_key('m', chunk));
    if (!head || !value) {
      status = std::unexpected(head ? value.error() : head.error());
      return;
    }
    if (!*value && std::max<uint64_t>(chunk * Locations::kPerChunk, 1) >= next.value) {
      sound = true;  // no message yet
      return;
    }
    if (!*value || !*head || IndexCodec::decode_locations_head(**head) != locations_generation_)
      return;
    sound = IndexCodec::decode_locations(**value, loaded);
  });
  if (!status) fail_with(status.error());
  if (!sound) co_return false;
  if (!into.find(chunk)) into.make(chunk) = loaded;
  co_return true;
}

// Writes what waits; returns how many ranges the file has then. The caller holds writing_.
Task<uint64_t> Index::put_expunged(MailboxId id) {
  const auto waiting = history_.of(id);
  const std::vector<ExpungedRange> more(waiting.begin(), waiting.end());
  const uint64_t from = expunged_written_[id], end = from + more.size();
  if (broken_ || more.empty()) co_return from;
  const std::string name = mailbox_file(id);
  Status status;
  co_await pool_.run([&] {
    status = [&]() -> Status {
      TRY(KeyValueStore * store, file(name));
      for (uint64_t at = from; at < end;) {
        const uint64_t chunk = at / kExpungedPerChunk;
        const uint64_t next = std::min(end, (chunk + 1) * kExpungedPerChunk);
        std::string value;
        if (at % kExpungedPerChunk != 0) {
          TRY(auto before, store->get(numbered_key('x', chunk)));
          value = std::move(before).value_or("");
        }
        if (!IndexCodec::add_expunged(value, at, std::span(more).subspan(at - from, next - at)))
          return fail(Fault::storage, "temporary failure",
                      name + ": the list of expunged uids is damaged");
        TRY_STATUS(write(name, {{numbered_key('x', chunk), std::move(value)}}));
        at = next;
      }
      return {};
    }();
  });
  if (!status) {
    fail_with(status.error());
    co_return from;
  }
  history_.drop(id, more.size());
  co_return expunged_written_[id] = end;
}

Task<void> Index::flush(AccountState& state, Locations& locations) {
  const auto lock = co_await writing_.lock();
  if (broken_ || (clean() && locations.dirty().empty())) co_return;
  if (!marked_dirty_) {
    std::vector<Put> mark;
    mark.push_back({"meta", dirty_head(state)});
    co_await put("meta", std::move(mark));
    marked_dirty_ = true;
  }
  const uint64_t generation = ++generation_;

  // What becomes dirty while we wait for the pool is in the new sets.
  const auto entries = std::exchange(entries_, {});
  auto counters = std::exchange(counters_, {});
  const auto removed = std::exchange(removed_, {});
  const bool list = std::exchange(list_, false);
  const bool annotations = std::exchange(annotations_, false);
  head_ = false;

  std::set<MailboxId> touched;
  for (const auto& [id, chunks] : entries) touched.insert(id);
  for (const MailboxId id : touched) {
    const auto mailbox = state.mailbox(id);
    if (!mailbox || !AccountState::loaded(*mailbox)) continue;
    counters.insert(id);
    const uint64_t expunged = co_await put_expunged(id);
    std::vector<Put> puts;
    uint64_t set_piece = 0;
    generations_[id] = generation;
    std::string sets = IndexCodec::encode_sets(*mailbox);
    puts.push_back(
        {"head", IndexCodec::encode_mailbox_head(
                     *mailbox, {generation, static_cast<uint32_t>(sets.size()), expunged})});
    for (auto& piece : in_pieces(std::move(sets)))
      puts.push_back({numbered_key('s', set_piece++), std::move(piece)});
    if (const auto found = entries.find(id); found != entries.end()) {
      for (const uint32_t chunk : found->second) {
        puts.push_back({numbered_key('e', chunk), IndexCodec::encode_entries(*mailbox, chunk)});
        if (puts.size() < 256) continue;
        co_await put(mailbox_file(id), std::move(puts));
        puts.clear();
      }
    }
    co_await put(mailbox_file(id), std::move(puts));
  }

  std::vector<Put> places;
  const auto dirty = locations.dirty();
  if (!dirty.empty()) {
    locations_generation_ = generation;
    places.push_back({"head", IndexCodec::encode_locations_head(generation)});
  }
  for (const uint64_t number : dirty) {
    auto* chunk = locations.find(number);
    chunk->dirty = false;
    places.push_back({numbered_key('m', number), IndexCodec::encode_locations(*chunk)});
    if (places.size() < 256) continue;
    co_await put("message", std::move(places));
    places.clear();
  }
  co_await put("message", std::move(places));

  std::vector<Put> meta;
  for (const MailboxId id : counters) {
    const auto mailbox = state.mailbox(id);
    if (mailbox)
      meta.push_back(
          {numbered_key('c', id.value), IndexCodec::encode_counters(*mailbox, generations_[id])});
  }
  for (const MailboxId id : removed) {
    generations_.erase(id);
    expunged_written_.erase(id);
    meta.push_back({numbered_key('c', id.value), {}});
  }
  const auto put_pieces = [&meta](char kind, std::string all) {
    const auto bytes = static_cast<uint32_t>(all.size());
    uint64_t number = 0;
    for (auto& piece : in_pieces(std::move(all)))
      meta.push_back({numbered_key(kind, number++), std::move(piece)});
    return bytes;
  };
  if (list) list_bytes_ = put_pieces('L', IndexCodec::encode_list(state));
  if (annotations) annotation_bytes_ = put_pieces('A', IndexCodec::encode_annotations(state));
  const Deliveries& deliveries = state.deliveries();
  std::set<size_t> chunks;
  for (uint64_t n = std::max(deliveries_written_, deliveries.first_kept()); n < deliveries.taken();
       n++)
    chunks.insert(IndexCodec::delivery_chunk(n));
  for (const size_t chunk : chunks)
    meta.push_back({numbered_key('D', chunk), IndexCodec::encode_deliveries(deliveries, chunk)});
  deliveries_written_ = deliveries.taken();
  meta.push_back({"meta", dirty_head(state)});
  co_await put("meta", std::move(meta));

  if (!removed.empty() && !broken_) {
    co_await pool_.run([&] {
      for (const MailboxId id : removed) {
        files_.erase(mailbox_file(id));
        // A file that stays is never read again: ids are not reused.
        (void)factory_.remove(user_, dir_.get(), mailbox_file(id));
      }
    });
  }
}

Task<bool> Index::checkpoint(const AccountState& state, std::string id, std::string made_of) {
  const auto lock = co_await writing_.lock();
  if (broken_ || !clean()) co_return false;
  IndexHead head;
  head.dirty = false;
  head.seq = state.seq();
  head.checkpoint = std::move(id);
  head.list_bytes = static_cast<uint32_t>(IndexCodec::encode_list(state).size());
  head.annotation_bytes = annotation_bytes_;
  head.locations_generation = locations_generation_;
  head.next_mailbox = state.next_mailbox();
  head.next_message = state.next_message();
  head.last_uidvalidity = state.last_uidvalidity();
  head.deliveries_taken = state.deliveries().taken();
  head.deliveries_kept =
      static_cast<uint32_t>(state.deliveries().taken() - state.deliveries().first_kept());
  Status status;
  co_await pool_.run([&] {
    const auto sync = [&](File& file) {
      if (status && file.store && file.unsynced) status = file.store->sync();
      file.unsynced = false;
    };
    // The head last: it must not be clean before all else is on the disk.
    for (auto& [name, file] : files_) {
      if (name != "meta") sync(file);
    }
    if (status) status = write("meta", {{"segments", made_of}, {"meta", IndexCodec::encode(head)}});
    sync(files_["meta"]);
  });
  if (!status) fail_with(status.error());
  marked_dirty_ = false;
  co_return !broken_;
}

Task<void> Index::release(MailboxId id) {
  const auto lock = co_await writing_.lock();
  const auto found = files_.find(mailbox_file(id));
  if (found == files_.end()) co_return;
  // A file that is not synced yet must be there for the checkpoint.
  if (found->second.unsynced) co_return;
  auto store = std::move(found->second.store);
  files_.erase(found);
  co_await pool_.run([&] { store.reset(); });
}

Task<void> Index::close() {
  const auto lock = co_await writing_.lock();
  auto files = std::exchange(files_, {});
  broken_ = true;  // nothing may be written any more
  co_await pool_.run([&] { files.clear(); });
  dir_.reset();
}

}  // namespace rims::store
