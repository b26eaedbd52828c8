// cli/formats/mbox_files.cc - mbox files, mapped into memory while they are read

#include "cli/formats/mbox_files.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "cli/formats/date_in_message.h"
#include "cli/formats/files.h"
#include "cli/formats/maildir_names.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/imap/mailbox_name.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

// A whole file. The file must not shrink meanwhile: nobody delivers to it (the manual says so).
class Mapping {
 public:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { reset(); }
  Status map(const std::string& path) {
    reset();
    TRY(const Fd fd, open_file(path));
    struct stat st{};
    if (fstat(fd.get(), &st) != 0)
      return fail(Fault::storage, path + ": " + std::string(errno_text(errno)));
    size_ = static_cast<size_t>(st.st_size);
    if (size_ == 0) return {};
    void* at = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (at == MAP_FAILED) {
      size_ = 0;
      return fail(Fault::storage, path + ": " + std::string(errno_text(errno)));
    }
    at_ = static_cast<const char*>(at);
    return {};
  }
  [[nodiscard]] std::string_view view() const { return {at_, size_}; }

 private:
  void reset() {
    if (at_) munmap(const_cast<char*>(at_), size_);
    at_ = nullptr;
    size_ = 0;
  }
  const char* at_ = nullptr;
  size_t size_ = 0;
};

// What stands for a byte that has a meaning in the name of a file.
constexpr std::pair<std::string_view, char> kEscapes[] = {
    {"\\2e", '.'}, {"\\26", '&'}, {"\\5c", '\\'}};

// Thunderbird's indexes and lists, which lie beside its files.
bool is_of_thunderbird(std::string_view name) {
  constexpr std::string_view kNames[] = {"msgFilterRules.dat", "popstate.dat", "filterlog.html"};
  return name.ends_with(".msf") || std::ranges::find(kNames, name) != std::end(kNames);
}

// The name of a file that level_of_file() turns back, and that nothing takes for something else.
std::string file_of_level(std::string_view level) {
  const bool utf7 = imap::from_modified_utf7(level).value_or(std::string(level)) != level;
  const size_t last_dot =
      level.ends_with(".sbd") || is_of_thunderbird(level) ? level.rfind('.') : level.npos;
  std::string out;
  for (size_t i = 0; i < level.size(); i++) {
    const char c = level[i];
    const bool escapes = std::ranges::any_of(
        kEscapes, [&](const auto& e) { return level.substr(i).starts_with(e.first); });
    const bool means =
        (c == '.' && (i == 0 || i == last_dot)) || (c == '&' && utf7) || (c == '\\' && escapes);
    if (means)
      out += std::ranges::find(kEscapes, c, [](const auto& e) { return e.second; })->first;
    else
      out += c;
  }
  return out;
}

class MboxFiles final : public MailSource {
 public:
  MboxFiles(std::string path, std::string name, MboxQuoting quoting)
      : path_(std::move(path)), name_(std::move(name)), quoting_(quoting) {}

  Result<std::vector<FoundMailbox>> mailboxes(const Remarks& remarks) override {
    std::vector<FoundMailbox> found;
    if (!is_directory(path_)) {
      const auto mailbox = describe(name_, path_, remarks);
      if (!mailbox)
        return fail(Fault::syntax, path_ + ": not an mbox file: it does not begin with From");
      found.push_back(*mailbox);
      return found;
    }
    TRY_STATUS(look_into(path_, "", 0, found, remarks));
    if (found.empty()) return fail(Fault::not_found, path_ + ": no mbox file is here");
    return found;
  }

  std::vector<std::string> subscriptions(const Remarks& remarks) override {
    const auto text = read_file(path_ + "/.subscriptions", 1 << 24);
    if (!text) {
      if (is_directory(path_) && text.error().fault() != Fault::not_found)
        remarks.not_taken(path_ + "/.subscriptions", text.error().detail());
      return {};
    }
    return parse_dovecot_subscriptions(*text, '/');
  }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& remarks) override {
    TRY_STATUS(file_.map(mailbox.where));
    const auto file = look_at(mailbox.where);
    const int64_t file_time = file ? file->st_mtim.tv_sec : 0;
    std::vector<MboxPlace> places;
    if (!find_mbox_messages(file_.view(), places))
      return fail(Fault::syntax, mailbox.where + ": it does not begin with From");
    std::vector<FoundMessage> found;
    std::unordered_map<std::string, size_t> seen;
    uint32_t last_uid = 0;
    size_t expunged = 0;
    std::map<std::string, size_t> undated;  // by what their dates are taken from
    bool uids = mailbox.uidvalidity != 0;
    for (const auto& place : places) {
      const std::string_view text = file_.view().substr(place.offset, place.length);
      auto parsed = parse_mbox_message(text, quoting_);
      if (is_internal(parsed.bytes)) continue;
      FoundMessage m;
      // Between two runs the flags of a message and its offset may change; its bytes do not.
      m.key = to_hex(sha256(std::string(text.substr(0, text.find('\n'))) + '\n' + parsed.bytes));
      m.key += "-" + std::to_string(seen[m.key]++);
      m.where = fmt::format("{} at offset {}", mailbox.where, place.offset);
      if (parsed.uid != 0 && (parsed.uid <= last_uid || parsed.uid >= mailbox.uidnext))
        uids = false;
      last_uid = std::max(last_uid, parsed.uid);
      m.uid = parsed.uid;
      m.flags = parsed.flags;
      m.keywords = std::move(parsed.keywords);
      m.date = parsed.date;
      m.zone = parsed.zone;
      if (!parsed.dated) {
        const auto other = date_in_message(parsed.bytes, file_time);
        m.date = other.seconds;
        m.zone = other.zone;
        undated[other.from]++;
      }
      if (parsed.expunged) expunged++;
      m.offset = place.offset;
      m.length = place.length;
      found.push_back(std::move(m));
    }
    if (!uids) {
      for (auto& m : found) m.uid = 0;
    }
    for (const auto& [from, count] : undated)
      remarks.note(
          mailbox.where,
          fmt::format("{} messages have no date in their From line; {} is taken", count, from));
    if (expunged > 0)
      remarks.note(mailbox.where,
                   fmt::format("{} messages that Thunderbird has deleted, but not yet "
                               "removed from the file, get \\Deleted",
                               expunged));
    // Messages that were delivered since have no UID yet.
    std::ranges::sort(
        found, {}, [](const FoundMessage& m) { return std::tuple(m.uid == 0, m.uid, m.offset); });
    return found;
  }

  Result<std::string> read(const FoundMailbox& /*mailbox*/, const FoundMessage& m) override {
    return deliver::wire_lines(
        parse_mbox_message(file_.view().substr(m.offset, m.length), quoting_).bytes);
  }

 private:
  // UW-IMAP keeps its data in a first message of its own.
  static bool is_internal(std::string_view bytes) {
    const auto header = bytes.substr(0, std::min(bytes.find("\n\n"), bytes.size()));
    return header.contains("Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA");
  }

  std::optional<FoundMailbox> describe(std::string name, const std::string& path,
                                       const Remarks& remarks) {
    if (const auto mapped = file_.map(path); !mapped) {
      remarks.not_taken(path, mapped.error().detail());
      return std::nullopt;
    }
    if (!file_.view().empty() && !file_.view().starts_with("From ")) return std::nullopt;
    FoundMailbox found;
    found.name = imap::canonical_inbox(std::move(name));
    found.where = path;
    // The first message names UIDVALIDITY. It may come from a sender, who must not use up all UIDs.
    const auto first =
        parse_mbox_message(file_.view().substr(0, end_of_mbox_message(file_.view(), 0)), quoting_);
    if (first.uidvalidity != 0 && first.last_uid < UINT32_MAX / 2) {
      found.uidvalidity = first.uidvalidity;
      found.uidnext = first.last_uid + 1;
    }
    return found;
  }

  Status look_into(const std::string& directory, const std::string& prefix, unsigned depth,
                   std::vector<FoundMailbox>& found, const Remarks& remarks) {
    if (depth > imap::kMaxMailboxDepth) {
      remarks.not_taken(directory, "too many levels");
      return {};
    }
    TRY(const auto names, list_directory(directory));
    for (const auto& name : names) {
      const std::string path = fmt::format("{}/{}", directory, name);
      if (name.starts_with(".")) continue;
      if (is_directory(path)) {
        const std::string level = name.ends_with(".sbd") ? name.substr(0, name.size() - 4) : name;
        TRY_STATUS(look_into(path, prefix + level_of_file(level) + "/", depth + 1, found, remarks));
        continue;
      }
      if (is_of_thunderbird(name)) continue;
      if (auto mailbox = describe(prefix + level_of_file(name), path, remarks))
        found.push_back(*std::move(mailbox));
      else
        remarks.not_taken(path, "not an mbox file: it does not begin with From");
    }
    return {};
  }

  std::string path_, name_;
  MboxQuoting quoting_;
  Mapping file_;  // of the mailbox that was listed last
};

}  // namespace

Result<std::unique_ptr<MailSource>> open_mbox(std::string path, std::string name,
                                              MboxQuoting quoting) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (!is_directory(path)) {
    TRY([[maybe_unused]] const Fd there, open_file(path));
  }
  return std::make_unique<MboxFiles>(std::move(path), std::move(name), quoting);
}

std::string level_of_file(std::string_view name) {
  const std::string level = imap::from_modified_utf7(name).value_or(std::string(name));
  std::string out;
  for (size_t i = 0; i < level.size(); i++) {
    const std::string_view rest = std::string_view(level).substr(i);
    const auto* escape =
        std::ranges::find_if(kEscapes, [&](const auto& e) { return rest.starts_with(e.first); });
    if (escape != std::end(kEscapes)) i += escape->first.size() - 1;
    out += escape != std::end(kEscapes) ? escape->second : level[i];
  }
  return out;
}

std::string mbox_path(std::string_view mailbox) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t end = std::min(mailbox.find('/', at), mailbox.size());
    out += file_of_level(mailbox.substr(at, end - at));
    if (end == mailbox.size()) return out;
    out += ".sbd/";
    at = end + 1;
  }
}

}  // namespace rims::cli
