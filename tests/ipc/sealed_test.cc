// tests/ipc/sealed_test.cc - only a memfd with every seal passes

#include "common/ipc/sealed.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace rims::ipc {
namespace {

TEST(Sealed, BytesComeBackAndCanNotBeChanged) {
  const std::string bytes = std::string("a\0b", 3) + std::string(100'000, 'x');
  auto fd = sealed_copy(bytes, "test");
  ASSERT_TRUE(fd.has_value());
  EXPECT_EQ(*sealed_bytes(fd->get(), 200'000), bytes);
  EXPECT_LT(pwrite(fd->get(), "y", 1, 0), 0);
  EXPECT_LT(ftruncate(fd->get(), 1), 0);
  EXPECT_LT(ftruncate(fd->get(), 1'000'000), 0);
}

TEST(Sealed, TheLimitIsExact) {
  auto fd = sealed_copy("12345", "test");
  ASSERT_TRUE(fd.has_value());
  EXPECT_EQ(*sealed_size(fd->get(), 5), 5U);
  EXPECT_EQ(sealed_size(fd->get(), 4).error().fault(), Fault::limit);
}

TEST(Sealed, EveryMissingSealIsRefused) {
  const int seals[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
  for (const int missing : seals) {
    auto fd = make_memfd("test");
    ASSERT_TRUE(fd.has_value());
    int wanted = 0;
    for (const int s : seals)
      if (s != missing) wanted |= s;
    ASSERT_EQ(fcntl(fd->get(), F_ADD_SEALS, wanted), 0);
    EXPECT_EQ(sealed_size(fd->get(), 10).error().fault(), Fault::refused) << missing;
  }
}

TEST(Sealed, PipesFilesAndUnreadableDescriptorsAreRefused) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd a(ends[0]), b(ends[1]);
  EXPECT_EQ(sealed_size(a.get(), 10).error().fault(), Fault::refused);
  const Fd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(sealed_size(file.get(), 10).error().fault(), Fault::refused);
  EXPECT_EQ(sealed_size(-1, 10).error().fault(), Fault::storage);

  auto fd = sealed_copy("abc", "test");
  ASSERT_TRUE(fd.has_value());
  const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
  const Fd again(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(sealed_size(again.get(), 10).has_value());
  const Fd only_path(open(path.c_str(), O_PATH | O_CLOEXEC));
  EXPECT_EQ(sealed_size(only_path.get(), 10).error().fault(), Fault::refused);
}

}  // namespace
}  // namespace rims::ipc
