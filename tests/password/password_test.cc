// tests/password/password_test.cc - a password and a stored one: ours, the original's, other
// systems'

#include "common/password/password.h"

#include <gtest/gtest.h>

#include "common/base/encoding.h"

namespace rims::password {
namespace {

class Password : public testing::Test {
 protected:
  void SetUp() override { crypto_init(); }
};

TEST_F(Password, AHashMatchesItsPasswordOnly) {
  const auto hash = make("open sesame");
  ASSERT_TRUE(hash);
  EXPECT_TRUE(hash->starts_with("$argon2id$v=19$m=19456,t=2,p=1$")) << *hash;
  EXPECT_TRUE(matches(*hash, "open sesame"));
  EXPECT_FALSE(matches(*hash, "open sesame "));
  EXPECT_FALSE(matches(*hash, ""));
  EXPECT_NE(*make("open sesame"), *hash) << "the salt is random";
}

// A client that gives none has no bytes, and no address either.
TEST_F(Password, AnEmptyOneIsOneLikeAnother) {
  const auto hash = make(std::string_view());
  ASSERT_TRUE(hash);
  EXPECT_TRUE(matches(*hash, std::string_view()));
  EXPECT_FALSE(matches(*hash, "x"));
}

// The example of the original's source: SHA256, 1000 rounds.
TEST_F(Password, TheOriginals) {
  EXPECT_FALSE(matches("MD5:0:AAAA:" + to_hex(std::string(16, '\0')), ""));
  // Computed by the original's algorithm in Ruby's terms: d = Digest.new; d << salt+pass;
  // n.times { d << d.digest + salt+pass }; d.hexdigest
  EXPECT_TRUE(matches("SHA256:0:c2FsdA==:" + to_hex(sha256("saltpassword")), "password"));
  EXPECT_TRUE(matches("SHA256:1:c2FsdA==:" +
                          to_hex(sha256("saltpassword" + sha256("saltpassword") + "saltpassword")),
                      "password"));
  EXPECT_FALSE(matches("SHA256:1:c2FsdA==:" + to_hex(sha256("saltpassword")), "password"));
}

// Made by other programs: doveadm pw, libxcrypt's crypt(3), Python's hashlib, openssl passwd.
class OfOthers : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { crypto_init(); }
};

TEST_P(OfOthers, MatchesItsPasswordOnly) {
  EXPECT_TRUE(matches(GetParam(), "open sesame"));
  EXPECT_FALSE(matches(GetParam(), "open sesam"));
  EXPECT_FALSE(matches(GetParam(), "Open sesame"));
  EXPECT_FALSE(matches(GetParam(), ""));
}

INSTANTIATE_TEST_SUITE_P(
    Dovecot, OfOthers,
    testing::Values(
        "{PLAIN}open sesame", "{cleartext}open sesame", "{CLEAR}open sesame",
        "{PBKDF2}$1$mv3l/zvh44LQs8ld$5000$e709d7de72e6e20d756020b726e1ec96d68a892e",
        "{SCRAM-SHA-1}4096,qLymtk0abJtR/t2G6cIQ9Q==,RAv2sbfbbFvu8xWhYGdvIuHPo1Y=,"
        "2Vu1asn1dGsaj0StSUZPfrsz7bk=",
        "{SCRAM-SHA-256}4096,+xgopxT3Rib3Di0nDn52Gw==,"
        "+XQ/mTigSUyK5d/qolPL0r6tKfqV9p4QDAJf95o6rHw=,"
        "AE1kBglk+QJ2OZ6RCy1XI2ECK0YpR5HojZnCceYbyxM=",
        "{SSHA}qL9yWbEtKQoQMZasmEBfHDHGh+Hi1WyX",
        "{SSHA256}tiOSbcGCrPTSq13g507XjkNGp2/FNTze7oSelkOBn906mL5V",
        "{SSHA512}S3er+Z8/y/f+Wh/glC4OAHj20EX3wluoh1VIh0r/pF2pB6ocCEeIYJbFP2TbB14T/"
        "z9MSnI9HWQ7jk8uTY+H3NFLQAY=",
        "{ssha256.hex}8ac29a8b1de66f165270087852d7da2e4199222dd01e60aeb29e0cbde9d084fd3bf87276",
        "{SMD5}dwEL+NXWlIrUkalo2aLsVzkcWB8=", "{PLAIN-MD5}54ef36ec71201fdf9d1423fd26f97f6b",
        "{LDAP-MD5}VO827HEgH9+dFCP9Jvl/aw==", "{MD5}VO827HEgH9+dFCP9Jvl/aw==",
        "{SHA}W8r/fyL/UzygmbNAjq2HbA67qac=", "{SHA1}W8r/fyL/UzygmbNAjq2HbA67qac=",
        "{SHA256}Qe9LsLI2YeZjAarDYGaRLawDeCe0rmOnsRZaWqk+1Os=",
        "{SHA512}hHDN078e+F1fCSvOWuWvl85QggSBv0OyQTgH/sN+J4W1M6ZdTH1xaVsUHYHrzUtsTe9ChOYGfwud3DGLGy"
        "MCBQ==",
        "{ARGON2I}$argon2i$v=19$m=32768,t=4,p=1$FmJS1W9CUIr8xUZoYceTfg$"
        "LKAaFkiQn1Og6Sj8DJ9aFN3Ia4c+U1fWyI81ZpnUFSw",
        "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$3lqxywF7Jxsnm9mNtCeeCQ$"
        "qPLSzdKgvIg9kvw62vPuoHRN0qjkcBIQPnid/RoYU1k",
        "{BLF-CRYPT}$2y$05$pmosCjToM.YFAguz/lR4IOzrOOoz74UEqMYA5PCLg8/bc7LmEHUiq",
        "{SHA256-CRYPT}$5$E975Pb.Thdmh54ID$1jBVDWms9oIgBsdBy4U34INfFSBCyZPmrNsUlerD2n.",
        "{SHA512-CRYPT}$6$4jd2tUl2IIwInzdE$0aT.wzuaJ/UL2MCy6zzkLs.u2Xr4DMYmrLXONdTojSReQcj7EbHsafzf"
        "Xg.geYrflL5x7b6oshU15ESRAKf5b.",
        "{MD5-CRYPT}$1$zv4umqrR$Z..KzUNnL2mu.kkmK8DqJ1", "{MD5}$1$zv4umqrR$Z..KzUNnL2mu.kkmK8DqJ1",
        "{CRYPT}$2y$05$bf4Zl97pbaqKs8esepxw6uNSlrU.wROygyHoqqXQEz3/SKi732FuK"));

INSTANTIATE_TEST_SUITE_P(
    Crypt, OfOthers,
    testing::Values("$y$j9T$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$"
                    "OOUgaTes937E3bgD5A8k2ayz4enwtWI0v5YAG5vtE15",
                    "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$"
                    "id72bPfFnoR2Xzi7X7ChsW5wtMqB.axFapHavRIdGIB",
                    "$gy$j9T$k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$"
                    "BoTqTsF1puphYQLjYQES3ef9lOnYupDj8L8k6BNp4W9",
                    "$7$CU..../....k2XAnEHBqQ1Ct2aMXFKNa/HAmA1BpMnBsYHMWB4NZN4$"
                    "V63hPhFaE6xE6nFZZ9VP4Tc/cX14e7YcsWU2bYwxIKB",
                    "$2b$05$KBCwKxOzLha2MUDgW0PjXeP1SdSUh3ADFY6DQIPM73pip56HtqDBO",
                    "$2a$04$KBCwKxOzLha2MUDgW0PjXe6FXpShTD1Nu18BhP4eHwohTd5QokYOm",
                    "$6$k2XAnEHBqQ1Ct2aM$IpWZJym3uUkKbegrSv6LtOCMwFeRV.rsZv6pDhFTChCdqPpIYfPuTb7YCz"
                    "gdPPQ.ZcK7KC.66A9VkdlVPxoOi0",
                    "$6$rounds=10000$k2XAnEHBqQ1Ct2aM$DHwRYKBMi7UU8fwnTTKuqKVpFluDeT/V2ZPUFi/"
                    "sdYiwB/iGdfBvJReI4urCCT/qSAdA6GmDUIjNu9QQbsvrO.",
                    "$5$k2XAnEHBqQ1Ct2aM$dK95JJCyvgTssWIe7slLSisPh7pSOxvOlmAX5qDlS6C",
                    "$1$k2XAnEHB$1Me69oiigC4Rl55pckifA/",
                    "$sha1$842$qI1BtUnBX7KMaJ4Nm21ApEnAsQXBW3KCZFqM$y4bmn7gDf5lcid2Px4SkvgKp8DXf",
                    "$md5,rounds=45105$mA1BpMnB$$nwUw5LTEFARylDQe.OBDk1",
                    "$3$$eddcf896aaf1f0c3f83d4daa964f17bf", "{CRYPT}_J9..k2XAxh5D4fXlkeA"));

INSTANTIATE_TEST_SUITE_P(
    Phc, OfOthers,
    testing::Values(
        "$pbkdf2-sha256$i=1000,l=32$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+"
        "0ZMgQPDlukk/w",
        "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f.0ZMgQPDlukk/w",
        "$pbkdf2-sha512$i=1000,l=64$MDEyMzQ1Njc4OWFiY2RlZg$ef9jS8Lo7u8/"
        "BC2JthM17s79IAFuTySyROeiQ0cMMqhlp7MlL/lHHWTMlAtw8MC2P75e1ATWK4jX3NgfiUbhOQ",
        "$pbkdf2$1000$MDEyMzQ1Njc4OWFiY2RlZg$0wzKv+f5gjvav2RcgmvaFPIA09Y",
        "$scrypt$ln=10,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$qrn7ZhlST3jO5Auifbc3xCWPabXREAX1HDl5f9rqSnA",
        "SCRAM-SHA-256$4096:MDEyMzQ1Njc4OWFiY2RlZg==$zFuK0LLTd7QL5BPwE9y67ays8/"
        "a4CC4uja7+QnaP2EQ=:vjZUa961pBnSxOfN65HhpzC4x054xWo0ftpxxphkHOU=",
        "$apr1$r31$yB7TJur0bak8qrnBH5OZa."));

TEST_F(Password, ApachesForEveryLength) {
  EXPECT_TRUE(matches("$apr1$r31$VhYBNuSclDwcMVhdpOx.I0", ""));
  EXPECT_TRUE(matches("$apr1$r31$3yx1/QhEau/qnQLE.jxLH.", "a"));
  EXPECT_TRUE(
      matches("$apr1$r31$8p86n87mcunR0kkWerX5z1", "a password of more than sixteen bytes, long"));
}

// DES takes eight letters, as everywhere.
TEST_F(Password, TheOldestOfUnix) {
  EXPECT_TRUE(matches("{DES-CRYPT}fD1ICn98OEtEE", "open sesame"));
  EXPECT_TRUE(matches("{CRYPT}klczdBVCnLM5U", "open sesame"));
  EXPECT_FALSE(matches("{CRYPT}klczdBVCnLM5U", "open seZame"));
}

// crypt(3) ends a password there, so "a", NUL and anything would be "a".
TEST_F(Password, ANulIsPartOfAPassword) {
  const std::string hash = "$1$k2XAnEHB$1Me69oiigC4Rl55pckifA/";
  ASSERT_TRUE(matches(hash, "open sesame"));
  EXPECT_FALSE(matches(hash, std::string_view("open sesame\0", 12)));
  EXPECT_FALSE(matches(hash, std::string_view("open sesame\0x", 13)));
}

// A failure of crypt(3) is a text that begins with "*"; it is no hash.
TEST_F(Password, WhatIsNoHashMatchesNothing) {
  for (const char* text : {"", "*0", "*1", "{CRYPT}*0", "!", "{CRYPT}!", "hunter2", "{SSHA}",
                           "{PLAIN}", "$6$", "$6$salt$", "$2b$05$", "$apr1$r31$"}) {
    EXPECT_FALSE(matches(text, "")) << text;
    EXPECT_FALSE(matches(text, "hunter2")) << text;
    EXPECT_FALSE(matches(text, text)) << text;
  }
}

}  // namespace
}  // namespace rims::password
