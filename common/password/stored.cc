// common/password/stored.cc - reading stored passwords: one row for each scheme

#include "common/password/stored.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <sodium.h>

#include "common/base/ascii.h"
#include "common/base/encoding.h"

namespace rims::password {
namespace {

// None of these is shown with bytes of the text.
using Read = Result<Stored>;

std::unexpected<Error> wrong(std::string text) { return fail(Fault::syntax, std::move(text)); }
std::unexpected<Error> not_of(std::string_view scheme) {
  return wrong(fmt::format("what follows is not of the scheme {}", scheme));
}
std::unexpected<Error> too_much_work() {
  return wrong("to compare it would take too much time or memory");
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number out{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == text.npos) return out;
    text.remove_prefix(end + 1);
  }
}

// Base64 without padding; passlib has "." for "+".
std::optional<std::string> from_unpadded(std::string_view text) {
  std::string padded(text);
  std::ranges::replace(padded, '.', '+');
  padded.append((4 - padded.size() % 4) % 4, '=');
  return from_base64(padded);
}

// --- crypt(5) ---

constexpr std::string_view kCryptDigits =
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// The number of a letter, or one that is too large for everything.
uint32_t digit(char c) { return static_cast<uint32_t>(std::min(kCryptDigits.find(c), size_t{64})); }
uint32_t digits(std::string_view text) {  // the least comes first
  uint32_t out = 0;
  for (size_t i = text.size(); i-- > 0;) out = out << 6 | digit(text[i]);
  return out;
}

bool memory_is_sane(uint32_t log2_n, uint64_t r, uint64_t p) {
  return log2_n >= 1 && log2_n <= 24 && r >= 1 && p >= 1 && p <= 16 && r <= kMostMemory &&
         (uint64_t{128} << log2_n) * r <= kMostMemory;
}

bool rounds_are_sane(std::string_view text) {
  const auto rounds = number<uint32_t>(text);
  return rounds && *rounds <= kMostRounds;
}

enum class Form : uint8_t { good, not_its_form, too_costly };

// "$", then what says the work, then salt and hash.
Form sha_crypt(std::string_view rest, size_t hash) {
  const auto fields = split(rest, '$');
  const bool rounds = fields.front().starts_with("rounds=");
  if (fields.size() != (rounds ? 3 : 2) || fields.back().size() != hash) return Form::not_its_form;
  if (!rounds) return Form::good;
  return rounds_are_sane(fields.front().substr(7)) ? Form::good : Form::too_costly;
}
Form sha512_crypt(std::string_view rest) { return sha_crypt(rest, 86); }
Form sha256_crypt(std::string_view rest) { return sha_crypt(rest, 43); }
Form md5_crypt(std::string_view rest) {
  const auto fields = split(rest, '$');
  return fields.size() == 2 && fields[0].size() <= 8 && fields[1].size() == 22 ? Form::good
                                                                               : Form::not_its_form;
}
Form sha1_crypt(std::string_view rest) {
  const auto fields = split(rest, '$');
  if (fields.size() != 3 || fields[2].size() != 28) return Form::not_its_form;
  return rounds_are_sane(fields[0]) ? Form::good : Form::too_costly;
}
Form bcrypt(std::string_view rest) {
  const auto fields = split(rest, '$');
  if (fields.size() != 2 || fields[0].size() != 2 || fields[1].size() != 53)
    return Form::not_its_form;
  const auto cost = number<uint32_t>(fields[0]);
  if (!cost || *cost < 4) return Form::not_its_form;
  return *cost <= kMostBcrypt ? Form::good : Form::too_costly;
}
// Its parameters may be longer; then they ask for something that nobody's passwd makes.
Form yescrypt(std::string_view rest) {
  const auto fields = split(rest, '$');
  if (fields.size() != 3 || fields[2].size() != 43) return Form::not_its_form;
  constexpr uint32_t kOneLetter = 48;
  const std::string_view work = fields[0];
  if (work.size() != 3 || digit(work[1]) >= kOneLetter || digit(work[2]) >= kOneLetter)
    return Form::too_costly;
  return memory_is_sane(digit(work[1]) + 1, digit(work[2]) + 1, 1) ? Form::good : Form::too_costly;
}
Form scrypt7(std::string_view rest) {
  const auto fields = split(rest, '$');
  if (fields.size() != 2 || fields[0].size() < 11 || fields[1].size() != 43)
    return Form::not_its_form;
  return memory_is_sane(digit(rest[0]), digits(rest.substr(1, 5)), digits(rest.substr(6, 5)))
             ? Form::good
             : Form::too_costly;
}
Form sun_md5(std::string_view rest) {
  if (rest.size() < 24 || (rest[0] != '$' && rest[0] != ',')) return Form::not_its_form;
  if (rest[0] == '$') return Form::good;
  constexpr std::string_view kRounds = ",rounds=";
  if (!rest.starts_with(kRounds)) return Form::not_its_form;
  rest.remove_prefix(kRounds.size());
  return rounds_are_sane(rest.substr(0, rest.find('$'))) ? Form::good : Form::too_costly;
}
Form nt_hash(std::string_view rest) {
  return rest.size() == 33 && rest[0] == '$' ? Form::good : Form::not_its_form;
}

struct Method {
  std::string_view prefix;
  Form (*form)(std::string_view rest);
};
constexpr Method kMethods[] = {
    {"$y$", yescrypt},     {"$gy$", yescrypt},     {"$7$", scrypt7},   {"$2a$", bcrypt},
    {"$2b$", bcrypt},      {"$2x$", bcrypt},       {"$2y$", bcrypt},   {"$6$", sha512_crypt},
    {"$5$", sha256_crypt}, {"$sha1$", sha1_crypt}, {"$1$", md5_crypt}, {"$md5", sun_md5},
    {"$3$", nt_hash},
};

bool is_crypt_text(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c > ' ' && c < 0x7f && c != ':' && c != ';' && c != '*' && c != '!' && c != '\\';
  });
}

Read crypt_with_dollar(std::string_view text) {
  for (const Method& method : kMethods) {
    if (!text.starts_with(method.prefix)) continue;
    if (!is_crypt_text(text)) return not_of("crypt(5)");
    switch (method.form(text.substr(method.prefix.size()))) {
      case Form::good:
        return Crypt{std::string(text)};
      case Form::too_costly:
        return too_much_work();
      case Form::not_its_form:
        return wrong(fmt::format("begins with {}, but is no hash of that form", method.prefix));
    }
  }
  return wrong("its form is not known");
}

// --- the forms that begin with "$" ---

// m=19456,t=2,p=1 as numbers.
Read argon2(std::string_view text) {
  const std::string terminated(text);
  if (text.size() >= crypto_pwhash_STRBYTES ||
      crypto_pwhash_str_needs_rehash(terminated.c_str(), 1, crypto_pwhash_MEMLIMIT_MIN) < 0)
    return not_of("Argon2");
  const auto after = [&](std::string_view name) {
    uint64_t value = 0;
    const size_t at = text.find(name);
    if (at != text.npos)
      std::from_chars(text.data() + at + name.size(), text.data() + text.size(), value);
    return value;
  };
  const uint64_t memory = after("$m="), passes = after(",t=");
  if (memory == 0 || passes == 0) return not_of("Argon2");
  if (memory * 1024 > kMostMemory || passes > 100) return too_much_work();
  return Argon2{terminated};
}

// $apr1$salt$hash
Read apache(std::string_view text) {
  const auto fields = split(text, '$');
  if (fields.size() != 4 || fields[2].size() > 8 || fields[3].size() != 22 || !is_crypt_text(text))
    return not_of("apr1");
  return Apache{.salt = std::string(fields[2]), .text = std::string(text)};
}

Read pbkdf2_of(Digest digest, std::optional<uint32_t> rounds, std::optional<std::string> salt,
               std::optional<std::string> hash) {
  if (!rounds || *rounds == 0 || !salt || !hash || hash->size() < 16 || hash->size() > 128)
    return not_of("PBKDF2");
  if (*rounds > kMostRounds) return too_much_work();
  return Pbkdf2{
      .digest = digest, .rounds = *rounds, .salt = *std::move(salt), .hash = *std::move(hash)};
}

// $pbkdf2-sha256$i=29000,l=32$salt$hash, $pbkdf2-sha256$29000$salt$hash, $pbkdf2$29000$...
Read pbkdf2(std::string_view text) {
  const auto fields = split(text, '$');
  if (fields.size() != 5) return not_of("PBKDF2");
  Digest digest = Digest::sha1;
  if (fields[1] == "pbkdf2-sha256")
    digest = Digest::sha256;
  else if (fields[1] == "pbkdf2-sha512")
    digest = Digest::sha512;
  else if (fields[1] != "pbkdf2" && fields[1] != "pbkdf2-sha1")
    return not_of("PBKDF2");
  std::string_view rounds = fields[2];
  if (rounds.starts_with("i=")) rounds = rounds.substr(2, rounds.find(',') - 2);
  return pbkdf2_of(digest, number<uint32_t>(rounds), from_unpadded(fields[3]),
                   from_unpadded(fields[4]));
}

// $scrypt$ln=16,r=8,p=1$salt$hash
Read scrypt(std::string_view text) {
  const auto fields = split(text, '$');
  if (fields.size() != 5) return not_of("scrypt");
  const auto work = split(fields[2], ',');
  if (work.size() != 3 || !work[0].starts_with("ln=") || !work[1].starts_with("r=") ||
      !work[2].starts_with("p="))
    return not_of("scrypt");
  const auto log2_n = number<uint32_t>(work[0].substr(3)), r = number<uint32_t>(work[1].substr(2)),
             p = number<uint32_t>(work[2].substr(2));
  auto salt = from_unpadded(fields[3]), hash = from_unpadded(fields[4]);
  if (!log2_n || !r || !p || !salt || !hash || hash->size() < 16 || hash->size() > 128)
    return not_of("scrypt");
  if (!memory_is_sane(*log2_n, *r, *p)) return too_much_work();
  return Scrypt{.n = uint64_t{1} << *log2_n,
                .r = *r,
                .p = *p,
                .salt = *std::move(salt),
                .hash = *std::move(hash)};
}

// --- verifiers of SCRAM ---

Read scram_of(Digest digest, std::string_view rounds_text, std::string_view salt_text,
              std::string_view stored_text, std::string_view server_text) {
  const auto rounds = number<uint32_t>(rounds_text);
  auto salt = from_base64(salt_text), stored = from_base64(stored_text),
       server = from_base64(server_text);
  if (!rounds || *rounds == 0 || !salt || salt->empty() || !stored || !server ||
      stored->size() != size_of(digest) || server->size() != size_of(digest))
    return not_of("SCRAM");
  if (*rounds > kMostRounds) return too_much_work();
  return Scram{.digest = digest,
               .rounds = *rounds,
               .salt = *std::move(salt),
               .stored_key = *std::move(stored),
               .server_key = *std::move(server)};
}

// n,salt,StoredKey,ServerKey: Dovecot's.
template <Digest kDigest>
Read scram(std::string_view text) {
  const auto fields = split(text, ',');
  if (fields.size() != 4) return not_of("SCRAM");
  return scram_of(kDigest, fields[0], fields[1], fields[2], fields[3]);
}

// n:salt$StoredKey:ServerKey (RFC 5803 §2).
Read scram_of_rfc_5803(Digest digest, std::string_view text) {
  const auto halves = split(text, '$');
  if (halves.size() != 2) return not_of("SCRAM");
  const auto left = split(halves[0], ':'), right = split(halves[1], ':');
  if (left.size() != 2 || right.size() != 2) return not_of("SCRAM");
  return scram_of(digest, left[0], left[1], right[0], right[1]);
}

// --- the original's ---

constexpr std::pair<std::string_view, Digest> kDigests[] = {
    {"MD5", Digest::md5},       {"RMD160", Digest::rmd160}, {"SHA1", Digest::sha1},
    {"SHA256", Digest::sha256}, {"SHA384", Digest::sha384}, {"SHA512", Digest::sha512},
};

constexpr uint32_t kMostOfTheOriginal = 10'000'000;  // rounds; each is cheap

Read stretched(std::string_view text) {
  const auto fields = split(text, ':');
  if (fields.size() != 4) return wrong("its form is not known");
  const auto* digest =
      std::ranges::find(kDigests, fields[0], &std::pair<std::string_view, Digest>::first);
  if (digest == std::end(kDigests)) return wrong("its form is not known");
  const auto rounds = number<uint32_t>(fields[1]);
  auto salt = from_base64(fields[2]), hash = from_hex(fields[3]);
  if (!rounds || !salt || !hash || hash->size() != size_of(digest->second))
    return wrong("is not of the form TYPE:count:salt:hex");
  if (*rounds > kMostOfTheOriginal) return too_much_work();
  return Stretched{.digest = digest->second,
                   .rounds = *rounds,
                   .salt = *std::move(salt),
                   .hash = *std::move(hash)};
}

// --- {SCHEME}text ---

enum class Coding : uint8_t { base64, hex };

Read digest_of(Digest digest, bool salted, std::string_view scheme,
               std::optional<std::string> bytes) {
  const size_t size = size_of(digest);
  if (!bytes || bytes->size() < size || (!salted && bytes->size() != size) ||
      bytes->size() > size + 256)
    return not_of(scheme);
  return Salted{.digest = digest, .salt = bytes->substr(size), .hash = bytes->substr(0, size)};
}

// {PBKDF2}$1$salt$rounds$hex: the salt is used as it is written.
Read pbkdf2_of_dovecot(std::string_view text) {
  const auto fields = split(text, '$');
  if (fields.size() != 5 || !fields[0].empty() || fields[1] != "1") return pbkdf2(text);
  return pbkdf2_of(Digest::sha1, number<uint32_t>(fields[3]), std::string(fields[2]),
                   from_hex(fields[4]));
}

// {CRYPT} alone may mean the two old forms, which begin with nothing of their own.
Read crypt_any(std::string_view text) {
  if (text.starts_with('$')) return crypt_with_dollar(text);
  const bool bsdi = text.starts_with('_');
  const std::string_view letters = text.substr(bsdi ? 1 : 0);
  if (letters.size() != (bsdi ? 19 : 13) ||
      !std::ranges::all_of(letters, [](char c) { return digit(c) < 64; }))
    return not_of("crypt(5)");
  if (bsdi && digits(letters.substr(0, 4)) > kMostRounds) return too_much_work();
  return Crypt{std::string(text)};
}

Read plain(std::string_view text) {
  if (text.empty()) return wrong("the password is empty");
  return Plain{text};
}

// The schemes whose text is read by a function, and those that are a digest in base64 or hex.
constexpr std::pair<std::string_view, Read (*)(std::string_view)> kSchemes[] = {
    {"PLAIN", plain},
    {"CLEAR", plain},
    {"CLEARTEXT", plain},
    {"CRYPT", crypt_any},
    {"BLF-CRYPT", crypt_with_dollar},
    {"SHA512-CRYPT", crypt_with_dollar},
    {"SHA256-CRYPT", crypt_with_dollar},
    {"MD5-CRYPT", crypt_with_dollar},
    {"DES-CRYPT", crypt_any},
    {"ARGON2ID", argon2},
    {"ARGON2I", argon2},
    {"PBKDF2", pbkdf2_of_dovecot},
    {"SCRAM-SHA-1", scram<Digest::sha1>},
    {"SCRAM-SHA-256", scram<Digest::sha256>},
};
struct DigestScheme {
  std::string_view name;
  Digest digest;
  bool salted;
  Coding coding;
};
constexpr DigestScheme kDigestSchemes[] = {
    {"SSHA512", Digest::sha512, true, Coding::base64},
    {"SSHA256", Digest::sha256, true, Coding::base64},
    {"SSHA", Digest::sha1, true, Coding::base64},
    {"SMD5", Digest::md5, true, Coding::base64},
    {"SHA512", Digest::sha512, false, Coding::base64},
    {"SHA384", Digest::sha384, false, Coding::base64},
    {"SHA256", Digest::sha256, false, Coding::base64},
    {"SHA1", Digest::sha1, false, Coding::base64},
    {"SHA", Digest::sha1, false, Coding::base64},
    {"LDAP-MD5", Digest::md5, false, Coding::base64},
    {"PLAIN-MD5", Digest::md5, false, Coding::hex},
};

// What others store and nothing here can compare.
constexpr std::string_view kNotSupported[] = {
    "CRAM-MD5", "HMAC-MD5", "DIGEST-MD5", "OTP",  "SKEY",        "RPA",
    "LANMAN",   "NTLM",     "PLAIN-MD4",  "SASL", "PLAIN-TRUNC",
};

std::string_view without_suffix(std::string_view scheme, std::string_view suffix) {
  return scheme.ends_with(suffix) ? scheme.substr(0, scheme.size() - suffix.size()) : "";
}

Read with_scheme(std::string_view text) {
  const size_t end = text.find('}');
  constexpr size_t kLongest = 32;
  if (end > kLongest) return wrong("its form is not known");
  const std::string scheme = ascii::upper(text.substr(1, end - 1));
  const std::string_view rest = text.substr(end + 1);
  for (const auto& [name, read] : kSchemes)
    if (scheme == name) return read(rest);
  for (const DigestScheme& known : kDigestSchemes) {
    Coding coding = known.coding;
    if (without_suffix(scheme, ".HEX") == known.name)
      coding = Coding::hex;
    else if (without_suffix(scheme, ".B64") == known.name ||
             without_suffix(scheme, ".BASE64") == known.name)
      coding = Coding::base64;
    else if (scheme != known.name)
      continue;
    return digest_of(known.digest, known.salted, known.name,
                     coding == Coding::hex ? from_hex(rest) : from_base64(rest));
  }
  // {MD5} of a directory is base64; Dovecot calls md5crypt so.
  if (scheme == "MD5")
    return rest.starts_with('$') ? crypt_with_dollar(rest)
                                 : digest_of(Digest::md5, false, scheme, from_base64(rest));
  // Another name may be a password in braces, which must not be shown.
  if (std::ranges::find(kNotSupported, scheme) == std::end(kNotSupported))
    return wrong("its form is not known");
  return wrong(fmt::format("the scheme {} is not supported", scheme));
}

}  // namespace

size_t size_of(Digest digest) {
  switch (digest) {
    case Digest::md5:
      return 16;
    case Digest::rmd160:
    case Digest::sha1:
      return 20;
    case Digest::sha256:
      return 32;
    case Digest::sha384:
      return 48;
    case Digest::sha512:
      break;
  }
  return 64;
}

Result<Stored> read_stored(std::string_view text) {
  if (text.starts_with('{')) return with_scheme(text);
  if (text.starts_with("$argon2")) return argon2(text);
  if (text.starts_with("$apr1$")) return apache(text);
  if (text.starts_with("$pbkdf2")) return pbkdf2(text);
  if (text.starts_with("$scrypt$")) return scrypt(text);
  if (text.starts_with('$')) return crypt_with_dollar(text);
  constexpr std::string_view kSha1 = "SCRAM-SHA-1$", kSha256 = "SCRAM-SHA-256$";
  if (text.starts_with(kSha1)) return scram_of_rfc_5803(Digest::sha1, text.substr(kSha1.size()));
  if (text.starts_with(kSha256))
    return scram_of_rfc_5803(Digest::sha256, text.substr(kSha256.size()));
  return stretched(text);
}

bool is_surely_a_hash(std::string_view text) {
  if (text.starts_with("$argon2id$")) return true;
  if (!text.starts_with('$') && !text.starts_with('{')) return false;
  const auto stored = read_stored(text);
  return stored && !std::holds_alternative<Plain>(*stored);
}

}  // namespace rims::password
