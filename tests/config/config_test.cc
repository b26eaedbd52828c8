// tests/config/config_test.cc - what config.yml may say, and how a wrong one is told
//
// kUser stands in front of most texts: one user is needed. So what is tested begins in line 2.

#include "common/config/config.h"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/config/parts.h"

namespace rims::config {
namespace {

const std::string kUser = "user_list: [ { user: foo, pass: bar } ]\n";

Result<Config> read(const std::string& text, const Options& options = {}) {
  return parse(text, "f.yml", "/srv/rims", options);
}

std::string error_of(const std::string& text, const Options& options = {}) {
  const auto config = read(text, options);
  return config ? "(accepted)" : config.error().reply();
}

Config good(const std::string& text, const Options& options = {}) {
  auto config = read(text, options);
  EXPECT_TRUE(config.has_value()) << (config ? "" : config.error().reply());
  return config ? std::move(*config) : Config();
}

TEST(Config, DefaultsAreTheOriginals) {
  const Config c = good(kUser);
  EXPECT_EQ(c.base_dir, "/srv/rims");
  EXPECT_EQ(c.log_file, "/srv/rims/imap.log");
  EXPECT_EQ(c.auth_user_directory, "/srv/rims/users");
  EXPECT_EQ(c.auth_keep_removed_users, 30u * 86'400);
  EXPECT_EQ(c.log_level, "INFO");
  EXPECT_EQ(c.log_stdout, "INFO");
  EXPECT_EQ(c.key_value_store_type, "GDBM");
  EXPECT_TRUE(c.use_key_value_store_checksum);
  EXPECT_EQ(c.imap_host, "0.0.0.0");
  EXPECT_EQ(c.imap_port, 1430);
  EXPECT_EQ(c.mail_delivery_user, "#postman");
  EXPECT_EQ(c.process_privilege_user, "65534");
  EXPECT_EQ(c.process_privilege_group, "65534");
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  EXPECT_EQ(c.hostname, host);
  ASSERT_EQ(c.users.size(), 1u);
  EXPECT_EQ(c.users[0].name, "foo");
  EXPECT_EQ(c.users[0].password.reveal(), "bar");
  EXPECT_FALSE(c.listen_imaps_port);
  EXPECT_EQ(c.paths_pid_file, "/srv/rims/run/rims.pid");
  EXPECT_EQ(c.listen_deliver_socket, "/srv/rims/run/deliver.sock");
  EXPECT_GE(c.processes_imapd_workers, 1u);
}

TEST(Config, TakesWhatTheOriginalTook) {
  const Config c = good(
      "base_dir: data\n"
      "log_stdout: quiet\n"
      "log_file: logs/imap.log\n"
      "log_level: debug\n"
      "log_shift_age: weekly\n"
      "log_shift_size: 1048576\n"
      "key_value_store_type: gdbm\n"
      "use_key_value_store_checksum: no\n"
      "hostname: mail.example.org\n"
      "username: solo\n"
      "password: secret\n"
      "user_list:\n"
      "  - { user: foo, pass: bar }\n"
      "  - { user: \"#postman\", pass: \"#postman\" }\n"
      "imap_host: localhost\n"
      "imap_port: imap2\n"
      "mail_delivery_user: \"#postman\"\n"
      "process_privilege_user: 1000\n"
      "process_privilege_group: nogroup\n");
  EXPECT_EQ(c.base_dir, "/srv/rims/data");
  EXPECT_EQ(c.log_file, "/srv/rims/data/logs/imap.log");
  EXPECT_EQ(c.log_stdout, "QUIET");
  EXPECT_EQ(c.log_level, "DEBUG");
  EXPECT_EQ(c.log_shift_age, "weekly");
  EXPECT_EQ(c.imap_port, 143);
  EXPECT_FALSE(c.use_key_value_store_checksum);
  ASSERT_EQ(c.users.size(), 3u);
  EXPECT_EQ(c.users[1].name, "#postman");
  EXPECT_EQ(c.users[2].name, "solo");
  EXPECT_EQ(c.users[2].password.reveal(), "secret");
}

TEST(Config, AbsolutePathsStayAndRelativeOnesHangOnTheRightDirectory) {
  const Config c = good(kUser +
                        "base_dir: ../mail/\n"
                        "log_file: /var/log/rims.log\n"
                        "tls: { certificate: c.pem, key: /k.pem }\n"
                        "paths: { run_dir: /run/rims, pid_file: p/x.pid }\n");
  EXPECT_EQ(c.base_dir, "/srv/mail");
  EXPECT_EQ(c.log_file, "/var/log/rims.log");
  EXPECT_EQ(c.tls_certificate, "/srv/rims/c.pem") << "beside the file, not below base_dir";
  EXPECT_EQ(c.tls_key, "/k.pem");
  EXPECT_EQ(c.paths_pid_file, "/srv/mail/p/x.pid");
  EXPECT_EQ(c.listen_deliver_socket, "/run/rims/deliver.sock");
  EXPECT_EQ(c.lmtp_listen, (std::vector<ListenPlace>{{.path = "/run/rims/lmtp", .host = {}}}));
}

TEST(Config, PlacesOfLmtp) {
  const Config c = good(kUser +
                        "lmtp: { listen: [ unix:Sub/L, unix:/s, \"127.0.0.1:24\", \"[::1]:0\", "
                        "\"192.0.2.1:24\" ], allow: [ 192.0.2.0/24 ] }\n");
  EXPECT_EQ(c.lmtp_listen,
            (std::vector<ListenPlace>{{.path = "/srv/rims/run/Sub/L", .host = {}},
                                      {.path = "/s", .host = {}},
                                      {.path = {}, .host = "127.0.0.1", .port = 24},
                                      {.path = {}, .host = "::1", .port = 0},
                                      {.path = {}, .host = "192.0.2.1", .port = 24}}));
  EXPECT_EQ(deliverd_part(c).lmtp_allow.value.front().value, "192.0.2.0/24");
  EXPECT_TRUE(good(kUser + "lmtp: { listen: [] }\n").lmtp_listen.empty());
  const Config deep = good(kUser + "listen: { deliver_socket: /s }\npaths: { run_dir: /" +
                           std::string(103, 'd') + " }\n");
  EXPECT_TRUE(deep.lmtp_listen.empty()) << "the default is left out where it does not fit";
}

TEST(Config, UnitsOfSizesAndTimes) {
  const Config c = good(kUser +
                        "limits: { message_size: 10M, line_size: 8k, login_timeout: 2m,\n"
                        "          inactivity_timeout: 1h }\n"
                        "storage: { expunge_retention: 30d, segment_size: 256k }\n");
  EXPECT_EQ(c.limits_message_size, 10u << 20);
  EXPECT_EQ(c.limits_line_size, 8u << 10);
  EXPECT_EQ(c.limits_login_timeout, 120u);
  EXPECT_EQ(c.limits_inactivity_timeout, 3600u);
  EXPECT_EQ(c.storage_expunge_retention, 30u * 86'400);
  EXPECT_EQ(imapd_part(c).expunge_retention_s, 30u * 86'400);
  EXPECT_EQ(good(kUser).storage_expunge_retention, 14u * 86'400);
  EXPECT_EQ(c.storage_segment_size, 256u << 10);
  EXPECT_EQ(imapd_part(c).segment_bytes, 256u << 10);
  EXPECT_EQ(good(kUser).storage_segment_size, 64u << 20);
}

TEST(Config, LimitsOfMessagesAreOffUnlessSet) {
  const ImapdPart part =
      imapd_part(good(kUser + "limits: { messages_per_command: 5000, messages_per_save: 2000 }\n"));
  EXPECT_EQ(part.messages_per_command_max, 5000u);
  EXPECT_EQ(part.messages_per_save_max, 2000u);
  const ImapdPart none = imapd_part(good(kUser));
  EXPECT_EQ(none.messages_per_command_max + none.messages_per_save_max, 0u);
}

TEST(Config, Quotas) {
  const Config c =
      good(kUser + "quota: { storage: 2G, messages: 1000, mailboxes: 50, delivery: Reject }\n");
  EXPECT_EQ(imapd_part(c).quota_bytes, uint64_t{2} << 30);
  EXPECT_EQ(imapd_part(c).quota_messages, 1000u);
  EXPECT_EQ(imapd_part(c).quota_mailboxes, 50u);
  EXPECT_TRUE(imapd_part(c).reject_over_quota);
  const ImapdPart none = imapd_part(good(kUser));
  EXPECT_EQ(none.quota_bytes + none.quota_messages + none.quota_mailboxes, 0u);
  EXPECT_FALSE(none.reject_over_quota);
}

TEST(Config, AnnotationsAndEntriesOfTheServer) {
  const Config c =
      good(kUser +
           "limits: { metadata_value: 2K, metadata_entries: 20, metadata_total: 32K }\n"
           "metadata:\n"
           "  server:\n"
           "    /shared/admin: mailto:postmaster@example.org\n"
           "    /Shared/vendor/deltachat/maxsmtprecipients: 50\n"
           "    /shared/comment: \"\"\n");
  const ImapdPart part = imapd_part(c);
  EXPECT_EQ(part.metadata_value_max, 2048u);
  EXPECT_EQ(part.metadata_entries_max, 20u);
  EXPECT_EQ(part.metadata_total_max, 32'768u);
  ASSERT_EQ(part.server_entries.value.size(), 3u);
  EXPECT_EQ(part.server_entries.value[0].name.value, "/shared/admin");
  EXPECT_EQ(part.server_entries.value[0].value.value, "mailto:postmaster@example.org");
  EXPECT_EQ(part.server_entries.value[1].name.value, "/shared/vendor/deltachat/maxsmtprecipients");
  EXPECT_EQ(part.server_entries.value[1].value.value, "50");
  EXPECT_EQ(part.server_entries.value[2].value.value, "");
  EXPECT_TRUE(imapd_part(good(kUser)).server_entries.value.empty());
}

TEST(Config, WarnsOfAQuotaThatCanNotBeWhatWasMeant) {
  const Config c = good(kUser +
                        "imap_host: 127.0.0.1\n"
                        "quota: { storage: 1M, messages: 5000000, mailboxes: 20000 }\n");
  ASSERT_EQ(c.warnings.size(), 3u);
  EXPECT_TRUE(c.warnings[0].ends_with(
      "quota.storage: a message of more than 1048576 bytes will never be stored, though "
      "limits.message_size allows 67108864"))
      << c.warnings[0];
  EXPECT_TRUE(
      c.warnings[1].ends_with("quota.messages: limits.account_messages ends at 4000000 before it"));
  EXPECT_TRUE(c.warnings[2].ends_with("quota.mailboxes: limits.mailboxes ends at 10000 before it"));
}

// One row per way to be wrong; place and wording are part of the promise.
TEST(Config, SaysWhereWhatWasExpectedAndTheNearestKey) {
  const struct {
    std::string text, error;
  } rows[] = {
      {"imap_prot: 143\n",
       "f.yml:2:1: unknown key \"imap_prot\"; the nearest known key is \"imap_port\""},
      {"tls:\n  certificat: x\n",
       "f.yml:3:3: unknown key \"tls.certificat\"; the nearest known key is \"tls.certificate\""},
      {"message_size: 3\n",
       "f.yml:2:1: unknown key \"message_size\"; the nearest known key is "
       "\"limits.message_size\""},
      {"zzzzzzzzzz: 3\n", "f.yml:2:1: unknown key \"zzzzzzzzzz\""},
      {"tls.key: 3\n", "f.yml:2:1: unknown key \"tls.key\"; the nearest known key is \"tls.key\""},
      {"imap_port: 65536\n",
       "f.yml:2:12: imap_port: expected a port from 0 to 65535 or the name of a service, found "
       "\"65536\""},
      {"imap_port: no-such-service\n",
       "f.yml:2:12: imap_port: expected a port from 0 to 65535 or the name of a service, found "
       "\"no-such-service\""},
      {"imap_port: [1]\n",
       "f.yml:2:12: imap_port: expected a port from 0 to 65535 or the name of a service, found a "
       "list"},
      {"imap_host:\n", "f.yml:2:11: imap_host: expected text of 1 to 255 bytes, found nothing"},
      {"log_level: LOUD\n",
       "f.yml:2:12: log_level: expected one of DEBUG INFO WARN ERROR FATAL, found \"LOUD\""},
      {"log_level: QUIET\n",
       "f.yml:2:12: log_level: expected one of DEBUG INFO WARN ERROR FATAL, found \"QUIET\""},
      {"log_shift_age: yearly\n",
       "f.yml:2:16: log_shift_age: expected a number from 0 to 10000, daily, weekly or monthly, "
       "found \"yearly\""},
      {"use_key_value_store_checksum: 1\n",
       "f.yml:2:31: use_key_value_store_checksum: expected true or false, found \"1\""},
      {"use_key_value_store_checksum: \"true\"\n",
       "f.yml:2:31: use_key_value_store_checksum: expected true or false, found text in quotes"},
      {"limits: { login_attempts: 0 }\n",
       "f.yml:2:27: limits.login_attempts: expected a number from 1 to 100, found \"0\""},
      {"limits: { login_attempts: -1 }\n",
       "f.yml:2:27: limits.login_attempts: expected a number from 1 to 100, found \"-1\""},
      {"limits: { login_attempts: 99999999999999999999 }\n",
       "f.yml:2:27: limits.login_attempts: expected a number from 1 to 100, found "
       "\"99999999999999999999\""},
      {"limits: { message_size: 18446744073709551615G }\n",
       "f.yml:2:25: limits.message_size: expected a size from 1024 to 2147483647 bytes (K, M and G "
       "may follow), found \"18446744073709551615G\""},
      {"limits: 5\n", "f.yml:2:9: expected a map of settings, found \"5\""},
      {"limits: { login_timeout: 1y }\n",
       "f.yml:2:26: limits.login_timeout: expected a time from 1 to 600 seconds (s, m, h and d may "
       "follow), found \"1y\""},
      {"listen: { deliver_socket_mode: 0888 }\n",
       "f.yml:2:32: listen.deliver_socket_mode: expected permission bits in octal, at most 0777, "
       "found \"0888\""},
      {"delivery: { domains: example.org }\n",
       "f.yml:2:22: delivery.domains: expected a list of texts of 1 to 255 bytes, found "
       "\"example.org\""},
      {"delivery: { domains: [ a, [ b ] ] }\n",
       "f.yml:2:27: delivery.domains: expected text of 1 to 255 bytes, found a list"},
      {"delivery: { recipient_delimiter: \"+-\" }\n",
       "f.yml:2:34: delivery.recipient_delimiter: expected one character or none, found \"+-\""},
      {"metadata: { server: x }\n",
       "f.yml:2:21: metadata.server: expected a map of names below /shared to texts of at most "
       "4096 bytes, found \"x\""},
      {"metadata: { server: { /private/x: y } }\n",
       "f.yml:2:23: metadata.server: expected a name such as /shared/comment, without *, %, spaces "
       "and empty parts, found \"/private/x\""},
      {"metadata: { server: { /shared/a//b: y } }\n",
       "f.yml:2:23: metadata.server: expected a name such as /shared/comment, without *, %, spaces "
       "and empty parts, found \"/shared/a//b\""},
      {"metadata: { server: { /shared/a: y, /shared/A: z } }\n",
       "f.yml:2:37: metadata.server: \"/shared/A\" is there twice"},
      {"metadata: { server: { /shared/a: [ y ] } }\n",
       "f.yml:2:34: metadata.server: /shared/a: expected one line of at most 4096 bytes, found a "
       "list"},
      {"lmtp: { listen: unix:lmtp }\n",
       "f.yml:2:17: lmtp.listen: expected a list of unix:PATH and ADDRESS:PORT, found "
       "\"unix:lmtp\""},
      {"lmtp: { listen: [ mx.example.org:24 ] }\n",
       "f.yml:2:19: lmtp.listen: expected unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT with a numeric "
       "address, found \"mx.example.org:24\""},
      {"lmtp: { listen: [ \"::1:24\" ] }\n",
       "f.yml:2:19: lmtp.listen: expected unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT with a numeric "
       "address, found \"::1:24\""},
      {"lmtp: { listen: [ \"127.0.0.1:24\", \"127.0.0.1:24\" ] }\n",
       "f.yml:2:35: lmtp.listen: \"127.0.0.1:24\" is given twice"},
      {"lmtp: { listen: [ \"192.0.2.1:24\" ] }\n",
       "f.yml:2:9: lmtp.listen: other machines reach \"192.0.2.1\", and nothing on the way is "
       "encrypted: expected lmtp.allow, too, the addresses that may deliver; found none"},
      {"lmtp: { allow: [ 192.0.2.0/33 ] }\n",
       "f.yml:2:9: lmtp.allow: expected an address or a network such as 192.0.2.0/24, found "
       "\"192.0.2.0/33\""},
      {"lmtp: { listen: [ \"unix:/" + std::string(107, 'x') + "\" ] }\n",
       "f.yml:2:19: lmtp.listen: expected unix:PATH, ADDRESS:PORT or [ADDRESS]:PORT with a numeric "
       "address, found \"unix:/" +
           std::string(74, 'x') + "\""},
      {"hostname: \"a b\"\n", "f.yml:2:1: hostname: expected a host name, found \"a b\""},
      {"hostname: \"a\\tb\"\n", "f.yml:2:11: hostname: control characters are not allowed here"},
      {"tls: { certificate: c.pem }\n",
       "f.yml:2:8: tls.certificate: expected tls.key, too; found none"},
      {"listen: { imaps_port: 993 }\n",
       "f.yml:2:11: listen.imaps_port: expected tls.certificate and tls.key, too; found none"},
      {"tls: { certificate: c, key: k }\nlisten: { imaps_port: 1430 }\n",
       "f.yml:3:11: listen.imaps_port: expected another port than imap_port"},
      {"hostname: a\nhostname: b\n", "f.yml:3:1: the key \"hostname\" is given twice"},
      {"hostname: &x a\n", "f.yml:2:11: anchors (&name) are not allowed here"},
      {"hostname: *x\n", "f.yml:2:11: aliases (*name) are not allowed here"},
      {"hostname: !!str a\n", "f.yml:2:11: tags (!name) are not allowed here"},
      {"--- \nhostname: a\n", "f.yml:2:1: a second document is not allowed here"},
      {"limits: [[[[[[[[[[[[1]]]]]]]]]]]]\n", "f.yml:2:17: nested too deeply"},
      {"? [a]\n: b\n", "f.yml:2:3: expected a key, found a list or a map"},
      {"username: solo\n", "f.yml:2:11: username: expected password, too; found none"},
      {"password: x\n", "f.yml:2:11: password: expected username, too; found none"},
      {"username: foo\npassword: x\n",
       "f.yml:2:11: the user \"foo\" is given twice (first in line 1)"},
      {"username: solo\npassword: [ x ]\n",
       "f.yml:3:11: password: expected a password of 1 to 1024 bytes, found a list"},
      {"listen: { deliver_socket: /" + std::string(106, 'x') + "/y }\n",
       "f.yml:2:27: listen.deliver_socket: expected a path of at most 107 bytes, found \"/" +
           std::string(79, 'x') + "\""},
      {"listen: { deliver_socket: " + std::string(100, 'x') + " }\n",
       "f.yml:2:11: listen.deliver_socket: expected a path of at most 107 bytes, found "
       "\"/srv/rims/" +
           std::string(70, 'x') + "\""},
  };
  for (const auto& row : rows) EXPECT_EQ(error_of(kUser + row.text), row.error);
  // Joined with what is above it.
  const std::string deep = "base_dir: /" + std::string(1000, 'b') + "\n";
  for (const std::string key : {"log_file", "paths.run_dir", "paths.pid_file"}) {
    const bool inner = key.starts_with("paths.");
    const std::string line = inner ? "paths: { " + key.substr(6) + ": " : key + ": ";
    const auto config = [&](size_t size) {
      return kUser + deep + (key == "paths.run_dir" ? "" : "listen: { deliver_socket: /s }\n") +
             line + std::string(size, 'x') + (inner ? " }\n" : "\n");
    };
    EXPECT_TRUE(error_of(config(24))
                    .contains(key + ": expected a path of at most 1024 bytes with the directories "
                                    "above it, found \"/b"))
        << error_of(config(24));
    EXPECT_FALSE(error_of(config(22)).contains(key + ": expected")) << error_of(config(22));
  }
}

TEST(Config, SaysWhatIsWrongWithAUser) {
  const struct {
    std::string list, error;
  } rows[] = {
      {"x",
       "f.yml:1:12: user_list: expected a list of maps with user and either pass or hash, "
       "found \"x\""},
      {"[ x ]",
       "f.yml:1:14: user_list: expected a map with user and either pass or hash, found "
       "\"x\""},
      {"[ { user: a } ]", "f.yml:1:14: user_list: expected the key pass or hash, found none"},
      {"[ { pass: a } ]", "f.yml:1:14: user_list: expected the key user, found none"},
      {"[ { user: a, pass: } ]",
       "f.yml:1:31: user_list: pass: expected text of 1 to 1024 bytes, found nothing"},
      {"[ { user: a, pass: b, hash: c } ]",
       "f.yml:1:34: user_list: expected either pass or hash, found both"},
      {"[ { user: a, password: b } ]",
       "f.yml:1:25: unknown key \"password\" of a user; expected user, pass or hash"},
      {"[ { user: a, hash: hunter2 } ]",
       "f.yml:1:31: user_list: hash: expected what `rims pass-hash` prints ($argon2id$...), or "
       "another hash of rims.yml(5): its form is not known"},
      {"[ { user: a, hash: \"{OTP}x\" } ]",
       "f.yml:1:31: user_list: hash: expected what `rims pass-hash` prints ($argon2id$...), or "
       "another hash of rims.yml(5): the scheme OTP is not supported"},
      {"[ { user: a, pass: $argon2id$v=19$x } ]",
       "f.yml:1:31: user_list: pass: expected a plain password, found a hash; write it as hash:"},
      {"[ { user: \"a\\x01\", pass: b } ]",
       "f.yml:1:22: user_list: user: control characters are not allowed here"},
      {"[ { user: " + std::string(256, 'u') + ", pass: b } ]",
       "f.yml:1:22: user_list: user: expected text of 1 to 255 bytes"},
      {"[ { user: a, pass: b }, { user: a, pass: c } ]",
       "f.yml:1:36: the user \"a\" is given twice (first in line 1)"},
      {"[]", "f.yml: no user: expected username and password, or user_list"},
  };
  for (const auto& row : rows) EXPECT_EQ(error_of("user_list: " + row.list + "\n"), row.error);
}

// CRAM-MD5 works with it, as with any password that is known.
TEST(Config, APlainPasswordMayHaveTheSchemeOfOthers) {
  const auto config = read("user_list: [ { user: a, hash: \"{PLAIN}secret\" } ]\n");
  ASSERT_TRUE(config);
  ASSERT_EQ(config->users.size(), 1);
  EXPECT_FALSE(config->users[0].hashed);
  EXPECT_EQ(config->users[0].password.reveal(), "secret");
}

TEST(Config, NoErrorShowsAPassword) {
  for (const std::string& text :
       {"username: a\npassword: \"hunter2" + std::string(1100, 'x') + "\"\n",
        std::string("user_list: [ { user: a, hash: hunter2 } ]\n"),
        std::string("user_list: [ { user: a, hash: \"{hunter2}x\" } ]\n"),
        std::string("user_list: [ { user: a, pass: [ hunter2 ] } ]\n"),
        std::string("username: a\npassword: { x: hunter2 }\n"),
        std::string("username: a\npassword: hunter2\nuser_list: 5\n")})
    EXPECT_EQ(error_of(text).find("hunter2"), std::string::npos) << error_of(text);
}

TEST(Config, TellsAllProblemsInOneRunButNotWithoutEnd) {
  EXPECT_EQ(error_of(kUser + "aaaaaaaaaa: 1\nimap_port: x y\n"),
            "f.yml:2:1: unknown key \"aaaaaaaaaa\"\n"
            "f.yml:3:12: imap_port: expected a port from 0 to 65535 or the name of a service, "
            "found \"x y\"");
  std::string many = kUser;
  for (int i = 0; i < 1000; i++) many += "qqqqqqqq" + std::to_string(i) + ": 1\n";
  const std::string error = error_of(many);
  EXPECT_EQ(std::ranges::count(error, '\n'), 19);
}

TEST(Config, BrokenYamlNamesThePlace) {
  EXPECT_EQ(error_of("user_list: [ {\n").substr(0, 20), "f.yml:2:1: not YAML:");
  EXPECT_EQ(error_of("a: b: c\n").substr(0, 20), "f.yml:1:5: not YAML:");
  EXPECT_EQ(error_of("hostname: \xff\n").substr(0, 16), "f.yml: not YAML:");
  EXPECT_EQ(error_of(""), "f.yml: no user: expected username and password, or user_list");
  EXPECT_EQ(error_of("- a\n"), "f.yml:1:1: expected keys and values, found a list");
}

TEST(Config, NoUserIsNeededByThoseWhoOnlyWantAnAddress) {
  Options options;
  options.need_users = false;
  EXPECT_EQ(good("imap_port: 7\n", options).imap_port, 7);
  EXPECT_EQ(good("", options).imap_port, 1430);
}

TEST(Config, TheCommandLineWins) {
  Options options;
  options.overrides = {{"username", "foo"},
                       {"password", "other"},
                       {"imap_port", "7"},
                       {"use_key_value_store_checksum", "false"}};
  const Config c = good(kUser + "imap_port: 9\n", options);
  ASSERT_EQ(c.users.size(), 1u);
  EXPECT_EQ(c.users[0].password.reveal(), "other");
  EXPECT_EQ(c.imap_port, 7);
  EXPECT_FALSE(c.use_key_value_store_checksum);
  options.overrides = {{"imap_prot", "7"}};
  EXPECT_EQ(error_of(kUser, options),
            "command line: unknown key \"imap_prot\"; the nearest known key is \"imap_port\"");
  options.overrides = {{"imap_port", "-7"}};
  EXPECT_EQ(error_of(kUser, options),
            "command line: imap_port: expected a port from 0 to 65535 or the name of a service, "
            "found \"-7\"");
}

TEST(Config, AnUnknownAccountIsToldWithItsPlace) {
  const Config c = good(kUser + "process_privilege_user: no_such_user\n");
  const auto account = privilege_account(c);
  ASSERT_FALSE(account);
  EXPECT_EQ(account.error().reply(),
            "f.yml:2:1: process_privilege_user: there is no user \"no_such_user\"");
  const Config d = good(kUser +
                        "process_privilege_user: root\nprocess_privilege_group: 42\n"
                        "listen: { deliver_socket_group: no_such_group }\n");
  ASSERT_TRUE(privilege_account(d));
  EXPECT_EQ(privilege_account(d)->uid, 0u);
  EXPECT_EQ(privilege_account(d)->gid, 42u);
  EXPECT_EQ(deliver_socket_gid(d).error().reply(),
            "f.yml:4:11: listen.deliver_socket_group: there is no group \"no_such_group\"");
}

TEST(Config, PartsHoldWhatTheirProcessNeedsAndNoMore) {
  const Config c = good(kUser + "log_shift_age: 5\nlog_level: WARN\n");
  const LogPart log = log_part(c);
  EXPECT_EQ(log.level, ipc::LogLevel::warn);
  EXPECT_EQ(log.shift_count, 5u);
  EXPECT_EQ(log.shift_size, 1u << 20) << "as the original's logger";
  EXPECT_EQ(log_part(good(kUser + "log_shift_size: 9\n")).shift_count, 1u);
  EXPECT_EQ(log_part(good(kUser)).shift_size, 0u);
  EXPECT_FALSE(log_part(good(kUser + "log_stdout: QUIET\n")).to_stdout);

  const std::string auth = ipc::encode(auth_part(c));
  EXPECT_NE(auth.find("bar"), std::string::npos);
  const auto login = login_part(c);
  ASSERT_TRUE(login);
  EXPECT_EQ(login->plaintext, Plaintext::always) << "without TLS, as the original";
  EXPECT_TRUE(login->cram_md5);
  for (const std::string& other : {ipc::encode(*login), ipc::encode(log),
                                   ipc::encode(imapd_part(c)), ipc::encode(deliverd_part(c))})
    EXPECT_EQ(other.find("bar"), std::string::npos);
  const auto back = ipc::decode<AuthPart>(auth);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->users.value[0].password.value.reveal(), "bar");
  EXPECT_TRUE(back->end_sessions_on_change);
  EXPECT_FALSE(
      auth_part(good(kUser + "auth: {end_sessions_on_change: false}\n")).end_sessions_on_change);
}

// Who sets the directory of the users will add them there.
TEST(Config, WithAUserDirectoryUserListMayBeMissing) {
  const Config c = good("auth: {user_directory: ../people, keep_removed_users: 2d}\n");
  EXPECT_TRUE(c.users.empty());
  EXPECT_EQ(c.auth_user_directory, "/srv/people");
  const AuthPart part = auth_part(c);
  EXPECT_EQ(part.user_directory.value, "/srv/people");
  EXPECT_EQ(part.keep_removed_s, 2u * 86'400);
  const auto login = login_part(c);
  ASSERT_TRUE(login);
  EXPECT_FALSE(login->cram_md5) << "they have hashes";
}

TEST(Config, CramMd5IsOfferedWhereItWorksForAll) {
  const std::string plain = "{ user: a, pass: b }";
  const std::string hashed = "{ user: c, hash: \"SHA256:1:AAAA:" + std::string(64, '0') + "\" }";
  const auto offered = [](const std::string& users, const std::string& more = "") {
    return login_part(good("user_list: [ " + users + " ]\n" + more))->cram_md5;
  };
  EXPECT_TRUE(offered(plain));
  EXPECT_FALSE(offered(hashed));
  EXPECT_FALSE(offered(plain + ", " + hashed));
  EXPECT_TRUE(offered(plain + ", " + hashed, "auth: { cram_md5: always }\n"));
  EXPECT_FALSE(offered(plain, "auth: { cram_md5: never }\n"));
}

class ConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/rims-config-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    directory = name;
    path = directory + "/config.yml";
  }
  void TearDown() override { std::filesystem::remove_all(directory); }
  void write(const std::string& text, mode_t mode) {
    std::ofstream(path) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }
  std::string directory, path;
};

TEST_F(ConfigFile, WarnsWhenEverybodyCanReadPlainPasswords) {
  write(kUser + "imap_host: 127.0.0.1\n", 0644);
  const auto config = load(path);
  ASSERT_TRUE(config) << config.error().reply();
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_EQ(config->warnings[0], path +
                                     ": mode 0644 lets everybody read the plain passwords in "
                                     "it; expected 0640 or 0600");
  EXPECT_EQ(config->base_dir, directory);
  write(kUser + "imap_host: 127.0.0.1\n", 0640);
  EXPECT_TRUE(load(path)->warnings.empty());
}

TEST_F(ConfigFile, WarnsThatPasswordsCrossTheNetworkUnprotected) {
  write(kUser, 0600);
  const auto config = load(path);
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_EQ(config->warnings[0],
            path + ": there is no tls.certificate: passwords cross the network unprotected");
}

TEST_F(ConfigFile, RefusesWhatEverybodyCanChange) {
  write(kUser, 0666);
  EXPECT_EQ(load(path).error().reply(),
            path + ": mode 0666 lets everybody change it; expected 0640 or 0600");
}

TEST_F(ConfigFile, RefusesWhatIsNoFile) {
  EXPECT_EQ(load(path).error().reply(), path + ": No such file or directory");
  EXPECT_EQ(load(directory).error().reply(), directory + ": expected a file, found something else");
}

TEST_F(ConfigFile, PlaceOfAFileIsAbsolute) {
  write(kUser + "x: 1\n", 0600);
  const auto old = std::filesystem::current_path();
  std::filesystem::current_path(directory);
  const auto config = load("config.yml");
  std::filesystem::current_path(old);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().reply(), path + ":2:1: unknown key \"x\"");
}

}  // namespace
}  // namespace rims::config
