// common/message/bodystructure.cc - see bodystructure.h
//
//   body            = "(" (body-type-1part / body-type-mpart) ")"        RFC 3501 §9
//   body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart]
//   body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part]
//
// Both texts are written in one walk: BODYSTRUCTURE is BODY with the extension data.

#include "common/message/bodystructure.h"

#include "common/base/ascii.h"
#include "common/message/header.h"
#include "common/message/imap_text.h"
#include "common/message/mime_field.h"

namespace rims::message {
namespace {

// RFC 3501 has no multipart without parts: one empty text stands in, which
// StructureView::locate() finds as part 1.
constexpr std::string_view kEmptyPart =
    R"(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0)";

void append_params(std::string& out, const std::vector<Param>& params, bool default_charset) {
  bool any = false;
  const auto add = [&](std::string_view name, std::string_view value) {
    out += any ? ' ' : '(';
    any = true;
    append_string(out, name);
    out += ' ';
    append_string(out, value);
  };
  for (const Param& param : params) {
    add(param.name, param.value);
    if (ascii::equal(param.name, "charset")) default_charset = false;
  }
  // RFC 2046 §4.1.2: text without a charset is us-ascii.
  if (default_charset) add("charset", "us-ascii");
  if (any) {
    out += ')';
  } else {
    append_nil(out);
  }
}

// A field that was there and is empty is "", as everywhere in ENVELOPE.
void append_value(std::string& out, std::string_view raw) {
  if (raw.data() == nullptr) {
    append_nil(out);
  } else {
    append_string(out, unfold(raw));
  }
}

class Writer {
 public:
  Writer(const Tree& tree, const Limits& limits) : tree_(tree), limits_(limits) {}

  BodyTexts run() {
    uint32_t at = 0;
    for (;;) {
      enter(tree_.nodes[at]);
      if (tree_.nodes[at].first_child != kNone) {
        at = tree_.nodes[at].first_child;
        continue;
      }
      leave(tree_.nodes[at]);
      while (tree_.nodes[at].next_sibling == kNone) {
        at = tree_.nodes[at].parent;
        if (at == kNone) return std::move(out_);
        leave(tree_.nodes[at]);
      }
      at = tree_.nodes[at].next_sibling;
    }
  }

 private:
  // Writes what comes before the children.
  void enter(const Node& node) {
    std::string text = "(";
    if (node.kind == Kind::multipart) {
      both(text);
      if (node.first_child == kNone) {
        out_.body += kEmptyPart;
        out_.body += ')';
        out_.bodystructure += kEmptyPart;
        out_.bodystructure += " NIL NIL NIL NIL)";
      }
      return;
    }
    basic_fields(text, node);
    if (node.kind == Kind::message) {
      text += ' ';
      const Node& inner = tree_.nodes[node.first_child];
      text += tree_.envelopes[inner.envelope];
      text += ' ';
    }
    both(text);
  }

  // Writes what comes after the children.
  void leave(const Node& node) {
    std::string text;
    if (node.kind == Kind::multipart) {
      const MimeField type = parse_content_type(node.content_type, limits_.params);
      text += ' ';
      append_string(text, type.subtype);
      both(text);
      out_.bodystructure += ' ';
      append_params(out_.bodystructure, type.params, false);
    } else {
      if (node.kind == Kind::text || node.kind == Kind::message) {
        text += ' ';
        append_number(text, node.lines);
      }
      both(text);
      out_.bodystructure += ' ';
      append_value(out_.bodystructure, node.md5);
    }
    extension(out_.bodystructure, node);
    both(")");
  }

  // body-fields, with the media type in front of them
  void basic_fields(std::string& text, const Node& node) const {
    MimeField type = parse_content_type(node.content_type, limits_.params);
    const bool is_text = ascii::equal(type.type, "text");
    if (node.opaque) {
      text += R"("application" "octet-stream")";
    } else if (node.kind == Kind::message) {
      text += R"("message" "rfc822")";
    } else if (node.kind == Kind::text && !is_text) {
      // No type, or a multipart without a boundary: RFC 2045 §5.2.
      text += R"("text" "plain")";
      type.params.clear();
    } else if (type.subtype.empty()) {
      text += is_text ? R"("text" "plain")" : R"("application" "octet-stream")";
    } else {
      append_string(text, type.type);
      text += ' ';
      append_string(text, type.subtype);
    }
    text += ' ';
    append_params(text, type.params, node.kind == Kind::text);
    text += ' ';
    append_value(text, node.id);
    text += ' ';
    append_value(text, node.description);
    text += ' ';
    const std::string encoding = transfer_encoding(node.transfer_encoding);
    append_string(text, encoding.empty() ? "7bit" : encoding);
    text += ' ';
    append_number(text, node.body.length);
  }

  // disposition, language, location
  void extension(std::string& text, const Node& node) const {
    text += ' ';
    const MimeField disposition = parse_disposition(node.disposition, limits_.params);
    if (disposition.type.empty() && disposition.params.empty()) {
      append_nil(text);
    } else {
      text += '(';
      // RFC 2183 §2.8: an unknown disposition is an attachment.
      append_string(text, disposition.type.empty() ? "attachment" : disposition.type);
      text += ' ';
      append_params(text, disposition.params, false);
      text += ')';
    }
    text += ' ';
    const std::vector<std::string> languages = token_list(node.language);
    if (languages.empty()) {
      append_nil(text);
    } else {
      for (size_t i = 0; i < languages.size(); i++) {
        text += i == 0 ? '(' : ' ';
        append_string(text, languages[i]);
      }
      text += ')';
    }
    text += ' ';
    append_value(text, node.location);
  }

  void both(std::string_view text) {
    out_.body += text;
    out_.bodystructure += text;
  }

  const Tree& tree_;
  const Limits& limits_;
  BodyTexts out_;
};

}  // namespace

BodyTexts write_bodies(const Tree& tree, const Limits& limits) {
  return Writer(tree, limits).run();
}

}  // namespace rims::message
