// tests/config/earlier_keys_test.cc - what a configuration of the original RIMS 0.2 or 0.3 means

#include "common/config/earlier_keys.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "common/config/config.h"

namespace rims::config {
namespace {

Result<Config> read(const std::string& text) { return parse(text, "f.yml", "/srv/rims"); }

std::string error_of(const std::string& text) {
  const auto config = read(text);
  return config ? "(accepted)" : config.error().reply();
}

const std::string kUsers =
    "authentication:\n"
    "  hostname: imap.example.com\n"
    "  password_sources:\n"
    "    - type: plain\n"
    "      configuration:\n"
    "        - { user: foo, pass: bar }\n"
    "        - { user: alice, pass: open sesame }\n"
    "    - type: hash\n"
    "      configuration: [ { user: bob, hash: \"SHA256:10000:0102:" +
    std::string(64, 'a') + "\" } ]\n";

TEST(EarlierKeys, MeanWhatTheyMeant) {
  const auto config = read(
      "required_features: [ rims/gdbm ]\n"
      "logging:\n"
      "  file: { path: rims.log, shift_age: 10, shift_size: 1048576, level: debug }\n"
      "  stdout: { level: warn }\n"
      "daemon:\n"
      "  daemonize: true\n"
      "  status_file: rims.pid\n"
      "  server_privileged_user: nobody\n"
      "  server_privileged_group: nogroup\n"
      "server: { listen: \"127.0.0.1:1143\", process_num: 4, thread_num: 20 }\n"
      "connection: { command_wait_timeout_seconds: 1900, send_buffer_limit_size: 16384 }\n"
      "protocol: { line_length_limit: 8192 }\n"
      "lock: { read_lock_timeout_seconds: 30 }\n"
      "storage:\n"
      "  meta_key_value_store: { type: gdbm, use_checksum: false }\n"
      "  text_key_value_store: { type: gdbm, use_checksum: false }\n"
      "  segment_size: 8M\n" +
      kUsers + "authorization: { mail_delivery_user: \"#post\" }\n");
  ASSERT_TRUE(config) << config.error().reply();
  EXPECT_EQ(config->log_file, "/srv/rims/rims.log");
  EXPECT_EQ(config->log_level, "DEBUG");
  EXPECT_EQ(config->log_stdout, "WARN");
  EXPECT_EQ(config->paths_pid_file, "/srv/rims/rims.pid");
  EXPECT_EQ(config->process_privilege_user, "nobody");
  EXPECT_EQ(config->process_privilege_group, "nogroup");
  EXPECT_EQ(config->imap_host, "127.0.0.1");
  EXPECT_EQ(config->imap_port, 1143);
  EXPECT_EQ(config->processes_imapd_workers, 4U);
  EXPECT_EQ(config->limits_inactivity_timeout, 1900U);
  EXPECT_EQ(config->limits_line_size, 8192U);
  EXPECT_FALSE(config->use_key_value_store_checksum);
  EXPECT_EQ(config->storage_segment_size, 8U << 20) << "today's keys of that section stay";
  EXPECT_EQ(config->hostname, "imap.example.com");
  EXPECT_EQ(config->mail_delivery_user, "#post");
  ASSERT_EQ(config->users.size(), 3U);
  EXPECT_EQ(config->users[1].name, "alice");
  EXPECT_EQ(config->users[1].password.reveal(), "open sesame");
  EXPECT_TRUE(config->users[2].hashed);
  // What has no meaning is told, with its place, and harms nothing.
  const auto& warnings = config->warnings;
  for (const char* told :
       {"f.yml:1:1: required_features has no effect: all that RIMS can do is built in",
        "daemon.daemonize has no effect: \"rims-ctl start\"", "server.thread_num has no effect",
        "connection.send_buffer_limit_size has no effect",
        "lock.read_lock_timeout_seconds has no effect"})
    EXPECT_TRUE(std::ranges::any_of(warnings, [&](const std::string& w) {
      return w.find(told) != w.npos;
    })) << told;
}

TEST(EarlierKeys, AnAddressHasEveryForm) {
  const struct {
    const char* text;
    const char* host;
    uint16_t port;
  } cases[] = {
      {"server: { listen: \"[::1]:143\" }\n", "::1", 143},
      {"server: { listen: \"tcp://127.0.0.1:14\" }\n", "127.0.0.1", 14},
      {"server: { listen: \":1432\" }\n", "0.0.0.0", 1432},
      {"server: { listen_address: { type: tcp, host: 127.0.0.2, port: 15, backlog: 64 } }\n",
       "127.0.0.2", 15},
      {"ip_addr: 127.0.0.3\nip_port: 16\n", "127.0.0.3", 16},
  };
  for (const auto& [text, host, port] : cases) {
    const auto config = read(text + kUsers);
    ASSERT_TRUE(config) << config.error().reply();
    EXPECT_EQ(config->imap_host, host) << text;
    EXPECT_EQ(config->imap_port, port) << text;
  }
}

TEST(EarlierKeys, WhatNeedsADecisionSaysWhatReplacesIt) {
  const struct {
    std::string text, error;
  } cases[] = {
      {"openssl: { use_ssl: true, ssl_context: \"_.cert = x\" }\n",
       "f.yml:1:12: openssl.use_ssl: it names code in Ruby, which is not run here; name the PEM "
       "files in tls.certificate and tls.key"},
      {"server: { listen: \"unix:/run/rims.sock\" }\n", "see imap_host and imap_port"},
      {"server: { listen_address: { type: unix, path: x } }\n", "see imap_host and imap_port"},
      {"storage: { text_key_value_store: { type: qdbm_curia } }\n",
       "storage.text_key_value_store: expected gdbm; the mail of another store comes by"},
      {"meta_key_value_store: { plug_in: qdbm_depot }\n", "meta_key_value_store: expected gdbm"},
      {"server: { listen: \"127.0.0.1:1\" }\nimap_port: 2\n",
       "f.yml:1:11: this says what imap_port says in line 2, too"},
      {"logging: { file: { level: loud } }\n", "log_level: expected"},
      {"logging: { file: { colour: red } }\n", "f.yml:1:20: unknown key \"logging.file.colour\""},
      {"daemon: { debugging: true }\n", "f.yml:1:11: unknown key \"daemon.debugging\""},
  };
  for (const auto& [text, error] : cases) {
    const std::string said = error_of(text + kUsers);
    EXPECT_NE(said.find(error), said.npos) << text << said;
  }
  const struct {
    std::string source, error;
  } sources[] = {
      {"{ type: ldap, configuration: { ldap_uri: x } }",
       "expected a source of type plain or hash, found \"ldap\""},
      {"{ type: hash, configuration_file: passwd_hash.yml }", "copy what is in another file"},
      {"[]", "expected a source of type plain or hash"},
  };
  for (const auto& [source, error] : sources) {
    for (const std::string form :
         {"authentication: { password_sources: [ ", "authentication: [ "}) {
      const std::string said =
          error_of(form + source + (form.find('{') != form.npos ? " ] }\n" : " ]\n"));
      EXPECT_NE(said.find(error), said.npos) << said;
    }
  }
  // The oldest form of the same.
  EXPECT_EQ(
      error_of("authentication: [ { plug_in: plain, configuration: [ { user: a, pass: b } ] } ]\n"),
      "(accepted)");
}

}  // namespace
}  // namespace rims::config
