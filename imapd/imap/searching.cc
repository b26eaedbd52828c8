// imapd/imap/searching.cc - stage by stage, as far as the keys need it

#include "imapd/imap/searching.h"

#include <algorithm>
#include <ctime>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "common/imap/response.h"

namespace rims::imapd {
namespace {

// How far to look for messages of which to read more, and how many keys to test for it: a few
// milliseconds.
constexpr size_t kMostAhead = 4 * StructuresAhead::kMost;
constexpr size_t kLeastAhead = 16;
constexpr size_t kKeysAhead = 100'000;
// The clock is asked at each message when there are more keys than this.
constexpr size_t kManyKeys = 100;

// Tests what `subject` has got now, which includes `bytes`, in steps.
Task<Match> test_in_steps(Searching& search, const SearchSubject& subject, std::string_view bytes) {
  Match match = Match::unknown;
  const auto step = [&] { match = search.program.test(subject, search.trial); };
  do {
    co_await search.slice.spend();
    co_await search.session.host().work_on(bytes, step);
  } while (match == Match::unknown && search.trial.stopped());
  co_return match;
}

// The stages that cost reading.
Task<Result<bool>> read_and_test(Searching& search, MessageReader& reader, SearchSubject subject) {
  CO_TRY(subject.structure, co_await reader.structure());
  Match match = co_await test_in_steps(search, subject, {});
  if (match != Match::unknown) co_return match == Match::yes;

  message::Range range = subject.structure->header();
  range.length = std::min(range.length, kMostHeader);
  CO_TRY(const std::string header, co_await reader.bytes(range));
  subject.header = header;
  match = co_await test_in_steps(search, subject, header);
  if (match != Match::unknown) co_return match == Match::yes;

  CO_TRY(const std::string whole, co_await reader.whole());
  subject.message = whole;
  match = co_await test_in_steps(search, subject, whole);
  co_return match == Match::yes;
}

// What is in memory of the message at `index`; no entry when it is gone.
SearchSubject subject_at(const Selected& selected, size_t index) {
  const Uid uid = selected.view.uid_at(index);
  return {.entry = selected.mailbox->find(uid),
          .number = static_cast<uint32_t>(index + 1),
          .recent = selected.view.is_recent(uid)};
}

// In which order messages are tested.
enum class Way : uint8_t { up, down };

// The index that is tested as the `n`th one.
size_t nth(const Searching& search, Way way, size_t n) {
  return way == Way::up ? search.from + n : search.session.selected().view.size() - 1 - n;
}

// Messages from the `n`th one on for which the data in memory does not decide.
std::vector<MessageId> coming(Searching& search, Way way, size_t n) {
  const Selected& selected = search.session.selected();
  const SearchProgram& program = search.program;
  std::vector<MessageId> messages;
  SearchTrial trial;
  const size_t most = std::clamp(kKeysAhead / program.size(), kLeastAhead, kMostAhead);
  const size_t end = std::min(selected.view.size() - search.from, n + most);
  for (; n < end && messages.size() < StructuresAhead::kMost; n++) {
    const SearchSubject subject = subject_at(selected, nth(search, way, n));
    if (!subject.entry) continue;
    program.begin(trial);
    if (program.test(subject, trial) == Match::unknown) messages.push_back(subject.entry->message);
  }
  return messages;
}

// Which matches are wanted, counted the way the search goes.
struct Stretch {
  uint64_t skip = 0, take = UINT64_MAX;
};

// Numbers that come in the order of the search, put into ranges in the order of numbers.
class Gathering {
 public:
  Gathering(Way way, Found& found) : way_(way), found_(found) {}
  ~Gathering() {
    for (const Found::Range& range : std::views::reverse(downwards_))
      found_.add_range(range.first, range.last);
  }
  Gathering(const Gathering&) = delete;
  Gathering& operator=(const Gathering&) = delete;

  void add(SeqNum number) {
    if (way_ == Way::up)
      found_.add(number);
    else if (!downwards_.empty() && downwards_.back().first.value == number.value + 1)
      downwards_.back().first = number;
    else
      downwards_.push_back({number, number});
  }

 private:
  Way way_;
  Found& found_;
  std::vector<Found::Range> downwards_;
};

// Tests the messages one by one, until those that are wanted were found or to the end.
Task<Status> test_all(Searching& search, Way way, Stretch stretch, Found& found) {
  const Selected& selected = search.session.selected();
  const SearchProgram& program = search.program;
  Gathering gathering(way, found);
  uint64_t matches = 0;
  // The view does not change while the command runs; the mailbox may.
  for (size_t n = 0; n < selected.view.size() - search.from; n++) {
    SearchSubject subject = subject_at(selected, nth(search, way, n));
    if (!subject.entry) continue;
    const store::MessageEntry entry = *subject.entry;
    subject.entry = &entry;
    program.begin(search.trial);
    Match match = program.test(subject, search.trial);
    const bool quick = match != Match::unknown;
    if (!quick) {
      const store::Structures::One* kept = search.ahead.find(entry.message);
      if (!kept) {
        CO_TRY_STATUS(co_await search.ahead.read(coming(search, way, n)));
        kept = search.ahead.find(entry.message);
      }
      MessageReader reader(search.session.host(), search.session.account(), entry,
                           kept ? *kept : store::Structures::One());
      subject.fields = reader.fields();
      match = program.test(subject, search.trial);
      if (match == Match::unknown && search.trial.stopped())
        match = co_await test_in_steps(search, subject, {});
      if (match == Match::unknown) {
        const Result<bool> tested = co_await read_and_test(search, reader, subject);
        // A message that another session removed meanwhile is no match and no error.
        if (!tested && selected.mailbox->find(entry.uid) && !search.unreadable.take(tested.error()))
          co_return std::unexpected(tested.error());
        match = tested && *tested ? Match::yes : Match::no;
      }
    }
    if (match == Match::yes && matches++ >= stretch.skip) {
      gathering.add(SeqNum(subject.number));
      search.highest = std::max(search.highest, entry.modseq);
      if (matches - stretch.skip >= stretch.take) break;
    }
    search.tested++;
    if (!quick || program.size() > kManyKeys || search.slice.step()) {
      co_await search.slice.spend();
      CO_TRY_STATUS(co_await search.session.tell_progress(
          search.tested, search.rounds * uint64_t{selected.view.size()}));
    }
  }
  co_return Status();
}

}  // namespace

Result<SearchProgram> program_of(Session& session, const imap::Search& search) {
  const Selected& selected = session.selected();
  return SearchProgram::make(search, {.mailbox = *selected.mailbox,
                                      .view = selected.view,
                                      .saved = selected.saved,
                                      .now = std::time(nullptr),
                                      .account = &session.account()});
}

Task<void> limit_search(Searching& search) {
  const auto limit = search.session.message_limit();
  if (!limit) co_return;
  const Selected& selected = search.session.selected();
  uint32_t taken = 0;
  for (size_t index = selected.view.size(); index-- > 0;) {
    if (search.slice.step()) co_await search.slice.spend();
    const SearchSubject subject = subject_at(selected, index);
    if (!subject.entry || !search.program.in_sets(subject)) continue;
    if (taken == *limit) {
      search.lowest = selected.view.uid_at(search.from);
      co_return;
    }
    taken++;
    search.from = index;
  }
  search.from = 0;
}

Task<Status> find_all(Searching& search, Found& found) {
  return test_all(search, Way::up, {}, found);
}

Task<Status> find_ends(Searching& search, uint8_t returns, Found& found) {
  if ((returns & imap::Search::min) != 0) {
    CO_TRY_STATUS(co_await test_all(search, Way::up, {.take = 1}, found));
    if (found.empty()) co_return Status();
  }
  if ((returns & imap::Search::max) != 0) {
    CO_TRY_STATUS(co_await test_all(search, Way::down, {.take = 1}, found));
  }
  co_return Status();
}

Task<Status> find_page(Searching& search, const imap::Page& page, Found& found) {
  return test_all(search, page.from_end ? Way::down : Way::up,
                  {.skip = page.skips(), .take = page.size()}, found);
}

Found page_of(const Found& all, const imap::Page& page) {
  const uint64_t count = all.count();
  uint64_t skip = std::min<uint64_t>(page.skips(), count);
  uint64_t left = std::min<uint64_t>(page.size(), count - skip);
  if (page.from_end) skip = count - skip - left;
  Found found;
  for (const Found::Range& range : all.ranges()) {
    const uint64_t size = uint64_t{range.last.value} - range.first.value + 1;
    const uint64_t skipped = std::min(skip, size);
    const uint64_t taken = std::min(left, size - skipped);
    skip -= skipped;
    left -= taken;
    if (taken == 0) continue;
    const auto first = static_cast<uint32_t>(range.first.value + skipped);
    found.add_range(SeqNum(first), SeqNum(static_cast<uint32_t>(first + taken - 1)));
  }
  return found;
}

void append_esearch_head(std::string& out, const imap::Command& command) {
  out += "* ESEARCH (TAG ";
  imap::append_string(out, command.tag);
  out += command.by_uid ? ") UID" : ")";
}

void append_partial_head(std::string& out, const imap::Page& page) {
  out += " PARTIAL (";
  imap::append_page(out, page);
  out += ' ';
}

void tell_unreadable(Session& session, const Unreadable& unreadable, std::string_view what) {
  if (!unreadable.any()) return;
  imap::append_status(session.out(), "*", imap::Condition::no, "UNAVAILABLE",
                      unreadable.text(what));
}

}  // namespace rims::imapd
