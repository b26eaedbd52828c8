// common/store/index.cc - writing behind, loading, and telling wrong files from right ones

#include "common/store/index.h"

#include <algorithm>

#include <fmt/format.h>

#include "common/base/encoding.h"
#include "common/base/log.h"
#include "common/store/bytes.h"

namespace rims::store {
namespace {

std::string mailbox_file(MailboxId id) { return fmt::format("mailbox_{}", id.value); }

// Two openings must not give one number to two files, nor two accounts. 0 stands for "no file",
// and there is room to count.
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

void Index::note(const Change& change) {
  switch (change.kind) {
    case Change::Kind::mailboxes:
      list_ = head_ = true;
      if (change.mailbox.value != 0) counters_.insert(change.mailbox);
      return;
    case Change::Kind::appended:
      head_ = true;
      [[fallthrough]];
    case Change::Kind::flags:
    case Change::Kind::expunged: {
      counters_.insert(change.mailbox);
      auto& chunks = entries_[change.mailbox];
      for (const Uid uid : change.uids) chunks.insert(static_cast<uint32_t>(uid.value / 256));
      return;
    }
  }
}

void Index::note_removed(MailboxId id) {
  entries_.erase(id);
  counters_.erase(id);
  keywords_.erase(id);
  removed_.insert(id);
}

size_t Index::waiting() const {
  size_t chunks = 0;
  for (const auto& [id, set] : entries_) chunks += set.size();
  return chunks;
}

void Index::fail_with(const Error& error) {
  if (!broken_)
    log::warn("", "index of {}: {}; it is rebuilt at the next opening", user_, error.detail());
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

Task<bool> Index::open(Clean clean, uint64_t seq, AccountState& state) {
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
    std::string list;
    for (uint64_t i = 0; list.size() < head->list_bytes; i++) {
      const std::string piece = get(numbered_key('L', i));
      if (piece.size() != kListChunk) return;
      list += piece;
    }
    list.resize(head->list_bytes);
    if (!IndexCodec::decode_list(list, read)) return;
    const auto deliveries = [&](size_t chunk) { return get(numbered_key('D', chunk)); };
    if (!IndexCodec::decode_deliveries(*head, deliveries, read)) return;
    deliveries_written_ = head->deliveries_taken;
    locations_generation_ = head->locations_generation;
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
    log::info("", "index of {}: {}", user_, why);
    generations_.clear();
    co_return false;
  }
  if (const auto broken = read.broken_invariants(); !broken.empty()) {
    log::warn("", "index of {}: {}", user_, broken.front());
    co_return false;
  }
  state = std::move(read);
  co_return true;
}

Task<void> Index::reset(const AccountState& state) {
  const auto lock = co_await writing_.lock();
  Status status;
  std::vector<std::string> names{"meta", "message"};
  for (uint32_t id = 1; id < state.next_mailbox().value && id < 100'000; id++)
    names.push_back(mailbox_file(MailboxId(id)));
  broken_ = false;
  locations_generation_ = 0;
  generations_.clear();
  deliveries_written_ = 0;
  // Dirty on the disk before anything else is there: a CLEAN record from before must not vouch
  // for half a rebuild.
  co_await pool_.run([&] {
    files_.clear();
    for (const auto& name : names) {
      if (auto removed = factory_.remove(user_, dir_.get(), name); !removed && status)
        status = removed;
    }
    if (!status) return;
    status = write("meta", {{"meta", IndexCodec::encode(IndexHead{})}});
    if (status) status = files_["meta"].store->sync();
  });
  if (!status) fail_with(status.error());
  marked_dirty_ = true;
  list_ = head_ = true;
  entries_.clear();
  removed_.clear();
  for (const auto& [id, mailbox] : state.mailboxes()) {
    counters_.insert(id);
    if (!mailbox->keywords().empty()) keywords_.insert(id);
    for (const auto& e : mailbox->messages()) entries_[id].insert(e.uid.value / 256);
  }
}

Task<bool> Index::load(std::shared_ptr<Mailbox> mailbox) {
  const auto lock = co_await writing_.lock();
  if (AccountState::loaded(*mailbox)) co_return true;
  if (broken_) co_return false;
  const auto& info = mailbox->info();
  const MailboxId id = info.id;
  const std::string name = mailbox_file(id);
  const uint32_t chunks = (info.uidnext.value - 1) / 256 + 1;
  const uint32_t messages = info.messages;
  const uint64_t generation = generations_[id];
  IndexCodec::Loading loading;
  Status status;
  bool sound = generation == 0 && messages == 0;  // never written: there is no file yet
  if (!sound) {
    co_await pool_.run([&] {
      auto opened = file(name);
      if (!opened) {
        status = std::unexpected(opened.error());
        return;
      }
      const auto get = [&](const std::string& key) {
        auto value = (*opened)->get(key);
        if (!value && status) status = std::unexpected(value.error());
        return value && *value ? **value : std::string();
      };
      const auto head = IndexCodec::decode_mailbox_head(get("head"), *mailbox);
      sound = head == generation && IndexCodec::decode_keywords(get("keywords"), loading);
      loading.messages.reserve(messages);
      for (uint32_t i = 0; sound && i < chunks && loading.messages.size() < messages; i++) {
        const std::string value = get(numbered_key('e', i));
        if (!value.empty()) sound = IndexCodec::decode_entries(value, i, loading);
      }
    });
  }
  if (!status) {
    fail_with(status.error());
    co_return false;
  }
  if (!sound || !IndexCodec::finish(std::move(loading), *mailbox)) {
    log::warn("", "index of {}: {} does not agree with meta", user_, name);
    co_return false;
  }
  co_return true;
}

Task<bool> Index::load_locations(uint64_t chunk, MessageId next, Locations& into) {
  const auto lock = co_await writing_.lock();
  if (into.find(chunk)) co_return true;
  if (broken_) co_return false;
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

Task<void> Index::flush(AccountState& state, Locations& locations) {
  const auto lock = co_await writing_.lock();
  if (broken_ || (clean() && locations.dirty().empty())) co_return;
  if (!marked_dirty_) {
    std::vector<Put> mark;
    mark.push_back({"meta", IndexCodec::encode(IndexHead{})});
    co_await put("meta", std::move(mark));
    marked_dirty_ = true;
  }
  const uint64_t generation = ++generation_;

  // What becomes dirty while we wait for the pool is in the new sets.
  const auto entries = std::exchange(entries_, {});
  auto counters = std::exchange(counters_, {});
  const auto keywords = std::exchange(keywords_, {});
  const auto removed = std::exchange(removed_, {});
  const bool list = std::exchange(list_, false);
  head_ = false;

  std::set<MailboxId> touched;
  for (const auto& [id, chunks] : entries) touched.insert(id);
  touched.insert(keywords.begin(), keywords.end());
  for (const MailboxId id : touched) {
    const auto mailbox = state.mailbox(id);
    if (!mailbox || !AccountState::loaded(*mailbox)) continue;
    counters.insert(id);
    std::vector<Put> puts;
    generations_[id] = generation;
    puts.push_back({"head", IndexCodec::encode_mailbox_head(*mailbox, generation)});
    puts.push_back({"keywords", IndexCodec::encode_keywords(*mailbox)});
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
    meta.push_back({numbered_key('c', id.value), {}});
  }
  if (list) {
    std::string all = IndexCodec::encode_list(state);
    for (uint64_t i = 0; i * kListChunk < all.size(); i++) {
      std::string piece = all.substr(i * kListChunk, kListChunk);
      piece.resize(kListChunk);
      meta.push_back({numbered_key('L', i), std::move(piece)});
    }
  }
  const Deliveries& deliveries = state.deliveries();
  std::set<size_t> chunks;
  for (uint64_t n = std::max(deliveries_written_, deliveries.first_kept()); n < deliveries.taken();
       n++)
    chunks.insert(IndexCodec::delivery_chunk(n));
  for (const size_t chunk : chunks)
    meta.push_back({numbered_key('D', chunk), IndexCodec::encode_deliveries(deliveries, chunk)});
  deliveries_written_ = deliveries.taken();
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

Task<bool> Index::checkpoint(const AccountState& state, std::string id) {
  const auto lock = co_await writing_.lock();
  if (broken_ || !clean()) co_return false;
  IndexHead head;
  head.dirty = false;
  head.seq = state.seq();
  head.checkpoint = std::move(id);
  head.list_bytes = static_cast<uint32_t>(IndexCodec::encode_list(state).size());
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
    // The head last: it must not be clean before what it speaks for is on the disk.
    for (auto& [name, file] : files_) {
      if (name != "meta") sync(file);
    }
    if (status) status = write("meta", {{"meta", IndexCodec::encode(head)}});
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
