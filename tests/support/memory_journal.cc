// tests/support/memory_journal.cc - vectors instead of segments

#include "tests/support/memory_journal.h"

#include <algorithm>

namespace rims::store {

class MemoryJournals::MemoryJournal final : public Journal {
 public:
  MemoryJournal(MemoryJournals& owner, std::string user, std::shared_ptr<Disk> kept)
      : owner_(owner), user_(std::move(user)), disk_(std::move(kept)) {}

  uint64_t last_seq() const override {
    return disk_->records.empty() ? 0 : disk_->records.back().seq;
  }
  std::optional<Clean> clean() const override {
    if (disk_->records.empty() || disk_->records.back().type != RecordType::clean)
      return std::nullopt;
    return Clean::decode(disk_->records.back().meta);
  }
  uint32_t lost() const override { return 0; }
  uint32_t cut() const override { return 0; }

  Task<Result<Appended>> append(uint64_t expected, std::span<const Draft> drafts) override {
    co_await sleep_for(owner_.loop_, Milliseconds(0));  // as a disk: never at once
    const Fate outcome = owner_.fate ? owner_.fate(user_, drafts) : Fate::commit;
    if (outcome == Fate::fail) co_return fail(Fault::storage, "temporary failure", "injected");
    Appended result;
    if (expected != last_seq()) {
      result.lost_race = true;
      co_return result;
    }
    for (const auto& draft : drafts) {
      result.locations.push_back({.segment = 1,
                                  .offset = disk_->records.size(),
                                  .meta = static_cast<uint32_t>(draft.meta.size()),
                                  .aux = static_cast<uint32_t>(draft.aux.size()),
                                  .body = draft.body.size()});
      disk_->records.push_back({draft.type, draft.version, ++expected, draft.time, draft.meta,
                                std::string(draft.aux), std::string(draft.body)});
    }
    disk_->appends++;
    if (outcome == Fate::fail_written)
      co_return fail(Fault::storage, "temporary failure", "injected, after the write");
    co_return result;
  }

  bool begins_segment(std::span<const Draft>) const override { return disk_->records.empty(); }
  std::string account_id() const override { return std::string(16, 'a'); }

  Task<Result<std::vector<JournalEvent>>> read_from(uint64_t seq) override {
    co_await sleep_for(owner_.loop_, Milliseconds(0));
    std::vector<JournalEvent> out;
    for (size_t i = 0; i < disk_->records.size(); i++) {
      const auto& r = disk_->records[i];
      if (r.seq < seq) continue;
      const Location at{.segment = 1,
                        .offset = i,
                        .meta = static_cast<uint32_t>(r.meta.size()),
                        .aux = static_cast<uint32_t>(r.aux.size()),
                        .body = r.body.size()};
      CO_TRY(store::Record record, decode(r.type, r.version, r.seq, r.meta, {}));
      out.push_back({r.seq, r.time, at, r.dropped, std::move(record)});
    }
    co_return out;
  }

  Task<Result<std::string>> read(Location at, MessageId message, Part part, uint64_t offset,
                                 uint64_t length, bool* verified) override {
    if (at.offset >= disk_->records.size())
      co_return fail(Fault::storage, "temporary failure", "no such record in memory");
    const auto& record = disk_->records[at.offset];
    const auto meta = Append::decode(record.meta, record.version);
    if (record.type != RecordType::append || !meta || meta->entry.message != message)
      co_return fail(Fault::storage, "temporary failure", "not the record of this message");
    if (record.dropped)
      co_return fail(Fault::not_found, "no such message", "its bytes are given back",
                     "EXPUNGEISSUED");
    const std::string& all = part == Part::message ? record.body : record.aux;
    *verified = true;
    if (offset >= all.size()) co_return std::string();
    co_return all.substr(offset, length);
  }

  Task<Status> seal() override { co_return Status(); }

  // All records are one segment, and that counts as sealed.
  Task<Result<std::vector<Segment>>> segments() override {
    Segment all{.number = 1, .bytes = 0, .sealed = true};
    for (const auto& r : disk_->records) all.bytes += r.meta.size() + r.aux.size() + r.body.size();
    co_return std::vector<Segment>{all};
  }
  Task<Result<Rewritten>> rewrite(uint32_t number, std::vector<MessageId> drop,
                                  Pace pace) override {
    Rewritten made{.segment = number, .places = {}};
    drop_.clear();
    for (size_t i = 0; i < disk_->records.size(); i++) {
      const auto& r = disk_->records[i];
      made.before += r.meta.size() + r.aux.size() + r.body.size();
      const auto append =
          r.type == RecordType::append ? Append::decode(r.meta, r.version) : std::nullopt;
      if (!append) continue;
      const bool dropped = std::ranges::binary_search(drop, append->entry.message);
      if (dropped) drop_.push_back(i);
      const bool gone = dropped || r.dropped;
      made.places.push_back({append->entry.message,
                             {.segment = 1,
                              .offset = i,
                              .meta = static_cast<uint32_t>(r.meta.size()),
                              .aux = gone ? 0 : static_cast<uint32_t>(r.aux.size()),
                              .body = gone ? 0 : r.body.size()},
                             gone});
      made.after += gone ? r.meta.size() : r.meta.size() + r.aux.size() + r.body.size();
    }
    made.whole = co_await pace(made.before);
    co_return made;
  }
  Task<Status> replace() override {
    co_await sleep_for(owner_.loop_, Milliseconds(0));
    for (const size_t i : drop_) {
      auto& record = disk_->records[i];
      record.dropped = true;
      record.aux.clear();
      record.body.clear();
    }
    co_return Status();
  }
  Task<void> discard() override {
    drop_.clear();
    co_return;
  }
  Task<void> close() override { co_return; }

 private:
  MemoryJournals& owner_;
  std::string user_;
  std::vector<size_t> drop_;    // by replace()
  std::shared_ptr<Disk> disk_;  // shared with the factory: it outlives the journal, as a disk
};

std::shared_ptr<MemoryJournals::Disk> MemoryJournals::disk_of(const std::string& user) {
  auto& place = disks_[user];
  if (!place) place = std::make_shared<Disk>();
  return place;
}

Task<Result<std::unique_ptr<Journal>>> MemoryJournals::open(std::string user,
                                                            std::shared_ptr<AccountDir>) {
  co_return std::make_unique<MemoryJournal>(*this, user, disk_of(user));
}

void MemoryJournals::intrude(const std::string& user, RecordType type, uint8_t version,
                             std::string meta) {
  auto& records = disk_of(user)->records;
  const uint64_t seq = records.empty() ? 1 : records.back().seq + 1;
  records.push_back({type, version, seq, 0, std::move(meta), {}, {}});
}

}  // namespace rims::store
