// tests/config/password_test.cc - hashes of passwords, ours and the original's

#include "common/config/password.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::config::password {
namespace {

TEST(Password, AHashMatchesItsPasswordOnly) {
  crypto_init();
  const auto hash = make("open sesame");
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *hash;
  EXPECT_TRUE(known_hash(*hash));
  EXPECT_TRUE(matches(*hash, "open sesame"));
  EXPECT_FALSE(matches(*hash, "open sesame "));
  EXPECT_FALSE(matches(*hash, ""));
  EXPECT_NE(*make("open sesame"), *hash) << "the salt is random";
}

// A client that gives none has no bytes, and no address either.
TEST(Password, AnEmptyOneIsOneLikeAnother) {
  crypto_init();
  const auto hash = make(std::string_view());
  ASSERT_TRUE(hash);
  EXPECT_TRUE(matches(*hash, std::string_view()));
  EXPECT_FALSE(matches(*hash, "x"));
}

// The example of the original's source: SHA256, 1000 rounds.
TEST(Password, TakesTheOriginalsHashes) {
  const std::string none = "MD5:0:AAAA:" + to_hex(std::string(16, '\0'));
  EXPECT_TRUE(known_hash(none));
  EXPECT_FALSE(matches(none, ""));
  // Computed by the original's algorithm in Ruby's terms: d = Digest.new; d << salt+pass;
  // n.times { d << d.digest + salt+pass }; d.hexdigest
  EXPECT_TRUE(matches("SHA256:0:c2FsdA==:" + to_hex(sha256("saltpassword")), "password"));
  EXPECT_TRUE(matches("SHA256:1:c2FsdA==:" +
                          to_hex(sha256("saltpassword" + sha256("saltpassword") + "saltpassword")),
                      "password"));
  EXPECT_FALSE(matches("SHA256:1:c2FsdA==:" + to_hex(sha256("saltpassword")), "password"));
}

TEST(Password, KnowsWhatIsNoHash) {
  const std::string digest(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("hunter2"), std::string("$argon2id$"),
        std::string("$argon2id$v=19$m=19456,t=2,p=1$"), "SHA256:1:AAAA:" + digest.substr(1),
        "SHA257:1:AAAA:" + digest, "SHA256:x:AAAA:" + digest, "SHA256:1:A:" + digest,
        "SHA256:-1:AAAA:" + digest, "SHA256:99999999999:AAAA:" + digest, "SHA256:1:" + digest,
        "SHA256:1:AAAA:" + digest + ":",
        std::string("$argon2id$v=19$m=4194304,t=2,p=1$WGWZg5xFxRGDKhtYPnkSZw$"
                    "nbr9QdnFzKA7YpImL4pRQPAs+FUHFg8UMsgZR1cUw4g"),
        std::string(500, '$')}) {
    EXPECT_FALSE(known_hash(text)) << text;
    EXPECT_FALSE(matches(text, "hunter2")) << text;
  }
}

}  // namespace
}  // namespace rims::config::password
