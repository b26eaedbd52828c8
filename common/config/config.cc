// common/config/config.cc - from the tree of a file to typed settings
//
// Problems are collected, so that one run shows all of them (kMaxProblems at most).

#include "common/config/config.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <netdb.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>

#include <fmt/core.h>

#include "common/base/ascii.h"
#include "common/base/errno_text.h"
#include "common/base/fd.h"
#include "common/base/log.h"
#include "common/base/network.h"
#include "common/config/earlier_keys.h"
#include "common/config/parts.h"
#include "common/config/schema.h"
#include "common/config/yaml_tree.h"
#include "common/password/stored.h"

namespace rims::config {
namespace {

namespace fs = std::filesystem;
using yaml::Node;

constexpr size_t kMaxProblems = 20;

std::string quote(std::string_view text) {
  return fmt::format("\"{}\"", log::printable(text.substr(0, 80)));
}

constexpr size_t kMaxPlaces = 32;       // of lmtp.listen
constexpr size_t kMaxSocketPath = 107;  // bytes; unix(7)

std::optional<uint64_t> digits(std::string_view text, int base = 10) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A number and one letter for its unit.
std::optional<uint64_t> scaled(std::string_view text, std::string_view units,
                               std::initializer_list<uint64_t> factors) {
  uint64_t factor = 1;
  if (!text.empty()) {
    const size_t unit = ascii::lower(units).find(ascii::lower(text.substr(text.size() - 1)));
    if (unit != std::string::npos) {
      factor = factors.begin()[unit];
      text.remove_suffix(1);
    }
  }
  const auto value = digits(text);
  if (!value || *value > UINT64_MAX / factor) return std::nullopt;
  return *value * factor;
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string describe(const Node& node) {
  if (node.kind == Node::Kind::list) return "a list";
  if (node.kind == Node::Kind::map) return "a map";
  if (node.is_null()) return "nothing";
  return quote(node.text);
}

class Binder {
 public:
  Binder(Config& config, const Options& options) : config_(config), options_(options) {}

  // False: see problems().
  bool bind(const Node& root) {
    for (const Setting& s : settings())
      if (!s.fallback.empty()) set_default(s);
    bind_map(root, "");
    for (const auto& [key, value] : options_.overrides) bind_override(key, value);
    if (problems_.empty()) finish();
    return problems_.empty();
  }

  void problem(Position at, std::string_view what) {
    if (problems_.size() < kMaxProblems) problems_.push_back(prefix(at) + std::string(what));
  }
  void warn(Position at, std::string_view what) {
    config_.warnings.push_back(prefix(at) + std::string(what));
  }
  [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }
  [[nodiscard]] bool plain_passwords() const {
    return std::ranges::any_of(config_.users, [](const UserEntry& u) { return !u.hashed; });
  }

 private:
  [[nodiscard]] std::string prefix(Position at) const {
    if (overriding_) return "command line: ";
    if (at.line == 0) return config_.file + ": ";
    return fmt::format("{}:{}:{}: ", config_.file, at.line, at.column);
  }

  void set_default(const Setting& s) {
    Node node;
    node.text = s.fallback;
    set(s, node);
  }

  void bind_override(const std::string& key, const std::string& value) {
    overriding_ = true;
    Node node;
    node.text = value;
    node.quoted = true;
    const Setting* s = find_setting(key);
    if (!s || s->kind == Kind::user_list || s->kind == Kind::text_list ||
        s->kind == Kind::place_list || s->kind == Kind::entry_map ||
        s->kind == Kind::certificate_list)
      problem({}, unknown(key));
    else
      set(*s, node);
    config_.positions.erase(key);
    overriding_ = false;
  }

  static std::string unknown(std::string_view key) {
    std::string text = "unknown key " + quote(key);
    const std::string near = nearest_key(key);
    if (!near.empty()) text += "; the nearest known key is \"" + near + '"';
    return text;
  }

  static bool is_section(std::string_view key) {
    return std::ranges::any_of(settings(), [&](const Setting& s) {
      return s.key.size() > key.size() && s.key.starts_with(key) && s.key[key.size()] == '.';
    });
  }

  void bind_map(const Node& map, const std::string& section) {
    if (map.kind != Node::Kind::map) {
      problem(map.at, fmt::format("expected {}, found {}",
                                  section.empty() ? "keys and values" : "a map of settings",
                                  describe(map)));
      return;
    }
    for (const auto& entry : map.entries) {
      const std::string key = section.empty() ? entry.key : section + "." + entry.key;
      const bool dotted = entry.key.find('.') != std::string::npos;
      if (const Setting* s = dotted ? nullptr : find_setting(key)) {
        config_.positions[key] = entry.at;
        set(*s, entry.value);
      } else if (section.empty() && !dotted && is_section(entry.key)) {
        bind_map(entry.value, entry.key);
      } else {
        problem(entry.at, unknown(key));
      }
    }
  }

  void wrong(const Setting& s, const Node& node) {
    // The wrong value of a password setting may be a password, so it is not shown.
    const std::string found =
        s.kind == Kind::password && node.kind == Node::Kind::scalar && !node.is_null()
            ? fmt::format("{} bytes", node.text.size())
            : describe(node);
    problem(node.at, fmt::format("{}: expected {}, found {}", s.key, expectation(s), found));
  }

  void store(const Setting& s, const Node& node, std::string value) {
    if (const auto* member = std::get_if<std::string Config::*>(&s.member))
      config_.** member = std::move(value);
    else if (s.key == "username")
      username_ = {std::move(value), node.at};
  }

  void store(const Setting& s, uint64_t value) {
    if (const auto* m = std::get_if<uint64_t Config::*>(&s.member)) config_.** m = value;
    if (const auto* m = std::get_if<uint32_t Config::*>(&s.member))
      config_.** m = static_cast<uint32_t>(value);
    if (const auto* m = std::get_if<std::optional<uint64_t> Config::*>(&s.member))
      config_.** m = value;
    if (const auto* m = std::get_if<std::optional<uint16_t> Config::*>(&s.member))
      config_.** m = static_cast<uint16_t>(value);
  }

  void set(const Setting& s, const Node& node) {
    if (s.kind == Kind::user_list) return set_users(s, node);
    if (s.kind == Kind::text_list) return set_list(s, node);
    if (s.kind == Kind::place_list) return set_places(s, node);
    if (s.kind == Kind::entry_map) return set_entries(s, node);
    if (s.kind == Kind::certificate_list) return set_certificates(s, node);
    if (node.kind != Node::Kind::scalar || node.is_null()) return wrong(s, node);
    // Only text may be in quotes; values of the command line have none.
    const bool textual = s.kind == Kind::text || s.kind == Kind::path || s.kind == Kind::choice ||
                         s.kind == Kind::account || s.kind == Kind::password ||
                         s.kind == Kind::port || s.kind == Kind::shift_age;
    if (node.quoted && !textual && !overriding_)
      return problem(node.at,
                     fmt::format("{}: expected {}, found text in quotes", s.key, expectation(s)));
    const std::string& text = node.text;
    const auto bounded = [&](std::optional<uint64_t> value) {
      if (!value || *value < s.min || *value > s.max) return wrong(s, node);
      store(s, *value);
    };
    switch (s.kind) {
      case Kind::text:
      case Kind::path:
      case Kind::account:
        if (text.size() < s.min || text.size() > s.max) return wrong(s, node);
        if (has_control(text))
          return problem(node.at,
                         fmt::format("{}: control characters are not allowed here", s.key));
        return store(s, node, text);
      case Kind::password:
        if (text.size() < s.min || text.size() > s.max) return wrong(s, node);
        password_ = Secret(text);
        password_at_ = node.at;
        return;
      case Kind::choice: {
        const auto found = std::ranges::find_if(
            s.choices, [&](std::string_view choice) { return ascii::equal(choice, text); });
        if (found == s.choices.end()) return wrong(s, node);
        return store(s, node, std::string(*found));
      }
      case Kind::number:
        return bounded(digits(text));
      case Kind::bytes:
        return bounded(scaled(text, "KMG", {1u << 10, 1u << 20, 1u << 30}));
      case Kind::seconds:
        return bounded(scaled(text, "smhd", {1, 60, 3600, 86'400}));
      case Kind::mode:
        return bounded(digits(text, 8));
      case Kind::boolean: {
        const std::string word = ascii::lower(text);
        const bool yes = word == "true" || word == "yes" || word == "on";
        if (!yes && word != "false" && word != "no" && word != "off") return wrong(s, node);
        config_.*std::get<bool Config::*>(s.member) = yes;
        return;
      }
      case Kind::port:
        return set_port(s, node);
      case Kind::shift_age: {
        const std::string word = ascii::lower(text);
        const auto count = digits(text);
        if (word != "daily" && word != "weekly" && word != "monthly" && (!count || *count > s.max))
          return wrong(s, node);
        return store(s, node, word);
      }
      case Kind::text_list:
      case Kind::place_list:
      case Kind::entry_map:
      case Kind::certificate_list:
      case Kind::user_list:
        return;
    }
  }

  void set_port(const Setting& s, const Node& node) {
    if (const auto number = digits(node.text)) {
      if (*number > 65535) return wrong(s, node);
      return store(s, *number);
    }
    // The ports of mail servers are known here, because a small system may have no /etc/services.
    static constexpr std::pair<std::string_view, int> kKnown[] = {
        {"imap", 143}, {"imap2", 143}, {"imaps", 993}};
    for (const auto& [name, port] : kKnown) {
      if (node.text == name) return store(s, port);
    }
    servent service{};
    servent* found = nullptr;
    char names[1024];
    if (!has_control(node.text) && node.text.size() <= 64)
      getservbyname_r(node.text.c_str(), "tcp", &service, names, sizeof names, &found);
    if (!found) return wrong(s, node);
    store(s, ntohs(static_cast<uint16_t>(service.s_port)));
  }

  // RFC 5464 §3.2. Values are one line: the RFC wants CRLF where a text has more.
  void set_entries(const Setting& s, const Node& node) {
    constexpr std::string_view kScope = "/shared/";
    if (node.kind != Node::Kind::map) return wrong(s, node);
    auto& list =
        config_.*std::get<std::vector<std::pair<std::string, std::string>> Config::*>(s.member);
    list.clear();
    if (node.entries.size() > kMaxServerEntries)
      return problem(node.at,
                     fmt::format("{}: expected at most {} entries", s.key, kMaxServerEntries));
    for (const auto& entry : node.entries) {
      const std::string name = ascii::lower(entry.key);
      const bool plain = std::ranges::all_of(
          name, [](char c) { return c > 0x20 && c < 0x7f && c != '*' && c != '%'; });
      if (!name.starts_with(kScope) || name.size() == kScope.size() || name.ends_with('/') ||
          name.find("//") != name.npos || name.size() > kMaxServerEntryName || !plain)
        return problem(entry.at, fmt::format("{}: expected a name such as /shared/comment, without "
                                             "*, %, spaces and empty parts, found {}",
                                             s.key, quote(entry.key)));
      const bool twice =
          std::ranges::any_of(list, [&](const auto& known) { return known.first == name; });
      if (twice)
        return problem(entry.at, fmt::format("{}: {} is there twice", s.key, quote(entry.key)));
      const Node& value = entry.value;
      if (value.kind != Node::Kind::scalar || value.is_null() || value.text.size() > s.max ||
          has_control(value.text))
        return problem(value.at,
                       fmt::format("{}: {}: expected one line of at most {} bytes, found {}", s.key,
                                   entry.key, s.max, describe(value)));
      list.emplace_back(name, value.text);
    }
  }

  void set_list(const Setting& s, const Node& node) {
    if (node.kind != Node::Kind::list) return wrong(s, node);
    auto& list = config_.*std::get<std::vector<std::string> Config::*>(s.member);
    list.clear();
    if (node.items.size() > kMaxTexts)
      return problem(node.at, fmt::format("{}: expected at most {} entries", s.key, kMaxTexts));
    for (const Node& item : node.items) {
      if (item.kind != Node::Kind::scalar || item.is_null() || item.text.size() < s.min ||
          item.text.size() > s.max || has_control(item.text))
        return problem(item.at, fmt::format("{}: expected text of {} to {} bytes, found {}", s.key,
                                            s.min, s.max, describe(item)));
      list.push_back(ascii::lower(item.text));
    }
  }

  void set_certificates(const Setting& s, const Node& node) {
    if (node.kind != Node::Kind::list) return wrong(s, node);
    if (node.items.size() > kMaxMoreCertificates)
      return problem(node.at, fmt::format("{}: expected at most {} certificates", s.key,
                                          kMaxMoreCertificates));
    config_.tls_more.clear();
    for (const Node& item : node.items) {
      CertificatePaths files;
      files.at = item.at;
      if (!set_certificate(s, item, files)) return;
      config_.tls_more.push_back(std::move(files));
    }
  }

  bool set_certificate(const Setting& s, const Node& item, CertificatePaths& out) {
    const auto bad = [&](Position at, std::string text) {
      problem(at, std::move(text));
      return false;
    };
    if (item.kind != Node::Kind::map) {
      wrong(s, item);
      return false;
    }
    for (const auto& [key, at, value] : item.entries) {
      std::string* path = key == "certificate" ? &out.certificate
                          : key == "key"       ? &out.key
                          : key == "ocsp"      ? &out.ocsp
                                               : nullptr;
      if (!path)
        return bad(at, fmt::format("unknown key {} of {}; expected certificate, key or ocsp",
                                   quote(key), s.key));
      if (value.kind != Node::Kind::scalar || value.is_null() || value.text.empty() ||
          value.text.size() > kMaxPath || has_control(value.text))
        return bad(value.at, fmt::format("{}: {}: expected a path of at most {} bytes, found {}",
                                         s.key, key, kMaxPath, describe(value)));
      *path = value.text;
    }
    for (const auto& [key, path] : {std::pair{"certificate", &out.certificate}, {"key", &out.key}})
      if (path->empty())
        return bad(item.at, fmt::format("{}: expected the key {}, found none", s.key, key));
    return true;
  }

  // "unix:PATH", "ADDRESS:PORT" or "[ADDRESS]:PORT".
  static std::optional<ListenPlace> place_of(std::string_view text) {
    constexpr std::string_view kUnix = "unix:";
    if (text.starts_with(kUnix)) {
      if (text.size() == kUnix.size()) return std::nullopt;
      return ListenPlace{.path = std::string(text.substr(kUnix.size())), .host = {}};
    }
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = digits(text.substr(colon + 1));
    std::string_view host = text.substr(0, colon);
    const bool bracketed = host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = Network::of(host);
    if (!port || *port > 65535 || !address || host.contains('/') || host.contains(':') != bracketed)
      return std::nullopt;
    return ListenPlace{.path = {}, .host = std::string(host), .port = static_cast<uint16_t>(*port)};
  }

  void set_places(const Setting& s, const Node& node) {
    if (node.kind != Node::Kind::list) return wrong(s, node);
    if (node.items.size() > kMaxPlaces)
      return problem(node.at, fmt::format("{}: expected at most {} places", s.key, kMaxPlaces));
    config_.lmtp_listen.clear();
    for (const Node& item : node.items) {
      const bool text = item.kind == Node::Kind::scalar && !item.is_null() &&
                        item.text.size() <= s.max && !has_control(item.text);
      const auto place = text ? place_of(item.text) : std::nullopt;
      if (!place)
        return problem(item.at,
                       fmt::format("{}: expected unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT "
                                   "with a numeric address, found {}",
                                   s.key, describe(item)));
      // Port 0 is another one each time.
      const bool twice =
          (place->port != 0 || !place->path.empty()) &&
          std::ranges::find(config_.lmtp_listen, *place) != config_.lmtp_listen.end();
      if (twice)
        return problem(item.at, fmt::format("{}: {} is given twice", s.key, quote(item.text)));
      config_.lmtp_listen.push_back(*place);
    }
  }

  // Who may use what others reach is said, since nobody there has to prove who they are.
  void check_lmtp(Position listen, Position allow) {
    for (const std::string& text : config_.lmtp_allow)
      if (!Network::of(text))
        problem(allow, fmt::format("lmtp.allow: expected an address or a network such as "
                                   "192.0.2.0/24, found {}",
                                   quote(text)));
    for (const ListenPlace& place : config_.lmtp_listen) {
      if (place.path.size() > kMaxSocketPath)
        problem(listen, fmt::format("lmtp.listen: expected a path of at most 107 bytes, found {}",
                                    quote(place.path)));
      if (place.path.empty() && !Network::of(place.host)->is_loopback() &&
          config_.lmtp_allow.empty())
        problem(listen, fmt::format("lmtp.listen: other machines reach {}, and nothing on the way "
                                    "is encrypted: expected lmtp.allow, too, the addresses that "
                                    "may deliver; found none",
                                    quote(place.host)));
    }
  }

  void set_users(const Setting& s, const Node& node) {
    if (node.kind != Node::Kind::list) return wrong(s, node);
    if (node.items.size() > kMaxUsers)
      return problem(node.at, fmt::format("user_list: expected at most {} users", kMaxUsers));
    for (const Node& item : node.items) set_user(item);
  }

  void set_user(const Node& item) {
    if (item.kind != Node::Kind::map)
      return problem(item.at, fmt::format("user_list: expected a map with user and either pass or "
                                          "hash, found {}",
                                          describe(item)));
    UserEntry user;
    user.at = item.at;
    bool has_name = false, has_password = false;
    for (const auto& entry : item.entries) {
      const bool name = entry.key == "user";
      const bool hash = entry.key == "hash";
      if (!name && !hash && entry.key != "pass") {
        problem(entry.at, fmt::format("unknown key {} of a user; expected user, pass or hash",
                                      quote(entry.key)));
        return;
      }
      const Node& value = entry.value;
      const size_t most = name ? ipc::kMaxUserName : ipc::kMaxPassword;
      if (value.kind != Node::Kind::scalar || value.is_null() || value.text.empty() ||
          value.text.size() > most)
        return problem(value.at,
                       fmt::format("user_list: {}: expected text of 1 to {} bytes{}", entry.key,
                                   most, value.is_null() ? ", found nothing" : ""));
      if (name) {
        if (has_control(value.text))
          return problem(value.at, "user_list: user: control characters are not allowed here");
        has_name = true;
        user.name = value.text;
      } else {
        if (has_password)
          return problem(entry.at, "user_list: expected either pass or hash, found both");
        has_password = true;
        user.hashed = hash;
        user.password = Secret(value.text);
        if (!check_password(user, value.at)) return;
      }
    }
    if (!has_name) return problem(item.at, "user_list: expected the key user, found none");
    if (!has_password)
      return problem(item.at, "user_list: expected the key pass or hash, found none");
    add_user(std::move(user));
  }

  // A "hash" may also be a password with the scheme PLAIN in front.
  bool check_password(UserEntry& user, Position at) {
    if (user.hashed) {
      const auto stored = password::read_stored(user.password.reveal());
      if (!stored) {
        problem(at, fmt::format("user_list: hash: expected what `rims pass-hash` prints "
                                "($argon2id$...), or another hash of rims.yml(5): {}",
                                stored.error().reply()));
        return false;
      }
      if (const auto* plain = std::get_if<password::Plain>(&*stored)) {
        user.password = Secret(plain->text);
        user.hashed = false;
      }
      return true;
    }
    if (!password::is_surely_a_hash(user.password.reveal())) return true;
    problem(at, "user_list: pass: expected a plain password, found a hash; write it as hash:");
    return false;
  }

  void add_user(UserEntry user) {
    const auto [found, fresh] = names_.emplace(user.name, config_.users.size());
    if (fresh) {
      config_.users.push_back(std::move(user));
    } else if (overriding_) {
      config_.users[found->second] = std::move(user);
    } else {
      problem(user.at, fmt::format("the user {} is given twice (first in line {})",
                                   quote(user.name), config_.users[found->second].at.line));
    }
  }

  void finish() {
    if (!username_.first.empty() && password_.empty())
      problem(username_.second, "username: expected password, too; found none");
    else if (username_.first.empty() && !password_.empty())
      problem(password_at_, "password: expected username, too; found none");
    else if (!password_.empty())
      add_single_user();
    if (options_.need_users && config_.users.empty() && problems_.empty() &&
        !given("auth.user_directory"))
      problem({}, "no user: expected username and password, or user_list");

    const auto at = [&](std::string_view key) {
      const auto found = config_.positions.find(key);
      return found == config_.positions.end() ? Position{} : found->second;
    };
    if (config_.tls_certificate.empty() != config_.tls_key.empty()) {
      const char* have = config_.tls_key.empty() ? "tls.certificate" : "tls.key";
      problem(at(have), fmt::format("{}: expected {}, too; found none", have,
                                    config_.tls_key.empty() ? "tls.key" : "tls.certificate"));
    }
    for (const char* key : {"tls.ocsp", "tls.more"})
      if (config_.tls_certificate.empty() && config_.positions.contains(key))
        problem(at(key),
                fmt::format("{}: expected tls.certificate and tls.key, too; found none", key));
    if (config_.listen_imaps_port && config_.tls_certificate.empty())
      problem(at("listen.imaps_port"),
              "listen.imaps_port: expected tls.certificate and tls.key, too; found none");
    if (config_.listen_imaps_port && *config_.listen_imaps_port != 0 &&
        config_.listen_imaps_port == config_.imap_port)
      problem(at("listen.imaps_port"), "listen.imaps_port: expected another port than imap_port");

    resolve_paths();
    // Each was short enough as it is written; with the directory before it, it may be too long.
    for (const auto& [key, path] : {std::pair{"base_dir", &config_.base_dir},
                                    {"log_file", &config_.log_file},
                                    {"auth.user_directory", &config_.auth_user_directory},
                                    {"tls.certificate", &config_.tls_certificate},
                                    {"tls.key", &config_.tls_key},
                                    {"tls.ocsp", &config_.tls_ocsp},
                                    {"paths.run_dir", &config_.paths_run_dir},
                                    {"paths.pid_file", &config_.paths_pid_file}})
      if (path->size() > kMaxPath)
        problem(at(key), fmt::format("{}: expected a path of at most {} bytes with the directories "
                                     "above it, found {}",
                                     key, kMaxPath, quote(*path)));
    if (config_.listen_deliver_socket.size() > 107)
      problem(at("listen.deliver_socket"),
              fmt::format("listen.deliver_socket: expected a path of at most 107 bytes, found {}",
                          quote(config_.listen_deliver_socket)));
    check_lmtp(at("lmtp.listen"), at("lmtp.allow"));
    if (config_.hostname.empty()) {
      char name[256] = {};
      config_.hostname = gethostname(name, sizeof name - 1) == 0 && name[0] ? name : "localhost";
    }
    if (std::ranges::any_of(config_.hostname, [](char c) {
          return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f ||
                 std::strchr("<>()[]{}@,;\"\\", c) != nullptr;
        }))
      problem(at("hostname"),
              fmt::format("hostname: expected a host name, found {}", quote(config_.hostname)));
    const uint64_t processors = std::clamp(std::thread::hardware_concurrency(), 1u, 64u);
    if (config_.processes_imapd_workers == 0) config_.processes_imapd_workers = processors;
    if (config_.processes_login_workers == 0) config_.processes_login_workers = processors;

    // Quotas that cannot be what was meant.
    if (config_.quota_storage != 0 && config_.quota_storage < config_.limits_message_size)
      warn(
          at("quota.storage"),
          fmt::format("quota.storage: a message of more than {} bytes will never be stored, though "
                      "limits.message_size allows {}",
                      config_.quota_storage, config_.limits_message_size));
    if (config_.quota_messages > config_.limits_account_messages)
      warn(at("quota.messages"),
           fmt::format("quota.messages: limits.account_messages ends at {} before it",
                       config_.limits_account_messages));
    if (config_.quota_mailboxes > config_.limits_mailboxes)
      warn(at("quota.mailboxes"),
           fmt::format("quota.mailboxes: limits.mailboxes ends at {} before it",
                       config_.limits_mailboxes));

    const bool loopback = config_.imap_host.starts_with("127.") || config_.imap_host == "::1" ||
                          config_.imap_host == "localhost";
    if (config_.tls_certificate.empty() && !loopback &&
        (config_.auth_plaintext == "auto" || config_.auth_plaintext == "always"))
      warn({}, "there is no tls.certificate: passwords cross the network unprotected");
  }

  void add_single_user() {
    UserEntry user;
    user.name = std::move(username_.first);
    user.at = username_.second;
    user.password = std::move(password_);
    const bool from_options = std::ranges::any_of(
        options_.overrides, [](const auto& o) { return o.first == "username"; });
    overriding_ = from_options;
    if (check_password(user, password_at_)) add_user(std::move(user));
    overriding_ = false;
  }

  [[nodiscard]] bool given(std::string_view key) const {
    return config_.positions.contains(key) ||
           std::ranges::any_of(options_.overrides, [key](const auto& o) { return o.first == key; });
  }

  void separate_from_mail() {
    // Where a user's suite has run before, whoever asks means that one.
    std::error_code ignored;
    if (!given("paths.run_dir") && !fs::exists(config_.paths_run_dir, ignored))
      config_.paths_run_dir = "/run/rims";
    const fs::path log = config_.log_file;
    if (log.parent_path() == fs::path(config_.base_dir))
      config_.log_file = (log.parent_path() / "log" / log.filename()).string();
  }

  void resolve_paths() {
    const auto absolute = [](const std::string& base, const std::string& path) {
      std::string text = (fs::path(base) / path).lexically_normal().string();
      while (text.size() > 1 && text.ends_with('/')) text.pop_back();
      return text;
    };
    config_.base_dir = absolute(config_.directory, config_.base_dir);
    std::vector<std::string*> of_tls{&config_.tls_certificate, &config_.tls_key, &config_.tls_ocsp};
    for (CertificatePaths& more : config_.tls_more)
      of_tls.insert(of_tls.end(), {&more.certificate, &more.key, &more.ocsp});
    for (std::string* path : of_tls)
      if (!path->empty()) *path = absolute(config_.directory, *path);
    for (std::string* path :
         {&config_.log_file, &config_.paths_run_dir, &config_.auth_user_directory})
      *path = absolute(config_.base_dir, *path);
    if (options_.by_root) separate_from_mail();
    config_.paths_pid_file = config_.paths_pid_file.empty()
                                 ? absolute(config_.paths_run_dir, "rims.pid")
                                 : absolute(config_.base_dir, config_.paths_pid_file);
    config_.listen_deliver_socket = config_.listen_deliver_socket.empty()
                                        ? absolute(config_.paths_run_dir, "deliver.sock")
                                        : absolute(config_.base_dir, config_.listen_deliver_socket);
    const bool chosen = given("lmtp.listen");
    if (!chosen) config_.lmtp_listen = {{.path = "lmtp", .host = {}}};
    for (ListenPlace& place : config_.lmtp_listen)
      if (!place.path.empty()) place.path = absolute(config_.paths_run_dir, place.path);
    if (!chosen && config_.lmtp_listen.front().path.size() > kMaxSocketPath) {
      config_.lmtp_listen.clear();
      warn({}, "paths.run_dir is too long for a socket in it: LMTP is spoken nowhere");
    }
  }

  Config& config_;
  const Options& options_;
  bool overriding_ = false;
  std::vector<std::string> problems_;
  std::pair<std::string, Position> username_;
  Secret password_;
  Position password_at_;
  std::unordered_map<std::string, size_t> names_;
};

std::unexpected<Error> refuse(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& p : problems) text += (text.empty() ? "" : "\n") + p;
  return fail(Fault::refused, std::move(text));
}

// `mode` is nullopt for bytes without a file.
Result<Config> parse_with_mode(std::string_view text, const std::string& file,
                               const std::string& directory, const Options& options,
                               std::optional<mode_t> mode) {
  Config config;
  config.file = file;
  config.directory = directory;
  Binder binder(config, options);
  Node root;
  yaml::Problem problem;
  if (!yaml::read(text, root, problem)) {
    binder.problem(problem.at, problem.what);
    return refuse(binder.problems());
  }
  for (const Remark& remark : use_todays_keys(root))
    remark.refused ? binder.problem(remark.at, remark.what) : binder.warn(remark.at, remark.what);
  if (!binder.bind(root)) return refuse(binder.problems());
  if (mode && (*mode & (S_IROTH)) != 0 && binder.plain_passwords())
    binder.warn({}, fmt::format("mode {:04o} lets everybody read the plain passwords in it; "
                                "expected 0640 or 0600",
                                *mode & 07777));
  return config;
}

std::unexpected<Error> fail_file(const std::string& path, std::string_view why) {
  return fail(Fault::refused, fmt::format("{}: {}", path, why));
}

}  // namespace

Result<Config> parse(std::string_view yaml, const std::string& file, const std::string& directory,
                     const Options& options) {
  return parse_with_mode(yaml, file, directory, options, std::nullopt);
}

Result<Config> load(const std::string& path, const Options& options) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail_file(path, errno_text(errno));
  struct stat info{};
  if (fstat(fd.get(), &info) != 0) return fail_file(path, errno_text(errno));
  if (!S_ISREG(info.st_mode)) return fail_file(path, "expected a file, found something else");
  if ((info.st_mode & S_IWOTH) != 0)
    return fail_file(path, fmt::format("mode {:04o} lets everybody change it; expected 0640 or "
                                       "0600",
                                       info.st_mode & 07777));
  if (static_cast<uint64_t>(info.st_size) > yaml::kMaxBytes)
    return fail_file(path, "the file is larger than 32 MiB");
  std::string text(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd.get(), text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_file(path, errno_text(errno));
    if (got == 0) break;
    have += static_cast<size_t>(got);
  }
  if (have == text.size()) return fail_file(path, "the file grew while it was read");
  std::error_code ignored;
  const fs::path absolute = fs::absolute(path, ignored).lexically_normal();
  auto config = parse_with_mode(std::string_view(text).substr(0, have), absolute.string(),
                                absolute.parent_path().string(), options, info.st_mode);
  wipe(text);
  return config;
}

bool started_by_root() { return geteuid() == 0; }

std::string where(const Config& config, std::string_view key) {
  const auto found = config.positions.find(key);
  return found == config.positions.end() ? config.file + ": " : where(config, found->second);
}

std::string where(const Config& config, Position at) {
  return fmt::format("{}:{}:{}: ", config.file, at.line, at.column);
}

}  // namespace rims::config
