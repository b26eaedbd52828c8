// tests/ipc/link_test.cc - links refuse what their table does not list, and live on

#include "common/ipc/link.h"

#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/resource.h>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "common/async/scope.h"
#include "common/base/encoding.h"
#include "common/ipc/auth_link.h"
#include "common/ipc/sealed.h"
#include "common/ipc/session_link.h"

namespace rims::ipc {
namespace {

LoginRequest sample_request() {
  LoginRequest r;
  r.request = 7;
  r.mechanism = Mechanism::plain;
  r.user = "foo";
  r.password.value = Secret("bar");
  r.client_address = "127.0.0.1";
  r.over_tls = true;
  return r;
}

TEST(Wire, LoginRequestHasTheseBytes) {
  EXPECT_EQ(to_hex(encode(sample_request())),
            "0000000000000007"            // request
            "01"                          // mechanism
            "00000003666f6f"              // user
            "00000000"                    // authzid
            "00000003626172"              // password
            "0000000000000000"            // challenge, digest
            "000000093132372e302e302e31"  // client_address
            "01"                          // over_tls
            "00");                        // impossible
}

TEST(Wire, EveryTruncationAndAnyTrailingByteIsRefused) {
  const std::string whole = encode(sample_request());
  for (size_t cut = 0; cut < whole.size(); cut++)
    EXPECT_FALSE(decode<LoginRequest>(whole.substr(0, cut)).has_value()) << cut;
  EXPECT_TRUE(decode<LoginRequest>(whole).has_value());
  EXPECT_FALSE(decode<LoginRequest>(whole + '\0').has_value());
}

TEST(Wire, LengthsEnumsAndBoolsOutOfBoundsAreRefused) {
  std::string bytes = encode(sample_request());
  std::string bad = bytes;
  bad[8] = 9;  // no such mechanism
  EXPECT_FALSE(decode<LoginRequest>(bad).has_value());
  bad = bytes;
  bad.back() = 2;  // no such bool
  EXPECT_FALSE(decode<LoginRequest>(bad).has_value());
  bad = bytes;
  bad[9] = '\xff';  // a length of 4 GiB
  EXPECT_FALSE(decode<LoginRequest>(bad).has_value());
  Handover h;  // its tag has at least one byte
  h.tag.value = "x";
  std::string with_tag = encode(h);
  const size_t tag_length_at = 4 + 3;
  with_tag[tag_length_at] = 0;
  with_tag.erase(tag_length_at + 1, 1);
  EXPECT_FALSE(decode<Handover>(with_tag).has_value());
}

struct Bounded {
  static constexpr uint16_t kType = 1;
  bool yes = false;
  Mechanism mechanism = Mechanism::login;
  int64_t date = 0;
  Text<1, 3> text;
  Sealed<5> secret;
  List<Text<0, 2>, 4> list;
  static constexpr auto kFields = std::tuple(&Bounded::yes, &Bounded::mechanism, &Bounded::date,
                                             &Bounded::text, &Bounded::secret, &Bounded::list);
};

TEST(Wire, TheLargestMessageHasTheSizeThatItsTypeSays) {
  Bounded largest;
  largest.text = "abc";
  largest.secret.value = Secret("12345");
  for (int i = 0; i < 4; i++) largest.list.value.emplace_back("xy");
  EXPECT_EQ(encode(largest).size(), kMaxSize<Bounded>);
}

class LinkTest : public testing::Test {
 protected:
  LinkTest() {
    auto pair = make_pair();
    raw = std::move((*pair)[0]);
    link =
        std::make_unique<Link>(loop, std::move((*pair)[1]), "rims-login", kImapdAcceptsFromLogin);
  }
  void send_raw(std::string_view bytes) {
    ASSERT_EQ(::send(raw.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  Loop loop;
  Fd raw;
  std::unique_ptr<Link> link;
};

TEST_F(LinkTest, CarriesAMessageWithItsDescriptor) {
  auto pair = make_pair();
  Link sender(loop, std::move((*pair)[0]), "rims-imapd", {});
  Link receiver(loop, std::move((*pair)[1]), "rims-login", kImapdAcceptsFromLogin);
  Handover h;
  h.tag = "a1";
  h.unread = std::string("x\0y", 3);
  std::vector<Fd> fds;
  fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(run(loop, sender.send(std::move(h), std::move(fds))).has_value());
  auto packet = run(loop, receiver.receive());
  ASSERT_TRUE(packet.has_value());
  ASSERT_EQ(packet->fds.size(), 1U);
  EXPECT_NE(fcntl(packet->fds[0].get(), F_GETFD) & FD_CLOEXEC, 0);
  const auto message = open_packet<Handover>(receiver, *packet);
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->unread.value, std::string("x\0y", 3));
}

TEST_F(LinkTest, ATypeWithoutARowEndsTheLink) {
  send_raw(std::string("\0\x09", 2));
  EXPECT_FALSE(run(loop, link->receive()).has_value());
  EXPECT_FALSE(link->open());
}

TEST_F(LinkTest, AMissingDescriptorEndsTheLink) {
  send_raw(std::string("\0\1", 2) + "whatever");
  EXPECT_FALSE(run(loop, link->receive()).has_value());
  EXPECT_FALSE(link->open());
}

TEST_F(LinkTest, AShortAndAnOversizedMessageEndTheLink) {
  send_raw("\1");
  EXPECT_FALSE(run(loop, link->receive()).has_value());
  EXPECT_FALSE(link->open());
  auto pair = make_pair();
  const Fd other = std::move((*pair)[0]);
  Link second(loop, std::move((*pair)[1]), "rims-login", kImapdAcceptsFromLogin);
  const std::string large(kMaxMessage + 1, 'x');
  ASSERT_GT(::send(other.get(), large.data(), large.size(), 0), 0);
  EXPECT_FALSE(run(loop, second.receive()).has_value());
  EXPECT_FALSE(second.open());
}

TEST_F(LinkTest, AMessageOfItsLargestSizeIsTakenAndOneOfAByteMoreEndsTheLink) {
  using Small = Says<Bounded>;
  for (const bool over : {false, true}) {
    auto pair = make_pair();
    const Fd other = std::move((*pair)[0]);
    Link reader(loop, std::move((*pair)[1]), "rims-login", Small::kAccepts);
    const size_t size = kMaxSize<Bounded> + (over ? 1 : 0);
    const std::string bytes = std::string("\0\1", 2) + std::string(size, 'x');
    ASSERT_GT(::send(other.get(), bytes.data(), bytes.size(), 0), 0);
    EXPECT_EQ(run(loop, reader.receive()).has_value(), !over);
    EXPECT_EQ(reader.open(), !over);
  }
}

TEST_F(LinkTest, TheEndIsToldOnceWhateverItsReason) {
  const auto ended = [this](const std::function<void(int other, Link& reader)>& how) {
    auto pair = make_pair();
    Fd other = std::move((*pair)[0]);
    int told = 0;
    Link reader(loop, End(std::move((*pair)[1]), [&] { told++; }), "rims-login",
                kImapdAcceptsFromLogin);
    how(other.get(), reader);
    EXPECT_FALSE(run(loop, reader.receive()).has_value());
    reader.close();
    return told;
  };
  EXPECT_EQ(ended([](int other, Link&) { ::shutdown(other, SHUT_RDWR); }), 1) << "end of file";
  EXPECT_EQ(ended([](int other, Link&) { EXPECT_EQ(::send(other, "x", 1, 0), 1); }), 1)
      << "a breach";
  EXPECT_EQ(ended([](int, Link& reader) { reader.close(); }), 1) << "our own will";
}

// A process that may not open more has not been sent something wrong.
TEST_F(LinkTest, ADescriptorThatFindsNoRoomIsNoBreach) {
  auto pair = make_pair();
  Link writer(loop, std::move((*pair)[0]), "rims-imapd", kLoginAcceptsFromImapd);
  Link reader(loop, std::move((*pair)[1]), "rims-login", kImapdAcceptsFromLogin);
  const auto send = [&] {
    std::vector<Fd> fds;
    fds.emplace_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
    Handover h;
    h.tag = "a1";
    ASSERT_TRUE(run(loop, writer.send(std::move(h), std::move(fds))));
  };
  send();
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  const int next = ::dup(0);
  ::close(next);
  const rlimit none{static_cast<rlim_t>(next), old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  auto packet = run(loop, reader.receive());
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  ASSERT_TRUE(packet);
  ASSERT_EQ(packet->fds.size(), 1U);
  EXPECT_FALSE(packet->fds.front());
  EXPECT_EQ(sealed_size(packet->fds.front().get(), 10).error().fault(), Fault::storage);
  ASSERT_TRUE(reader.open());
  send();
  packet = run(loop, reader.receive());
  ASSERT_TRUE(packet);
  EXPECT_TRUE(packet->fds.front());
}

// Whatever is wrong with a message, what came with it is closed.
TEST_F(LinkTest, NoDescriptorOutlivesAMessageThatIsRefused) {
  const auto open_now = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  const Fd passed(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const std::string type("\0\1", 2);
  for (const auto& [bytes, count] : {std::pair<std::string, size_t>{"", 1},
                                     {"", kMaxFds},
                                     {"", kMaxFds + 3},
                                     {"x", 2},
                                     {std::string("\0\x09", 2), 1},
                                     {type + "x", kMaxFds},
                                     {type + "x", kMaxFds + 3},
                                     {std::string(kMaxMessage + 1, 'x'), 1}}) {
    SCOPED_TRACE(::testing::Message() << bytes.size() << " bytes, " << count << " descriptors");
    auto pair = make_pair();
    const Fd other = std::move((*pair)[0]);
    Link reader(loop, std::move((*pair)[1]), "rims-login", kImapdAcceptsFromLogin);
    const auto before = open_now();
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * (kMaxFds + 3))] = {};
    iovec io{.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
    msghdr header{};
    header.msg_iov = &io;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int) * count);
    for (size_t i = 0; i < count; i++) {
      const int fd = passed.get();
      std::memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
    }
    ASSERT_EQ(sendmsg(other.get(), &header, 0), static_cast<ssize_t>(bytes.size()));
    EXPECT_FALSE(run(loop, reader.receive()).has_value());
    EXPECT_FALSE(reader.open());
    EXPECT_EQ(open_now(), before);
  }
}

TEST_F(LinkTest, APeerThatIsGoneIsAnErrorNotACrash) {
  raw.reset();
  EXPECT_EQ(run(loop, link->receive()).error().fault(), Fault::peer_gone);
  EXPECT_EQ(run(loop, link->send_packet(1, "x", {})).error().fault(), Fault::peer_gone);
}

TEST(HomeWorker, IsStableAndSpreads) {
  EXPECT_EQ(home_worker("foo", 4), home_worker("foo", 4));
  int hits[4] = {};
  for (int i = 0; i < 1000; i++) hits[home_worker("user" + std::to_string(i), 4)]++;
  for (const int h : hits) EXPECT_GT(h, 150);
}

}  // namespace
}  // namespace rims::ipc
