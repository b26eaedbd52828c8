// imapd/imap/search_program.h - a SEARCH command, compiled to test many messages
//
//   RFC   3501 §6.4.4 (keys), §2.3.2 (\Recent), 5530 / 3501 §7.1 (BADCHARSET); 5032 (WITHIN);
//         5182 (`$`); 7162 §3.1.5 (MODSEQ; a message has one for all its flags, so which of them is
//         asked for does not matter); 8474 §6 (EMAILID, THREADID); 8514 §4.3 (SAVEDON);
//         9738 §3.2 (UIDAFTER, UIDBEFORE)
//   Pure  uses only what it is given of a message and does no I/O. A key that needs more gives
//         "unknown": the caller reads the next stage only when the cheaper keys do not decide.
//   Limit the depth of keys is the parser's (common/imap/parser.h), and so is our recursion. A key
//   may
//         have to look through much, and there may be 2,000: a test stops when its time is up
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/account/account.h"
#include "common/account/structures.h"
#include "common/async/loop.h"
#include "common/base/result.h"
#include "common/imap/command.h"
#include "common/mail/types.h"
#include "common/message/kept_fields.h"
#include "common/message/structure.h"
#include "common/message/text.h"
#include "imapd/imap/view.h"

namespace rims::imapd {

enum class Match : uint8_t { no, yes, unknown };

// What is known of one message. Later stages are unset until they were read.
struct SearchSubject {
  const store::MessageEntry* entry = nullptr;
  uint32_t number = 0;  // sequence number
  bool recent = false;
  const message::KeptFields* fields = nullptr;
  const message::StructureView* structure = nullptr;
  std::optional<std::string_view> header;
  std::optional<std::string_view> message;
};

// What was found out about one message. It can be used again for the next one.
class SearchTrial {
 public:
  // The last test gave "unknown" because its time was up. The next one goes on where it stopped.
  [[nodiscard]] bool stopped() const { return stopped_; }

 private:
  friend class SearchProgram;
  // After this time a test stops, when it has looked through something.
  static constexpr Milliseconds kStep{4};
  std::vector<Match> known_;  // by the numbers of nodes
  std::chrono::steady_clock::time_point until_;
  bool stopped_ = false;
};

class SearchProgram {
 public:
  // What a command means beside what its keys say. All must outlive the program.
  struct Context {
    const store::Mailbox& mailbox;
    const View& view;
    const imap::NumberSet<Uid>& saved;        // `$`
    int64_t now = 0;                          // seconds since 1970 (UTC)
    const store::Account* account = nullptr;  // for EMAILID; without it none is known
  };
  // `command` must outlive the program. Errors: refused BADCHARSET.
  [[nodiscard]] static Result<SearchProgram> make(const imap::Search& command,
                                                  const Context& context);
  // How many keys there are: what even a test costs that looks through nothing.
  [[nodiscard]] size_t size() const { return count_; }
  // The next message.
  void begin(SearchTrial& trial) const { trial.known_.assign(count_, Match::unknown); }
  // As far as `subject` tells. Keys that were decided are not looked at again, so that what is in
  // memory of the mailbox is used by the first test only: later ones may run on another thread.
  [[nodiscard]] Match test(const SearchSubject& subject, SearchTrial& trial) const;
  // False: a set of numbers or UIDs that all matches are in does not have this one.
  [[nodiscard]] bool in_sets(const SearchSubject& subject) const;
  // What to read of messages for which the data in memory does not decide.
  [[nodiscard]] store::Wanted wanted() const { return wanted_; }
  // MODSEQ is among the keys (RFC 7162 §3.1.5).
  [[nodiscard]] bool looks_at_modseq() const { return looks_at_modseq_; }

 private:
  struct Node {
    const imap::SearchKey* key = nullptr;
    size_t number = 0;
    imap::NumberSet<SeqNum> numbers;
    imap::NumberSet<Uid> uids;
    const imap::NumberSet<Uid>* saved = nullptr;  // instead of both
    int64_t time = 0;                             // that OLDER and YOUNGER compare with
    std::optional<MessageId> message;             // of EMAILID
    const store::Keywords* keywords = nullptr;    // of the mailbox
    std::optional<store::KeywordIndex> keyword;   // none: no message has it
    std::optional<message::Needle> needle;
    std::optional<message::KeptNames> kept;  // the header field, when it is one that is kept
    std::vector<Node> nodes;
  };

  Result<Node> compile(const imap::SearchKey& key, std::string_view charset,
                       const Context& context);
  static Match test(const Node& node, const SearchSubject& subject, SearchTrial& trial);
  static Match look(const Node& node, const SearchSubject& subject, SearchTrial& trial);

  Node root_;
  size_t count_ = 0;
  store::Wanted wanted_;
  bool looks_at_modseq_ = false;
};

}  // namespace rims::imapd
