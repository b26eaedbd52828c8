// Maildirs as other programs leave them: compressed files, folders in folders.

#include "cli/formats/maildir.h"

#include <algorithm>
#include <bzlib.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <lz4.h>
#include <lz4frame.h>
#include <lzma.h>
#include <zstd.h>

#include <gtest/gtest.h>
#include <zlib.h>

#include "cli/formats/compressed.h"

namespace rims::cli {
namespace {

namespace fs = std::filesystem;
using Strings = std::vector<std::string>;

unsigned char* raw(const std::string& text) {
  return static_cast<unsigned char*>(static_cast<void*>(const_cast<char*>(text.data())));
}

std::string pack(const std::string& text, Compression how) {
  std::string out(text.size() + 100'000, '\0');
  switch (how) {
    case Compression::gzip: {
      z_stream stream{};
      deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
      stream.next_in = raw(text);
      stream.avail_in = static_cast<unsigned>(text.size());
      stream.next_out = raw(out);
      stream.avail_out = static_cast<unsigned>(out.size());
      deflate(&stream, Z_FINISH);
      out.resize(stream.total_out);
      deflateEnd(&stream);
      break;
    }
    case Compression::bzip2: {
      auto size = static_cast<unsigned>(out.size());
      BZ2_bzBuffToBuffCompress(out.data(), &size, const_cast<char*>(text.data()),
                               static_cast<unsigned>(text.size()), 9, 0, 0);
      out.resize(size);
      break;
    }
    case Compression::xz: {
      size_t size = 0;
      (void)lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, nullptr, raw(text), text.size(), raw(out),
                                    &size, out.size());
      out.resize(size);
      break;
    }
    case Compression::zstd:
      // Without a checksum, as Dovecot writes it.
      out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
      break;
    case Compression::lz4:
      out.resize(LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), nullptr));
      break;
    case Compression::dovecot_lz4: {
      const auto number = [](size_t n) {
        std::string bytes;
        for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(n >> shift & 0xff);
        return bytes;
      };
      constexpr size_t kChunk = 65'536;
      std::string file = "Dovecot-LZ4\x0d\x2a\x9b\xc5" + number(kChunk);
      for (size_t at = 0; at < text.size(); at += kChunk) {
        const auto length = static_cast<int>(std::min(kChunk, text.size() - at));
        const int n = LZ4_compress_default(text.data() + at, out.data(), length,
                                           static_cast<int>(out.size()));
        file += number(static_cast<size_t>(n)) + out.substr(0, static_cast<size_t>(n));
      }
      return file;
    }
    case Compression::none:
      return text;
  }
  return out;
}

constexpr Compression kAll[] = {Compression::gzip, Compression::bzip2, Compression::xz,
                                Compression::zstd, Compression::lz4,   Compression::dovecot_lz4};

std::string mail(size_t size) {
  std::string text = "Subject: x\n\n";
  for (unsigned n = 1; text.size() < size; n = n * 1'103'515'245 + 12'345)
    text += std::to_string(n) + '\n';
  return text;
}

TEST(Compressed, EachFormIsKnownAndComesBack) {
  for (const auto how : kAll) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{65'536}, size_t{150'000}}) {
      const std::string text = mail(size), packed = pack(text, how);
      EXPECT_EQ(compression_of(packed), how);
      const auto back = decompress(packed, how, text.size());
      ASSERT_TRUE(back) << static_cast<int>(how) << ": " << back.error().detail();
      EXPECT_EQ(*back, text);
      if (how == Compression::dovecot_lz4) continue;
      const auto twice = decompress(packed + packed, how, 2 * text.size());
      ASSERT_TRUE(twice) << static_cast<int>(how) << ": " << twice.error().detail();
      EXPECT_EQ(*twice, text + text);
    }
  }
  for (const char* text : {"", "B", "BZh9", "BZh91 is text", "Subject: x\n\n", "\x1f\x8b",
                           "Dovecot-LZ4", "CRYPTED", "\x28\xb5\x2f"})
    EXPECT_EQ(compression_of(text), Compression::none) << text;
}

TEST(Compressed, AFileThatWasCutIsNeverTakenForWhole) {
  const std::string text = mail(100'000);
  for (const auto how : kAll) {
    const std::string packed = pack(text, how);
    const std::string name = "1.host,S=" + std::to_string(text.size()) + ",W=9";
    const size_t step = packed.size() / 40 + 1;
    for (size_t size = 20; size < packed.size(); size += step) {
      const std::string part = packed.substr(0, size);
      EXPECT_FALSE(unpack_maildir_file(part, name)) << static_cast<int>(how) << " at " << size;
      // Chunks without an end need the size.
      if (how != Compression::dovecot_lz4) {
        const auto unnamed = unpack_maildir_file(part, "1.host");
        ASSERT_FALSE(unnamed) << static_cast<int>(how) << " at " << size;
        EXPECT_TRUE(unnamed.error().detail().contains("it ends too early"))
            << static_cast<int>(how) << " at " << size << ": " << unnamed.error().detail();
      }
    }
    EXPECT_FALSE(decompress(packed + "x", how, 1 << 20)) << static_cast<int>(how);
    if (how == Compression::dovecot_lz4) continue;
    EXPECT_FALSE(unpack_maildir_file(packed.substr(0, packed.size() - 1), "1.host"));
  }
}

TEST(Compressed, WhatBecomesTooLargeIsRefused) {
  const std::string text(300'000, 'x');
  for (const auto how : kAll) {
    const auto large = decompress(pack(text, how), how, text.size() - 1);
    ASSERT_FALSE(large) << static_cast<int>(how);
    EXPECT_EQ(large.error().fault(), Fault::limit);
    EXPECT_EQ(large.error().detail(), "it becomes more than 299999 bytes");
  }
}

TEST(Compressed, AMailThatOnlyBeginsLikeThatStaysAsItIs) {
  for (const auto how : kAll) {
    const std::string packed = pack(mail(100), how);
    // Its own bytes, as the size in its name says; whole, and damaged.
    for (const auto& bytes : {packed, packed.substr(0, packed.size() - 3) + "abc"}) {
      const auto name = "1.host,W=1,S=" + std::to_string(bytes.size());
      const auto kept = unpack_maildir_file(bytes, name);
      ASSERT_TRUE(kept) << static_cast<int>(how);
      EXPECT_EQ(*kept, bytes);
    }
    // A wrong size in the name is no reason to keep it packed.
    EXPECT_EQ(*unpack_maildir_file(packed, "1.host,S=7"), mail(100));
  }
  EXPECT_EQ(*unpack_maildir_file("Subject: x\n\n", "1.host"), "Subject: x\n\n");
  EXPECT_TRUE(unpack_maildir_file("CRYPTED\x03\x07xyz", "1.host,S=12"));
  EXPECT_FALSE(unpack_maildir_file("CRYPTED\x03\x07xyz", "1.host"));
  const auto secret = unpack_maildir_file("CRYPTED\x03\x07xyz", "1.host,S=3");
  ASSERT_FALSE(secret);
  EXPECT_TRUE(secret.error().detail().starts_with("it is encrypted")) << secret.error().detail();
}

class MaildirTest : public testing::Test {
 protected:
  MaildirTest() {
    char name[] = "/tmp/rims-maildir-test-XXXXXX";
    top = fs::canonical(mkdtemp(name));
  }
  ~MaildirTest() override { fs::remove_all(top); }
  void folder(const std::string& name) { fs::create_directories(top + "/" + name + "/cur"); }
  void file(const std::string& name) { std::ofstream(top + "/" + name) << "x"; }
  Strings list() {
    untaken.clear();
    Strings names;
    const auto source = open_maildir(top);
    const auto found = (*source)->mailboxes(remarks);
    if (!found) return {found.error().detail()};
    for (const auto& mailbox : *found) names.push_back(mailbox.name);
    std::ranges::sort(names);
    return names;
  }
  std::string top;
  Strings untaken;
  Remarks remarks{.not_taken = [this](const std::string& w,
                                      const std::string& r) { untaken.push_back(w + ": " + r); },
                  .note = [](const std::string&, const std::string&) {}};
};

TEST_F(MaildirTest, FoldersMayBeBesideEachOtherOrInEachOther) {
  for (const char* name : {"", ".Work.2026", "Work/2026", "a.b/&AOQ-", "inbox/sub", "deep/er/est"})
    folder(name);
  fs::create_directories(top + "/empty/er");
  EXPECT_EQ(list(),
            (Strings{"INBOX", "INBOX/sub", "Work/2026", "Work/2026", "a.b/ä", "deep/er/est"}));
  EXPECT_TRUE(untaken.empty());
}

TEST_F(MaildirTest, TheMailOfOthersDoesNotBecomeThatOfOne) {
  for (const char* name : {"", "x", "x/.Sent", "y", "z/deep"}) folder(name);
  file("y/dovecot-uidvalidity");
  fs::create_symlink("/", top + "/z/link");
  EXPECT_EQ(list(), (Strings{"INBOX", "z/deep"}));
  ASSERT_EQ(untaken.size(), 3U);
  EXPECT_EQ(untaken[0],
            top + "/x: a Maildir with folders or subscriptions of its own; import it separately");
  EXPECT_TRUE(untaken[1].starts_with(top + "/y: a Maildir with folders"));
  EXPECT_TRUE(untaken[2].starts_with(top + "/z/link: a symbolic link"));
  // A directory of users: it has no INBOX of its own.
  fs::remove_all(top + "/cur");
  EXPECT_EQ(list(), Strings{top + ": no Maildir is here (cur and new are missing)"});
  EXPECT_EQ(untaken.size(), 2U) << "x and y";
  // Unless one of them is called INBOX: then it is a tree of mbsync.
  folder("INBOX");
  EXPECT_EQ(list(), (Strings{"INBOX", "z/deep"}));
  fs::remove_all(top + "/INBOX");
  // But a root whose INBOX is elsewhere has lists.
  file("subscriptions");
  EXPECT_EQ(list(), Strings{"z/deep"});
}

}  // namespace
}  // namespace rims::cli
