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
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

struct Reader {
  const Config& config;
  std::string_view key;
  const std::string& path;

  [[nodiscard]] std::unexpected<Error> wrong(std::string_view why) const {
    return fail(Fault::refused, fmt::format("{}{}: {}: {}", where(config, key), key, path, why));
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

}  // namespace

Result<TlsFiles> read_tls_files(const Config& config) {
  const Reader certificate{config, "tls.certificate", config.tls_certificate};
  const Reader key{config, "tls.key", config.tls_key};
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
  if (!belong)
    return key.wrong("the key does not belong to the certificate " + config.tls_certificate);
  if (X509_cmp_current_time(X509_get0_notAfter(leaf.get())) < 0)
    log::warn({}, "{}{}: {}: the certificate has expired", where(config, certificate.key),
              certificate.key, certificate.path);
  return files;
}

}  // namespace rims::config
