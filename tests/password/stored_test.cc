// tests/password/stored_test.cc - what is a stored password, what is none, and why

#include "common/password/stored.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::password {
namespace {

std::string complaint(std::string_view text) {
  const auto stored = read_stored(text);
  return stored ? "none" : stored.error().reply();
}

TEST(Stored, SaysWhatIsWrong) {
  const std::string hex(64, 'a'), salted(43, 'x');
  const std::string costly = "to compare it would take too much time or memory";
  const std::pair<std::string, std::string> cases[] = {
      {"", "its form is not known"},
      {"hunter2", "its form is not known"},
      {"$", "its form is not known"},
      {"{", "its form is not known"},
      {"{}x", "its form is not known"},
      {"{my secret}x", "its form is not known"},
      {"{OTP}x", "the scheme OTP is not supported"},
      {"{CRAM-MD5}12281dc9abf5f963", "the scheme CRAM-MD5 is not supported"},
      {"{PLAIN}", "the password is empty"},
      {"{SSHA}####", "what follows is not of the scheme SSHA"},
      {"{SSHA}AAAA", "what follows is not of the scheme SSHA"},
      {"{SHA}qL9yWbEtKQoQMZasmEBfHDHGh+Hi1WyX", "what follows is not of the scheme SHA"},
      {"{CRYPT}short", "what follows is not of the scheme crypt(5)"},
      {"$argon2id$", "what follows is not of the scheme Argon2"},
      {"$argon2id$v=19$m=19456,t=2,p=1$", "what follows is not of the scheme Argon2"},
      {"$argon2id$v=19$m=4194304,t=2,p=1$WGWZg5xFxRGDKhtYPnkSZw$"
       "nbr9QdnFzKA7YpImL4pRQPAs+FUHFg8UMsgZR1cUw4g",
       costly},
      {"$2b$16$KBCwKxOzLha2MUDgW0PjXeP1SdSUh3ADFY6DQIPM73pip56HtqDBO", costly},
      {"$2b$05$KBCwKxOzLha2MUDgW0PjXe", "begins with $2b$, but is no hash of that form"},
      {"$6$rounds=3000001$salt$" + salted + salted, costly},
      {"$5$rounds=x$salt$" + salted, costly},
      {"$1$a:b$Z..KzUNnL2mu.kkmK8DqJ1", "what follows is not of the scheme crypt(5)"},
      {"$y$jGT$salt$" + salted, costly},
      {"$y$j9T0$salt$" + salted, costly},
      {"$7$HU..../....salt$" + salted, costly},
      {"$scrypt$ln=30,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$qrn7ZhlST3jO5Auifbc3xCWPabXREAX1HDl5f9rqSnA",
       costly},
      {"$pbkdf2-sha256$99999999$MDEy$MDEyMzQ1Njc4OWFiY2RlZg", costly},
      {"$pbkdf2-md4$1000$MDEy$MDEyMzQ1Njc4OWFiY2RlZg", "what follows is not of the scheme PBKDF2"},
      {"{SCRAM-SHA-256}4096,AAAA,AAAA,AAAA", "what follows is not of the scheme SCRAM"},
      {"SHA256:1:AAAA:" + hex.substr(1), "is not of the form TYPE:count:salt:hex"},
      {"SHA257:1:AAAA:" + hex, "its form is not known"},
      {"SHA256:x:AAAA:" + hex, "is not of the form TYPE:count:salt:hex"},
      {"SHA256:1:A:" + hex, "is not of the form TYPE:count:salt:hex"},
      {"SHA256:-1:AAAA:" + hex, "is not of the form TYPE:count:salt:hex"},
      {"SHA256:99999999999:AAAA:" + hex, "is not of the form TYPE:count:salt:hex"},
      {"SHA256:10000001:AAAA:" + hex, costly},
      {"SHA256:1:" + hex, "its form is not known"},
      {"SHA256:1:AAAA:" + hex + ":", "its form is not known"},
      {std::string(500, '$'), "its form is not known"},
  };
  for (const auto& [text, why] : cases) EXPECT_EQ(complaint(text), why) << text;
}

TEST(Stored, TheDearestThatIsTaken) {
  const std::string salted(43, 'x');
  for (const std::string& text :
       {std::string("$2b$15$KBCwKxOzLha2MUDgW0PjXeP1SdSUh3ADFY6DQIPM73pip56HtqDBO"),
        "$6$rounds=3000000$salt$" + salted + salted, "$y$jFT$salt$" + salted,
        "$7$GU..../....salt$" + salted, "SHA256:10000000:AAAA:" + std::string(64, 'a')})
    EXPECT_EQ(complaint(text), "none") << text;
}

TEST(Stored, KnowsPasswordsFromHashes) {
  for (const char* text : {"hunter2", "$ecret", "{PLAIN}hunter2", "{braces}", "$1$ for all",
                           "SHA256:1:AAAA:", "MD5:0:AAAA:00000000000000000000000000000000"})
    EXPECT_FALSE(is_surely_a_hash(text)) << text;
  for (const char* text : {"$argon2id$anything", "$1$k2XAnEHB$1Me69oiigC4Rl55pckifA/",
                           "{SSHA}qL9yWbEtKQoQMZasmEBfHDHGh+Hi1WyX"})
    EXPECT_TRUE(is_surely_a_hash(text)) << text;
}

// The views and numbers are what the text says.
TEST(Stored, TellsTheParts) {
  const auto salted = read_stored("{SMD5}dwEL+NXWlIrUkalo2aLsVzkcWB8=");
  ASSERT_TRUE(salted);
  EXPECT_EQ(std::get<Salted>(*salted).salt.size(), 4);
  EXPECT_EQ(std::get<Salted>(*salted).digest, Digest::md5);
  const auto plain = read_stored("{PLAIN}{PLAIN}x");
  ASSERT_TRUE(plain);
  EXPECT_EQ(std::get<Plain>(*plain).text, "{PLAIN}x");
  const auto scram = read_stored(
      "{SCRAM-SHA-1}4096,qLymtk0abJtR/t2G6cIQ9Q==,RAv2sbfbbFvu8xWhYGdvIuHPo1Y=,"
      "2Vu1asn1dGsaj0StSUZPfrsz7bk=");
  ASSERT_TRUE(scram);
  EXPECT_EQ(std::get<Scram>(*scram).rounds, 4096);
  EXPECT_EQ(std::get<Scram>(*scram).salt.size(), 16);
  EXPECT_EQ(to_base64(std::get<Scram>(*scram).server_key), "2Vu1asn1dGsaj0StSUZPfrsz7bk=");
}

}  // namespace
}  // namespace rims::password
