// common/message/mime_field.cc - see mime_field.h

#include "common/message/mime_field.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "common/base/ascii.h"
#include "common/message/header.h"
#include "common/message/lexer.h"

namespace rims::message {
namespace {

// A piece of a parameter with a section number: "name*2*".
struct Piece {
  std::string base;
  unsigned section;
  bool encoded;
  size_t order;  // where it stood among all parameters
  std::string name, value;
};

// RFC 2231 §7: initial-section "*0", other-sections "*" ("1".."9") *DIGIT.
std::optional<Piece> section_of(const std::string& name) {
  const size_t star = name.find('*');
  if (star == std::string::npos || star == 0) return std::nullopt;
  std::string_view digits = std::string_view(name).substr(star + 1);
  const bool encoded = digits.ends_with('*');
  if (encoded) digits.remove_suffix(1);
  if (digits.empty() || digits.size() > 4) return std::nullopt;
  unsigned section = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    section = section * 10 + static_cast<unsigned>(c - '0');
  }
  return Piece{ascii::lower(std::string_view(name).substr(0, star)), section, encoded, 0, {}, {}};
}

void append_percent_encoded(std::string& out, std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    // RFC 2231 §7 attribute-char
    if (byte <= 0x20 || byte >= 0x7f || std::string_view("*'%()<>@,;:\\\"/[]?=").contains(c)) {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
}

// Joins pieces of one name that are numbered 0, 1, 2, ...; others stay as they were written.
void join(std::vector<Piece>& pieces, std::vector<std::pair<size_t, Param>>& params) {
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) {
    return std::tie(a.base, a.section, a.order) < std::tie(b.base, b.section, b.order);
  });
  for (size_t i = 0, next = 0; i < pieces.size(); i = next) {
    bool whole = true;
    bool encoded = false;
    for (next = i; next < pieces.size() && pieces[next].base == pieces[i].base; next++) {
      whole = whole && pieces[next].section == next - i;
      encoded = encoded || pieces[next].encoded;
    }
    if (!whole) {
      for (size_t k = i; k < next; k++)
        params.push_back({pieces[k].order, {pieces[k].name, pieces[k].value}});
      continue;
    }
    const std::string& name = pieces[i].name;
    Param joined{name.substr(0, name.find('*')), {}};
    if (encoded) {
      joined.name += '*';
      if (!pieces[i].encoded) joined.value = "''";
    }
    for (size_t k = i; k < next; k++) {
      if (encoded && !pieces[k].encoded) {
        append_percent_encoded(joined.value, pieces[k].value);
      } else {
        joined.value += pieces[k].value;
      }
    }
    params.push_back({pieces[i].order, std::move(joined)});
  }
}

// Up to ";" or white space: RFC 2045 wants a token or quotes, senders write "a=b:c" without.
std::string loose_value(Lexer& in) {
  const size_t start = in.position();
  while (!in.at_end() && !std::string_view("; \t\r\n").contains(in.peek())) in.skip();
  return std::string(in.since(start));
}

std::vector<Param> parameters(Lexer& in, size_t max) {
  std::vector<Piece> pieces;
  std::vector<std::pair<size_t, Param>> params;
  for (size_t count = 0; count < max;) {
    in.skip_cfws();
    if (in.at_end()) break;
    Param param;
    if (!in.token(param.name)) {
      std::string ignored;
      if (in.peek() != '"' || !in.quoted(ignored)) in.skip();
      continue;
    }
    in.skip_cfws();
    if (!in.take('=')) continue;
    in.skip_cfws();
    if (in.peek() != '"' || !in.quoted(param.value)) {
      if (in.peek() == '"') in.skip();  // an opening quote without its end
      param.value = loose_value(in);
    }
    if (auto piece = section_of(param.name)) {
      piece->order = count;
      piece->name = std::move(param.name);
      piece->value = std::move(param.value);
      pieces.push_back(*std::move(piece));
    } else {
      params.push_back({count, std::move(param)});
    }
    count++;
  }
  if (!pieces.empty()) {
    join(pieces, params);
    std::sort(params.begin(), params.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  std::vector<Param> out;
  out.reserve(params.size());
  for (auto& entry : params) out.push_back(std::move(entry.second));
  return out;
}

}  // namespace

const std::string* MimeField::find(std::string_view name) const {
  for (const Param& param : params)
    if (ascii::equal(param.name, name)) return &param.value;
  return nullptr;
}

MimeField parse_content_type(std::string_view value, size_t max_params) {
  MimeField out;
  Lexer in(value);
  in.skip_cfws();
  if (!in.token(out.type)) return out;
  in.skip_cfws();
  if (in.take('/')) {
    in.skip_cfws();
    if (!in.token(out.subtype)) return out;
  }
  out.params = parameters(in, max_params);
  return out;
}

MimeField parse_disposition(std::string_view value, size_t max_params) {
  MimeField out;
  Lexer in(value);
  in.skip_cfws();
  if (in.peek() != '"' || !in.quoted(out.type)) {
    if (!in.token(out.type) && in.peek() != ';') return out;
  }
  out.params = parameters(in, max_params);
  return out;
}

std::string transfer_encoding(std::string_view value) {
  std::string out;
  Lexer in(value);
  in.skip_cfws();
  if (in.peek() != '"' || !in.quoted(out)) static_cast<void>(in.token(out));
  in.skip_cfws();
  if (in.at_end()) return out;
  for (const char* known : {"7bit", "8bit", "binary", "base64", "quoted-printable"})
    if (ascii::equal(out, known)) return out;
  return {};
}

std::vector<std::string> token_list(std::string_view value, size_t max) {
  std::vector<std::string> out;
  Lexer in(value);
  while (out.size() < max) {
    in.skip_cfws();
    if (in.at_end()) break;
    std::string token;
    if (in.token(token)) {
      out.push_back(std::move(token));
    } else {
      in.skip();
    }
  }
  return out;
}

}  // namespace rims::message
