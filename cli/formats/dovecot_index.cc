// cli/formats/dovecot_index.cc - the records of the index, and the changes in its log

#include "cli/formats/dovecot_index.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/base/ascii.h"
#include "common/mail/types.h"

namespace rims::cli {
namespace {

constexpr uint64_t kMostMessages = 50'000'000;
constexpr size_t kMostExtensions = 1024;
// Keywords of one mailbox, and places for them in all of its messages.
constexpr size_t kMostKeywords = 4096;
constexpr uint64_t kMostKeywordPlaces = uint64_t{1} << 25;
// Messages that are touched by changes: a range of UIDs costs 12 bytes in the log.
constexpr uint64_t kMostWork = uint64_t{1} << 28;

// Little-endian; 0 where the bytes end before. Who asks has compared the lengths where it matters.
uint64_t number(std::string_view bytes, size_t at, size_t size) {
  uint64_t n = 0;
  if (at > bytes.size() || size > bytes.size() - at) return 0;
  for (size_t i = size; i-- > 0;) n = n << 8 | static_cast<unsigned char>(bytes[at + i]);
  return n;
}
uint8_t u8(std::string_view bytes, size_t at) { return static_cast<uint8_t>(number(bytes, at, 1)); }
uint16_t u16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(number(bytes, at, 2));
}
uint32_t u32(std::string_view bytes, size_t at) {
  return static_cast<uint32_t>(number(bytes, at, 4));
}
constexpr size_t aligned(size_t n, size_t to) { return (n + to - 1) / to * to; }

// The header of an index.
namespace index_at {
constexpr size_t major = 0, base_size = 2, header_size = 4, record_size = 8, byte_order = 12,
                 id = 16, flags = 20, uidvalidity = 24, uidnext = 28, messages = 32, log_seq = 60,
                 log_tail = 64, log_head = 68, least = 120;
constexpr unsigned version = 7;
constexpr uint32_t corrupted = 1;
}  // namespace index_at

// The header of a log.
namespace log_at {
constexpr size_t major = 0, header_size = 2, id = 4, seq = 8, previous_seq = 12,
                 previous_offset = 16, byte_order = 32, least = 24;
constexpr unsigned version = 1;
}  // namespace log_at
constexpr uint8_t kLittleEndian = 1;

// Types of the records of a log.
enum : uint32_t {
  kExpungeProof = 0xcd90,  // a part of both types of expunge, against damage
  kExpunge = 0x1 | kExpungeProof,
  kAppend = 0x2,
  kFlagUpdate = 0x4,
  kHeaderUpdate = 0x20,
  kExtensionIntro = 0x40,
  kExtensionReset = 0x80,
  kExtensionHeader = 0x100,
  kExtensionRecords = 0x200,
  kKeywordUpdate = 0x400,
  kKeywordReset = 0x800,
  kExtensionAdd = 0x1000,
  kExpungeGuid = 0x2000 | kExpungeProof,
  kUidUpdate = 0x4000,
  kModseqUpdate = 0x8000,
  kExtensionHeader32 = 0x10000,
  kDeleted = 0x20000,
  kUndeleted = 0x40000,
  kBoundary = 0x80000,
  kAttributes = 0x100000,
  kTypes = 0x0fffffff,
  kExternal = 0x10000000,  // has happened; without it, an expunge is only asked for
};
constexpr uint32_t kByName = UINT32_MAX;

uint8_t flags_of(uint8_t dovecot) {
  constexpr std::array<std::pair<uint8_t, uint8_t>, 5> kFlags = {{{0x01, store::kAnswered},
                                                                  {0x02, store::kFlagged},
                                                                  {0x04, store::kDeleted},
                                                                  {0x08, store::kSeen},
                                                                  {0x10, store::kDraft}}};
  uint8_t flags = 0;
  for (const auto& [theirs, ours] : kFlags) {
    if ((dovecot & theirs) != 0) flags |= ours;
  }
  return flags;
}

struct Log {
  std::string_view bytes;
  std::string name;
  size_t header_size = 0;
  uint32_t id = 0, seq = 0, previous_seq = 0, previous_offset = 0;
};

Result<Log> read_log(std::string_view bytes, const std::string& name) {
  using namespace log_at;
  if (bytes.size() < least)
    return fail(Fault::syntax, fmt::format("{} is cut in its header", name));
  Log log{.bytes = bytes,
          .name = name,
          .header_size = u16(bytes, header_size),
          .id = u32(bytes, id),
          .seq = u32(bytes, seq),
          .previous_seq = u32(bytes, previous_seq),
          .previous_offset = u32(bytes, previous_offset)};
  if (u8(bytes, major) != version)
    return fail(Fault::refused,
                fmt::format("{} has version {}, and only 1 is known", name, u8(bytes, major)));
  // The byte that says so stands behind an integer that needs it.
  const size_t swapped = log.header_size >> 8 | (log.header_size & 0xff) << 8;
  const size_t size = std::min(log.header_size, swapped);
  if (size > byte_order && size <= bytes.size() && (u8(bytes, byte_order) & kLittleEndian) == 0)
    return fail(Fault::refused, fmt::format("{} was written by a big-endian machine", name));
  if (log.header_size < least || log.header_size > bytes.size() || log.seq == 0)
    return fail(Fault::syntax, fmt::format("the header of {} is damaged", name));
  return log;
}

struct Extension {
  std::string name;
  uint32_t reset_id = 0;
};

class State {
 public:
  // `name`: of the file of records.
  explicit State(std::string name) : name_(std::move(name)) {}
  DovecotIndex take() {
    std::erase_if(out_.messages, [](const DovecotMessage& m) { return m.uid == 0; });
    return std::move(out_);
  }
  void gap(std::string what) {
    if (out_.gaps.size() < 10) out_.gaps.push_back(std::move(what));
  }

  // The position in the log up to which the index holds all.
  struct Position {
    uint32_t id = 0, seq = 0, head = 0, tail = 0;
  };
  Result<Position> load(std::string_view bytes) {
    using namespace index_at;
    if (bytes.size() < least) return fail(Fault::syntax, name_ + " is cut in its header");
    if (u8(bytes, major) != version)
      return fail(Fault::refused,
                  fmt::format("{} has version {}, and only 7 is known", name_, u8(bytes, major)));
    if ((u8(bytes, byte_order) & kLittleEndian) == 0)
      return fail(Fault::refused, name_ + " was written by a big-endian machine");
    const size_t base = u16(bytes, base_size), header = u32(bytes, header_size);
    const size_t record = u32(bytes, record_size);
    if (base < least || header < base || header > bytes.size() || record < 5 || record > UINT16_MAX)
      return fail(Fault::syntax, fmt::format("the header of {} is damaged", name_));
    if ((u32(bytes, index_at::flags) & corrupted) != 0)
      return fail(Fault::syntax, fmt::format("Dovecot has marked {} as damaged", name_));
    out_.uidvalidity = u32(bytes, uidvalidity);
    out_.uidnext = u32(bytes, uidnext);
    TRY(const auto places, load_extensions(bytes.substr(0, header), base, record));
    const uint64_t count = u32(bytes, messages), there = (bytes.size() - header) / record;
    if (count > there)
      gap(fmt::format("{} is cut: {} of its {} records are there", name_, there, count));
    for (size_t i = 0; i < std::min({count, there, kMostMessages}); i++) {
      const std::string_view at = bytes.substr(header + i * record, record);
      const uint32_t uid = u32(at, 0);
      if (uid == 0 || (!order_.empty() && uid <= order_.back())) {
        gap(fmt::format("the record at offset {} of {} is damaged", header + i * record, name_));
        continue;
      }
      auto& m = out_.messages.emplace_back();
      order_.push_back(uid);
      m.uid = uid;
      m.flags = flags_of(u8(at, 4));
      for (const auto& [name, offset, size] : places) {
        const std::string_view field = at.substr(offset, size);
        if (name == "keywords")
          load_keywords(m, field);
        else
          set(m, name, field);
      }
    }
    return Position{.id = u32(bytes, index_at::id),
                    .seq = u32(bytes, log_seq),
                    .head = u32(bytes, log_head),
                    .tail = u32(bytes, log_tail)};
  }

  // From `head` on; from `tail` on only what is asked for. False: it can not be read to its end.
  bool replay(const Log& log, size_t tail, size_t head) {
    for (size_t at = std::min(tail, head); at < log.bytes.size();) {
      const std::string_view rest = log.bytes.substr(at);
      const auto size = size_of(rest);
      if (!size) {
        // Space that was reserved, or the end.
        if (std::ranges::all_of(rest, [](char c) { return c == 0; })) return true;
        return stop(log, at, "is cut or damaged");
      }
      const uint32_t type = u32(rest, 4);
      const std::string_view body = rest.substr(8, *size - 8);
      // A transaction is whole or nothing.
      if ((type & kTypes) == kBoundary && u32(body, 0) > rest.size())
        return stop(log, at, "begins changes that were not written to their end");
      if (at < head) {
        if ((type & kExternal) == 0 && is_expunge(type)) (void)apply(type, body);
      } else if (!apply(type, body)) {
        return stop(log, at, why_.empty() ? "is damaged" : why_.c_str());
      }
      at += *size;
    }
    return true;
  }

 private:
  struct Place {
    std::string name;
    size_t offset, size;
  };

  bool stop(const Log& log, size_t at, const char* what) {
    gap(fmt::format("the record at offset {} of {} {}; changes after it are not known", at,
                    log.name, what));
    return false;
  }

  // A record's size is written last, with the highest bit of each byte set, seven bits in each, the
  // highest first, in units of four bytes.
  static std::optional<size_t> size_of(std::string_view rest) {
    if (rest.size() < 8) return std::nullopt;
    size_t size = 0;
    for (size_t i = 0; i < 4; i++) {
      const uint8_t byte = u8(rest, i);
      if ((byte & 0x80) == 0) return std::nullopt;
      size = size << 7 | (byte & 0x7f);
    }
    size *= 4;
    if (size < 8 || size > rest.size()) return std::nullopt;
    return size;
  }
  static bool is_expunge(uint32_t type) {
    return (type & kTypes) == kExpunge || (type & kTypes) == kExpungeGuid;
  }

  Result<std::vector<Place>> load_extensions(std::string_view header, size_t base, size_t record) {
    constexpr size_t kFixed = 16;
    std::vector<Place> places;
    for (size_t at = aligned(base, 8); at < header.size();) {
      const size_t data_size = u32(header, at), name_size = u16(header, at + 14);
      const size_t data = aligned(at + kFixed + name_size, 8);
      if (header.size() - at < kFixed || name_size == 0 || data > header.size() ||
          data_size > header.size() - data || extensions_.size() >= kMostExtensions)
        return fail(Fault::syntax,
                    fmt::format("the extension at offset {} of {} is damaged", at, name_));
      const std::string name(header.substr(at + kFixed, name_size));
      const size_t offset = u16(header, at + 8), size = u16(header, at + 10);
      if (size > 0 && (offset < 5 || offset + size > record))
        return fail(
            Fault::syntax,
            fmt::format("the extension at offset {} of {} is outside of its records", at, name_));
      extensions_.push_back({.name = name, .reset_id = u32(header, at + 4)});
      if (size > 0) places.push_back({.name = name, .offset = offset, .size = size});
      set_header(name, 0, header.substr(data, data_size));
      if (name == "keywords") load_keyword_names(header.substr(data, data_size));
      at = aligned(data + data_size, 8);
    }
    return places;
  }

  // A count; for each keyword 4 unused bytes and the place of its name; names that end with NUL.
  void load_keyword_names(std::string_view data) {
    const size_t count = u32(data, 0);
    if (count > kMostKeywords || count * 8 + 4 > data.size()) {
      if (count != 0) gap(fmt::format("the list of keywords in {} is damaged", name_));
      return;
    }
    const std::string_view names = data.substr(4 + count * 8);
    for (size_t i = 0; i < count; i++) {
      const size_t at = u32(data, 4 + i * 8 + 4);
      const size_t end = at < names.size() ? names.find('\0', at) : names.npos;
      // A place of its own even when it is damaged: bits count them.
      (void)keyword(end == names.npos ? std::string() : std::string(names.substr(at, end - at)),
                    true);
    }
  }
  void load_keywords(DovecotMessage& m, std::string_view bits) {
    for (size_t i = 0; i < std::min(bits.size() * 8, out_.keywords.size()); i++) {
      if ((u8(bits, i / 8) >> (i % 8) & 1) != 0) add_keyword(m, static_cast<uint16_t>(i));
    }
  }

  // Its place; kMostKeywords: there are too many.
  size_t keyword(std::string name, bool always_new = false) {
    const std::string key = ascii::lower(name);
    if (const auto there = keyword_places_.find(key); there != keyword_places_.end() && !always_new)
      return there->second;
    if (out_.keywords.size() >= kMostKeywords) return kMostKeywords;
    out_.keywords.push_back(std::move(name));
    return keyword_places_.try_emplace(key, out_.keywords.size() - 1).first->second;
  }
  bool add_keyword(DovecotMessage& m, uint16_t which) {
    if (std::ranges::find(m.keywords, which) != m.keywords.end()) return true;
    if (++keywords_set_ > kMostKeywordPlaces) return false;
    m.keywords.push_back(which);
    return true;
  }

  // What an extension says of a message; `size` bytes.
  static void set(DovecotMessage& m, std::string_view extension, std::string_view field) {
    if (extension == "mdbox" && field.size() >= 4) {
      m.map_uid = u32(field, 0);
    } else if (extension == "guid" && field.size() >= m.guid.size()) {
      std::ranges::copy(field.substr(0, m.guid.size()), m.guid.begin());
    } else if (extension == "map" && field.size() >= 12) {
      m.file = u32(field, 0);
      m.offset = u32(field, 4);
    } else if (extension == "ref" && field.size() >= 2) {
      m.references = u16(field, 0);
    }
  }
  void set_header(std::string_view extension, size_t offset, std::string_view data) {
    if (extension == "mdbox-hdr" && offset == 0 && data.size() >= 4)
      out_.map_uidvalidity = u32(data, 0);
  }

  // Expunged ones lose their UID, so the order is kept beside.
  DovecotMessage* find(uint32_t uid) {
    const auto there = std::ranges::lower_bound(order_, uid);
    if (there == order_.end() || *there != uid) return nullptr;
    return alive(static_cast<size_t>(there - order_.begin()));
  }
  DovecotMessage* alive(size_t i) {
    auto& m = out_.messages[i];
    return m.uid == 0 ? nullptr : &m;
  }
  // False: too much work.
  template <class Do>
  bool each(uint32_t first, uint32_t last, const Do& what) {
    const auto from = std::ranges::lower_bound(order_, first);
    const auto to = std::ranges::upper_bound(order_, last);
    for (auto at = from; at < to; ++at) {
      if (++work_ > kMostWork) return too_much();
      if (auto* m = alive(static_cast<size_t>(at - order_.begin())))
        if (!what(*m)) return too_much();
    }
    return true;
  }
  bool too_much() {
    why_ = "asks for more than can be done";
    return false;
  }

  bool apply(uint32_t type, std::string_view body) {
    why_.clear();
    switch (type & kTypes) {
      case kAppend:
        return append(body);
      case kExpunge:
        return ranges(body, 8, [this](std::string_view at) {
          return each(u32(at, 0), u32(at, 4), [](DovecotMessage& m) { return m.uid = 0, true; });
        });
      case kExpungeGuid:
        return ranges(body, 20, [this](std::string_view at) {
          if (auto* m = find(u32(at, 0))) m->uid = 0;
          return true;
        });
      case kFlagUpdate:
        return ranges(body, 12, [this](std::string_view at) {
          const uint8_t add = flags_of(u8(at, 8)), remove = flags_of(u8(at, 9));
          return each(u32(at, 0), u32(at, 4), [&](DovecotMessage& m) {
            m.flags = static_cast<uint8_t>((m.flags & ~remove) | add);
            return true;
          });
        });
      case kHeaderUpdate:
        return pieces(
            body, 4, [](auto at) { return std::pair(u16(at, 0), u16(at, 2)); },
            [this](size_t offset, std::string_view data) {
              using namespace index_at;
              if (offset <= uidvalidity && offset + data.size() >= uidvalidity + 4)
                out_.uidvalidity = u32(data, uidvalidity - offset);
              if (offset <= uidnext && offset + data.size() >= uidnext + 4)
                out_.uidnext = std::max(out_.uidnext, u32(data, uidnext - offset));
            });
      case kExtensionIntro:
        return intro(body);
      case kExtensionReset:
        return reset(body);
      case kExtensionHeader:
        return pieces(
            body, 4, [](auto at) { return std::pair(u16(at, 0), u16(at, 2)); },
            [this](size_t offset, std::string_view data) { header(offset, data); });
      case kExtensionHeader32:
        return pieces(
            body, 8, [](auto at) { return std::pair(u32(at, 0), u32(at, 4)); },
            [this](size_t offset, std::string_view data) { header(offset, data); });
      case kExtensionRecords: {
        if (!current_) return false;
        if (ignore_) return true;
        const std::string_view name = extensions_[*current_].name;
        return ranges(body, aligned(4 + record_size_, 4), [&](std::string_view at) {
          if (auto* m = find(u32(at, 0))) set(*m, name, at.substr(4, record_size_));
          return true;
        });
      }
      case kExtensionAdd: {
        if (!current_) return false;
        if (ignore_ || extensions_[*current_].name != "ref") return true;
        return ranges(body, 8, [this](std::string_view at) {
          auto* const m = find(u32(at, 0));
          if (!m) return true;
          const int64_t sum = int64_t{m->references} + static_cast<int32_t>(u32(at, 4));
          if (sum < 0 || sum > UINT16_MAX) return false;
          m->references = static_cast<uint32_t>(sum);
          return true;
        });
      }
      case kKeywordUpdate:
        return update_keyword(body);
      case kKeywordReset:
        return ranges(body, 8, [this](std::string_view at) {
          return each(u32(at, 0), u32(at, 4), [this](DovecotMessage& m) {
            keywords_set_ -= m.keywords.size();
            m.keywords.clear();
            return true;
          });
        });
      case kDeleted:
        if ((type & kExternal) != 0) out_.deleted = true;
        return true;
      case kUndeleted:
        out_.deleted = false;
        return true;
      case kUidUpdate:
      case kModseqUpdate:
      case kBoundary:
      case kAttributes:
        return true;
      default:
        why_ = "has an unknown type";
        return false;
    }
  }

  // Records of `size` bytes each.
  template <class Do>
  static bool ranges(std::string_view body, size_t size, const Do& what) {
    for (; body.size() >= size; body.remove_prefix(size)) {
      if (!what(body.substr(0, size))) return false;
    }
    return body.empty();
  }
  // Offset and size, then that many bytes, then up to three that fill up.
  template <class Head, class Do>
  static bool pieces(std::string_view body, size_t fixed, const Head& head, const Do& what) {
    while (!body.empty()) {
      if (body.size() < fixed) return false;
      const auto [offset, size] = head(body);
      if (size > body.size() - fixed) return false;
      what(offset, body.substr(fixed, size));
      body.remove_prefix(std::min(aligned(fixed + size, 4), body.size()));
    }
    return true;
  }

  bool append(std::string_view body) {
    return ranges(body, 8, [this](std::string_view at) {
      const uint32_t uid = u32(at, 0);
      if (uid == 0 || (!order_.empty() && uid <= order_.back())) return false;
      if (out_.messages.size() >= kMostMessages) return too_much();
      auto& m = out_.messages.emplace_back();
      m.uid = uid;
      m.flags = flags_of(u8(at, 4));
      order_.push_back(uid);
      if (uid >= out_.uidnext && uid < UINT32_MAX) out_.uidnext = uid + 1;
      return true;
    });
  }

  // Names the extension of the records that follow: by its number, or a new one by its name.
  bool intro(std::string_view body) {
    constexpr size_t kFixed = 20;
    current_.reset();
    while (body.size() >= kFixed) {
      const uint32_t id = u32(body, 0), reset_id = u32(body, 4);
      const size_t name_size = u16(body, 18);
      if (name_size > body.size() - kFixed) return false;
      record_size_ = u16(body, 12);
      if (id != kByName) {
        if (id >= extensions_.size()) return false;
        current_ = id;
      } else {
        if (name_size == 0) return false;
        current_ = extension(body.substr(kFixed, name_size), reset_id);
        if (!current_) return too_much();
      }
      const auto& e = extensions_[*current_];
      ignore_ = e.reset_id != reset_id;  // written by a process that did not know of the reset
      // With a number that counts other extensions than ours, mail would be another's.
      const size_t least = e.name == "map"     ? 12
                           : e.name == "mdbox" ? 8
                           : e.name == "ref"   ? 2
                           : e.name == "guid"  ? 16
                                               : 0;
      if (least != 0 && record_size_ != least) return current_.reset(), false;
      body.remove_prefix(std::min(aligned(kFixed + name_size, 4), body.size()));
    }
    return true;
  }
  std::optional<size_t> extension(std::string_view name, uint32_t reset_id) {
    const auto there = std::ranges::find(extensions_, name, &Extension::name);
    if (there != extensions_.end()) return static_cast<size_t>(there - extensions_.begin());
    if (extensions_.size() >= kMostExtensions) return std::nullopt;
    extensions_.push_back({.name = std::string(name), .reset_id = reset_id});
    return extensions_.size() - 1;
  }
  bool reset(std::string_view body) {
    if (!current_ || body.size() < 4) return false;
    auto& e = extensions_[*current_];
    e.reset_id = u32(body, 0);
    ignore_ = false;
    if (u8(body, 4) != 0) return true;  // its data stays
    for (auto& m : out_.messages) set(m, e.name, std::string(16, '\0'));
    return true;
  }
  void header(size_t offset, std::string_view data) {
    if (current_ && !ignore_) set_header(extensions_[*current_].name, offset, data);
  }

  bool update_keyword(std::string_view body) {
    if (body.size() < 4) return false;
    const uint8_t what = u8(body, 0);
    const size_t name_size = u16(body, 2), fixed = aligned(4 + name_size, 4);
    if (name_size == 0 || what > 1 || fixed > body.size()) return false;
    const size_t place = keyword(std::string(body.substr(4, name_size)));
    if (place >= kMostKeywords) return too_much();
    // The first keyword makes the extension, which then has a number.
    if (!extension("keywords", 0)) return too_much();
    const auto which = static_cast<uint16_t>(place);
    return ranges(body.substr(fixed), 8, [&](std::string_view at) {
      return each(u32(at, 0), u32(at, 4), [&](DovecotMessage& m) {
        if (what == 0) return add_keyword(m, which);
        keywords_set_ -= std::erase(m.keywords, which);
        return true;
      });
    });
  }

  std::string name_;
  DovecotIndex out_;  // an expunged message has the UID 0
  std::vector<uint32_t> order_;
  std::vector<Extension> extensions_;
  std::map<std::string, size_t> keyword_places_;
  std::optional<size_t> current_;  // extension
  bool ignore_ = false;
  size_t record_size_ = 0;  // of its records in the log
  uint64_t work_ = 0, keywords_set_ = 0;
  std::string why_;
};

}  // namespace

Result<DovecotIndex> read_dovecot_index(const DovecotIndexFiles& files) {
  if (!files.index && !files.log && !files.older_log)
    return fail(Fault::not_found, "there is no index");
  State state(files.name);
  std::optional<State::Position> position;
  std::optional<Error> why;
  if (files.index) {
    auto loaded = state.load(*files.index);
    if (loaded) {
      position = *loaded;
    } else {
      why = loaded.error();
      state = State(files.name);
    }
  }
  std::vector<Log> logs;  // oldest first
  const std::string log_name = files.name + ".log";
  for (const auto& [bytes, name] :
       {std::pair(&files.older_log, log_name + ".2"), std::pair(&files.log, log_name)}) {
    if (!*bytes) continue;
    auto log = read_log(**bytes, name);
    if (!log) {
      why = log.error();
    } else if (logs.empty() || logs.back().seq < log->seq) {
      if (log->previous_seq == 0) logs.clear();  // it has begun anew
      logs.push_back(*std::move(log));
    }
  }
  if (!files.log || logs.empty() || logs.back().name != log_name)
    state.gap(why ? why->detail() : log_name + " is missing");

  // Where to begin.
  size_t next = 0;
  const auto follows = [&](size_t i) {
    return logs[i].previous_seq == logs[i - 1].seq &&
           logs[i].previous_offset <= logs[i - 1].bytes.size();
  };
  if (position) {
    while (next < logs.size() && logs[next].seq < position->seq) next++;
    if (next == logs.size()) {
      if (!logs.empty()) state.gap(files.name + " is of a later log than the one that is here");
    } else if (logs[next].id != position->id) {
      state.gap(files.name + " and " + logs[next].name + " are of different indexes");
      next = logs.size();
    } else if (logs[next].seq == position->seq) {
      if (position->head > logs[next].bytes.size())
        state.gap(logs[next].name + " is cut: " + files.name + " knows more of it than there is");
      if (!state.replay(logs[next], std::max<size_t>(position->tail, logs[next].header_size),
                        std::max<size_t>(position->head, logs[next].header_size)))
        return state.take();
      next++;
    } else if (logs[next].previous_seq == 0) {
      state = State(files.name);
      position.reset();
    } else if (logs[next].previous_seq != position->seq ||
               logs[next].previous_offset != position->head) {
      state.gap("the log between " + files.name + " and " + logs[next].name + " is missing");
    }
  }
  if (!position) {
    // Without records, only a log from the very beginning will do.
    while (next < logs.size() && logs[next].previous_seq != 0) next++;
    if (next == logs.size())
      return why ? std::unexpected(*why)
                 : fail(Fault::syntax, files.name +
                                           " is missing, and the log does not begin with the "
                                           "first change");
    if (why) state.gap(why->detail());
  }
  for (bool first = true; next < logs.size(); next++, first = false) {
    if (!first && !follows(next)) state.gap("a log before " + logs[next].name + " is missing");
    if (!state.replay(logs[next], logs[next].header_size, logs[next].header_size)) break;
  }
  return state.take();
}

}  // namespace rims::cli
