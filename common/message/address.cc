// common/message/address.cc - see address.h
//
//   address  = mailbox / group                                   RFC 5322 §3.4, §4.4
//   mailbox  = [phrase] "<" [route ":"] addr-spec ">" / addr-spec
//   group    = phrase ":" [mailbox *("," mailbox)] ";"
//
// One pass: words are collected until the character that says what they were. Text that does not
// match the grammar is skipped up to the next "," (or ";"), so that one bad address does not hide
// the others.

#include "common/message/address.h"

#include <utility>

#include "common/message/lexer.h"

namespace rims::message {
namespace {

constexpr std::string_view kNoMailbox = "MISSING_MAILBOX";
constexpr std::string_view kNoHost = "MISSING_DOMAIN";

void trim(std::string& text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
  size_t start = 0;
  while (start < text.size() && (text[start] == ' ' || text[start] == '\t')) start++;
  text.erase(0, start);
}

// The words in front of "<", "@", ":" or the end, read both as a phrase and as a local part.
struct Words {
  std::string phrase;       // all words with one space between them
  std::string local;        // the last run of words that dots hold together
  size_t before_local = 0;  // length of the phrase in front of that run
  bool any = false;
  bool open_dot = false;  // the run ends in a dot: the next word continues it

  void add(std::string_view word, bool is_quoted) {
    const bool continues = any && (open_dot || (!is_quoted && word.starts_with('.')));
    if (!continues) {
      local.clear();
      before_local = phrase.size();
    }
    if (any) phrase += ' ';
    phrase += word;
    local += word;
    any = true;
    open_dot = !is_quoted && word.ends_with('.');
  }
};

class Parser {
 public:
  Parser(std::string_view value, size_t max, const std::function<void(const Address&)>& take)
      : in_(value), max_(max), take_(take) {}

  void run() {
    // One row is kept free for the end of an open group.
    while (rows_ + (in_group_ ? 1 : 0) < max_ && !in_.at_end()) item();
    if (in_group_) end_group();
  }

 private:
  // One list element with the separator behind it.
  void item() {
    comment_.clear();
    Words words;
    for (;;) {
      in_.skip_cfws(&comment_);
      const char c = in_.peek();
      if (c == '\0' || c == ',' || c == ';') {
        bare(words);
        break;
      }
      if (c == '<') {
        angle(std::move(words.phrase));
        break;
      }
      if (c == '@') {
        addr_spec(words);
        break;
      }
      if (c == ':') {
        in_.skip();
        start_group(std::move(words.phrase));
        return;
      }
      word(words);
    }
    in_.skip_to(in_group_ ? ",;:" : ",;");
    separator();
  }

  void separator() {
    if (in_.peek() == ':') return;  // inside a group: the words before it are not an address
    if (in_.take(';')) {
      if (in_group_) end_group();
    } else if (!in_.at_end()) {
      in_.skip();
    }
  }

  // Takes one word, or skips one character that is not allowed here.
  void word(Words& words) {
    std::string text;
    comment_.clear();
    if (in_.peek() == '"') {
      if (in_.quoted(text)) {
        words.add(text, true);
      } else {
        in_.skip();
      }
    } else if (in_.atom(text)) {
      words.add(text, false);
    } else {
      in_.skip();
    }
  }

  // Words and nothing else: one is a mailbox without a host, more are a name. Quotes with nothing
  // in them are neither.
  void bare(const Words& words) {
    if (!words.any) return;  // an empty list element, RFC 5322 §4.4
    if (words.phrase.find_first_not_of(" \t") == std::string::npos) {
      add(comment_, {}, std::string(kNoMailbox), std::string(kNoHost));
    } else if (words.before_local == 0) {
      add(comment_, {}, words.local, std::string(kNoHost));
    } else {
      add(words.phrase, {}, std::string(kNoMailbox), std::string(kNoHost));
    }
  }

  // At "@": local part "@" domain, unless it turns out to be the name in front of a "<".
  void addr_spec(Words& words) {
    in_.skip();
    std::string host = domain();
    std::string name = words.phrase.substr(0, words.before_local);
    in_.skip_cfws(&comment_);
    if (in_.peek() == '<') {
      angle(words.phrase + '@' + host);
      return;
    }
    if (name.empty()) name = comment_;
    add(std::move(name), {}, words.any ? words.local : std::string(kNoMailbox),
        host.empty() ? std::string(kNoHost) : std::move(host));
  }

  // At "<".
  void angle(std::string name) {
    in_.skip();
    in_.skip_cfws();
    std::string route;
    std::string host;
    std::string local;
    bool any = false;
    while (in_.peek() == '@') {
      in_.skip();
      host = domain();
      if (!route.empty()) route += ',';
      route += '@';
      route += host;
      in_.skip_cfws();
      while (in_.take(',')) in_.skip_cfws();
    }
    if (!route.empty() && in_.take(':')) {
      host.clear();
      in_.skip_cfws();
    } else if (!route.empty() && in_.peek() != '>' && in_.peek() != '\0') {
      host.clear();  // there is no colon: these words are the address
    } else {
      route.clear();  // "<@host>"
    }
    bool open = host.empty();
    while (open) {
      const char c = in_.peek();
      if (c == '\0' || c == '>' || c == ',' || c == '<') break;
      if (c == '@') {
        in_.skip();
        host = domain();
        break;
      }
      std::string text;
      const size_t start = in_.position();
      if (c == '"' ? !in_.quoted(text) : !in_.atom(text)) {
        in_.skip();
        if (c == ':' || c == ';') text = in_.since(start);
      }
      // Only dots join words; anything else between two words becomes a space.
      if (any && gap_ && !local.ends_with('.') && !text.starts_with('.')) local += ' ';
      local += text;
      any = any || c == '"' || !text.empty();
      const size_t end = in_.position();
      in_.skip_cfws();
      gap_ = in_.position() != end;
    }
    in_.skip_to(">,");
    comment_.clear();
    if (in_.take('>')) {
      in_.skip_cfws(&comment_);
      if (name.empty()) name = comment_;
    }
    add(std::move(name), std::move(route), any ? std::move(local) : std::string(kNoMailbox),
        host.empty() ? std::string(kNoHost) : std::move(host));
  }

  // After "@": a domain literal as it is, or atoms joined by dots. May be empty.
  std::string domain() {
    in_.skip_cfws(&comment_);
    std::string host;
    if (in_.peek() == '[') {
      const size_t start = in_.position();
      while (!in_.at_end() && in_.peek() != ']' && in_.peek() != '\r' && in_.peek() != '\n')
        in_.skip();
      if (in_.peek() == ']') in_.skip();
      return std::string(in_.since(start));
    }
    for (;;) {
      if (!in_.atom(host)) return host;
      in_.skip_cfws(&comment_);
      const char next = in_.peek();
      if (!host.ends_with('.') && next != '.') break;
    }
    return host;
  }

  void start_group(std::string name) {
    if (in_group_) end_group();
    if (rows_ + 2 > max_) {
      max_ = rows_;
      return;
    }
    row({Address::Row::group_start, {}, {}, std::move(name), {}});
    in_group_ = true;
  }

  void end_group() {
    row({Address::Row::group_end, {}, {}, {}, {}});
    in_group_ = false;
  }

  void add(std::string name, std::string route, std::string mailbox, std::string host) {
    trim(name);
    row({Address::Row::mailbox, std::move(name), std::move(route), std::move(mailbox),
         std::move(host)});
  }

  void row(const Address& address) {
    rows_++;
    take_(address);
  }

  Lexer in_;
  size_t max_;
  const std::function<void(const Address&)>& take_;
  size_t rows_ = 0;
  std::string comment_;  // the last one passed, which may have to serve as the name
  bool in_group_ = false;
  bool gap_ = false;
};

}  // namespace

void for_each_address(std::string_view value, size_t max,
                      const std::function<void(const Address&)>& take) {
  Parser(value, max, take).run();
}

std::vector<Address> parse_addresses(std::string_view value, size_t max) {
  std::vector<Address> rows;
  for_each_address(value, max, [&](const Address& address) { rows.push_back(address); });
  return rows;
}

}  // namespace rims::message
