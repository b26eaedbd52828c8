// cli/ctl_user.cc - rims-ctl user: the users of the directory that rims-auth keeps
//
// A password comes from the terminal or is the first line of standard input, never an argument;
// only its hash leaves this program.

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <functional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "cli/ctl.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/users_client.h"
#include "cli/yaml_file.h"
#include "common/base/encoding.h"
#include "common/base/json.h"
#include "common/base/log.h"
#include "common/maintenance/account_names.h"
#include "common/maintenance/restore_account.h"
#include "common/names/names.h"
#include "common/password/password.h"
#include "deliver/intake.h"

namespace rims::ctl {
namespace {

constexpr uint64_t kInherit = UINT64_MAX;
constexpr uint64_t kPasswordInput = 4096;

struct Request {
  std::string run_dir, base_dir;
  std::vector<std::string> words;  // behind the command
  bool json = false, now = false, disabled = false, no_password = false, with_hashes = false;
  std::string storage, messages;
  std::vector<std::string> addresses;
};

int complain_of(const Error& error) {
  if (error.fault() == Fault::not_found)
    return complain(
        "rims does not run (" + error.reply() + "); the user directory is changed while it runs",
        kNotRunning);
  return complain("user: " + error.reply(), kFailed);
}

// Of a terminal, twice; else the first line of standard input.
Result<Secret> new_password() {
  if (isatty(STDIN_FILENO)) return cli::ask_new_password();
  TRY(std::string input, deliver::read_to_end(STDIN_FILENO, kPasswordInput));
  std::string_view line = std::string_view(input).substr(0, input.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  Secret password(line);
  wipe(input);
  if (password.empty()) return fail(Fault::refused, "the password is empty");
  if (password.size() > ipc::kMaxPassword) return fail(Fault::refused, "the password is too long");
  return password;
}

Result<Secret> new_hash() {
  TRY(const Secret password, new_password());
  auto hash = password::make(password.reveal());
  if (!hash) return fail(Fault::limit, "there is not enough memory");
  return Secret(*hash);
}

// "5G", "none", "default"; "" leaves `value`.
Status read_quota(const std::string& text, bool units, uint64_t& value) {
  if (text.empty()) return {};
  if (text == "none" || text == "default") {
    value = text == "none" ? 0 : kInherit;
    return {};
  }
  std::string_view digits = text;
  uint64_t unit = 1;
  if (units && !digits.empty()) {
    constexpr std::string_view kUnits = "KMGT";
    if (const size_t at = kUnits.find(digits.back()); at != std::string_view::npos) {
      unit = uint64_t{1} << (10 * (at + 1));
      digits.remove_suffix(1);
    }
  }
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() ||
      number > INT64_MAX / unit)
    return fail(Fault::refused,
                log::quoted(text) + " is no " +
                    (units ? "size: a number with K, M, G or T, \"none\" or \"default\""
                           : "number of messages, \"none\" or \"default\""));
  value = number * unit;
  return {};
}

std::string quota_text(uint64_t value) {
  return value == kInherit ? "default" : value == 0 ? "none" : std::to_string(value);
}

Json quota_json(uint64_t value) { return value == kInherit ? Json() : Json(value); }

std::string time_text(uint64_t seconds) {
  const auto when = static_cast<std::time_t>(seconds);
  std::tm utc{};
  gmtime_r(&when, &utc);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", utc);
}

const char* state_of(const ipc::UserTold& user) {
  if (user.configured) return "configuration";
  if (user.shadowed) return "shadowed";
  if (user.removed != 0) return "removed";
  if (user.disabled) return "disabled";
  return user.has_password ? "active" : "no password";
}

Json json_of(const ipc::UserTold& user, bool with_hashes) {
  Json addresses = Json::array();
  for (const auto& address : user.addresses.value) addresses.push_back(address.value);
  Json json{{"user", user.user.value}, {"state", state_of(user)}};
  if (user.configured) return json;
  json["disabled"] = user.disabled;
  json["quota_storage"] = quota_json(user.quota_bytes);
  json["quota_messages"] = quota_json(user.quota_messages);
  json["created"] = user.created;
  json["removed"] = user.removed == 0 ? Json() : Json(user.removed);
  json["addresses"] = std::move(addresses);
  if (with_hashes) json["hash"] = std::string(user.hash.value.reveal());
  return json;
}

int list(const Request& request) {
  const auto all = cli::told_users(request.run_dir, "", false);
  if (!all) return complain_of(all.error());
  if (request.json) {
    Json users = Json::array();
    for (const ipc::UserTold& user : *all) users.push_back(json_of(user, false));
    std::printf("%s\n", json_text({{"users", std::move(users)}}, true).c_str());
    return kDone;
  }
  for (const ipc::UserTold& user : *all) {
    std::string addresses;
    for (const auto& address : user.addresses.value)
      addresses += " " + log::printable(address.value);
    std::printf("%-13s  %s%s\n", state_of(user), log::printable(user.user.value).c_str(),
                addresses.c_str());
  }
  return kDone;
}

int show(const Request& request) {
  const auto found = cli::told_users(request.run_dir, request.words[0], false);
  if (!found) return complain_of(found.error());
  if (found->empty())
    return complain("user: there is no user " + log::quoted(request.words[0]), kFailed);
  for (const ipc::UserTold& user : *found) {
    if (request.json) {
      std::printf("%s\n", json_text(json_of(user, false), true).c_str());
      continue;
    }
    std::printf("user      %s\nstate     %s\n", log::printable(user.user.value).c_str(),
                state_of(user));
    if (user.configured) continue;
    std::printf("created   %s\n", time_text(user.created).c_str());
    if (user.removed != 0) std::printf("removed   %s\n", time_text(user.removed).c_str());
    std::printf("storage   %s\nmessages  %s\n", quota_text(user.quota_bytes).c_str(),
                quota_text(user.quota_messages).c_str());
    for (const auto& address : user.addresses.value)
      std::printf("address   %s\n", log::printable(address.value).c_str());
  }
  return kDone;
}

// Whoever has the name gets the mail.
void note_earlier_mail(const Request& request) {
  const auto base = store::open_base(request.base_dir);
  const auto name = names::account_name(request.words[0]);
  if (!base || !name) return;
  const auto there = store::account_exists(*base, unique_user_id(*name));
  if (there && *there)
    complain(fmt::format("note: there is mail of an earlier user {}, which this one gets; "
                         "\"rims-ctl account rename\" gives it another name, and \"account "
                         "remove\" ends it",
                         log::quoted(*name)),
             kDone);
}

int add(const Request& request) {
  ipc::AddUser user;
  user.user = request.words[0];
  if (!user.user.within()) return complain("user: the name is too long", kUsage);
  user.disabled = request.disabled;
  for (const std::string& address : request.addresses) user.addresses.value.emplace_back(address);
  if (user.addresses.value.size() > ipc::kMaxUserAddresses)
    return complain("user: too many addresses", kUsage);
  for (const auto& address : user.addresses.value)
    if (!address.within()) return complain("user: an address is too short or too long", kUsage);
  for (const Status& read : {read_quota(request.storage, true, user.quota_bytes),
                             read_quota(request.messages, false, user.quota_messages)})
    if (!read) return complain("user: " + read.error().reply(), kUsage);
  if (!request.no_password) {
    auto hash = new_hash();
    if (!hash) return complain("user: " + hash.error().reply(), kFailed);
    user.hash.value = *std::move(hash);
  }
  std::vector<ipc::AddUser> one;
  one.push_back(std::move(user));
  const auto outcomes = cli::add_users(request.run_dir, std::move(one));
  if (!outcomes) return complain_of(outcomes.error());
  if (!outcomes->front()) return complain_of(outcomes->front().error());
  note_earlier_mail(request);
  return kDone;
}

int edit(const Request& request, ipc::UserEdit what,
         const std::function<Status(ipc::EditUser&)>& fill = {}) {
  ipc::EditUser edit;
  edit.user = request.words[0];
  if (!edit.user.within()) return complain("user: the name is too long", kUsage);
  edit.edit = what;
  if (fill)
    if (const Status filled = fill(edit); !filled)
      return complain("user: " + filled.error().reply(), kFailed);
  const Status changed = cli::change_user(request.run_dir, std::move(edit));
  return changed ? kDone : complain_of(changed.error());
}

int set_password(const Request& request) {
  return edit(request, ipc::UserEdit::password, [](ipc::EditUser& edit) -> Status {
    TRY(edit.hash.value, new_hash());
    return {};
  });
}

int address(const Request& request) {
  Request of_user = request;
  const std::string what = request.words[0];
  if (what != "add" && what != "del")
    return complain("user: need address add or address del, USER and ADDRESS", kUsage);
  of_user.words.erase(of_user.words.begin());
  return edit(of_user, what == "add" ? ipc::UserEdit::add_address : ipc::UserEdit::remove_address,
              [&](ipc::EditUser& edit) -> Status {
                edit.text = of_user.words[1];
                if (!edit.text.within()) return fail(Fault::refused, "the address is too long");
                return {};
              });
}

int quota(const Request& request) {
  // What is not given stays.
  const auto found = cli::told_users(request.run_dir, request.words[0], false);
  if (!found) return complain_of(found.error());
  if (request.storage.empty() && request.messages.empty())
    return complain("user: quota needs --storage or --messages", kUsage);
  return edit(request, ipc::UserEdit::quota, [&](ipc::EditUser& edit) -> Status {
    for (const ipc::UserTold& user : *found) {
      edit.quota_bytes = user.quota_bytes;
      edit.quota_messages = user.quota_messages;
    }
    TRY_STATUS(read_quota(request.storage, true, edit.quota_bytes));
    return read_quota(request.messages, false, edit.quota_messages);
  });
}

// A JSON object on each line, as import takes them.
int export_users(const Request& request) {
  if (request.with_hashes && isatty(STDOUT_FILENO))
    return complain(
        "user: hashes of passwords are not shown on a terminal: write them to a file "
        "that nobody else may read",
        kUsage);
  const auto all = cli::told_users(request.run_dir, "", request.with_hashes);
  if (!all) return complain_of(all.error());
  for (const ipc::UserTold& user : *all)
    if (!user.configured)
      std::printf("%s\n", json_text(json_of(user, request.with_hashes)).c_str());
  return std::fflush(stdout) == 0 ? kDone : complain("user: writing failed", kFailed);
}

// Nothing is overlooked: what is not understood may be what keeps somebody out.
Status known_keys(const ParsedJson& json) {
  constexpr std::string_view kKeys[] = {"user",      "hash",          "disabled",
                                        "addresses", "quota_storage", "quota_messages",
                                        "created",   "removed",       "state"};
  for (const auto& [key, value] : json.items())
    if (std::ranges::find(kKeys, key) == std::end(kKeys))
      return fail(Fault::syntax, fmt::format("unknown key {}; expected {}", log::quoted(key),
                                             fmt::join(kKeys, ", ")));
  return {};
}

// nullopt: a user who is removed, and stays so.
Result<std::optional<ipc::AddUser>> user_of_line(std::string_view line) {
  TRY(const ParsedJson json, parse_json(line));
  if (!json.is_object()) return fail(Fault::syntax, "expected a JSON object");
  TRY_STATUS(known_keys(json));
  const auto wrong = [](std::string_view key, const char* expected) {
    return fail(Fault::syntax, fmt::format("{}: expected {}", key, expected));
  };
  ipc::AddUser user;
  user.user = json_string(json, "user");
  if (!user.user.within()) return wrong("user", "a name");
  if (const ParsedJson& hash = json_member(json, "hash"); !hash.is_null() && !hash.is_string())
    return wrong("hash", "a text");
  std::string hash = json_string(json, "hash");
  user.hash.value = Secret(hash);
  wipe(hash);
  if (!user.hash.within()) return fail(Fault::syntax, "the hash is too long");
  const ParsedJson& disabled = json_member(json, "disabled");
  if (!disabled.is_null() && !disabled.is_boolean()) return wrong("disabled", "true or false");
  user.disabled = disabled.is_boolean() && disabled.get<bool>();
  uint64_t removed = 0;
  for (const auto& [key, value] : {std::pair{"quota_storage", &user.quota_bytes},
                                   {"quota_messages", &user.quota_messages},
                                   {"created", &user.created},
                                   {"removed", &removed}}) {
    const ParsedJson& member = json_member(json, key);
    if (member.is_null()) continue;
    if (!member.is_number_integer() || json_number(json, key) < 0)
      return wrong(key, "a number, or null");
    *value = static_cast<uint64_t>(json_number(json, key));
  }
  const ParsedJson& addresses = json_member(json, "addresses");
  if (!addresses.is_null() && !addresses.is_array()) return wrong("addresses", "a list");
  if (addresses.is_array())
    for (const ParsedJson& address : addresses) {
      if (!address.is_string()) return fail(Fault::syntax, "an address is no text");
      user.addresses.value.emplace_back(address.get<std::string>());
      if (!user.addresses.value.back().within())
        return fail(Fault::syntax, "an address is too short or too long");
    }
  if (user.addresses.value.size() > ipc::kMaxUserAddresses)
    return fail(Fault::syntax, "too many addresses");
  if (removed != 0) return std::nullopt;
  return user;
}

// All lines are read before the first one is sent: a mistake in one of them adds nobody.
int import_users(const Request& request) {
  auto input = request.words.empty() ? deliver::read_to_end(STDIN_FILENO, kMaxJson * 8)
                                     : cli::read_file(request.words[0]);
  if (!input) return complain("user: " + input.error().detail(), kFailed);
  std::vector<ipc::AddUser> users;
  std::vector<std::string> names;
  size_t number = 0, skipped = 0, removed = 0;
  for (std::string_view rest = *input; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    number++;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto user = user_of_line(line);
    if (!user) {
      wipe(*input);
      return complain(
          fmt::format("user: line {}: {}; nothing was imported", number, user.error().reply()),
          kFailed);
    }
    if (!*user) {
      removed++;
      continue;
    }
    names.push_back((*user)->user.value);
    users.push_back(**std::move(user));
  }
  wipe(*input);
  const auto outcomes = cli::add_users(request.run_dir, std::move(users));
  if (!outcomes) return complain_of(outcomes.error());
  for (size_t i = 0; i < outcomes->size(); i++)
    if (!(*outcomes)[i]) {
      skipped++;
      complain(fmt::format("user: {}: {}", log::quoted(names[i]), (*outcomes)[i].error().reply()),
               kFailed);
    }
  std::printf("users added: %zu\n", outcomes->size() - skipped);
  if (removed > 0) std::printf("users left out, as they are removed: %zu\n", removed);
  return skipped == 0 ? kDone : kFailed;
}

struct Sub {
  std::string_view name;
  size_t least, most;  // operands
  std::function<int(const Request&)> run;
};

const std::vector<Sub>& subs() {
  static const std::vector<Sub> all{
      {"add", 1, 1, add},
      {"passwd", 1, 1, set_password},
      {"list", 0, 0, list},
      {"show", 1, 1, show},
      {"disable", 1, 1, [](const Request& r) { return edit(r, ipc::UserEdit::disable); }},
      {"enable", 1, 1, [](const Request& r) { return edit(r, ipc::UserEdit::enable); }},
      {"del", 1, 1,
       [](const Request& r) {
         return edit(r, r.now ? ipc::UserEdit::purge : ipc::UserEdit::remove);
       }},
      {"restore", 1, 1, [](const Request& r) { return edit(r, ipc::UserEdit::restore); }},
      {"address", 3, 3, address},
      {"quota", 1, 1, quota},
      {"import", 0, 1, import_users},
      {"export", 0, 0, export_users},
  };
  return all;
}

}  // namespace

int user(const Invocation& how, std::span<char*> args) {
  Invocation with = how;
  Request request;
  cli::OptionParser parser(
      "rims-ctl user add [options] USER\n"
      "       rims-ctl user passwd|disable|enable|del|restore|show [options] USER\n"
      "       rims-ctl user list [options]\n"
      "       rims-ctl user address add|del [options] USER ADDRESS\n"
      "       rims-ctl user quota --storage=SIZE --messages=NUMBER [options] USER\n"
      "       rims-ctl user import [options] [FILE]\n"
      "       rims-ctl user export [options]\n"
      "Passwords are asked for at the terminal, or are the first line of standard input.");
  add_common(parser, with);
  parser.add_flag(0, "json", "list, show: as JSON on standard output.", request.json);
  parser.add_flag(0, "now", "del: at once and for good; the mail stays.", request.now);
  parser.add_flag(0, "disabled", "add: nobody can log in as this user yet.", request.disabled);
  parser.add_flag(0, "no-password", "add: without a password; mail is taken.", request.no_password);
  parser.add_flag(0, "with-hashes", "export: with the hashes of the passwords.",
                  request.with_hashes);
  parser.add_value(0, "storage", "SIZE", "add, quota: bytes, with K, M, G or T; none; default.",
                   request.storage);
  parser.add_value(0, "messages", "NUMBER", "add, quota: a number; none; default.",
                   request.messages);
  parser.add({.name = "address",
              .kind = cli::OptionKind::value,
              .value_name = "ADDRESS",
              .help = "add: an address whose mail the user gets; may be given again.",
              .take = [&request](std::string_view value) -> Status {
                request.addresses.emplace_back(value);
                return {};
              }});
  const auto operands = parser.parse(args);
  if (!operands) return complain("user: " + operands.error().reply(), kUsage);
  if (parser.answer()) return kDone;
  const std::string name = operands->empty() ? "" : operands->front();
  if (name == "rename")
    return complain(
        "user: a user can not be renamed, as the mail has the name of its account. \"rims-ctl user "
        "address add\" lets mail for the new name reach this user. To move all of it, with the "
        "suite's other mail held back by the MTA: user export --with-hashes, user del --now, "
        "\"rims-ctl account rename\", and user import with the new name in the line of this user",
        kFailed);
  const auto found = std::ranges::find(subs(), name, &Sub::name);
  request.words.assign(operands->begin() + (operands->empty() ? 0 : 1), operands->end());
  const size_t count = request.words.size();
  if (found == subs().end() || count < found->least || count > found->most)
    return complain(
        "user: need add, passwd, list, show, disable, enable, del, restore, address, "
        "quota, import or export, and what belongs to it; -h lists them",
        kUsage);
  for (const std::string& word : request.words)
    if (word.empty()) return complain("user: a name is missing", kUsage);
  const Loaded loaded = load(with, false);
  if (!loaded.config) return loaded.status;
  if (const auto status = of_another(*loaded.config)) return *status;
  request.run_dir = loaded.config->paths_run_dir;
  request.base_dir = loaded.config->base_dir;
  return found->run(request);
}

}  // namespace rims::ctl
