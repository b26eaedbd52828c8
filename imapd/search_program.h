// imapd/search_program.h - a SEARCH command made ready to be tried on many messages
//
//   RFC   3501 §6.4.4 (keys), §2.3.2 (\Recent), 5530 / 3501 §7.1 (BADCHARSET)
//   Pure  knows what it is given of a message and does no I/O. A key that needs more says
//         "unknown": the caller reads the next stage only when the cheaper keys left it open.
//   Limit the depth of keys is the parser's (common/imap/parser.h), and so is our recursion
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/imap/command.h"
#include "common/message/structure.h"
#include "common/message/text.h"
#include "common/store/types.h"
#include "imapd/view.h"

namespace rims::imapd {

enum class Match : uint8_t { no, yes, unknown };

// What is known of one message. Later stages are unset until they were read.
struct SearchSubject {
  const store::MessageEntry* entry = nullptr;
  uint32_t number = 0;  // sequence number
  bool recent = false;
  const message::StructureView* structure = nullptr;
  std::optional<std::string_view> header;
  std::optional<std::string_view> message;
};

class SearchProgram {
 public:
  // `command` must outlive the program. Errors: refused BADCHARSET.
  [[nodiscard]] static Result<SearchProgram> make(const imap::Search& command,
                                                  const store::Mailbox& mailbox, const View& view);
  [[nodiscard]] Match test(const SearchSubject& subject) const { return test(root_, subject); }

 private:
  struct Node {
    const imap::SearchKey* key = nullptr;
    imap::NumberSet<SeqNum> numbers;
    imap::NumberSet<Uid> uids;
    std::optional<unsigned> keyword;  // none: no message has it
    std::optional<message::Needle> needle;
    std::vector<Node> nodes;
  };

  static Result<Node> compile(const imap::SearchKey& key, std::string_view charset,
                              const store::Mailbox& mailbox, const View& view);
  static Match test(const Node& node, const SearchSubject& subject);

  Node root_;
};

}  // namespace rims::imapd
