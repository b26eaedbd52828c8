// common/config/earlier_keys.cc - the table of earlier keys, and what is made of them

#include "common/config/earlier_keys.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "common/base/log.h"

namespace rims::config {
namespace {

using yaml::Node;

constexpr std::string_view kBuiltIn = "all that RIMS can do is built in";
constexpr std::string_view kTimes = "the log has one form of times, that of RFC 3339";
constexpr std::string_view kNoWaits = "RIMS does not wait at such a place";
constexpr std::string_view kNoProtocolLog =
    "there is no log of the protocol; log_level: debug logs each command";

struct Row {
  std::string_view path;  // ending with a dot: all below it
  std::string_view now;   // today's key; empty: see `why`
  std::string_view why;
  bool refused = false;  // it can not be left out
};
constexpr Row kRows[] = {
    {"required_features", "", kBuiltIn},
    {"load_libraries", "", kBuiltIn},
    {"logging.file.path", "log_file", ""},
    {"logging.file.level", "log_level", ""},
    {"logging.file.shift_age", "log_shift_age", ""},
    {"logging.file.shift_size", "log_shift_size", ""},
    {"logging.file.datetime_format", "", kTimes},
    {"logging.file.shift_period_suffix", "", "old log files have a date as their suffix"},
    {"logging.stdout.level", "log_stdout", ""},
    {"logging.stdout.datetime_format", "", kTimes},
    {"logging.protocol.", "", kNoProtocolLog},
    {"daemon.daemonize", "", "\"rims-ctl start\" starts it in the background"},
    {"daemon.debug", "", "log_level: debug tells more"},
    {"daemon.umask", "", "mail and logs are never open to others"},
    {"daemon.status_file", "paths.pid_file", ""},
    {"daemon.server_polling_interval_seconds", "", kNoWaits},
    {"daemon.server_privileged_user", "process_privilege_user", ""},
    {"daemon.server_privileged_group", "process_privilege_group", ""},
    {"server.process_num", "processes.imapd_workers", ""},
    {"server.accept_polling_timeout_seconds", "", kNoWaits},
    {"server.thread_num", "", "a process serves many users; see processes.imapd_workers"},
    {"server.thread_queue_size", "", "see limits.connections"},
    {"server.thread_queue_polling_timeout_seconds", "", kNoWaits},
    {"server.process_queue_size", "", "see limits.connections"},
    {"server.process_queue_polling_timeout_seconds", "", kNoWaits},
    {"server.process_send_io_polling_timeout_seconds", "", kNoWaits},
    {"openssl.", "",
     "it names code in Ruby, which is not run here; name the PEM files in tls.certificate and "
     "tls.key, for TLS from the first byte set listen.imaps_port, and remove this key",
     true},
    {"connection.send_buffer_limit_size", "", "RIMS has bounds of its own for that"},
    {"connection.read_polling_interval_seconds", "", kNoWaits},
    {"connection.command_wait_timeout_seconds", "limits.inactivity_timeout", ""},
    {"protocol.line_length_limit", "limits.line_size", ""},
    {"lock.", "", kNoWaits},
    {"authentication.hostname", "hostname", ""},
    {"authorization.mail_delivery_user", "mail_delivery_user", ""},
    {"ip_addr", "imap_host", ""},
    {"ip_port", "imap_port", ""},
    {"send_buffer_limit", "", "RIMS has bounds of its own for that"},
    {"read_lock_timeout_seconds", "", kNoWaits},
    {"write_lock_timeout_seconds", "", kNoWaits},
    {"cleanup_write_lock_timeout_seconds", "", kNoWaits},
};

// Is this a section, or below one, that today's keys do not have?
bool is_earlier(std::string_view path) {
  constexpr std::string_view kSections[] = {"logging",        "daemon",       "server",
                                            "connection",     "protocol",     "lock",
                                            "authentication", "authorization"};
  return std::ranges::find(kSections, path.substr(0, path.find('.'))) != std::end(kSections);
}

Node text_node(std::string_view text, Position at) {
  Node node;
  node.text = text;
  node.at = at;
  return node;
}

const Row* row_of(std::string_view path) {
  const auto* found = std::ranges::find_if(kRows, [&](const Row& row) {
    return row.path.ends_with('.') ? path.starts_with(row.path) : row.path == path;
  });
  return found == std::end(kRows) ? nullptr : found;
}

Node* child(Node& map, std::string_view key) {
  if (map.kind != Node::Kind::map) return nullptr;
  const auto found = std::ranges::find(map.entries, key, &Node::Entry::key);
  return found == map.entries.end() ? nullptr : &found->value;
}

class Earlier {
 public:
  std::vector<Remark> all(Node& root) {
    take(root, "");
    for (auto& [key, at, value] : fresh_) put(root, key, at, std::move(value));
    return std::move(remarks_);
  }

 private:
  struct Fresh {
    std::string key;
    Position at;
    Node value;
  };

  void tell(Position at, bool refused, std::string what) {
    remarks_.push_back({at, refused, std::move(what)});
  }
  void give(std::string_view key, Position at, Node value) {
    fresh_.push_back({std::string(key), at, std::move(value)});
  }

  // Takes out of `map` what is known of earlier versions.
  void take(Node& map, const std::string& above) {
    std::erase_if(map.entries, [&](Node::Entry& entry) {
      const std::string path = above.empty() ? entry.key : above + "." + entry.key;
      if (path == "server.listen" || path == "server.listen_address") return listen(entry, path);
      if (path == "storage.meta_key_value_store" || path == "storage.text_key_value_store" ||
          path == "meta_key_value_store" || path == "text_key_value_store")
        return key_value_store(entry, path);
      if (path == "authentication.password_sources" ||
          (path == "authentication" && entry.value.kind == Node::Kind::list))
        return password_sources(entry, path);
      if (entry.value.kind == Node::Kind::map) {
        const bool whole = !entry.value.entries.empty();
        take(entry.value, path);
        return whole && entry.value.entries.empty();
      }
      const Row* row = row_of(path);
      if (row == nullptr && is_earlier(above)) {
        tell(entry.at, true, fmt::format("unknown key \"{}\"", log::printable(path)));
        return true;
      }
      if (row == nullptr) return false;
      if (!row->now.empty())
        give(row->now, entry.at, std::move(entry.value));
      else if (row->refused)
        tell(entry.at, true, fmt::format("{}: {}", path, row->why));
      else
        tell(entry.at, false, fmt::format("{} has no effect: {}", path, row->why));
      return true;
    });
  }

  void put(Node& root, const std::string& key, Position at, Node value) {
    Node* into = &root;
    std::string name = key;
    if (const size_t dot = key.find('.'); dot != key.npos) {
      const std::string section = key.substr(0, dot);
      name = key.substr(dot + 1);
      if (child(root, section) == nullptr) {
        Node made;
        made.kind = Node::Kind::map;
        made.at = at;
        root.entries.push_back({section, at, std::move(made)});
      }
      into = child(root, section);
    }
    Node* there = child(*into, name);
    if (there != nullptr && key == "user_list" && there->kind == Node::Kind::list)
      std::ranges::move(value.items, std::back_inserter(there->items));
    else if (there != nullptr)
      tell(at, true, fmt::format("this says what {} says in line {}, too", key, there->at.line));
    else
      into->entries.push_back({name, at, std::move(value)});
  }

  // "0.0.0.0:1430", or a map with type, host and port.
  bool listen(Node::Entry& entry, const std::string& path) {
    const auto refuse = [&] {
      tell(entry.at, true,
           path +
               ": expected an address and a port of TCP, as in 0.0.0.0:143; see imap_host and "
               "imap_port");
      return true;
    };
    if (entry.value.kind == Node::Kind::map) {
      const Node* type = child(entry.value, "type");
      if (type != nullptr && type->text != "tcp") return refuse();
      for (const auto& [from, to] : {std::pair{"host", "imap_host"}, {"port", "imap_port"}})
        if (Node* value = child(entry.value, from)) give(to, entry.at, std::move(*value));
      if (child(entry.value, "backlog") != nullptr)
        tell(entry.at, false, path + ".backlog has no effect: see limits.connections");
      return true;
    }
    std::string_view text = entry.value.text;
    if (text.starts_with("tcp://")) text.remove_prefix(6);
    const size_t colon = text.rfind(':');
    if (entry.value.kind != Node::Kind::scalar || colon == text.npos || text.find('/') != text.npos)
      return refuse();
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    if (!host.empty()) give("imap_host", entry.at, text_node(host, entry.value.at));
    give("imap_port", entry.at, text_node(text.substr(colon + 1), entry.value.at));
    return true;
  }

  bool key_value_store(Node::Entry& entry, const std::string& path) {
    Node* type = child(entry.value, "type");
    if (type == nullptr) type = child(entry.value, "plug_in");
    if (type != nullptr && type->text != "gdbm")
      tell(type->at, true,
           fmt::format("{}: expected gdbm; the mail of another store comes by \"rims-ctl import "
                       "--from rims\" after the original has copied it to gdbm",
                       path));
    if (Node* sums = child(entry.value, "use_checksum")) {
      // Both of its stores have this; one setting is for all.
      if (!std::exchange(checksum_given_, true))
        give("use_key_value_store_checksum", entry.at, std::move(*sums));
    }
    for (const char* more : {"configuration", "configuration_file"})
      if (child(entry.value, more) != nullptr)
        tell(entry.at, false, fmt::format("{}.{} has no effect", path, more));
    return true;
  }

  bool password_sources(Node::Entry& entry, const std::string& path) {
    Node users;
    users.kind = Node::Kind::list;
    users.at = entry.value.at;
    for (Node& source : entry.value.items) {
      Node* type = child(source, "type");
      if (type == nullptr) type = child(source, "plug_in");
      Node* list = child(source, "configuration");
      const std::string kind = type == nullptr ? "" : type->text;
      if (kind != "plain" && kind != "hash") {
        tell(source.at, true,
             fmt::format("{}: expected a source of type plain or hash, found \"{}\"; users stand "
                         "in user_list",
                         path, kind));
      } else if (list == nullptr || list->kind != Node::Kind::list) {
        tell(source.at, true,
             path +
                 ": expected a list of users as configuration; copy what is in another file to "
                 "user_list");
      } else {
        std::ranges::move(list->items, std::back_inserter(users.items));
      }
    }
    if (!users.items.empty()) give("user_list", entry.at, std::move(users));
    return true;
  }

  std::vector<Fresh> fresh_;
  std::vector<Remark> remarks_;
  bool checksum_given_ = false;
};

}  // namespace

std::vector<Remark> use_todays_keys(Node& root) {
  if (root.kind != Node::Kind::map) return {};
  return Earlier().all(root);
}

}  // namespace rims::config
