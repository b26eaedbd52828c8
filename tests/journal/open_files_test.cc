// tests/journal/open_files_test.cc - the least used are closed, the used ones stay

#include "common/journal/open_files.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace rims::store {
namespace {

class Counted final : public OpenFile {
 public:
  explicit Counted(OpenFiles& files) : files_(files) {}
  ~Counted() override { files_.forget(*this); }
  std::atomic<int> opened = 0, closed = 0;
  bool fails = false;
  [[nodiscard]] bool is_open() const { return opened > closed; }

 private:
  Status open_file() override {
    if (fails) return fail(Fault::storage, "no");
    opened++;
    return {};
  }
  void close_file() override { closed++; }
  OpenFiles& files_;
};

TEST(OpenFilesTest, TheOneThatWasUsedLeastIsClosed) {
  OpenFiles files(2);
  Counted a(files), b(files), c(files);
  EXPECT_FALSE(files.try_use(a));
  EXPECT_TRUE(files.use(a));
  EXPECT_TRUE(files.use(b));
  EXPECT_TRUE(files.try_use(a));
  EXPECT_TRUE(files.use(c));
  EXPECT_TRUE(a.is_open());
  EXPECT_FALSE(b.is_open());
  EXPECT_EQ(files.open(), 2U);
  EXPECT_TRUE(files.use(b)) << "it is opened again";
  EXPECT_EQ(b.opened, 2);
  EXPECT_FALSE(a.is_open());
}

TEST(OpenFilesTest, WhatIsUsedStays) {
  OpenFiles files(1);
  Counted a(files), b(files);
  {
    const auto use = files.use(a);
    const auto other = files.use(b);
    EXPECT_TRUE(a.is_open() && b.is_open()) << "rather too many than none";
  }
  Counted c(files);
  EXPECT_TRUE(files.use(c));
  EXPECT_EQ(files.open(), 1U);
  c.fails = true;
  EXPECT_TRUE(files.use(a));
  EXPECT_FALSE(files.use(c));
  EXPECT_TRUE(files.use(a));
}

TEST(OpenFilesTest, ManyThreadsShareFewFiles) {
  OpenFiles files(3);
  std::vector<std::unique_ptr<Counted>> all;
  for (int i = 0; i < 10; i++) all.push_back(std::make_unique<Counted>(files));
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 2000; i++) {
        Counted& file = *all[(i * 7 + t * 3) % all.size()];
        const auto use = files.use(file);
        if (!use || !file.is_open()) wrong++;
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(files.open(), 3U);
  for (const auto& file : all) EXPECT_LE(file->opened - file->closed, 1);
}

TEST(OpenFilesTest, TheProcessHasAShareOfItsDescriptors) {
  EXPECT_GE(OpenFiles::of_process().most(), 64U);
  EXPECT_LE(OpenFiles::of_process().most(), 4096U);
}

}  // namespace
}  // namespace rims::store
