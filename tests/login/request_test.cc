// Whatever a client says, the question to rims-auth can carry it.

#include "login/request.h"

#include <string>

#include <gtest/gtest.h>

#include "common/ipc/session_link.h"

namespace rims::login {
namespace {

using namespace std::string_literals;

template <class Message>
bool is_carried(const Message& message) {
  const std::string bytes = ipc::encode(message);  // ends the program when it is out of bounds
  return bytes.size() <= ipc::kMaxSize<Message> && ipc::decode<Message>(bytes).has_value();
}

TEST(Request, TheLongestThatAUserCanHaveIsCarriedAsItIs) {
  const std::string user(ipc::kMaxUserName, 'u'), password(ipc::kMaxPassword, 'p');
  const auto login = login_request(user, password);
  EXPECT_TRUE(is_carried(login));
  EXPECT_EQ(login.user.value, user);
  EXPECT_EQ(login.password.value.reveal(), password);
  EXPECT_FALSE(login.impossible);
  const auto plain = plain_request(user + '\0' + user + '\0' + password);
  ASSERT_TRUE(plain);
  EXPECT_TRUE(is_carried(*plain));
  EXPECT_EQ(plain->authzid.value, user);
  EXPECT_FALSE(plain->impossible);
  const std::string challenge = make_challenge(std::string(ipc::kChallengeRandom, 'x'), INT64_MIN,
                                               std::string(ipc::kMaxHostName, 'h'));
  EXPECT_EQ(challenge.size(), ipc::kMaxChallenge);
  const auto cram = cram_request(user + " "s + std::string(ipc::kDigestSize, '0'), challenge);
  EXPECT_TRUE(is_carried(cram));
  EXPECT_EQ(cram.challenge.value, challenge);
  EXPECT_FALSE(cram.impossible);
}

TEST(Request, OneByteMoreIsImpossibleAndStillCarried) {
  const std::string user(ipc::kMaxUserName + 1, 'u'), password(ipc::kMaxPassword + 1, 'p');
  for (const auto& request : {login_request(user, "p"), login_request("u", password)}) {
    EXPECT_TRUE(is_carried(request));
    EXPECT_TRUE(request.impossible);
  }
  for (const auto& answer : {user + "\0u\0p"s, "\0"s + user + "\0p"s, "\0u\0"s + password}) {
    const auto plain = plain_request(answer);
    ASSERT_TRUE(plain);
    EXPECT_TRUE(is_carried(*plain));
    EXPECT_TRUE(plain->impossible);
  }
  for (const auto& answer : {user + " " + std::string(32, '0'), "u "s + std::string(33, '0'),
                             "u "s + std::string(31, '0'), ""s}) {
    const auto cram = cram_request(answer, "");
    EXPECT_TRUE(is_carried(cram));
    EXPECT_TRUE(cram.impossible);
  }
  for (const auto& answer : {""s, "u"s, "\0u"s, "\0u\0p\0"s}) EXPECT_FALSE(plain_request(answer));
}

TEST(Request, TheLongestIdOfASessionHasRoom) {
  EXPECT_EQ(session_id(3, 17), "s3.17");
  EXPECT_EQ(session_id(UINT32_MAX, UINT64_MAX).size(), ipc::kMaxSessionId);
}

}  // namespace
}  // namespace rims::login
