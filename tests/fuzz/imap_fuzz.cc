// tests/fuzz/imap_fuzz.cc - the IMAP grammar: reader, parser, printer, mailbox names, LIST patterns
//
// The first byte chooses what is tried: 'r' and 'b' a client's bytes, after login and before it;
// 'm' a mailbox name as the wire has it, 'p' a pattern, LF, and a name. For 'r' and 'b' the second
// byte is the size of the pieces.
//
// Promises   however the bytes are cut, the reader says the same; what it holds stays in bounds; a
//            command that parses prints, and parses back to itself; what decodes encodes back;
//            the matcher agrees with a slow one

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ascii.h"
#include "common/base/utf8.h"
#include "common/imap/mailbox_name.h"
#include "common/imap/printer.h"
#include "common/imap/reader.h"
#include "common/imap/response.h"

namespace rims::imap {
namespace {

void insist(bool promise) {
  if (!promise) std::abort();
}

// NEW, and parentheses around it when printed, take more keys and levels than were written.
ParserLimits generous() {
  ParserLimits limits;
  limits.search_keys *= 4;
  limits.search_depth += 2;
  return limits;
}

void prints_and_parses_back(const Command& command) {
  const std::string text = print(command);
  ReaderLimits limits;
  limits.line_bytes = limits.literal_bytes = limits.literal_sum = limits.literal_count = 1U << 30;
  limits.message_bytes = 1U << 30;
  Reader reader(limits, generous());
  std::string_view input = text;
  insist(reader.next(input) == Reader::Event::command && input.empty());
  const Result<Command> again = reader.take();
  insist(again.has_value());
  insist(*again == command);
  insist(print(*again) == text);
}

std::vector<std::string> talk(std::string_view bytes, size_t piece, const ReaderLimits& limits,
                              const ParserLimits& parser_limits) {
  Reader reader(limits, parser_limits);
  std::vector<std::string> told;
  const size_t cap =
      2 * (size_t{limits.line_bytes} + limits.literal_sum) + limits.message_bytes +
      2 * std::max(limits.literal_count, limits.line_bytes / 4) * sizeof(std::string) + 1024;
  while (!bytes.empty()) {
    // A copy of its own: reading beyond it is seen.
    const std::string part(bytes.substr(0, piece));
    bytes.remove_prefix(part.size());
    std::string_view input = part;
    for (bool more = true; more;) {
      const Reader::Event event = reader.next(input);
      insist(reader.held() <= cap);
      switch (event) {
        case Reader::Event::need_more:
          insist(input.empty());
          more = false;
          break;
        case Reader::Event::go_ahead:
          told.emplace_back("+");
          break;
        case Reader::Event::command: {
          std::string line = std::string(reader.tag()) + " ";
          const Result<Command> command = reader.take();
          if (command) {
            insist(command->tag == reader.tag());
            line += print(*command);
            prints_and_parses_back(*command);
            if (std::holds_alternative<Idle>(command->args)) reader.expect_line();
          } else {
            line += command.error().reply();
          }
          told.push_back(std::move(line));
          break;
        }
        case Reader::Event::line:
          told.emplace_back("line " + std::string(reader.line()));
          break;
        case Reader::Event::refused:
          told.emplace_back(std::string(reader.refusal_tag()) + " " + reader.refusal().reply());
          break;
        case Reader::Event::fatal:
          told.emplace_back("BYE");
          return told;
      }
    }
  }
  return told;
}

void client(std::string_view bytes, bool before_login) {
  if (bytes.empty()) return;
  const size_t piece = static_cast<unsigned char>(bytes.front()) % 64U + 1U;
  bytes.remove_prefix(1);
  ReaderLimits limits = before_login ? limits_before_login() : limits_after_login(2000, 3000, 2500);
  if (!before_login) limits.literal_count = 8;
  limits.messages_sum = 0;  // as much as one message
  const ParserLimits parser_limits{.before_login = before_login};
  insist(talk(bytes, piece, limits, parser_limits) == talk(bytes, SIZE_MAX, limits, parser_limits));
}

void mailbox_name(std::string_view bytes) {
  if (const auto name = from_modified_utf7(bytes)) {
    insist(utf8::is_valid(*name));
    insist(to_modified_utf7(*name) == bytes);
  }
  const std::string wire = to_modified_utf7(bytes);
  const auto back = from_modified_utf7(wire);
  insist(back.has_value());
  if (utf8::is_valid(bytes)) insist(*back == bytes);
  std::string out;
  append_mailbox(out, bytes, NameForm::modified_utf7);
  append_mailbox(out, bytes, NameForm::utf8);
  out.clear();
  append_astring(out, bytes);
}

// Which prefixes of the name the pattern's prefix matches, pattern byte by pattern byte.
bool matches_slowly(std::string_view pattern, std::string_view name) {
  // INBOX in front is matched in any case.
  const size_t any_case = name == "INBOX" || name.starts_with("INBOX/") ? 5 : 0;
  std::vector<bool> row(name.size() + 1);
  row[0] = true;
  for (char c : pattern) {
    std::vector<bool> next(name.size() + 1);
    for (size_t i = 0; i <= name.size(); i++) {
      if (c == '*' || c == '%') {
        next[i] = row[i] || (i > 0 && next[i - 1] && (c == '*' || name[i - 1] != '/'));
      } else {
        next[i] = i > 0 && row[i - 1] &&
                  (name[i - 1] == c || (i <= any_case && ascii::lower(name[i - 1]) == c));
      }
    }
    row = std::move(next);
  }
  return row.back();
}

void pattern(std::string_view bytes) {
  const size_t lf = bytes.find('\n');
  if (lf == bytes.npos) return;
  const std::string_view wanted = bytes.substr(0, lf);
  const std::string_view name = bytes.substr(lf + 1);
  if (wanted.size() > kMaxMailboxName || name.size() > kMaxMailboxName) return;
  insist(ListPattern("", wanted).matches(name) == matches_slowly(wanted, name));
}

}  // namespace
}  // namespace rims::imap

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(data, data + size);
  if (bytes.empty()) return 0;
  const std::string_view rest = std::string_view(bytes).substr(1);
  switch (bytes[0]) {
    case 'r':
      rims::imap::client(rest, false);
      break;
    case 'b':
      rims::imap::client(rest, true);
      break;
    case 'm':
      rims::imap::mailbox_name(rest);
      break;
    case 'p':
      rims::imap::pattern(rest);
      break;
    default:
      break;
  }
  return 0;
}
