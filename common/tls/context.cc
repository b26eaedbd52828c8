// common/tls/context.cc - certificates, and which of them a client gets

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/tls/reason.h"
#include "common/tls/tls.h"

namespace rims::tls {
namespace {

// TLS 1.2. TLS 1.3 has nothing but AEAD with forward secrecy.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr const char* kGroups = "X25519:P-256:P-384";

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(OCSP_RESPONSE* p) const { OCSP_RESPONSE_free(p); }
  void operator()(OCSP_BASICRESP* p) const { OCSP_BASICRESP_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

// What the callbacks of one SSL_CTX need. OpenSSL frees it with the SSL_CTX, which lives as long as
// a session of it.
struct Own {
  std::vector<Owned<SSL_CTX>> others;  // of the first certificate alone
  std::string ocsp;
  std::optional<std::time_t> ocsp_until;
};

void free_own(void*, void* own, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Own*>(own);
}

int own_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, &free_own);
  return index;
}
Own& own_of(SSL_CTX* context) {
  return *static_cast<Own*>(SSL_CTX_get_ex_data(context, own_index()));
}

std::unexpected<Error> bad_pem(std::string_view what) {
  return fail(Fault::refused, std::string(what) + ": " + reason());
}

bool has_name(SSL_CTX* context, std::string_view name) {
  return X509_check_host(SSL_CTX_get0_certificate(context), name.data(), name.size(), 0, nullptr) ==
         1;
}

int choose_by_name(SSL* ssl, int*, void*) {
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (!asked) return SSL_TLSEXT_ERR_NOACK;
  SSL_CTX* first = SSL_get_SSL_CTX(ssl);
  if (has_name(first, asked)) return SSL_TLSEXT_ERR_OK;
  for (const Owned<SSL_CTX>& other : own_of(first).others) {
    if (!has_name(other.get(), asked)) continue;
    SSL_set_SSL_CTX(ssl, other.get());
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned size, void*) {
  constexpr std::string_view kOurs = "imap";
  for (unsigned at = 0; at < size; at += 1U + offered[at]) {
    const auto* name = offered + at + 1;
    if (std::string_view(reinterpret_cast<const char*>(name), offered[at]) != kOurs) continue;
    *out = name;
    *out_size = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int staple(SSL* ssl, void*) {
  const Own& own = own_of(SSL_get_SSL_CTX(ssl));
  if (own.ocsp.empty() || (own.ocsp_until && *own.ocsp_until <= std::time(nullptr)))
    return SSL_TLSEXT_ERR_NOACK;
  void* copy = OPENSSL_memdup(own.ocsp.data(), own.ocsp.size());
  if (!copy) return SSL_TLSEXT_ERR_NOACK;
  SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(own.ocsp.size()));
  return SSL_TLSEXT_ERR_OK;
}

// Until when all that the response says is valid; nullopt: for ever, as far as is known.
std::optional<std::time_t> valid_until(std::string_view der) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const Owned<OCSP_RESPONSE> response(
      d2i_OCSP_RESPONSE(nullptr, &bytes, static_cast<long>(der.size())));
  const Owned<OCSP_BASICRESP> basic(response ? OCSP_response_get1_basic(response.get()) : nullptr);
  std::optional<std::time_t> until;
  for (int i = 0; basic && i < OCSP_resp_count(basic.get()); i++) {
    ASN1_GENERALIZEDTIME* next = nullptr;
    int why = 0;
    OCSP_single_get0_status(OCSP_resp_get0(basic.get(), i), &why, nullptr, nullptr, &next);
    std::tm parts{};
    if (!next || ASN1_TIME_to_tm(next, &parts) != 1) continue;
    const std::time_t at = timegm(&parts);
    until = std::min(at, until.value_or(at));
  }
  ERR_clear_error();
  return until;
}

Status use_chain(SSL_CTX* c, std::string_view pem) {
  const Owned<BIO> chain(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  X509* leaf = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr);
  if (!leaf) return bad_pem("the certificate");
  const bool used = SSL_CTX_use_certificate(c, leaf) == 1;
  X509_free(leaf);
  if (!used) return bad_pem("the certificate");
  while (X509* next = PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(c, next) == 1) continue;
    X509_free(next);
    return bad_pem("the certificate's chain");
  }
  ERR_clear_error();
  return {};
}

Status use_key(SSL_CTX* c, std::string_view pem) {
  const Owned<BIO> key(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  EVP_PKEY* pair = PEM_read_bio_PrivateKey(
      key.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr);
  if (!pair) return bad_pem("the key");
  const bool fits = SSL_CTX_use_PrivateKey(c, pair) == 1 && SSL_CTX_check_private_key(c) == 1;
  EVP_PKEY_free(pair);
  if (!fits) return bad_pem("the key");
  return {};
}

Result<Owned<SSL_CTX>> context_of(const Certificate& certificate, Version oldest) {
  ERR_clear_error();
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_server_method()));
  if (!context) return bad_pem("TLS");
  SSL_CTX* c = context.get();
  auto own = std::make_unique<Own>();
  if (SSL_CTX_set_ex_data(c, own_index(), own.get()) != 1) return bad_pem("TLS");
  Own& kept = *own.release();
  SSL_CTX_set_min_proto_version(c, oldest == Version::v1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                             SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                             SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_TICKET);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  // No session tickets: a client that reads in one thread and writes in another (imaplib2) is
  // woken by them and stumbles over itself.
  SSL_CTX_set_num_tickets(c, 0);
  constexpr unsigned char kName[] = "rims";
  if (SSL_CTX_set_cipher_list(c, kCiphers) != 1 || SSL_CTX_set1_groups_list(c, kGroups) != 1 ||
      SSL_CTX_set_session_id_context(c, kName, sizeof kName - 1) != 1)
    return bad_pem("TLS");
  SSL_CTX_set_alpn_select_cb(c, &choose_protocol, nullptr);
  if (!certificate.ocsp.empty()) {
    kept.ocsp = certificate.ocsp;
    kept.ocsp_until = valid_until(certificate.ocsp);
    SSL_CTX_set_tlsext_status_cb(c, &staple);
  }
  TRY_STATUS(use_chain(c, certificate.chain_pem));
  TRY_STATUS(use_key(c, certificate.key_pem));
  return context;
}

}  // namespace

std::string reason() {
  const char* text = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return text ? text : "unknown";
}

void Context::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

Result<Context> Context::server(std::span<const Certificate> certificates, Version oldest,
                                size_t* wrong) {
  size_t number = 0;
  if (!wrong) wrong = &number;
  *wrong = 0;
  TRY(Owned<SSL_CTX> first, context_of(certificates.front(), oldest));
  std::vector<Owned<SSL_CTX>>& others = own_of(first.get()).others;
  for (const Certificate& certificate : certificates.subspan(1)) {
    ++*wrong;
    TRY(Owned<SSL_CTX> made, context_of(certificate, oldest));
    others.push_back(std::move(made));
  }
  SSL_CTX_set_tlsext_servername_callback(first.get(), &choose_by_name);
  return Context(std::unique_ptr<SSL_CTX, Context::Free>(first.release()));
}

}  // namespace rims::tls
