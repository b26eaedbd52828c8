// common/message/envelope.cc - see envelope.h

#include "common/message/envelope.h"

#include "common/base/ascii.h"
#include "common/message/address.h"
#include "common/message/imap_text.h"

namespace rims::message {
namespace {

void append_or_nil(std::string& out, std::string_view text) {
  if (text.empty()) {
    append_nil(out);
  } else {
    append_string(out, text);
  }
}

void append_address(std::string& out, const Address& address) {
  out += '(';
  append_or_nil(out, address.name);
  out += ' ';
  append_or_nil(out, address.route);
  out += ' ';
  switch (address.row) {
    case Address::Row::mailbox:
      append_string(out, address.mailbox);
      out += ' ';
      append_string(out, address.host);
      break;
    case Address::Row::group_start:
      append_string(out, address.mailbox);
      out += " NIL";
      break;
    case Address::Row::group_end:
      out += "NIL NIL";
      break;
  }
  out += ')';
}

}  // namespace

void EnvelopeBuilder::add(const Field& field) {
  const auto set = [&](TextField which) {
    texts_[which] = field.value;
    present_[which] = true;
  };
  const auto is = [&](std::string_view name) { return ascii::equal(field.name, name); };
  switch (field.name.size()) {
    case 2:
      if (is("to")) add_list(kTo, field.value);
      if (is("cc")) add_list(kCc, field.value);
      break;
    case 3:
      if (is("bcc")) add_list(kBcc, field.value);
      break;
    case 4:
      if (is("date")) set(kDate);
      if (is("from")) add_list(kFrom, field.value);
      break;
    case 6:
      if (is("sender")) add_list(kSender, field.value);
      break;
    case 7:
      if (is("subject")) set(kSubject);
      break;
    case 8:
      if (is("reply-to")) add_list(kReplyTo, field.value);
      break;
    case 10:
      if (is("message-id")) set(kMessageId);
      break;
    case 11:
      if (is("in-reply-to")) set(kInReplyTo);
      break;
    default:
      break;
  }
}

void EnvelopeBuilder::add_list(ListField which, std::string_view value) {
  std::string& list = lists_[which];
  for_each_address(value, addresses_, [&](const Address& row) {
    addresses_--;
    append_address(list, row);
  });
}

std::string EnvelopeBuilder::text() const {
  std::string out = "(";
  const auto text = [&](TextField which) {
    if (present_[which]) {
      append_string(out, unfold(texts_[which]));
    } else {
      append_nil(out);
    }
    out += ' ';
  };
  const auto list = [&](ListField which) {
    if (lists_[which].empty()) {
      append_nil(out);
    } else {
      out += '(';
      out += lists_[which];
      out += ')';
    }
    out += ' ';
  };
  text(kDate);
  text(kSubject);
  list(kFrom);
  // A message without them was sent by its author, who also gets the replies.
  list(lists_[kSender].empty() ? kFrom : kSender);
  list(lists_[kReplyTo].empty() ? kFrom : kReplyTo);
  list(kTo);
  list(kCc);
  list(kBcc);
  text(kInReplyTo);
  text(kMessageId);
  out.back() = ')';
  return out;
}

}  // namespace rims::message
