// tests/fuzz/migrate_fuzz.cc - mail of other programs: Maildir names and Dovecot's files, its
// indexes, sdbox and mdbox, mbox, Ruby Marshal, compressed files. The first byte says which.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "cli/formats/compressed.h"
#include "cli/formats/dbox.h"
#include "cli/formats/dovecot_index.h"
#include "cli/formats/files.h"
#include "cli/formats/maildir_names.h"
#include "cli/formats/marshal.h"
#include "cli/formats/mbox.h"
#include "cli/formats/mbox_files.h"
#include "cli/formats/ruby_rims.h"
#include "cli/import_mail.h"
#include "common/mail/state.h"
#include "deliver/intake.h"

namespace {

using namespace rims;
using namespace rims::cli;

void require(bool holds) {
  if (!holds) std::abort();
}

void maildir(std::string_view bytes) {
  const size_t line = std::min(bytes.find('\n'), bytes.size());
  const auto keywords = parse_dovecot_keywords(bytes.substr(line));
  const auto name = parse_maildir_name(bytes.substr(0, line), keywords);
  const auto again =
      parse_maildir_name(name.base + maildir_info(name.flags, name.keywords, keywords), keywords);
  require(again.flags == name.flags && again.keywords.size() == name.keywords.size());
  (void)zone_in_maildir_name(name.base);
  if (const auto folder = folder_from_directory(bytes.substr(0, line)))
    (void)store::check_name(possible_name(*folder), {});
  (void)parse_dovecot_uidlist(bytes);
  const auto names = parse_dovecot_subscriptions(bytes, '.');
  (void)dovecot_subscriptions_text(names);
  const std::string mailbox = possible_name(std::string(bytes.substr(0, 200)));
  if (store::check_name(mailbox, {}))
    require(folder_from_directory(directory_of_folder(mailbox)) == mailbox);
}

void mbox(std::string_view bytes) {
  std::vector<MboxPlace> places;
  if (find_mbox_messages(bytes, places)) {
    size_t at = 0;
    for (const auto& place : places) {
      require(place.offset == at && place.length > 0);
      at += place.length;
      (void)parse_mbox_message(bytes.substr(place.offset, place.length), MboxQuoting::mboxo);
    }
    require(at == bytes.size());
  }
  // What is written is one message, and is read back, whatever fields are in it.
  auto m = parse_mbox_message(bytes, MboxQuoting::mboxrd);
  m.bytes = bytes;
  const std::string text = mbox_text(m);
  require(find_mbox_messages(text, places) && places.size() == 1);
  const auto back = parse_mbox_message(text, MboxQuoting::mboxrd);
  require(back.flags == m.flags && back.keywords == m.keywords && back.uid == m.uid);
  require(back.uidvalidity == m.uidvalidity && back.date == m.date && back.zone == m.zone);
  require(back.bytes == m.bytes || back.bytes == m.bytes + '\n');
  const std::string level(bytes.substr(0, std::min(bytes.find('/'), bytes.size())));
  require(level_of_file(mbox_path(level)) == level);
}

// Nothing that a file says makes more of it than is allowed.
void compressed(std::string_view bytes) {
  constexpr uint64_t kMax = 1 << 20;
  const auto how = compression_of(bytes);
  const auto plain = decompress(bytes, how, kMax);
  require(!plain || (how != Compression::none && plain->size() <= kMax));
  if (!plain && plain.error().fault() == Fault::limit) return;
  // The file's own size in its name: it is taken, packed or not.
  const std::string name = "1.x,S=" + std::to_string(bytes.size());
  require(unpack_maildir_file(std::string(bytes), name).has_value());
}

// A byte says what is there: 1 an index, 2 an older log, and then the size of each in two bytes;
// the log is the rest.
void dovecot_index(std::string_view bytes) {
  DovecotIndexFiles files;
  const uint8_t there = bytes.empty() ? 0 : static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(std::min<size_t>(1, bytes.size()));
  const auto piece = [&bytes] {
    size_t size = 0;
    for (int i = 0; i < 2 && !bytes.empty(); i++, bytes.remove_prefix(1))
      size = size << 8 | static_cast<uint8_t>(bytes[0]);
    const std::string part(bytes.substr(0, size));
    bytes.remove_prefix(part.size());
    return part;
  };
  if ((there & 1) != 0) files.index = piece();
  if ((there & 2) != 0) files.older_log = piece();
  files.log = bytes;
  const auto index = read_dovecot_index(files);
  if (!index) return;
  uint32_t last = 0;
  for (const auto& m : index->messages) {
    require(m.uid > std::exchange(last, m.uid));
    for (const auto k : m.keywords) require(k < index->keywords.size());
  }
}

void dbox(std::string_view bytes) {
  const auto header = parse_dbox_file_header(bytes);
  if (!header) return;
  require(header->size <= bytes.size() && header->message_header <= kMaxDboxMessageHeader);
  for (size_t at = header->size; at < bytes.size();) {
    const auto size = parse_dbox_message_header(bytes.substr(at, header->message_header));
    const size_t body = at + header->message_header;
    if (!size || body > bytes.size() || *size > bytes.size() - body) {
      const size_t next = find_dbox_message(bytes, at + 1, header->message_header);
      require(next > at);
      at = next;
      continue;
    }
    const auto data = parse_dbox_metadata(bytes.substr(body + *size));
    if (data) require(data->size > 0 && data->size <= bytes.size() - body - *size);
    if (data) (void)index_names(data->guid);
    at = body + *size + (data ? data->size : 0);
  }
}

void lines(std::string_view bytes) {
  const std::string stored = deliver::wire_lines(std::string(bytes));
  require(deliver::wire_lines(local_lines(stored)) == stored);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(static_cast<const char*>(static_cast<const void*>(data + 1)),
                               size - 1);
  switch (data[0] % 7) {
    case 0:
      maildir(bytes);
      break;
    case 1:
      mbox(bytes);
      break;
    case 2:
      if (const auto value = read_marshal(bytes, {.depth = 32, .values = 10'000})) {
        (void)marshal_time(**value);
        (void)marshal_numbers(**value);
      }
      (void)ruby_value(std::string(bytes));
      break;
    case 3:
      lines(bytes);
      break;
    case 4:
      compressed(bytes);
      break;
    case 5:
      dovecot_index(bytes);
      break;
    default:
      dbox(bytes);
  }
  return 0;
}
