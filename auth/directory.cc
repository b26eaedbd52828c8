// auth/directory.cc - reading and writing the journal of the user directory

#include "auth/directory.h"

#include <set>
#include <utility>

#include <fmt/core.h>

#include "common/base/log.h"
#include "common/journal/account_dir.h"
#include "common/journal/file_journal.h"
#include "common/journal/file_segments.h"

namespace rims::auth {
namespace {

constexpr size_t kPiece = 1000;  // records that are folded before others get a turn

}  // namespace

Directory::Directory(Loop& loop, Fd base, std::string path, std::function<uint64_t()> wall,
                     uint64_t segment_bytes)
    : loop_(loop),
      base_(std::move(base)),
      path_(std::move(path)),
      wall_(std::move(wall)),
      segment_bytes_(segment_bytes),
      arrived_(loop),
      pool_(loop, 1),
      scope_(loop) {
  scope_.spawn(write_changes());
}

Directory::~Directory() = default;

Task<Status> Directory::open() {
  Status read = co_await read_journal();
  if (!read)
    log::error({},
               "the user directory {} can not be used now: {}; only users of the configuration "
               "can log in",
               path_, read.error().detail());
  co_return read;
}

Task<Status> Directory::read_journal() {
  CO_TRY(store::AccountDir dir,
         store::AccountDir::beneath(store::Disk::real(), base_.get(), ".", path_ + "/"));
  auto segments =
      std::make_shared<store::FileSegments>(std::make_shared<store::AccountDir>(std::move(dir)));
  CO_TRY(auto journal, co_await store::open_journal(loop_, pool_, std::move(segments), "", false,
                                                    segment_bytes_));
  users::State fresh;
  bool damaged = journal->lost() > 0;
  for (uint64_t seq = 1;;) {
    CO_TRY(const auto events, co_await journal->read_from(seq));
    if (events.empty()) break;
    for (const store::JournalEvent& event : events) {
      damaged = damaged || event.seq != seq;
      seq = event.seq + 1;
      if (event.seq % kPiece == 0) co_await sleep_for(loop_, Milliseconds(0));
      const auto* record = std::get_if<store::OfUserDirectory>(&event.record);
      if (!record) continue;
      std::vector<std::string> remarks;
      const Status folded = fresh.apply(event.seq, record->bytes, &remarks);
      if (!folded) remarks.push_back("a record that can not be used: " + folded.error().reply());
      damaged = damaged || !remarks.empty();
      for (const std::string& remark : remarks)
        log::error({}, "{}/journal/{:08} at offset {}: {}", path_, event.location.segment,
                   event.location.offset, remark);
    }
  }
  fresh.folded_all();
  if (damaged)
    log::error({},
               "the user directory {} has damaged records: whom they were about is as the record "
               "before says, so somebody may be enabled or have an earlier password again; look at "
               "\"rims-ctl user list\", or put a copy of the directory in its place while the "
               "suite does not run",
               path_);
  state_ = std::move(fresh);
  last_given_ = std::max(last_given_, state_.last_id());
  known_ = !journal->incomplete();
  journal_ = std::move(journal);
  co_return Status();
}

Task<Status> Directory::change(Plan plan) {
  if (waiting_.size() >= kMostWaiting)
    co_return fail(Fault::limit, "too many changes wait; try again");
  const auto mine = std::make_shared<Waiting>(loop_, std::move(plan));
  waiting_.push_back(mine);
  arrived_.set();
  co_await mine->over.wait();
  co_return mine->outcome;
}

void Directory::answer(const std::vector<WaitingPtr>& group, const Status& outcome) {
  for (const WaitingPtr& one : group) {
    one->outcome = outcome;
    one->over.set();
  }
}

Task<void> Directory::write_changes() {
  while (true) {
    arrived_.clear();
    if (waiting_.empty()) co_await arrived_.wait();
    if (!journal_) {
      const Status read = co_await open();
      if (!read) {
        answer({waiting_.begin(), waiting_.end()}, read);
        waiting_.clear();
        continue;
      }
    }
    std::vector<WaitingPtr> group;
    std::vector<std::string> records;
    std::set<std::string> keys;
    std::deque<WaitingPtr> later;
    while (!waiting_.empty() && group.size() < kMostTogether) {
      const WaitingPtr one = std::move(waiting_.front());
      waiting_.pop_front();
      auto planned = one->plan(state_, ++last_given_);
      if (!planned) {
        answer({one}, std::unexpected(planned.error()));
        continue;
      }
      bool apart = true;
      // Also those of one that must wait: nobody after it may come before it.
      for (const std::string& key : planned->keys) apart = keys.insert(key).second && apart;
      if (!apart) {
        later.push_back(one);
        continue;
      }
      group.push_back(one);
      std::ranges::move(planned->records, std::back_inserter(records));
    }
    waiting_.insert(waiting_.begin(), later.begin(), later.end());
    if (!group.empty()) co_await write_together(std::move(group), std::move(records));
  }
}

Task<void> Directory::write_together(std::vector<WaitingPtr> group,
                                     std::vector<std::string> records) {
  const auto time = static_cast<uint32_t>(wall_());
  const auto drafts_of = [time](const std::vector<std::string>& of) {
    std::vector<store::Draft> drafts;
    drafts.reserve(of.size());
    for (const std::string& bytes : of)
      drafts.push_back(store::draft(store::OfUserDirectory{bytes}, time));
    return drafts;
  };
  std::vector<store::Draft> drafts = drafts_of(records);
  size_t before = 0;  // records of the snapshot
  if (journal_->begins_segment(drafts) && journal_->last_seq() != 0) {
    std::vector<store::Draft> all = drafts_of(state_.snapshot());
    before = all.size();
    std::ranges::move(drafts, std::back_inserter(all));
    drafts = std::move(all);
  }
  const uint64_t expected = journal_->last_seq();
  const auto written = co_await journal_->append(expected, drafts);
  if (!written || written->lost_race) {
    const std::string why =
        written ? std::string("another process writes it") : written.error().detail();
    log::error({}, "the user directory {} is read again before the next change: {}", path_, why);
    co_await journal_->close();
    journal_.reset();
    answer(group, fail(Fault::storage,
                       "temporary failure: it is not known whether this was changed; "
                       "look, and try again"));
    co_return;
  }
  if (written->no_room) {
    log::error({}, "the user directory {}: {}", path_, written->no_room->detail());
    answer(group, fail(Fault::storage,
                       "there is no room for it, or it can not be written now; "
                       "nothing was changed"));
    co_return;
  }
  uint64_t seq = expected + before;
  for (const std::string& bytes : records)
    if (const Status folded = state_.apply(++seq, bytes); !folded)
      log::error({}, "the user directory {}: a record of ours can not be used: {}", path_,
                 folded.error().reply());
  answer(group, Status());
}

}  // namespace rims::auth
