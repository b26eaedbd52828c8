// tests/config/tls_files_test.cc - certificate and key: what is wrong is told by file and reason

#include "common/config/tls_files.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <sys/stat.h>

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/config/parts.h"
#include "tests/tls/ocsp.h"

namespace rims::config {
namespace {

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rims-tls-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory = name;
    make("cert.pem", "key.pem");
    make("cert2.pem", "key2.pem");
  }
  void TearDown() override { std::filesystem::remove_all(directory); }

  void make(const std::string& certificate, const std::string& key) {
    EVP_PKEY* pair = EVP_EC_gen("P-256");
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_set_pubkey(made, pair);
    X509_sign(made, pair, EVP_sha256());
    FILE* file = fopen((directory + "/" + certificate).c_str(), "w");
    PEM_write_X509(file, made);
    fclose(file);
    file = fopen((directory + "/" + key).c_str(), "w");
    PEM_write_PrivateKey(file, pair, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    file = fopen((directory + "/encrypted.pem").c_str(), "w");
    std::string word = "x1234";
    PEM_write_PrivateKey(file, pair, EVP_aes_128_cbc(),
                         reinterpret_cast<unsigned char*>(word.data()), 5, nullptr, nullptr);
    fclose(file);
    X509_free(made);
    EVP_PKEY_free(pair);
    chmod((directory + "/" + key).c_str(), 0600);
    chmod((directory + "/encrypted.pem").c_str(), 0600);
  }

  // The reply of the error, with the directory cut out. `more`: lines of the section.
  std::string error_of(const std::string& certificate, const std::string& key,
                       const std::string& more = {}) {
    const auto config =
        parse("user_list: [ { user: a, pass: b } ]\ntls:\n  certificate: " + certificate +
                  "\n  key: " + key + "\n" + more,
              "f.yml", directory);
    if (!config) return config.error().reply();
    const auto files = read_tls_files(*config);
    EXPECT_EQ(files.has_value(), login_part(*config).has_value());
    std::string text = files ? "(accepted)" : files.error().reply();
    for (size_t at; (at = text.find(directory + "/")) != std::string::npos;)
      text.erase(at, directory.size() + 1);
    return text;
  }
  std::string directory;
};

TEST_F(Tls, APairIsTaken) {
  EXPECT_EQ(error_of("cert.pem", "key.pem"), "(accepted)");
  EXPECT_EQ(error_of("cert2.pem", "key2.pem"), "(accepted)");
}

TEST_F(Tls, WhatIsWrongIsToldByFileAndReason) {
  EXPECT_EQ(error_of("none.pem", "key.pem"),
            "f.yml:3:3: tls.certificate: none.pem: No such file or directory");
  EXPECT_EQ(error_of("cert.pem", "none.pem"),
            "f.yml:4:3: tls.key: none.pem: No such file or directory");
  EXPECT_EQ(error_of("key.pem", "key.pem"),
            "f.yml:3:3: tls.certificate: key.pem: expected a certificate in PEM, found none");
  chmod((directory + "/cert.pem").c_str(), 0600);
  EXPECT_EQ(error_of("cert.pem", "cert.pem"),
            "f.yml:4:3: tls.key: cert.pem: expected a private key in PEM, found none");
  EXPECT_EQ(error_of("cert.pem", "key2.pem"),
            "f.yml:4:3: tls.key: key2.pem: the key does not belong to the certificate cert.pem");
  EXPECT_EQ(error_of("cert.pem", "encrypted.pem"),
            "f.yml:4:3: tls.key: encrypted.pem: the key is encrypted with a passphrase; expected "
            "one without");
}

TEST_F(Tls, WhatIsWrongWithAnotherPairIsTold) {
  const auto told = [this](const std::string& list) {
    return error_of("cert.pem", "key.pem", "  more: " + list + "\n");
  };
  EXPECT_EQ(told("[]"), "(accepted)");
  EXPECT_EQ(told("[ { certificate: cert2.pem, key: key2.pem } ]"), "(accepted)");
  EXPECT_EQ(
      told("[ { certificate: cert2.pem, key: key.pem } ]"),
      "f.yml:5:11: tls.more: key: key.pem: the key does not belong to the certificate cert2.pem");
  EXPECT_EQ(told("[ { certificate: none.pem, key: key.pem } ]"),
            "f.yml:5:11: tls.more: certificate: none.pem: No such file or directory");
  EXPECT_EQ(told("[ { certificate: cert2.pem } ]"),
            "f.yml:5:11: tls.more: expected the key key, found none");
  EXPECT_EQ(told("[ { key: key2.pem } ]"),
            "f.yml:5:11: tls.more: expected the key certificate, found none");
  EXPECT_EQ(told("[ { certificate: cert2.pem, key: key2.pem, name: x } ]"),
            "f.yml:5:52: unknown key \"name\" of tls.more; expected certificate, key or ocsp");
  EXPECT_EQ(told("cert2.pem"),
            "f.yml:5:9: tls.more: expected a list of maps with certificate, key and perhaps ocsp, "
            "found \"cert2.pem\"");
  EXPECT_EQ(told("[ { certificate: cert2.pem, key: key2.pem, ocsp: cert.pem } ]"),
            "f.yml:5:11: tls.more: ocsp: cert.pem: expected an OCSP response in DER, found none");
}

TEST_F(Tls, WhatTheIssuerSaysIsReadWhileItIsValid) {
  const auto staple = [this](long seconds) {
    std::ofstream(directory + "/ocsp.der", std::ios::binary)
        << test::ocsp_of(test::Certificate(), seconds);
    const auto config = parse(
        "user_list: [ { user: a, pass: b } ]\ntls: { certificate: cert.pem, "
        "key: key.pem, ocsp: ocsp.der }\n",
        "f.yml", directory);
    EXPECT_TRUE(config);
    const auto files = read_tls_files(*config);
    EXPECT_TRUE(files);
    return files->front().ocsp.size();
  };
  EXPECT_GT(staple(3600), 100);
  EXPECT_EQ(staple(-10), 0);
}

TEST(TlsSection, MoreNeedsAFirstPair) {
  for (const auto& [line, key] :
       {std::pair{"more: [ { certificate: a, key: b } ]", "more"}, {"ocsp: a", "ocsp"}}) {
    const auto config = parse(
        "user_list: [ { user: a, pass: b } ]\ntls: { " + std::string(line) + " }\n", "f.yml", "/");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().reply(),
              "f.yml:2:8: tls." + std::string(key) +
                  ": expected tls.certificate and tls.key, too; found none");
  }
}

TEST_F(Tls, AKeyThatOthersCanReadIsRefused) {
  chmod((directory + "/key.pem").c_str(), 0644);
  EXPECT_EQ(
      error_of("cert.pem", "key.pem"),
      "f.yml:4:3: tls.key: key.pem: mode 0644 lets others read the key; expected 0600, 0640 or "
      "less");
  chmod((directory + "/key.pem").c_str(), 0640);
  EXPECT_EQ(error_of("cert.pem", "key.pem"), "(accepted)");
}

}  // namespace
}  // namespace rims::config
