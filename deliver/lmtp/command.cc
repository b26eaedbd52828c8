// deliver/lmtp/command.cc - the productions stand above their functions

#include "deliver/lmtp/command.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace rims::lmtp {
namespace {

template <class T>
using Parsed = std::expected<T, Reply>;

std::unexpected<Reply> refuse(uint16_t code, std::string enhanced, std::string text) {
  return std::unexpected(Reply(code, std::move(enhanced), std::move(text)));
}

bool beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }
bool is_printable(char c) { return c > 0x20 && c < 0x7f; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter_or_digit(char c) {
  return is_digit(c) || (ascii::lower(c) >= 'a' && ascii::lower(c) <= 'z');
}
// RFC 5322 §3.2.3, RFC 6531 §3.3, and the dot.
bool in_local_part(char c) {
  return beyond_ascii(c) || is_letter_or_digit(c) ||
         std::string_view("!#$%&'*+-/=?^_`{|}~.").contains(c);
}
bool in_domain(char c) {
  return beyond_ascii(c) || is_letter_or_digit(c) || c == '-' || c == '.' || c == '_';
}
bool in_literal(char c) { return is_printable(c) && c != '[' && c != ']' && c != '\\'; }
bool in_keyword(char c) { return is_letter_or_digit(c) || c == '-'; }
bool in_value(char c) { return beyond_ascii(c) || (is_printable(c) && c != '='); }

class Cursor {
 public:
  explicit Cursor(std::string_view line) : line_(line) {}

  [[nodiscard]] bool at_end() const { return at_ == line_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : line_[at_]; }
  bool take(char c) {
    if (peek() != c || at_end()) return false;
    at_++;
    return true;
  }
  void blanks() {
    while (peek() == ' ' && !at_end()) at_++;
  }
  bool word(std::string_view expected) {
    if (!ascii::equal(line_.substr(at_, expected.size()), expected)) return false;
    at_ += expected.size();
    return true;
  }
  std::string_view while_in(bool (*among)(char)) {
    const size_t from = at_;
    while (!at_end() && among(line_[at_])) at_++;
    return line_.substr(from, at_ - from);
  }
  [[nodiscard]] size_t at() const { return at_; }
  [[nodiscard]] std::string_view since(size_t from) const { return line_.substr(from, at_ - from); }

  // RFC 5321 §4.2.3: 501 for a syntax error in arguments; RFC 3463 §3.6: X.5.4, invalid arguments.
  [[nodiscard]] std::unexpected<Reply> expected(std::string_view what,
                                                std::string enhanced = "5.5.4") const {
    return refuse(501, std::move(enhanced),
                  "expected " + std::string(what) + " at column " + std::to_string(at_ + 1));
  }

 private:
  std::string_view line_;
  size_t at_ = 0;
};

// Decoded xtext, RFC 3461 §4; nullopt when it is none.
std::optional<std::string> decoded(std::string_view xtext) {
  std::string out;
  for (size_t i = 0; i < xtext.size(); i++) {
    if (xtext[i] != '+') {
      out += xtext[i];
      continue;
    }
    unsigned value = 0;
    const auto digits = xtext.substr(i + 1, 2);
    const bool upper = std::ranges::none_of(digits, [](char c) { return c >= 'a' && c <= 'f'; });
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || !upper || error != std::errc() || end != digits.data() + 2)
      return std::nullopt;
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; });
}

//   Quoted-string = DQUOTE *(%d32-33 / %d35-91 / %d93-126 / "\" %d32-126) DQUOTE   RFC 5321 §4.1.2
Parsed<std::string> quoted_local_part(Cursor& in) {
  std::string local;
  while (!in.take('"')) {
    if (in.at_end()) return in.expected("the closing quote");
    const bool escaped = in.take('\\');
    const char c = in.peek();
    if (in.at_end() || static_cast<unsigned char>(c) < 0x20 || c == 0x7f ||
        (escaped && beyond_ascii(c)))
      return in.expected("a printable character");
    local += c;
    in.take(c);
  }
  return local;
}

//   Path    = "<" [ A-d-l ":" ] Mailbox ">"                                        RFC 5321 §4.1.2
//   Mailbox = (Dot-string / Quoted-string) "@" (Domain / address-literal)
// A source route is read over, as RFC 5321 §4.1.1.3 wants it; the domain may be left out.
Parsed<Mailbox> path(Cursor& in, bool null_allowed, const char* bad_address) {
  in.blanks();
  if (!in.take('<')) return in.expected("\"<\"");
  Mailbox box;
  if (null_allowed && in.take('>')) return box;
  if (in.peek() == '@') {
    while (in.take('@')) {
      if (in.while_in(in_domain).empty()) return in.expected("a domain");
      in.take(',');
    }
    if (!in.take(':')) return in.expected("\":\"");
  }
  const size_t from = in.at();
  if (in.take('"')) {
    auto local = quoted_local_part(in);
    if (!local) return std::unexpected(std::move(local.error()));
    box.address = std::move(*local);
  } else {
    box.address = in.while_in(in_local_part);
  }
  if (box.address.empty()) return in.expected("a local part", bad_address);
  if (in.take('@')) {
    const size_t domain = in.at();
    if (in.take('[')) {
      if (in.while_in(in_literal).empty()) return in.expected("an address");
      if (!in.take(']')) return in.expected("\"]\"");
    } else if (in.while_in(in_domain).empty()) {
      return in.expected("a domain", bad_address);
    }
    box.address += '@';
    box.address += in.since(domain);
  }
  box.text = in.since(from);
  if (!in.take('>')) return in.expected("\">\"");
  if (box.text.size() > kMaxAddress)
    return refuse(501, bad_address,
                  "expected an address of at most " + std::to_string(kMaxAddress) + " bytes");
  box.ascii = std::ranges::none_of(box.text, beyond_ascii);
  if (!box.ascii && !utf8::is_valid(box.text)) return refuse(501, bad_address, "expected UTF-8");
  return box;
}

struct Parameter {
  std::string_view keyword, value;
  bool has_value = false;
};

//   esmtp-param = esmtp-keyword ["=" esmtp-value]                                  RFC 5321 §4.1.2
Parsed<Parameter> parameter(Cursor& in) {
  Parameter found;
  found.keyword = in.while_in(in_keyword);
  if (found.keyword.empty()) return in.expected("a parameter");
  if (in.take('=')) {
    found.has_value = true;
    found.value = in.while_in(in_value);
    if (found.value.empty()) return in.expected("a value");
  }
  return found;
}

std::unexpected<Reply> bad_value(const Parameter& of, std::string_view expected) {
  return refuse(
      501, "5.5.4",
      "expected " + std::string(expected) + " as the value of " + ascii::upper(of.keyword));
}
// RFC 5321 §4.1.1.11: 555 for a parameter that is not known.
std::unexpected<Reply> unknown(const Parameter& what) {
  return refuse(555, "5.5.4", "the parameter " + ascii::upper(what.keyword) + " is not known here");
}

// Each parameter once, by `use`, which returns a reply when it refuses.
template <class Use>
std::optional<Reply> parameters(Cursor& in, Use use) {
  std::string seen = " ";
  while (!in.at_end()) {
    if (!in.take(' ')) return in.expected("SP").error();
    in.blanks();
    if (in.at_end()) break;
    const auto one = parameter(in);
    if (!one) return one.error();
    const std::string name = ascii::upper(one->keyword) + " ";
    if (seen.contains(" " + name))
      return Reply(501, "5.5.4", "the parameter " + name + "was given twice");
    seen += name;
    std::expected<void, Reply> used = use(*one);
    if (!used) return std::move(used.error());
  }
  return std::nullopt;
}

std::expected<void, Reply> mail_parameter(const Parameter& p, Mail& mail) {
  if (ascii::equal(p.keyword, "SIZE")) {  // RFC 1870 §3: 1*20DIGIT
    uint64_t size = 0;
    const auto [end, error] =
        std::from_chars(p.value.data(), p.value.data() + p.value.size(), size);
    if (error == std::errc::result_out_of_range && p.value.size() <= 20)
      size = UINT64_MAX;
    else if (error != std::errc() || end != p.value.data() + p.value.size())
      return bad_value(p, "a number");
    mail.size = size;
    return {};
  }
  if (ascii::equal(p.keyword, "BODY")) {
    if (ascii::equal(p.value, "7BIT"))
      mail.body = Body::seven_bit;
    else if (ascii::equal(p.value, "8BITMIME"))
      mail.body = Body::eight_bit;
    else if (ascii::equal(p.value, "BINARYMIME"))
      mail.body = Body::binary;
    else
      return bad_value(p, "7BIT, 8BITMIME or BINARYMIME");
    return {};
  }
  if (ascii::equal(p.keyword, "SMTPUTF8")) {
    if (p.has_value) return bad_value(p, "nothing");
    mail.smtputf8 = true;
    return {};
  }
  if (ascii::equal(p.keyword, "ENVID")) {
    auto id = decoded(p.value);
    if (!id || id->empty() || p.value.size() > kMaxEnvelopeId || !is_plain(*id))
      return bad_value(p, "xtext of at most 100 characters");
    mail.envelope_id = std::move(*id);
    return {};
  }
  if (ascii::equal(p.keyword, "RET")) {
    mail.returned = ascii::upper(p.value);
    if (mail.returned != "FULL" && mail.returned != "HDRS") return bad_value(p, "FULL or HDRS");
    return {};
  }
  return unknown(p);
}

//   notify = "NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY")                         RFC 3461 §4.1
bool is_notify(std::string_view value) {
  if (ascii::equal(value, "NEVER")) return true;
  while (true) {
    const size_t end = std::min(value.find(','), value.size());
    const auto one = value.substr(0, end);
    if (!ascii::equal(one, "SUCCESS") && !ascii::equal(one, "FAILURE") &&
        !ascii::equal(one, "DELAY"))
      return false;
    if (end == value.size()) return true;
    value.remove_prefix(end + 1);
  }
}

std::expected<void, Reply> rcpt_parameter(const Parameter& p, Rcpt& rcpt) {
  if (ascii::equal(p.keyword, "NOTIFY")) {
    if (!is_notify(p.value)) return bad_value(p, "NEVER, or SUCCESS, FAILURE, DELAY");
    rcpt.notify = ascii::upper(p.value);
    return {};
  }
  if (ascii::equal(p.keyword, "ORCPT")) {  // RFC 3461 §4.2; RFC 6533 §3 for utf-8 addresses
    const size_t semicolon = p.value.find(';');
    if (semicolon == 0 || semicolon == std::string_view::npos || p.value.size() > 500 ||
        !utf8::is_valid(p.value))
      return bad_value(p, "an address type, \";\" and an address");
    rcpt.original = p.value;
    return {};
  }
  return unknown(p);
}

//   mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]                          RFC 5321
//   §4.1.1.2
Parsed<Command> mail(Cursor& in) {
  if (!in.word(" FROM:")) return in.expected("SP and FROM:");
  auto sender = path(in, true, "5.1.7");
  if (!sender) return std::unexpected(std::move(sender.error()));
  Mail command;
  command.sender = std::move(*sender);
  if (auto wrong = parameters(in, [&](const Parameter& p) { return mail_parameter(p, command); }))
    return std::unexpected(std::move(*wrong));
  return command;
}

//   rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters]                            RFC 5321
//   §4.1.1.3
Parsed<Command> rcpt(Cursor& in) {
  if (!in.word(" TO:")) return in.expected("SP and TO:");
  auto recipient = path(in, false, "5.1.3");
  if (!recipient) return std::unexpected(std::move(recipient.error()));
  Rcpt command;
  command.recipient = std::move(*recipient);
  if (auto wrong = parameters(in, [&](const Parameter& p) { return rcpt_parameter(p, command); }))
    return std::unexpected(std::move(*wrong));
  return command;
}

//   bdat = "BDAT" SP chunk-size [SP "LAST"]                                        RFC 3030 §2
Parsed<Command> bdat(Cursor& in) {
  if (!in.take(' ')) return in.expected("SP");
  const std::string_view digits = in.while_in(is_digit);
  Bdat command;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), command.size);
  if (digits.empty() || error != std::errc()) return in.expected("a number of bytes");
  in.blanks();
  if (!in.at_end()) {
    if (!in.word("LAST")) return in.expected("LAST");
    command.last = true;
    in.blanks();
    if (!in.at_end()) return in.expected("end of command");
  }
  return command;
}

//   lhlo = "LHLO" SP (Domain / address-literal)                       RFC 2033 §4.1, 5321 §4.1.1.1
Parsed<Command> lhlo(Cursor& in) {
  if (!in.take(' ')) return in.expected("SP");
  in.blanks();
  const size_t from = in.at();
  if (in.take('[')) {
    if (in.while_in(in_literal).empty() || !in.take(']'))
      return in.expected("an address and \"]\"");
  } else {
    in.while_in([](char c) { return !beyond_ascii(c) && in_domain(c); });
  }
  const std::string_view name = in.since(from);
  if (name.empty() || name.size() > kMaxName) return in.expected("a host name");
  in.blanks();
  if (!in.at_end()) return in.expected("end of command");
  return Lhlo{std::string(name)};
}

//   xforward = "XFORWARD" 1*(SP attribute "=" xtext)
Parsed<Command> xforward(Cursor& in) {
  Xforward command;
  bool some = false;
  const auto use = [&](const Parameter& p) -> std::expected<void, Reply> {
    auto value = decoded(p.value);
    if (!value || value->empty() || value->size() > kMaxIdent || !utf8::is_valid(*value))
      return bad_value(p, "xtext of at most 255 bytes");
    // It gets into the log and a header field.
    if (std::ranges::any_of(*value, [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
      return bad_value(p, "printable text");
    if (ascii::equal(*value, "[UNAVAILABLE]") || ascii::equal(*value, "[TEMPUNAVAIL]"))
      value->clear();
    some = true;
    const std::string name = ascii::upper(p.keyword);
    if (name == "NAME")
      command.name = std::move(*value);
    else if (name == "ADDR")
      command.address = std::move(*value);
    else if (name == "IDENT")
      command.ident = std::move(*value);
    else if (name == "HELO")
      command.helo = std::move(*value);
    else if (name != "PORT" && name != "PROTO" && name != "SOURCE")
      return unknown(p);
    return {};
  };
  if (auto wrong = parameters(in, use)) return std::unexpected(std::move(*wrong));
  if (!some) return in.expected("an attribute");
  return command;
}

template <class T>
Parsed<Command> alone(Cursor& in) {
  in.blanks();
  if (!in.at_end()) return in.expected("end of command");
  return T{};
}

bool is_field(std::string_view line, std::string_view name) {
  return line.size() > name.size() && line[name.size()] == ':' &&
         ascii::equal(line.substr(0, name.size()), name);
}

}  // namespace

std::expected<Command, Reply> parse(std::string_view line) {
  Cursor in(line);
  const std::string verb = ascii::upper(in.while_in(is_letter_or_digit));
  if (verb == "LHLO") return lhlo(in);
  if (verb == "MAIL") return mail(in);
  if (verb == "RCPT") return rcpt(in);
  if (verb == "DATA") return alone<Data>(in);
  if (verb == "BDAT") return bdat(in);
  if (verb == "RSET") return alone<Rset>(in);
  if (verb == "QUIT") return alone<Quit>(in);
  if (verb == "XFORWARD") return xforward(in);
  if (verb == "NOOP") return Noop{};  // RFC 5321 §4.1.1.9: its argument is ignored
  if (verb == "VRFY") return Vrfy{};
  if (verb == "HELP") return Help{};
  // RFC 2033 §4.1: an LMTP server must not take these.
  if (verb == "EHLO" || verb == "HELO")
    return refuse(500, "5.5.1", "this is LMTP: begin with LHLO");
  if (verb == "EXPN" || verb == "TURN" || verb == "ETRN" || verb == "AUTH" || verb == "STARTTLS")
    return refuse(502, "5.5.1", verb + " is not offered here");
  return refuse(500, "5.5.2", "the command is not known");
}

std::string received_id(std::string_view head) {
  while (true) {
    const size_t end = head.find('\n');
    if (end == std::string_view::npos) return {};
    const auto line = head.substr(0, end);
    if (is_field(line, "Received")) break;
    if (!is_field(line, "Return-Path") && !is_field(line, "Delivered-To") &&
        !is_field(line, "X-Original-To") && !is_field(line, "Envelope-To") &&
        !is_field(line, "Delivery-date"))
      return {};
    head.remove_prefix(end + 1);
  }
  std::string field;
  for (size_t at = 0; at < head.size();) {  // the field and its further lines
    const size_t end = std::min(head.find('\n', at), head.size());
    field.append(head.substr(at, end - at)).push_back(' ');
    at = end + 1;
    if (at >= head.size() || (head[at] != ' ' && head[at] != '\t')) break;
  }
  std::ranges::replace_if(field, [](char c) { return c == '\t' || c == '\r'; }, ' ');
  const size_t word = ascii::lower(field).find(" id ");
  if (word == std::string::npos) return {};
  const size_t from = field.find_first_not_of(' ', word + 4);
  if (from == std::string::npos) return {};
  const std::string id = field.substr(from, field.find_first_of(" ;", from) - from);
  return id.size() <= kMaxIdent && is_plain(id) ? id : std::string();
}

}  // namespace rims::lmtp
