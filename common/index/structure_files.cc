// common/index/structure_files.cc - see structure_files.h

#include "common/index/structure_files.h"

#include <algorithm>
#include <fcntl.h>
#include <set>
#include <sys/stat.h>
#include <sys/uio.h>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/errno_text.h"
#include "common/base/log.h"
#include "common/index/index_file.h"
#include "common/journal/disk.h"
#include "common/mail/bytes.h"

namespace rims::store {
namespace {

constexpr std::string_view kMagic = "RIMSSTRC";
constexpr uint32_t kVersion = 1;
constexpr size_t kPage = 4096;  // head and slots; chunks begin behind it
constexpr size_t kEnds = StructureFiles::kPerChunk * sizeof(uint32_t);
constexpr size_t kReadOnLoop = 256 << 10;
constexpr uint64_t kReadAhead = 1 << 20;
// The cache leaves this much of the disk free for mail, or a tenth of the disk when that is less.
constexpr uint64_t kLeaveFree = 1 << 30;

std::string_view view(const Id& id) {
  return {reinterpret_cast<const char*>(id.data()), id.size()};
}

Id to_id(std::string_view bytes) {
  Id id{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), id.size()), id.begin());
  return id;
}

// Ends of the entries, then the entries.
std::string encode_chunk(const StructureFiles::Entries& entries) {
  std::string bytes(kEnds, '\0');
  for (size_t i = 0; i < entries.size(); i++) {
    if (entries[i].size() <= StructureFiles::kMaxEntry) bytes += entries[i];
    put_int(bytes.data() + i * sizeof(uint32_t), static_cast<uint32_t>(bytes.size() - kEnds));
  }
  return bytes;
}

bool is_sound(std::string_view bytes) {
  if (bytes.size() < kEnds) return false;
  uint32_t before = 0;
  for (size_t i = 0; i < StructureFiles::kPerChunk; i++) {
    const auto end = get_int<uint32_t>(bytes.data() + i * sizeof(uint32_t));
    if (end < before) return false;
    before = end;
  }
  return before == bytes.size() - kEnds;
}

Status is_file(int fd, const std::string& path) {
  struct stat st{};
  if (fstat(fd, &st) != 0) return fail_errno("fstat " + path, errno);
  if (!S_ISREG(st.st_mode))
    return fail(Fault::storage, "temporary failure", path + " is not a regular file");
  return {};
}

}  // namespace

std::string_view StructureFiles::Chunk::at(MessageId message) const {
  const size_t i = message.value % kPerChunk;
  const auto end_of = [&](size_t n) {
    return get_int<uint32_t>(bytes_.data() + n * sizeof(uint32_t));
  };
  const uint32_t begin = i == 0 ? 0 : end_of(i - 1);
  return std::string_view(bytes_).substr(kEnds + begin, end_of(i) - begin);
}

StructureFiles::StructureFiles(Loop& loop, IoPool& pool, std::string user,
                               std::shared_ptr<AccountDir> dir, std::string_view account)
    : pool_(pool), user_(std::move(user)), dir_(std::move(dir)), changing_(loop) {
  const std::string whose = user_ + '\0' + std::string(account);
  crypto_generichash(owner_.data(), owner_.size(),
                     reinterpret_cast<const unsigned char*>(whose.data()), whose.size(), nullptr,
                     0);
}

std::string StructureFiles::file_name(Name name) {
  return fmt::format("{}_{}", name.first == Kept::structure ? "structure" : "fields", name.second);
}

std::string StructureFiles::encode_head(Name name, const Id& key) const {
  Writer out;
  out.raw(kMagic).num(kVersion).num(static_cast<uint32_t>(name.first)).num(name.second);
  out.raw(view(owner_)).raw(view(key));
  std::string head = out.take();
  char sum[8];
  put_int(sum, checksum(Id{}, head));
  return head.append(sum, sizeof sum);
}

std::string StructureFiles::encode(const Slot& slot, uint64_t chunk, const Id& key) {
  Writer out;
  out.num(slot.offset).num(slot.size).num(slot.seq).num(slot.sum);
  std::string bytes = out.take();
  char number[8], sum[8];
  put_int(number, chunk);
  put_int(sum, checksum(key, bytes + std::string(number, sizeof number)));
  return bytes.append(sum, sizeof sum);
}

// Without a descriptor when the file does not exist. `wrong`: it exists, but can not be used.
Result<StructureFiles::FileRef> StructureFiles::open_file(Name name, uint64_t seq,
                                                          bool& wrong) const {
  auto file = std::make_shared<File>();
  const std::string own = file_name(name);
  file->path = dir_->path() + "/" + own;
  // O_NONBLOCK: if it is a FIFO, open() must not wait.
  file->fd = Fd(dir_->disk().open(dir_->fd(), own.c_str(), O_RDWR | O_NONBLOCK, 0));
  if (!file->fd && errno == EROFS)
    file->fd = Fd(dir_->disk().open(dir_->fd(), own.c_str(), O_RDONLY | O_NONBLOCK, 0));
  if (!file->fd) {
    // Something else has its name, or it can not be read. Other errors are not about this file.
    wrong = errno == EISDIR || errno == ELOOP || errno == ENXIO || errno == EACCES;
    return file;
  }
  wrong = true;
  TRY_STATUS(is_file(file->fd.get(), file->path));
  TRY(const uint64_t size, file_size(file->fd.get(), file->path));
  TRY(const std::string page, read_up_to(dir_->disk(), file->fd.get(), kPage, 0, file->path));
  if (page.size() != kPage)
    return fail(Fault::storage, "temporary failure", file->path + " is too short");
  file->key = to_id(std::string_view(page).substr(40, 16));
  if (page.substr(0, kStructuresHead) != encode_head(name, file->key))
    return fail(Fault::storage, "temporary failure", file->path + " is not of this account");
  for (size_t i = 0; i < kChunksPerFile; i++) {
    const std::string_view at =
        std::string_view(page).substr(kStructuresHead + i * kStructuresSlot, kStructuresSlot);
    if (at == std::string(kStructuresSlot, '\0')) continue;
    Reader in(at);
    Slot slot;
    slot.offset = in.num<uint32_t>();
    slot.size = in.num<uint32_t>();
    slot.seq = in.num<uint64_t>();
    slot.sum = in.num<uint64_t>();
    // A chunk with a later record than the journal has does not belong to this journal.
    if (encode(slot, name.second * kChunksPerFile + i, file->key) != at || slot.seq > seq ||
        slot.offset < kPage || uint64_t{slot.offset} + slot.size > size)
      return fail(Fault::storage, "temporary failure",
                  fmt::format("{}: chunk {} is damaged or not of this journal", file->path, i));
    file->slots[i] = slot;
  }
  file->end = std::max<uint64_t>(size, kPage);
  wrong = false;
  return file;
}

Result<StructureFiles::FileRef> StructureFiles::make_file(Name name) const {
  const std::string own = file_name(name);
  TRY_STATUS(remove_index_file(*dir_, own));
  auto file = std::make_shared<File>();
  file->path = dir_->path() + "/" + own;
  file->key = random_id();
  TRY(file->fd, dir_->open_file(own, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK));
  std::string page = encode_head(name, file->key);
  page.resize(kPage);
  TRY_STATUS(write_all(dir_->disk(), file->fd.get(), {{page.data(), page.size()}}, 0, file->path));
  file->end = kPage;
  return file;
}

// The slot last, when its chunk is written. After a power loss the slot may be there without the
// chunk; then the checksum shows it.
Status StructureFiles::write_chunk(File& file, uint64_t chunk, const Slot& slot,
                                   const std::string& bytes) const {
  Disk& disk = dir_->disk();
  FileSystem room;
  if (disk.file_system(file.fd.get(), room) == 0 &&
      room.free_bytes < bytes.size() + std::min(kLeaveFree, room.bytes / 10))
    return fail(Fault::storage, "temporary failure", file.path + ": the disk is nearly full");
  std::string head = encode(slot, chunk, file.key);
  TRY_STATUS(write_all(disk, file.fd.get(), {{const_cast<char*>(bytes.data()), bytes.size()}},
                       slot.offset, file.path));
  return write_all(disk, file.fd.get(), {{head.data(), head.size()}},
                   kStructuresHead + chunk % kChunksPerFile * kStructuresSlot, file.path);
}

void StructureFiles::keep(Name name, FileRef file) {
  files_[name] = std::move(file);
  while (files_.size() > kOpenFiles) {
    // Reads go upwards, so the others with the lowest numbers were used first.
    auto oldest = std::ranges::find_if(files_, [&](const auto& f) { return f.first != name; });
    files_.erase(oldest);
  }
}

Task<StructureFiles::FileRef> StructureFiles::file(Name name, uint64_t seq) {
  if (const auto found = files_.find(name); found != files_.end()) co_return found->second;
  if (!dir_) co_return nullptr;
  Result<FileRef> opened = FileRef();
  Status removed;
  bool wrong = false;
  co_await pool_.run([&] {
    opened = open_file(name, seq, wrong);
    if (wrong) removed = remove_index_file(*dir_, file_name(name));
  });
  if (wrong)
    log::info("", "index of {}: {}; {}", log::quoted(user_),
              opened ? (*opened)->path + " can not be opened" : opened.error().detail(),
              removed ? "it is made again" : removed.error().detail());
  FileRef made = opened && !wrong ? *std::move(opened) : std::make_shared<File>();
  keep(name, made);
  co_return made;
}

Task<void> StructureFiles::throw_away(Name name, FileRef file, std::string why) {
  const auto lock = co_await changing_.lock();
  const auto found = files_.find(name);
  if (!dir_ || found == files_.end() || found->second != file) co_return;  // somebody was faster
  log::info("", "index of {}: {}: {}; it is made again", log::quoted(user_), file->path, why);
  found->second = std::make_shared<File>();
  co_await pool_.run([&] { (void)remove_index_file(*dir_, file_name(name)); });
}

Task<StructureFiles::ChunkRef> StructureFiles::read(Kept kind, uint64_t chunk, uint64_t seq) {
  const Name name(kind, chunk / kChunksPerFile);
  FileRef from;
  if (const auto found = files_.find(name); found != files_.end()) {
    from = found->second;
  } else {
    const auto lock = co_await changing_.lock();
    from = co_await file(name, seq);
  }
  if (!from) co_return nullptr;
  from->used = true;
  const size_t place = chunk % kChunksPerFile;
  const Slot slot = from->slots[place];
  if (slot.size == 0) co_return nullptr;
  const auto made = std::make_shared<Chunk>();
  std::string& bytes = made->bytes_;
  bool blocked = slot.size > kReadOnLoop;
  if (!blocked) {
    bytes.resize(slot.size);
    const iovec to{bytes.data(), bytes.size()};
    const ssize_t n = preadv2(from->fd.get(), &to, 1, slot.offset, RWF_NOWAIT);
    blocked = n != static_cast<ssize_t>(slot.size);
  }
  bool good = from->verified[place];
  const auto verify = [&] {
    good = good || checksum(from->key, bytes) == slot.sum;
    good = good && bytes.size() == slot.size && is_sound(bytes);
  };
  if (blocked) {
    const auto dir = dir_;  // close() may come meanwhile
    if (!dir) co_return nullptr;
    co_await pool_.run([&] {
      // A reader of this chunk will probably read the next ones.
      (void)posix_fadvise(from->fd.get(), slot.offset, kReadAhead, POSIX_FADV_WILLNEED);
      auto there = read_up_to(dir->disk(), from->fd.get(), slot.size, slot.offset, from->path);
      bytes = there ? *std::move(there) : std::string();
      verify();
    });
  } else {
    verify();
  }
  if (!good) {
    co_await throw_away(name, from, fmt::format("chunk {} is damaged", place));
    co_return nullptr;
  }
  from->verified.set(place);
  co_return made;
}

Task<bool> StructureFiles::has(uint64_t chunk, uint64_t seq) {
  for (const Kept kind : {Kept::structure, Kept::fields}) {
    const auto lock = co_await changing_.lock();
    const FileRef at = co_await file({kind, chunk / kChunksPerFile}, seq);
    if (!at || at->slots[chunk % kChunksPerFile].size == 0) co_return false;
  }
  co_return true;
}

Task<bool> StructureFiles::put(Name name, uint64_t chunk, uint64_t seq, std::string bytes) {
  FileRef to = co_await file(name, seq);
  if (!to) co_return false;
  const size_t place = chunk % kChunksPerFile;
  if (to->slots[place].size != 0) co_return true;
  Result<FileRef> opened = to;
  Status status;
  Slot slot;
  co_await pool_.run([&] {
    if (!to->fd) opened = make_file(name);
    if (!opened) return;
    if ((*opened)->end + bytes.size() > UINT32_MAX) {
      status = fail(Fault::limit, "temporary failure", (*opened)->path + " is too large");
      return;
    }
    slot = {.offset = static_cast<uint32_t>((*opened)->end),
            .size = static_cast<uint32_t>(bytes.size()),
            .seq = seq,
            .sum = checksum((*opened)->key, bytes)};
    status = write_chunk(**opened, chunk, slot, bytes);
  });
  if (!opened || !status) {
    const Error& why = opened ? status.error() : opened.error();
    log::info("", "index of {}: {}; structures are not kept for now", log::quoted(user_),
              why.detail());
    given_up_ = true;
    files_.erase(name);
    co_return false;
  }
  if (*opened != to) keep(name, *opened);
  (*opened)->slots[place] = slot;
  (*opened)->verified.set(place);
  (*opened)->end += bytes.size();
  co_return true;
}

Task<void> StructureFiles::write(uint64_t chunk, uint64_t seq, Entries structures, Entries fields) {
  const auto lock = co_await changing_.lock();
  if (!usable()) co_return;
  const uint64_t number = chunk / kChunksPerFile;
  if (!co_await put({Kept::structure, number}, chunk, seq, encode_chunk(structures))) co_return;
  co_await put({Kept::fields, number}, chunk, seq, encode_chunk(fields));
}

Task<void> StructureFiles::forget(std::vector<MessageId> messages) {
  forgotten_++;
  const auto lock = co_await changing_.lock();
  if (!dir_) co_return;
  std::set<uint64_t> numbers;
  for (const MessageId id : messages) numbers.insert(chunk_of(id) / kChunksPerFile);
  for (const uint64_t number : numbers) {
    for (const Kept kind : {Kept::structure, Kept::fields}) {
      files_.erase({kind, number});
      co_await pool_.run([&] { (void)remove_index_file(*dir_, file_name({kind, number})); });
    }
  }
}

Task<void> StructureFiles::release() {
  const auto lock = co_await changing_.lock();
  std::vector<FileRef> unused;
  for (auto it = files_.begin(); it != files_.end();) {
    if (std::exchange(it->second->used, false)) {
      ++it;
      continue;
    }
    unused.push_back(std::move(it->second));
    it = files_.erase(it);
  }
  if (!unused.empty()) co_await pool_.run([&] { unused.clear(); });
}

Task<void> StructureFiles::close() {
  const auto lock = co_await changing_.lock();
  files_.clear();
  dir_.reset();
}

}  // namespace rims::store
