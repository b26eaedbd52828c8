// common/message/charset.cc - see charset.h

#include "common/message/charset.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <unicode/ucnv.h>
#include <unicode/ucnv_cb.h>
#include <unicode/ucnv_err.h>
#include <unicode/utf16.h>

#include "common/base/ascii.h"
#include "common/base/utf8.h"

namespace rims::message {
namespace {

constexpr size_t kMaxName = 64;
constexpr size_t kMaxCached = 16;  // converters per thread; one is up to some 10 KiB

// Charsets that senders really mean, for names that they use wrongly or that ICU takes more
// strictly than mail programs do. The WHATWG Encoding Standard lists the same substitutions.
constexpr std::pair<std::string_view, std::string_view> kMeant[] = {
    {"utf-8", ""},
    {"utf8", ""},
    {"us-ascii", ""},
    {"ascii", ""},
    {"ansi_x3.4-1968", ""},
    {"unknown-8bit", ""},
    {"x-unknown", ""},
    {"iso-8859-1", "windows-1252"},
    {"iso8859-1", "windows-1252"},
    {"latin1", "windows-1252"},
    {"iso-8859-9", "windows-1254"},
    {"iso-8859-11", "windows-874"},
    {"tis-620", "windows-874"},
    {"gb2312", "gb18030"},
    {"gb_2312-80", "gb18030"},
    {"gbk", "gb18030"},
    {"x-gbk", "gb18030"},
    {"cp936", "gb18030"},
    {"ks_c_5601-1987", "windows-949"},
    {"euc-kr", "windows-949"},
    {"shift_jis", "windows-31j"},
    {"shift-jis", "windows-31j"},
    {"sjis", "windows-31j"},
    {"x-sjis", "windows-31j"},
    {"cp932", "windows-31j"},
    {"cp1251", "windows-1251"},
    {"cp1252", "windows-1252"},
    {"big5", "big5-hkscs"},
};

// windows-1252 0x80..0x9f; 0 where it has nothing.
constexpr std::array<char16_t, 32> kWindows1252 = {
    0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

void append_windows1252(std::string& out, unsigned char byte) {
  uint32_t c = byte;
  if (byte >= 0x80 && byte < 0xa0) {
    c = kWindows1252[byte - 0x80];
    if (c == 0) c = 0xfffd;
  }
  utf8::append(out, c);
}

// ICU's own substitute is U+001A for some tables.
void U_CALLCONV write_fffd(const void*, UConverterToUnicodeArgs* args, const char*, int32_t,
                           UConverterCallbackReason reason, UErrorCode* error) {
  if (reason > UCNV_IRREGULAR) return;
  *error = U_ZERO_ERROR;
  const char16_t fffd = 0xfffd;
  ucnv_cbToUWriteUChars(args, &fffd, 1, 0, error);
}

// Opening a converter reads tables and allocates memory; resetting one costs almost nothing.
class Cache {
 public:
  Cache() = default;
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;
  ~Cache() {
    for (auto& entry : idle_) ucnv_close(entry.second);
  }
  UConverter* take(const std::string& name) {
    for (auto it = idle_.rbegin(); it != idle_.rend(); ++it) {
      if (it->first != name) continue;
      UConverter* found = it->second;
      idle_.erase(std::next(it).base());
      return found;
    }
    UErrorCode error = U_ZERO_ERROR;
    UConverter* opened = ucnv_open(name.c_str(), &error);
    if (U_FAILURE(error)) return nullptr;
    ucnv_setToUCallBack(opened, write_fffd, nullptr, nullptr, nullptr, &error);
    return opened;
  }
  void give_back(std::string name, UConverter* converter) {
    ucnv_reset(converter);
    if (idle_.size() >= kMaxCached) {
      ucnv_close(idle_.front().second);
      idle_.erase(idle_.begin());
    }
    idle_.emplace_back(std::move(name), converter);
  }

 private:
  std::vector<std::pair<std::string, UConverter*>> idle_;  // used last stands last
};

Cache& cache() {
  thread_local Cache own;
  return own;
}

}  // namespace

std::string canonical_charset(std::string_view name) {
  std::string out;
  if (name.size() > kMaxName) return out;
  for (const char c : name) {
    const bool letter = ascii::lower(c) >= 'a' && ascii::lower(c) <= 'z';
    const bool other = (c >= '0' && c <= '9') || std::string_view("-_.:+").contains(c);
    if (!letter && !other) return {};
    out += ascii::lower(c);
  }
  for (const auto& [said, meant] : kMeant)
    if (out == said) return std::string(meant);
  return out;
}

size_t append_lenient_utf8(std::string& out, std::string_view bytes, bool last) {
  size_t at = 0, copied = 0;
  while (at < bytes.size()) {
    if (static_cast<unsigned char>(bytes[at]) < 0x80) {
      at++;
      continue;
    }
    const auto first = utf8::first_beyond_ascii(bytes.substr(at));
    if (first.bytes > 0) {
      at += first.bytes;
      continue;
    }
    out += bytes.substr(copied, at - copied);
    if (first.cut && !last) return at;
    append_windows1252(out, static_cast<unsigned char>(bytes[at]));
    copied = ++at;
  }
  out += bytes.substr(copied);
  return at;
}

CharsetDecoder::CharsetDecoder(std::string_view charset) : name_(canonical_charset(charset)) {
  if (!name_.empty()) converter_ = cache().take(name_);
}

CharsetDecoder::~CharsetDecoder() {
  if (converter_ != nullptr) cache().give_back(std::move(name_), converter_);
}

void CharsetDecoder::decode(std::string_view bytes, std::string& out, bool last) {
  if (converter_ == nullptr) {
    if (rest_.empty()) {
      rest_ = bytes.substr(append_lenient_utf8(out, bytes, last));
      return;
    }
    rest_ += bytes;
    rest_.erase(0, append_lenient_utf8(out, rest_, last));
    return;
  }
  const char* source = bytes.data();
  const char* const end = source + bytes.size();
  UErrorCode error = U_ZERO_ERROR;
  do {
    error = U_ZERO_ERROR;
    std::array<char16_t, 1024> units;
    char16_t* target = units.data();
    ucnv_toUnicode(converter_, &target, target + units.size(), &source, end, nullptr,
                   static_cast<UBool>(last), &error);
    for (const char16_t* unit = units.data(); unit != target; unit++) {
      const char16_t lead = std::exchange(lead_, u'\0');
      if (lead != 0 && U16_IS_TRAIL(*unit)) {
        utf8::append(out, U16_GET_SUPPLEMENTARY(lead, *unit));
        continue;
      }
      if (lead != 0) utf8::append(out, 0xfffd);
      if (U16_IS_LEAD(*unit)) {
        lead_ = *unit;
      } else {
        utf8::append(out, U16_IS_TRAIL(*unit) ? 0xfffd : *unit);
      }
    }
  } while (error == U_BUFFER_OVERFLOW_ERROR);
  if (last) {
    if (std::exchange(lead_, u'\0') != 0) utf8::append(out, 0xfffd);
    ucnv_reset(converter_);
  }
}

}  // namespace rims::message
