// common/index/structure_files.h - the structures of many messages side by side, in files of the
// index: a cache of what the journal's records hold between their bodies
//
//   structure_N, fields_N   of the messages with ids from N * 4096 on, in chunks of 64: structures
//                           without their kept fields, and those fields (common/message); what is
//                           kept is opaque here. doc/storage-format.md, "Structures"
//
// A chunk is written once, when all its ids are given out, and not changed. Nothing depends on it:
// no file is ever synced, and no checkpoint covers it. Each chunk has a checksum and the number of
// the last record when it was written; each file names its account and journal. If anything is
// wrong, the file is removed and made again. A file that can not be written is not used again until
// the account is opened the next time.
//
// On the loop, but for jobs on the pool that see descriptors and buffers. Memory: at most
// kOpenFiles slot tables of 2 KiB, none after two calls of release() without a read.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/async/event.h"
#include "common/async/io_pool.h"
#include "common/async/task.h"
#include "common/base/fd.h"
#include "common/journal/account_dir.h"
#include "common/journal/segment.h"
#include "common/mail/types.h"

namespace rims::store {

inline constexpr size_t kStructuresHead = 64;  // bytes
inline constexpr size_t kStructuresSlot = 32;

enum class Kept : uint8_t { structure, fields };

class StructureFiles {
 public:
  static constexpr uint64_t kPerChunk = 64;
  static constexpr size_t kMaxEntry = 48 << 10;  // what is larger is not kept
  static constexpr size_t kOpenFiles = 4;

  class Chunk {
   public:
    // Of a message of this chunk; empty when nothing is kept of it. Valid as long as the chunk.
    [[nodiscard]] std::string_view at(MessageId message) const;
    [[nodiscard]] size_t size() const { return bytes_.size(); }

   private:
    friend class StructureFiles;
    std::string bytes_;
  };
  using ChunkRef = std::shared_ptr<const Chunk>;  // shared by its readers
  using Entries = std::array<std::string, kPerChunk>;

  // Without a directory nothing is kept. `account` is the journal's id.
  StructureFiles(Loop& loop, IoPool& pool, std::string user, std::shared_ptr<AccountDir> dir,
                 std::string_view account);

  [[nodiscard]] static uint64_t chunk_of(MessageId id) { return id.value / kPerChunk; }
  // May something be written?
  [[nodiscard]] bool usable() const { return dir_ && !given_up_; }
  // nullptr: it is not there. `seq` is the number of the account's last record.
  Task<ChunkRef> read(Kept kind, uint64_t chunk, uint64_t seq);
  // Both kinds.
  Task<bool> has(uint64_t chunk, uint64_t seq);
  Task<void> write(uint64_t chunk, uint64_t seq, Entries structures, Entries fields);
  // Removes the files that have these messages: they are made again without them.
  Task<void> forget(std::vector<MessageId> messages);
  // Counts the calls of forget(): what was read before one must not be written after it.
  [[nodiscard]] uint64_t forgotten() const { return forgotten_; }
  // Now and then: closes what was not used since the last time.
  Task<void> release();
  Task<void> close();

 private:
  struct Slot {
    uint32_t offset = 0, size = 0;  // size 0: not written
    uint64_t seq = 0, sum = 0;
  };
  static constexpr uint64_t kChunksPerFile = 64;
  struct File {
    Fd fd;  // none: there is no file
    std::string path;
    Id key{};
    std::array<Slot, kChunksPerFile> slots;
    std::bitset<kChunksPerFile> verified;
    uint64_t end = 0;
    bool used = true;
  };
  using FileRef = std::shared_ptr<File>;   // shared with reads that are under way
  using Name = std::pair<Kept, uint64_t>;  // kind, N

  static std::string file_name(Name name);
  static std::string encode(const Slot& slot, uint64_t chunk, const Id& key);
  std::string encode_head(Name name, const Id& key) const;
  Result<FileRef> open_file(Name name, uint64_t seq, bool& wrong) const;  // on the pool
  Result<FileRef> make_file(Name name) const;                             // on the pool
  Status write_chunk(File& file, uint64_t chunk, const Slot& slot,
                     const std::string& bytes) const;  // on the pool
  Task<FileRef> file(Name name, uint64_t seq);
  void keep(Name name, FileRef file);
  Task<void> throw_away(Name name, FileRef file, std::string why);
  Task<bool> put(Name name, uint64_t chunk, uint64_t seq, std::string bytes);

  IoPool& pool_;
  std::string user_;
  std::shared_ptr<AccountDir> dir_;  // shared with journal and index: all live in it
  Id owner_{};
  Mutex changing_;  // held while files are opened, written, removed
  std::map<Name, FileRef> files_;
  uint64_t forgotten_ = 0;
  bool given_up_ = false;
};

}  // namespace rims::store
