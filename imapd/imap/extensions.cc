// imapd/imap/extensions.cc - the table of extensions that ENABLE knows

#include "imapd/imap/extensions.h"

#include <iterator>

#include "common/base/ascii.h"

namespace rims::imapd {
namespace {

struct Row {
  std::string_view name;
  Extension extension;
  std::optional<Extension> includes;
};

constexpr Row kRows[] = {
    {"CONDSTORE", Extension::condstore, {}},
    {"QRESYNC", Extension::qresync, Extension::condstore},  // RFC 7162 §3.2.3
    {"UTF8=ACCEPT", Extension::utf8_accept, {}},
    {"IMAP4rev2", Extension::imap4rev2, {}},
    {"UIDONLY", Extension::uidonly, {}},
    {"METADATA", Extension::metadata, Extension::metadata_server},
    {"METADATA-SERVER", Extension::metadata_server, {}},
};
static_assert(std::size(kRows) == static_cast<size_t>(Extension::last) + 1);

}  // namespace

std::optional<Extension> extension_of(std::string_view name) {
  for (const Row& row : kRows)
    if (ascii::equal(row.name, name)) return row.extension;
  return std::nullopt;
}

std::string_view name(Extension extension) {
  for (const Row& row : kRows)
    if (row.extension == extension) return row.name;
  return {};
}

bool Extensions::add(Extension extension) {
  if (has(extension)) return false;
  bits_.set(static_cast<size_t>(extension));
  for (const Row& row : kRows)
    if (row.extension == extension && row.includes) add(*row.includes);
  return true;
}

std::string Extensions::names() const {
  std::string all;
  for (const Row& row : kRows) {
    if (!has(row.extension)) continue;
    if (!all.empty()) all += ' ';
    all += row.name;
  }
  return all;
}

bool Extensions::announce(Extension extension) {
  const auto bit = static_cast<size_t>(extension);
  if (announced_.test(bit)) return false;
  announced_.set(bit);
  return true;
}

}  // namespace rims::imapd
