// common/imap/parser_fetch.cc - FETCH: macros, items, sections, partials
//
//   RFC  3501 §6.4.5, §9 fetch, fetch-att, section; 3516 §7 (BINARY); 8970 §6 (PREVIEW);
//        7162 §7 (MODSEQ, CHANGEDSINCE, VANISHED); 9394 §4 (PARTIAL)

#include "common/base/ascii.h"
#include "common/imap/cursor.h"

namespace rims::imap {
namespace {

using Form = FetchSection::Form;
using Text = FetchSection::Text;

constexpr uint16_t kFast = Fetch::flags | Fetch::internal_date | Fetch::rfc822_size;
constexpr uint16_t kAll = kFast | Fetch::envelope;
constexpr uint16_t kFull = kAll | Fetch::body;

// header-list = "(" header-fld-name *(SP header-fld-name) ")"
bool header_list(Cursor& in, std::vector<std::string>& out) {
  if (!in.open()) return false;
  do {
    if (out.size() >= in.limits().header_names)
      return in.too_many(in.limits().header_names, "names in a header list");
    if (!in.astring(out.emplace_back(), "header name")) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// section-msgtext = "HEADER" / "HEADER.FIELDS" [".NOT"] SP header-list / "TEXT"
// section-text = section-msgtext / "MIME"
bool section_text(Cursor& in, FetchSection& out) {
  if (in.take_word("HEADER")) {
    out.text = Text::header;
    if (!in.take('.')) return true;
    if (!in.word("FIELDS", "FIELDS")) return false;
    out.text = in.take_word(".NOT") ? Text::header_fields_not : Text::header_fields;
    return in.sp() && header_list(in, out.fields);
  }
  if (in.take_word("TEXT")) {
    out.text = Text::text;
    return true;
  }
  // MIME is the header of a part, so it wants one.
  if (!out.part.empty() && in.take_word("MIME")) {
    out.text = Text::mime;
    return true;
  }
  return in.fail(out.part.empty() ? "part number, HEADER, TEXT or \"]\""
                                  : "part number, HEADER, TEXT or MIME");
}

// section-part = nz-number *("." nz-number), here with what may follow it: true in `text` when a
// "." was taken, or no number came.
bool section_part(Cursor& in, FetchSection& out, bool& text) {
  text = true;
  while (in.peek_is(kDigit)) {
    if (out.part.size() >= in.limits().part_depth)
      return in.too_many(in.limits().part_depth, "numbers in a section");
    if (!in.nz_number(out.part.emplace_back())) return false;
    text = in.take('.');
    if (!text) break;
  }
  return true;
}

// section = "[" [section-spec] "]";  section-spec = section-msgtext / (section-part ["."
// section-text]) section-part = nz-number *("." nz-number)
bool section(Cursor& in, FetchSection& out) {
  if (!in.expect('[', "\"[\"")) return false;
  if (in.take(']')) return true;
  bool text = true;
  if (!section_part(in, out, text) || (text && !section_text(in, out))) return false;
  return in.expect(']', text ? "\"]\"" : "\".\" or \"]\"");
}

// section-binary = "[" [section-part] "]"
bool section_binary(Cursor& in, FetchSection& out) {
  if (!in.expect('[', "\"[\"")) return false;
  if (in.take(']')) return true;
  bool more = true;
  if (!section_part(in, out, more)) return false;
  if (more) return in.fail("part number");
  return in.expect(']', "\".\" or \"]\"");
}

// "<" number "." nz-number ">"
bool partial(Cursor& in, FetchSection& out) {
  if (!in.take('<')) return true;
  Partial& p = out.partial.emplace();
  return in.number(p.offset) && in.expect('.', "\".\"") && in.nz_number(p.length) &&
         in.expect('>', "\">\"");
}

FetchSection& add_section(Fetch& out, Form form, Text text, bool peek) {
  FetchSection& s = out.sections.emplace_back();
  s.form = form;
  s.text = text;
  s.peek = peek;
  return s;
}

// [SP "(" "LAZY" *(SP "LAZY") ")"], behind PREVIEW. Other parentheses are not taken: they may be
// the modifiers of FETCH.
bool preview_modifiers(Cursor& in, Fetch& out) {
  const char* mark = in.mark();
  if (in.take(' ')) {
    in.take_spaces();
    if (in.take('(')) {
      in.take_spaces();
      if (in.take_word("LAZY")) {
        while (!in.close_or_sp())
          if (in.failed() || !in.word("LAZY", "LAZY")) return false;
        out.items |= Fetch::lazy_preview;
        return true;
      }
    }
  }
  in.back_to(mark);
  out.items |= Fetch::preview;
  return true;
}

// fetch-att = "ENVELOPE" / "FLAGS" / "INTERNALDATE" / "RFC822" [".HEADER" / ".SIZE" / ".TEXT"] /
//             "BODY" ["STRUCTURE"] / "UID" / "BODY" section ["<" ... ">"] / "BODY.PEEK" section ...
//             / "BINARY" [".PEEK"] section-binary [partial] / "BINARY.SIZE" section-binary
//             / "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]
bool fetch_att(Cursor& in, Fetch& out) {
  const char* mark = in.mark();
  // Letters and dots; "[" and "<" end the word although they are ATOM-CHARs.
  const std::string_view rest = in.rest();
  size_t size = 0;
  while (size < rest.size() && (is(rest[size], kBase64) || rest[size] == '.')) size++;
  const std::string_view word = rest.substr(0, size);
  in.back_to(mark + size);

  struct Row {
    std::string_view name;
    uint16_t item;
  };
  static constexpr Row kItems[] = {
      {"FLAGS", Fetch::flags},
      {"UID", Fetch::uid},
      {"RFC822.SIZE", Fetch::rfc822_size},
      {"INTERNALDATE", Fetch::internal_date},
      {"ENVELOPE", Fetch::envelope},
      {"BODYSTRUCTURE", Fetch::body_structure},
      {"MODSEQ", Fetch::modseq},
      {"SAVEDATE", Fetch::save_date},
      {"EMAILID", Fetch::email_id},
      {"THREADID", Fetch::thread_id},
  };
  for (const Row& row : kItems) {
    if (!ascii::equal(word, row.name)) continue;
    out.items = static_cast<uint16_t>(out.items | row.item);
    return true;
  }
  if (ascii::equal(word, "PREVIEW")) return preview_modifiers(in, out);
  const bool peek = ascii::equal(word, "BODY.PEEK");
  if (peek || ascii::equal(word, "BODY")) {
    if (!peek && in.peek() != '[') {
      out.items |= Fetch::body;
      return true;
    }
    FetchSection& s = add_section(out, Form::body, Text::whole, peek);
    return section(in, s) && partial(in, s);
  }
  const bool binary_peek = ascii::equal(word, "BINARY.PEEK");
  if (binary_peek || ascii::equal(word, "BINARY")) {
    FetchSection& s = add_section(out, Form::binary, Text::whole, binary_peek);
    return section_binary(in, s) && partial(in, s);
  }
  if (ascii::equal(word, "BINARY.SIZE"))
    return section_binary(in, add_section(out, Form::binary_size, Text::whole, true));
  if (ascii::equal(word, "RFC822")) {
    add_section(out, Form::rfc822, Text::whole, false);
  } else if (ascii::equal(word, "RFC822.HEADER")) {
    add_section(out, Form::rfc822_header, Text::header, true);
  } else if (ascii::equal(word, "RFC822.TEXT")) {
    add_section(out, Form::rfc822_text, Text::text, false);
  } else {
    return in.fail_at(mark, "fetch item");
  }
  return true;
}

// "ALL" / "FULL" / "FAST" / fetch-att / "(" fetch-att *(SP fetch-att) ")"
bool fetch_atts(Cursor& in, Fetch& args) {
  if (in.peek() != '(') {
    const char* mark = in.mark();
    const std::string_view word = in.take_while(kAtom);
    if (ascii::equal(word, "ALL")) {
      args.items = kAll;
    } else if (ascii::equal(word, "FULL")) {
      args.items = kFull;
    } else if (ascii::equal(word, "FAST")) {
      args.items = kFast;
    } else {
      in.back_to(mark);
      return fetch_att(in, args);
    }
    return true;
  }
  return fetch_att_list(in, args);
}

// fetch-modifier = "CHANGEDSINCE" SP mod-sequence-value / "VANISHED" / "PARTIAL" SP partial-range
// 0 is no mod-sequence-value, but phones send it.
bool fetch_modifier(Cursor& in, Fetch& args, bool by_uid) {
  const char* mark = in.mark();
  const std::string_view word = in.take_while(kAtom);
  if (ascii::equal(word, "CHANGEDSINCE") && !args.changed_since)
    return in.sp() && in.mod_sequence(args.changed_since.emplace());
  if (by_uid && ascii::equal(word, "VANISHED") && !args.vanished) {
    args.vanished = true;
    return true;
  }
  if (by_uid && ascii::equal(word, "PARTIAL") && !args.page)
    return in.sp() && page(in, args.page.emplace());
  return in.fail_at(mark,
                    by_uid ? "CHANGEDSINCE, PARTIAL or VANISHED, each once" : "CHANGEDSINCE, once");
}

}  // namespace

bool fetch_att_list(Cursor& in, Fetch& out) {
  if (!in.open()) return false;
  do {
    if (out.sections.size() >= in.limits().fetch_items)
      return in.too_many(in.limits().fetch_items, "fetch items");
    if (!fetch_att(in, out)) return false;
  } while (!in.close_or_sp() && !in.failed());
  return !in.failed();
}

// fetch = "FETCH" SP sequence-set SP (...) [SP "(" fetch-modifier *(SP fetch-modifier) ")"]
//         (RFC 4466 §2.4)
bool fetch(Cursor& in, Command& out) {
  auto& args = out.args.emplace<Fetch>();
  if (!in.sp() || !in.sequence_set(args.messages) || !in.sp() || !fetch_atts(in, args))
    return false;
  const char* mark = in.mark();
  if (!optional_modifiers(in, [&] { return fetch_modifier(in, args, out.by_uid); })) return false;
  return !args.vanished || args.changed_since || in.fail_at(mark, "CHANGEDSINCE beside VANISHED");
}

}  // namespace rims::imap
