// common/names/names.cc - the comparison of names, by ICU

#include "common/names/names.h"

#include <algorithm>

#include <fmt/core.h>
#include <unicode/normalizer2.h>
#include <unicode/uidna.h>
#include <unicode/unistr.h>

#include "common/base/log.h"
#include "common/base/utf8.h"
#include "common/ipc/auth_link.h"

namespace rims::names {
namespace {

constexpr size_t kMaxDomain = 1024;  // bytes, in ASCII: more than any domain has

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool possible(std::string_view name) {
  if (name.empty() || name.size() > ipc::kMaxUserName) return false;
  while (!name.empty()) {
    const auto first = utf8::first(name);
    if (first.bytes == 0 || utf8::is_control(first.point)) return false;
    name.remove_prefix(first.bytes);
  }
  return true;
}

icu::UnicodeString from_utf8(std::string_view text) {
  return icu::UnicodeString::fromUTF8(
      icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
}

std::optional<icu::UnicodeString> normal(const icu::UnicodeString& text, bool composed) {
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* form =
      composed ? icu::Normalizer2::getNFCInstance(error) : icu::Normalizer2::getNFDInstance(error);
  if (U_FAILURE(error)) return std::nullopt;
  icu::UnicodeString out = form->normalize(text, error);
  if (U_FAILURE(error)) return std::nullopt;
  return out;
}

const UIDNA* idna() {
  static const UIDNA* const opened = [] {
    UErrorCode error = U_ZERO_ERROR;
    const UIDNA* made =
        uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE, &error);
    return U_FAILURE(error) ? nullptr : made;
  }();
  return opened;
}

std::string place(const config::Config& config, config::Position at) {
  return at.line == 0 ? config.file + ": "
                      : fmt::format("{}:{}:{}: ", config.file, at.line, at.column);
}

}  // namespace

std::optional<std::string> account_name(std::string_view name) {
  if (!possible(name)) return std::nullopt;
  std::string out = composed(name);
  if (out.size() > ipc::kMaxUserName) return std::nullopt;
  return out;
}

std::string composed(std::string_view text) {
  std::string out(text);
  if (is_ascii(text) || !utf8::is_valid(text)) return out;
  const auto normalized = normal(from_utf8(text), true);
  if (!normalized) return out;
  out.clear();
  normalized->toUTF8String(out);
  return out;
}

std::optional<std::string> folded(std::string_view name) {
  if (!account_name(name)) return std::nullopt;
  // Folding may undo a composed form, so the name is taken apart before, and put together after it.
  auto text = normal(from_utf8(name), false);
  if (!text) return std::nullopt;
  text = normal(text->foldCase(), true);
  if (!text) return std::nullopt;
  std::string out;
  text->toUTF8String(out);
  return out;
}

std::optional<std::string> domain(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || !utf8::is_valid(name) || !idna()) return std::nullopt;
  std::string out(kMaxDomain, '\0');
  UIDNAInfo info = UIDNA_INFO_INITIALIZER;
  UErrorCode error = U_ZERO_ERROR;
  const int32_t size =
      uidna_nameToASCII_UTF8(idna(), name.data(), static_cast<int32_t>(name.size()), out.data(),
                             static_cast<int32_t>(out.size()), &info, &error);
  if (U_FAILURE(error) || info.errors != 0) return std::nullopt;
  out.resize(static_cast<size_t>(size));
  return out;
}

void load_tables() {
  (void)folded("\xc3\x89");
  (void)domain("\xc3\xa9.example");
}

Status check(const config::Config& config) {
  std::string problems;
  const auto problem = [&](config::Position at, const std::string& text) {
    problems += (problems.empty() ? "" : "\n") + place(config, at) + text;
  };
  std::map<std::string, const config::UserEntry*> known;
  for (const config::UserEntry& user : config.users) {
    const auto key = folded(user.name);
    if (!key) {
      problem(user.at, fmt::format("the user {}: expected a name of at most {} bytes in UTF-8, "
                                   "without control characters",
                                   log::quoted(user.name), ipc::kMaxUserName));
      continue;
    }
    const auto [found, fresh] = known.emplace(*key, &user);
    if (!fresh)
      problem(user.at,
              fmt::format("the users {} and {} (line {}) are the same: names are compared without "
                          "case and in Unicode's form NFC",
                          log::quoted(user.name), log::quoted(found->second->name),
                          found->second->at.line));
  }
  for (const std::string& name : config.delivery_domains)
    if (!domain(name)) {
      const auto at = config.positions.find("delivery.domains");
      problem(at == config.positions.end() ? config::Position{} : at->second,
              fmt::format("delivery.domains: {} can not be a domain", log::quoted(name)));
    }
  if (problems.empty()) return {};
  return fail(Fault::refused, std::move(problems));
}

std::optional<std::string> account_of(const config::Config& config, std::string_view name) {
  const auto key = folded(name);
  if (!key) return std::nullopt;
  for (const config::UserEntry& user : config.users)
    if (folded(user.name) == key) return account_name(user.name);
  return std::nullopt;
}

}  // namespace rims::names
