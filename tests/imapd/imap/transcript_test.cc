// tests/imapd/imap/transcript_test.cc - plays every tests/scripts/*.imap against a worker

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/imapd/script.h"
#include "tests/imapd/stage.h"

namespace rims::test {
namespace {

class Player {
 public:
  // `compressed`: each connection begins with COMPRESS, of which the script does not know.
  explicit Player(std::string path, bool compressed = false)
      : path_(std::move(path)), compressed_(compressed) {}

  Task<void> play() {
    const std::vector<Step> steps = read_script(path_);
    for (size_t i = 0; i < steps.size() && !failed_; i++) {
      const Step& step = steps[i];
      if (step.kind != Step::Kind::limit && !stage_.worker) stage_.start();
      if (step.kind == Step::Kind::expect_unordered) {
        std::vector<Step> group;
        for (; i < steps.size() && steps[i].kind == step.kind &&
               steps[i].connection == step.connection;
             i++)
          group.push_back(steps[i]);
        i--;
        co_await expect_group(std::move(group));
        continue;
      }
      co_await take(step);
    }
    for (auto& [number, client] : clients_)
      if (!failed_) co_await log_out(number, *client);
    clients_.clear();
    if (stage_.worker) co_await stage_.stop();
  }

  Loop& loop() { return stage_.loop; }

 private:
  using Kind = Step::Kind;

  void failed(int line, const std::string& why) {
    failed_ = true;
    ADD_FAILURE() << path_ << ":" << line << ": " << why;
  }

  Task<TestClient*> client(int number) {
    auto found = clients_.find(number);
    if (found == clients_.end()) {
      auto made = co_await log_in("foo", false);
      found = clients_.emplace(number, std::move(made)).first;
    }
    co_return found->second.get();
  }

  Task<std::unique_ptr<TestClient>> log_in(std::string user, bool post_only) {
    auto made = co_await stage_.log_in(std::move(user), post_only);
    if (compressed_) {
      const bool begun = co_await made->compress();
      if (!begun) failed(0, "COMPRESS was refused");
    }
    co_return made;
  }

  Task<void> take(const Step& step) {
    switch (step.kind) {
      case Kind::limit:
        set_limit(step);
        break;
      case Kind::mailbox:
        co_await make_mailbox(step);
        break;
      case Kind::message: {
        const size_t space = step.text.find(' ');
        std::string bytes;
        for (const std::string& line : step.body) bytes += line + "\r\n";
        co_await append(step.line, step.text.substr(0, space),
                        space == std::string::npos ? "" : step.text.substr(space + 1), bytes);
        break;
      }
      case Kind::deliver: {
        const size_t space = step.text.rfind(' ');
        const int count = std::stoi(step.text.substr(space + 1));
        for (int i = 1; i <= count; i++) {
          const auto reply =
              co_await stage_.deliver("foo", step.text.substr(0, space), standard_message(i));
          if (reply.status != ipc::Delivery::delivered) failed(step.line, reply.reason.value);
        }
        break;
      }
      case Kind::open: {
        auto made = co_await log_in(step.text, false);
        clients_[step.connection] = std::move(made);
        break;
      }
      case Kind::post: {
        auto made = co_await log_in("#postman", true);
        clients_[step.connection] = std::move(made);
        break;
      }
      case Kind::compress: {
        TestClient* by = co_await client(step.connection);
        const bool begun = co_await by->compress();
        if (!begun) failed(step.line, "COMPRESS was refused");
        break;
      }
      case Kind::select:
      case Kind::examine:
        co_await open_mailbox(step);
        break;
      case Kind::send: {
        TestClient* to = co_await client(step.connection);
        co_await to->send(substitute(step.text, bound_) + "\r\n");
        break;
      }
      case Kind::send_raw: {
        TestClient* to = co_await client(step.connection);
        co_await to->send(unescape(substitute(step.text, bound_)));
        break;
      }
      case Kind::send_slowly: {
        TestClient* to = co_await client(step.connection);
        co_await to->send_slowly(unescape(substitute(step.text, bound_)) + "\r\n");
        break;
      }
      case Kind::expect: {
        TestClient* from = co_await client(step.connection);
        const auto line = co_await from->line();
        if (!line)
          failed(step.line, "expected `" + step.text + "`, but the connection ended or was silent");
        else if (!matches(step.text, *line, bound_))
          failed(step.line, "expected `" + step.text + "`\n    got `" + *line + "`");
        break;
      }
      case Kind::expect_closed: {
        TestClient* from = co_await client(step.connection);
        const auto line = co_await from->line();
        if (line) failed(step.line, "expected the end, got `" + *line + "`");
        clients_.erase(step.connection);
        break;
      }
      case Kind::close:
        clients_.erase(step.connection);
        break;
      case Kind::stop:
        co_await stage_.worker->stop();
        break;
      case Kind::restart:
        clients_.clear();
        co_await stage_.stop();
        stage_.start();
        break;
      case Kind::expect_unordered:
        break;
    }
  }

  Task<void> open_mailbox(const Step& step) {
    TestClient* by = co_await client(step.connection);
    const std::string command = step.kind == Kind::select ? "SELECT " : "EXAMINE ";
    const auto lines = co_await by->command("open", command + substitute(step.text, bound_));
    if (!lines.back().starts_with("open OK")) failed(step.line, lines.back());
    bound_.erase("v");
    bound_.erase("m");
    for (const std::string& line : lines) {
      [[maybe_unused]] const bool found =
          matches("* OK [UIDVALIDITY {num:v}]{any}", line, bound_) ||
          matches("* OK [HIGHESTMODSEQ {num:m}]{any}", line, bound_);
    }
  }

  Task<void> expect_group(std::vector<Step> group) {
    TestClient* from = co_await client(group.front().connection);
    while (!group.empty() && !failed_) {
      const auto line = co_await from->line();
      const auto found = std::ranges::find_if(
          group, [&](const Step& step) { return line && matches(step.text, *line, bound_); });
      if (found == group.end())
        failed(group.front().line, "nothing here is like `" + line.value_or("(closed)") + "`");
      else
        group.erase(found);
    }
  }

  Task<void> log_out(int number, TestClient& from) {
    const auto lines = co_await from.command("zz", "LOGOUT");
    if (lines.size() != 2 || !lines[0].starts_with("* BYE") || !lines[1].starts_with("zz OK"))
      failed(0, fmt::format("connection {} was sent what nobody expected: `{}`", number, lines[0]));
  }

  void set_limit(const Step& step) {
    const size_t space = step.text.find(' ');
    const std::string name = step.text.substr(0, space);
    const auto value = static_cast<uint32_t>(std::stoul(step.text.substr(space + 1)));
    auto& s = stage_.settings;
    if (name == "inactivity_timeout_s")
      s.inactivity_timeout_s = value;
    else if (name == "idle_notify_interval_s")
      s.idle_notify_interval_s = value;
    else if (name == "progress_interval_ms")
      s.progress_interval_ms = value;
    else if (name == "message_size_max")
      s.message_size_max = value;
    else if (name == "line_size_max")
      s.line_size_max = value;
    else if (name == "mailbox_count_max")
      s.mailbox_count_max = value;
    else if (name == "mailbox_messages_max")
      s.mailbox_messages_max = value;
    else if (name == "account_messages_max")
      s.account_messages_max = value;
    else if (name == "messages_per_command_max")
      s.messages_per_command_max = value;
    else if (name == "messages_per_save_max")
      s.messages_per_save_max = value;
    else if (name == "quota_bytes")
      s.quota_bytes = value;
    else if (name == "quota_messages")
      s.quota_messages = value;
    else if (name == "quota_mailboxes")
      s.quota_mailboxes = value;
    else if (name == "metadata_value_max")
      s.metadata_value_max = value;
    else if (name == "metadata_entries_max")
      s.metadata_entries_max = value;
    else if (name == "metadata_total_max")
      s.metadata_total_max = value;
    else if (name == "keyword_count_max")
      s.keyword_count_max = value;
    else if (name == "sessions_per_user_max")
      s.sessions_per_user_max = value;
    else
      failed(step.line, "unknown limit " + name);
  }

  Task<void> make_mailbox(const Step& step) {
    const size_t space = step.text.rfind(' ');
    const bool counted =
        space != std::string::npos && std::isdigit(static_cast<unsigned char>(step.text.back()));
    const std::string name = step.text.substr(0, counted ? space : std::string::npos);
    if (name != "INBOX") {
      auto setup = co_await stage_.log_in("foo");
      [[maybe_unused]] const auto lines = co_await setup->command("m", "CREATE \"" + name + "\"");
    }
    const int count = counted ? std::stoi(step.text.substr(space + 1)) : 0;
    for (int i = 1; i <= count; i++)
      co_await append(step.line, name, '"' + standard_date(i) + '"', standard_message(i));
  }

  Task<void> append(int line, std::string mailbox, std::string arguments, std::string bytes) {
    auto setup = co_await stage_.log_in("foo");
    if (!arguments.empty()) arguments += ' ';
    const auto lines = co_await setup->command(
        "m", fmt::format("APPEND \"{}\" {}{{{}+}}\r\n{}", mailbox, arguments, bytes.size(), bytes));
    if (!lines.back().starts_with("m OK")) failed(line, lines.back());
  }

  std::string path_;
  bool compressed_;
  Stage stage_;
  std::map<int, std::unique_ptr<TestClient>> clients_;
  Bindings bound_;
  bool failed_ = false;
};

std::vector<std::string> scripts() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(RIMS_SCRIPTS))
    if (entry.path().extension() == ".imap") paths.push_back(entry.path().string());
  std::ranges::sort(paths);
  return paths;
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  std::ranges::replace_if(name, [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class Transcript : public testing::TestWithParam<std::string> {};

TEST_P(Transcript, Plays) {
  Player player(GetParam());
  run(player.loop(), player.play());
}

// RFC 4978 §3: whatever a client and the server say to each other, they can say compressed.
TEST_P(Transcript, PlaysCompressed) {
  // These compress when they want to.
  if (GetParam().contains("/compress") || GetParam().contains("/unauthenticate")) return;
  Player player(GetParam(), true);
  run(player.loop(), player.play());
}

INSTANTIATE_TEST_SUITE_P(Scripts, Transcript, testing::ValuesIn(scripts()), test_name);

TEST(Transcripts, AreManyEnough) { EXPECT_GE(scripts().size(), 60U); }

}  // namespace
}  // namespace rims::test
