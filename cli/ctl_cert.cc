// cli/ctl_cert.cc - rims-ctl cert show|self-signed: the certificates of the configuration
//
// show reads the files as a start would, and says what stands in each; self-signed makes a first
// pair, which clients must be told to trust.

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cli/ctl.h"
#include "cli/options.h"
#include "common/base/encoding.h"
#include "common/base/errno_text.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/config/tls_files.h"
#include "common/tls/reason.h"

namespace rims::ctl {
namespace {

struct Free {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(GENERAL_NAMES* p) const { GENERAL_NAMES_free(p); }
  void operator()(X509_EXTENSION* p) const { X509_EXTENSION_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

constexpr int kDay = 86'400;

// --- show ---

struct Shown {
  std::string setting, file, key_file;
  std::vector<std::string> names;
  std::string issuer, key, sha256;
  std::time_t from = 0, until = 0;
  bool self_signed = false;
  std::string problem;
};

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

// The hosts that it is for; that of its subject only where there is no list (RFC 6125 §6.4.4).
std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> names;
  const Owned<GENERAL_NAMES> list(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; list && i < sk_GENERAL_NAME_num(list.get()); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list.get(), i);
    char address[INET6_ADDRSTRLEN] = {};
    if (name->type == GEN_DNS) {
      names.push_back(text_of(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
      const std::string bytes = text_of(name->d.iPAddress);
      const int family = bytes.size() == sizeof(in_addr) ? AF_INET : AF_INET6;
      if (bytes.size() == sizeof(in_addr) || bytes.size() == sizeof(in6_addr))
        names.emplace_back(inet_ntop(family, bytes.data(), address, sizeof address));
    }
  }
  char common_name[256] = {};
  if (!list && X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                         common_name, sizeof common_name) > 0)
    names.emplace_back(common_name);
  return names;
}

std::string line_of(X509_NAME* name) {
  const Owned<BIO> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return log::printable(std::string_view(text, static_cast<size_t>(size)));
}

std::time_t time_of(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

void describe(const std::string& pem, Shown& out) {
  const Owned<BIO> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Owned<X509> leaf(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!leaf) return;
  out.names = names_of(leaf.get());
  out.issuer = line_of(X509_get_issuer_name(leaf.get()));
  out.self_signed = X509_self_signed(leaf.get(), 0) == 1;
  out.from = time_of(X509_get0_notBefore(leaf.get()));
  out.until = time_of(X509_get0_notAfter(leaf.get()));
  EVP_PKEY* key = X509_get0_pubkey(leaf.get());
  out.key = fmt::format("{}, {} bits", EVP_PKEY_get0_type_name(key), EVP_PKEY_get_bits(key));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(leaf.get(), EVP_sha256(), digest, &size);
  out.sha256 = to_hex(std::string_view(reinterpret_cast<char*>(digest), size));
}

std::string day(std::time_t at) {
  std::tm utc{};
  gmtime_r(&at, &utc);
  return fmt::format("{:%Y-%m-%d}", utc);
}

// What is wrong with it now, or will be within `days`.
std::string complaint(const Shown& one, std::time_t now, int days) {
  if (one.from > now) return "it is not valid yet";
  if (one.until <= now) return "it has expired";
  if (one.until <= now + std::time_t{days} * kDay)
    return fmt::format("it expires within {} days", days);
  return {};
}

void print(const Shown& one, std::time_t now) {
  std::printf("%s (%s)\n", one.file.c_str(), one.setting.c_str());
  const auto row = [](const char* name, const std::string& text) {
    std::printf("  %-7s %s\n", name, text.c_str());
  };
  if (one.until != 0) {
    std::string names;
    for (const std::string& name : one.names)
      names += (names.empty() ? "" : ", ") + log::printable(name);
    row("names", names.empty() ? "none" : names);
    row("issuer", one.self_signed ? "itself: clients must be told to trust it" : one.issuer);
    const auto left = (one.until - now) / kDay;
    row("valid", fmt::format("from {} to {}{}", day(one.from), day(one.until),
                             one.until > now ? fmt::format(", {} days left", left) : ""));
    row("key", fmt::format("{}; in {}", one.key, one.key_file));
    row("sha256", one.sha256);
  }
  if (!one.problem.empty()) row("problem", one.problem);
}

Json json_of(const Shown& one) {
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json names = Json::array();
  for (const std::string& name : one.names) names.push_back(log::printable(name));
  return {{"setting", one.setting},
          {"certificate", one.file},
          {"key_file", one.key_file},
          {"names", std::move(names)},
          {"issuer", or_null(one.issuer)},
          {"self_signed", one.self_signed},
          {"from", one.from == 0 ? Json() : Json(day(one.from))},
          {"until", one.until == 0 ? Json() : Json(day(one.until))},
          {"key", or_null(one.key)},
          {"sha256", or_null(one.sha256)},
          {"problem", or_null(one.problem)}};
}

int show(const config::Config& config, bool json, int days) {
  std::vector<Shown> all;
  const auto add = [&](std::string setting, const config::CertificatePaths& files) {
    Shown one{.setting = std::move(setting),
              .file = files.certificate,
              .key_file = files.key,
              .names = {},
              .issuer = {},
              .key = {},
              .sha256 = {},
              .problem = {}};
    // Alone, so that one that can not be read hides no other.
    const auto read = config::read_tls_files(config, files);
    if (read)
      describe(read->certificate_pem, one);
    else
      one.problem = read.error().reply();
    if (read) one.problem = complaint(one, std::time(nullptr), days);
    all.push_back(std::move(one));
  };
  if (config.tls_certificate.empty())
    return complain("tls.certificate is not set; \"rims-ctl cert self-signed\" makes a first one",
                    kFailed);
  add("tls.certificate", config::first_certificate(config));
  for (const config::CertificatePaths& more : config.tls_more) add("tls.more", more);
  bool good = true;
  Json list = Json::array();
  const std::time_t now = std::time(nullptr);
  for (const Shown& one : all) {
    good = good && one.problem.empty();
    if (json)
      list.push_back(json_of(one));
    else
      print(one, now);
  }
  if (json) std::printf("%s\n", json_text({{"certificates", std::move(list)}}, true).c_str());
  return good ? kDone : kFailed;
}

// --- self-signed ---

std::optional<std::string> pem_of(X509* certificate, EVP_PKEY* key) {
  const Owned<BIO> out(BIO_new(BIO_s_mem()));
  const bool good = certificate ? PEM_write_bio_X509(out.get(), certificate) == 1
                                : PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0,
                                                                nullptr, nullptr) == 1;
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  if (!good) return std::nullopt;
  return std::string(text, static_cast<size_t>(size));
}

// As openssl-x509v3_config(5) writes them.
std::string alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    unsigned char address[sizeof(in6_addr)];
    const bool numeric = inet_pton(AF_INET, name.c_str(), address) == 1 ||
                         inet_pton(AF_INET6, name.c_str(), address) == 1;
    out += (out.empty() ? "" : ",") + std::string(numeric ? "IP:" : "DNS:") + name;
  }
  return out;
}

bool add_extension(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> made(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return made && X509_add_ext(certificate, made.get(), -1) == 1;
}

struct Pair {
  std::string certificate;
  Secret key;
};

Result<Pair> make_self_signed(const std::vector<std::string>& names, int days) {
  const auto broken = [] { return fail(Fault::bug, "", "OpenSSL: " + tls::reason()); };
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> made(X509_new());
  if (!key || !made) return broken();
  X509* c = made.get();
  // RFC 5280 §4.1.2.2: positive, at most 20 bytes.
  std::string serial = random_bytes(16);
  serial[0] = static_cast<char>((serial[0] & 0x7f) | 0x40);
  BIGNUM* number = BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()),
                             static_cast<int>(serial.size()), nullptr);
  const bool numbered = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c));
  BN_free(number);
  X509_NAME* subject = X509_get_subject_name(c);
  constexpr size_t kLongestCommonName = 64;  // RFC 5280 appendix A.1
  const bool good =
      numbered && X509_set_version(c, X509_VERSION_3) == 1 &&
      X509_gmtime_adj(X509_getm_notBefore(c), 0) &&
      X509_time_adj_ex(X509_getm_notAfter(c), days, 0, nullptr) &&
      (names.front().size() > kLongestCommonName ||
       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(names.front().c_str()), -1,
                                  -1, 0) == 1) &&
      X509_set_issuer_name(c, subject) == 1 && X509_set_pubkey(c, key.get()) == 1 &&
      add_extension(c, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(c, NID_key_usage, "critical,digitalSignature") &&
      add_extension(c, NID_ext_key_usage, "serverAuth") &&
      add_extension(c, NID_subject_alt_name, alternative_names(names)) &&
      X509_sign(c, key.get(), EVP_sha256()) != 0;
  if (!good) return broken();
  auto chain = pem_of(c, nullptr), secret = pem_of(nullptr, key.get());
  if (!chain || !secret) return broken();
  Pair pair{.certificate = *std::move(chain), .key = Secret(*secret)};
  wipe(*secret);
  return pair;
}

// A new file; what is there is left alone. Durable.
Status write_new(const std::string& path, std::string_view text, mode_t mode) {
  const auto wrong = [&] { return fail(Fault::storage, "", path + ": " + errno_text(errno)); };
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd) return wrong();
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = ::write(fd.get(), text.data() + done, text.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return wrong();
    done += static_cast<size_t>(wrote);
  }
  if (::fsync(fd.get()) != 0) return wrong();
  return {};
}

bool is_host(const std::string& name) {
  unsigned char address[sizeof(in6_addr)];
  if (inet_pton(AF_INET6, name.c_str(), address) == 1) return true;
  return !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '*' || c == '_';
  });
}

int self_signed(const Loaded& loaded, std::vector<std::string> names, int days) {
  const config::Config& config = *loaded.config;
  if (names.empty()) names.push_back(config.hostname);
  for (const std::string& name : names)
    if (!is_host(name))
      return complain(
          fmt::format("cert: expected the name or address of a host, found {}", log::quoted(name)),
          kUsage);
  const bool set = !config.tls_certificate.empty();
  const std::string certificate = set ? config.tls_certificate : config.directory + "/cert.pem";
  const std::string key = set ? config.tls_key : config.directory + "/key.pem";
  for (const std::string& path : {certificate, key})
    if (std::error_code ignored; std::filesystem::exists(path, ignored))
      return complain(fmt::format("cert: {} is there already; it is not replaced", path), kFailed);
  const auto pair = make_self_signed(names, days);
  if (!pair) return complain(pair.error());
  if (const Status done = write_new(key, pair->key.reveal(), 0600); !done)
    return complain(done.error());
  if (const Status done = write_new(certificate, pair->certificate, 0644); !done) {
    ::unlink(key.c_str());
    return complain(done.error());
  }
  std::printf("%s and %s are made, for %s, %d days.\n", certificate.c_str(), key.c_str(),
              fmt::format("{}", fmt::join(names, ", ")).c_str(), days);
  if (!set)
    std::printf("Name them in %s:\n\ntls:\n  certificate: cert.pem\n  key: key.pem\n",
                loaded.file.c_str());
  return kDone;
}

constexpr int kMostDays = 36'500;  // a hundred years

// A number of days, at least `least` and at most kMostDays.
std::optional<int> days_in(const std::string& text, int least) {
  int days = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), days);
  if (error != std::errc() || end != text.data() + text.size() || days < least || days > kMostDays)
    return std::nullopt;
  return days;
}

}  // namespace

int cert(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  bool json = false;
  std::string days_text;
  cli::OptionParser parser(
      "rims-ctl cert show [options]\n"
      "       rims-ctl cert self-signed [options] [HOST...]");
  add_common(parser, with);
  parser.add_flag(0, "json", "show: report as JSON on standard output.", json);
  parser.add_value(0, "days", "DAYS",
                   "show: complain of what expires within DAYS; self-signed: how long it is valid, "
                   "365 unless said otherwise.",
                   days_text);
  auto operands = parser.parse(args);
  if (!operands) return complain("cert: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const std::string what = operands->empty() ? "" : operands->front();
  const bool shows = what == "show" && operands->size() == 1;
  if (!shows && what != "self-signed")
    return complain("cert: need show, or self-signed with names of hosts", kUsage);
  const int least = shows ? 0 : 1;
  const auto days = days_in(days_text.empty() ? (shows ? "0" : "365") : days_text, least);
  if (!days)
    return complain(fmt::format("cert: --days: expected {} to {} days, found {}", least, kMostDays,
                                log::quoted(days_text)),
                    kUsage);
  const Loaded loaded = load(with, false);
  if (!loaded.config) return loaded.status;
  if (shows) return show(*loaded.config, json, *days);
  return self_signed(loaded, {operands->begin() + 1, operands->end()}, *days);
}

}  // namespace rims::ctl
