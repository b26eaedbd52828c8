// common/config/tls_files.cc - certificate and key, as the controller reads them

#include "common/config/tls_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/core.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/log.h"

namespace rims::config {
namespace {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(OCSP_RESPONSE* p) const { OCSP_RESPONSE_free(p); }
  void operator()(OCSP_BASICRESP* p) const { OCSP_BASICRESP_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Reader {
  std::string place;  // "FILE:LINE:COLUMN: tls.key: "
  const std::string& path;

  [[nodiscard]] std::string told(std::string_view what) const {
    return fmt::format("{}{}: {}", place, path, what);
  }
  [[nodiscard]] std::unexpected<Error> wrong(std::string_view why) const {
    return fail(Fault::refused, told(why));
  }

  [[nodiscard]] Result<std::string> read(bool secret) const {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    if (!fd) return wrong(errno_text(errno));
    struct stat info{};
    if (fstat(fd.get(), &info) != 0) return wrong(errno_text(errno));
    if (!S_ISREG(info.st_mode)) return wrong("expected a file, found something else");
    if (secret && (info.st_mode & (S_IRWXO | S_IWGRP)) != 0)
      return wrong(fmt::format("mode {:04o} lets others read the key; expected 0600, 0640 or less",
                               info.st_mode & 07777));
    if (static_cast<uint64_t>(info.st_size) > kMaxPem) return wrong("larger than 64 KiB");
    std::string text(static_cast<size_t>(info.st_size), '\0');
    size_t have = 0;
    while (have < text.size()) {
      const ssize_t got = ::read(fd.get(), text.data() + have, text.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return wrong("changed while it was read");
      have += static_cast<size_t>(got);
    }
    return text;
  }
};

Owned<BIO> bio_of(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// An encrypted key must be an error, and not ask for its passphrase on the terminal.
int no_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// "" when it is not valid any more.
Result<std::string> read_ocsp(const Reader& file) {
  TRY(std::string text, file.read(false));
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  const Owned<OCSP_RESPONSE> response(
      d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(text.size())));
  const Owned<OCSP_BASICRESP> basic(response ? OCSP_response_get1_basic(response.get()) : nullptr);
  ERR_clear_error();
  if (!basic || OCSP_response_status(response.get()) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return file.wrong("expected an OCSP response in DER, found none");
  for (int i = 0; i < OCSP_resp_count(basic.get()); i++) {
    ASN1_GENERALIZEDTIME* next = nullptr;
    int why = 0;
    OCSP_single_get0_status(OCSP_resp_get0(basic.get(), i), &why, nullptr, nullptr, &next);
    if (!next || X509_cmp_current_time(next) > 0) continue;
    log::warn({}, "{}", file.told("the OCSP response is too old, so clients do not get it"));
    return std::string();
  }
  return text;
}

Result<TlsFiles> read_pair(const Reader& certificate, const Reader& key, const Reader& ocsp) {
  TlsFiles files;
  TRY(files.certificate_pem, certificate.read(false));
  TRY(std::string key_text, key.read(true));
  files.key_pem = Secret(key_text);
  wipe(key_text);

  const Owned<BIO> certificate_bio = bio_of(files.certificate_pem);
  const Owned<X509> leaf(PEM_read_bio_X509(certificate_bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (!leaf) return certificate.wrong("expected a certificate in PEM, found none");
  const Owned<BIO> key_bio = bio_of(files.key_pem.reveal());
  bool asked = false;
  const Owned<EVP_PKEY> pair(
      PEM_read_bio_PrivateKey(key_bio.get(), nullptr, &no_passphrase, &asked));
  ERR_clear_error();
  if (asked) return key.wrong("the key is encrypted with a passphrase; expected one without");
  if (!pair) return key.wrong("expected a private key in PEM, found none");
  const bool belong = X509_check_private_key(leaf.get(), pair.get()) == 1;
  ERR_clear_error();
  if (!belong) return key.wrong("the key does not belong to the certificate " + certificate.path);
  if (X509_cmp_current_time(X509_get0_notAfter(leaf.get())) < 0)
    log::warn({}, "{}", certificate.told("the certificate has expired"));
  if (!ocsp.path.empty()) {
    TRY(files.ocsp, read_ocsp(ocsp));
  }
  return files;
}

}  // namespace

CertificatePaths first_certificate(const Config& config) {
  return {.certificate = config.tls_certificate,
          .key = config.tls_key,
          .ocsp = config.tls_ocsp,
          .at = {}};
}

Result<TlsFiles> read_tls_files(const Config& config, const CertificatePaths& files) {
  // One of tls.more knows its place; the keys of the first one have three.
  const auto reader = [&](std::string_view name, const std::string& path) {
    const std::string key = "tls." + std::string(name);
    return Reader{.place = files.at.line == 0
                               ? fmt::format("{}{}: ", where(config, key), key)
                               : fmt::format("{}tls.more: {}: ", where(config, files.at), name),
                  .path = path};
  };
  return read_pair(reader("certificate", files.certificate), reader("key", files.key),
                   reader("ocsp", files.ocsp));
}

Result<std::vector<TlsFiles>> read_tls_files(const Config& config) {
  std::vector<TlsFiles> all;
  TRY(TlsFiles first, read_tls_files(config, first_certificate(config)));
  all.push_back(std::move(first));
  for (const CertificatePaths& more : config.tls_more) {
    TRY(TlsFiles files, read_tls_files(config, more));
    all.push_back(std::move(files));
  }
  return all;
}

}  // namespace rims::config
