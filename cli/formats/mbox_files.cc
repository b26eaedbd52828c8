// cli/formats/mbox_files.cc - mbox files, mapped into memory while they are read

#include "cli/formats/mbox_files.h"

#include <algorithm>
#include <cerrno>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tuple>
#include <unordered_map>

#include <fmt/format.h>

#include "cli/formats/files.h"
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

std::string level_name(std::string level) {
  for (size_t at = level.find("\\2e"); at != level.npos; at = level.find("\\2e", at + 1))
    level.replace(at, 3, ".");
  return level;
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
    std::vector<std::string> names;
    const auto text = read_file(path_ + "/.subscriptions", 1 << 24);
    if (!text) {
      if (is_directory(path_) && text.error().fault() != Fault::not_found)
        remarks.not_taken(path_ + "/.subscriptions", text.error().detail());
      return names;
    }
    for (size_t at = 0; at < text->size();) {
      const size_t end = std::min(text->find('\n', at), text->size());
      if (end > at) names.push_back(imap::canonical_inbox(text->substr(at, end - at)));
      at = end + 1;
    }
    return names;
  }

  Result<std::vector<FoundMessage>> messages(const FoundMailbox& mailbox,
                                             const Remarks& /*remarks*/) override {
    TRY_STATUS(file_.map(mailbox.where));
    std::vector<MboxPlace> places;
    if (!find_mbox_messages(file_.view(), places))
      return fail(Fault::syntax, mailbox.where + ": it does not begin with From");
    std::vector<FoundMessage> found;
    std::unordered_map<std::string, size_t> seen;
    uint32_t last_uid = 0;
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
      if (parsed.uid != 0 && parsed.uid <= last_uid) uids = false;
      last_uid = std::max(last_uid, parsed.uid);
      m.uid = parsed.uid;
      m.flags = parsed.flags;
      m.keywords = std::move(parsed.keywords);
      m.date = parsed.date;
      m.zone = parsed.zone;
      m.offset = place.offset;
      m.length = place.length;
      found.push_back(std::move(m));
    }
    if (!uids) {
      for (auto& m : found) m.uid = 0;
    }
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
    std::vector<MboxPlace> places;
    if (!file_.view().empty() && !file_.view().starts_with("From ")) return std::nullopt;
    FoundMailbox found;
    found.name = imap::canonical_inbox(std::move(name));
    found.where = path;
    // The first message names UIDVALIDITY.
    size_t end = 0;
    const std::string_view file = file_.view();
    do {
      end = file.find("\n\n", end + 1);
    } while (end != file.npos && end + 2 < file.size() &&
             !file.substr(end + 2).starts_with("From "));
    const auto first =
        parse_mbox_message(file.substr(0, end == file.npos ? end : end + 2), quoting_);
    if (first.uidvalidity != 0 && first.last_uid != UINT32_MAX) {
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
        TRY_STATUS(look_into(path, prefix + level_name(level) + "/", depth + 1, found, remarks));
        continue;
      }
      if (auto mailbox = describe(prefix + level_name(name), path, remarks))
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

std::string mbox_path(std::string_view mailbox) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t end = std::min(mailbox.find('/', at), mailbox.size());
    std::string level(mailbox.substr(at, end - at));
    if (level.starts_with('.')) level.replace(0, 1, "\\2e");
    if (level.ends_with(".sbd")) level.replace(level.size() - 4, 1, "\\2e");
    out += level;
    if (end == mailbox.size()) return out;
    out += ".sbd/";
    at = end + 1;
  }
}

}  // namespace rims::cli
