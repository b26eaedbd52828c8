// bench/load.cc - makes the load of `make bench`, the same for every server
//
//   rims-load login   HOST PORT USERS CLIENTS SECONDS          log in, log out, again
//   rims-load append  HOST PORT USERS CLIENTS SECONDS SIZE     APPEND to INBOX, wait for OK, again
//   rims-load fill    HOST PORT USER COUNT SIZE                COUNT messages for one user
//   rims-load fetch   HOST PORT USER SECONDS                   FETCH 1:* of all attributes, again
//   rims-load mail    HOST PORT USER COUNT SIZE                COUNT different messages for a user
//   rims-load ask     HOST PORT USER SECONDS COMMAND           COMMAND in INBOX, again; once and
//                                                              at once when SECONDS is 0. With
//                                                              {v} and {m} QRESYNC is enabled;
//                                                              they are UIDVALIDITY and MODSEQ
//                                                              before 100 messages were changed
//   rims-load idle    HOST PORT USERS CLIENTS [compress]       log in, SELECT, perhaps COMPRESS,
//                                                              IDLE; until stdin ends
//   rims-load spawn   USERS CLIENTS SECONDS SIZE PROGRAM ARG.. run PROGRAM with a message on stdin;
//                                                              {} in an ARG is the user's name
//
// USERS users are named u0, u1 ...; client N is user N mod USERS; the password is "pw". Prints one
// line of JSON: operations done, seconds, errors, and for `spawn` the CPU seconds of the programs.
// One thread, one loop; it uses a small part of the CPU that the servers use.

#include <arpa/inet.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <spawn.h>
#include <string>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/core.h>

#include "common/async/loop.h"
#include "common/async/scope.h"
#include "common/async/stream.h"
#include "common/deflate/deflate.h"

extern char** environ;

namespace rims::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr Milliseconds kPatience{30'000};
constexpr unsigned kFillers = 25;

struct Totals {
  uint64_t operations = 0, errors = 0;
  Clock::time_point start, end;  // until `end` new operations begin
  std::string first_error;
};

void failed(Totals& totals, std::string why) {
  totals.errors++;
  if (totals.first_error.empty()) totals.first_error = std::move(why);
}

// Plain text, or a text with an attachment.
std::string message(size_t size, bool with_parts = false) {
  std::string text =
      "From: Bench Sender <bench@example.org>\r\n"
      "To: u@example.org\r\n"
      "Subject: a message of the benchmark\r\n"
      "Date: Mon, 02 Nov 2026 10:00:00 +0100\r\n"
      "Message-ID: <1.bench@example.org>\r\n"
      "MIME-Version: 1.0\r\n";
  const std::string end = with_parts ? "\r\n--b--\r\n" : "";
  text += with_parts ? "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n\r\nsee there\r\n--b\r\n"
                       "Content-Type: application/octet-stream; name=x.bin\r\n"
                       "Content-Transfer-Encoding: base64\r\n"
                       "Content-Disposition: attachment; filename=x.bin\r\n\r\n"
                     : "Content-Type: text/plain; charset=us-ascii\r\n\r\n";
  while (text.size() + 72 + end.size() <= size) text += std::string(70, 'x') + "\r\n";
  if (text.size() + 2 + end.size() <= size)
    text += std::string(size - text.size() - 2 - end.size(), 'y') + "\r\n";
  return text + end;
}

// One of many that differ, as mail of people and of lists does; of `size` bytes or a few more.
std::string different_message(unsigned n, size_t size) {
  static const char* const kPeople[] = {"Anna Keller",
                                        "\"Doe, John\"",
                                        "=?utf-8?q?J=C3=BCrgen_Gro=C3=9F?=",
                                        "Bob",
                                        "=?iso-2022-jp?b?GyRCOzNFRBsoQg==?=",
                                        "list admin",
                                        "Maria Lopez",
                                        "ops"};
  static const char* const kTopics[] = {"Invoice for October",
                                        "Re: meeting on Thursday",
                                        "=?utf-8?b?R3LDvMOfZSBhdXMgS8O2bG4=?=",
                                        "[dev] patch review",
                                        "Build failed",
                                        "Fwd: tickets",
                                        "Re: [dev] release plan for the next months",
                                        "=?iso-8859-1?q?caf=E9_au_lait?="};
  std::string text;
  for (unsigned hop = 0; hop < 3; hop++)
    text += fmt::format(
        "Received: from mx{0}.example.net (mx{0}.example.net [192.0.2.{1}])\r\n"
        "\tby mail{0}.example.org (Postfix) with ESMTPS id 4F{2:08X}\r\n"
        "\tfor <u@example.org>; Mon,  2 Nov 2026 10:00:{3:02} +0100 (CET)\r\n",
        hop, n % 250, n * 7 + hop, n % 60);
  text += fmt::format(
      "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=s1; t={};\r\n"
      "\tbh={:064x}; h=From:To:Subject:Date;\r\n\tb={:0128x}\r\n",
      n, n, n * 31);
  text +=
      fmt::format("From: {} <p{}@example.org>\r\nTo: u@example.org\r\n", kPeople[n % 8], n % 97);
  if (n % 3 == 0) text += fmt::format("Cc: Team <team{}@example.org>, x@example.org\r\n", n % 5);
  text += fmt::format(
      "Subject: {} {}\r\nDate: Mon, {:02} Nov 2026 10:{:02}:00 +0100\r\n"
      "Message-ID: <{}.{:x}@example.org>\r\n",
      kTopics[n / 8 % 8], n, n % 28 + 1, n % 60, n, n * 2654435761U);
  if (n % 2 == 0)
    text += fmt::format(
        "In-Reply-To: <{0}.a@example.org>\r\n"
        "References: <{1}.a@example.org>\r\n\t<{0}.a@example.org>\r\n",
        n / 2, n / 4);
  if (n % 4 == 0)
    text +=
        "List-Id: dev <dev.lists.example.org>\r\n"
        "List-Unsubscribe: <https://lists.example.org/u/dev>\r\nPrecedence: list\r\n";
  text += "MIME-Version: 1.0\r\n";
  const std::string bare = message(size > text.size() ? size - text.size() + 200 : 200, n % 2 == 1);
  return text + bare.substr(bare.find("Content-Type:"));
}

class Client {
 public:
  Client(Loop& loop, Fd fd) : stream_(loop, std::move(fd), kPatience) {}

  // Acknowledge at once: a server that answers in two pieces would otherwise wait 40 ms for it,
  // and that would be all that is measured.
  void acknowledge() const {
    const int one = 1;
    setsockopt(stream_.fd(), IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
  }

  // Reads up to the line that begins with `prefix` and returns that line without its end.
  Task<Result<std::string>> line_with(std::string prefix) {
    acknowledge();
    bool at_line_start = true;
    for (;;) {
      const std::string_view input = stream_.input();
      // The wanted line is the last of an answer, so what is before it can be skipped fast.
      size_t from = 0;
      if (!at_line_start || !input.starts_with(prefix)) {
        const size_t found = input.find("\n" + prefix);
        if (found == std::string_view::npos) {
          // Keep what may be the beginning of it.
          const size_t keep = prefix.size() + 1;
          if (input.size() > keep) {
            stream_.consume(input.size() - keep);
            at_line_start = false;
          }
          if (Status status = co_await stream_.fill(kPatience, 256 * 1024); !status)
            co_return std::unexpected(status.error());
          continue;
        }
        from = found + 1;
      }
      const size_t end = input.find("\r\n", from);
      if (end != std::string_view::npos) {
        std::string line(input.substr(from, end - from));
        stream_.consume(end + 2);
        co_return line;
      }
      if (Status status = co_await stream_.fill(kPatience, 256 * 1024); !status)
        co_return std::unexpected(status.error());
    }
  }

  Task<Status> greeting() {
    auto line = co_await line_with("* OK");
    if (!line) co_return std::unexpected(line.error());
    co_return Status();
  }

  // Sends "tag text" and waits for "tag OK".
  Task<Status> command(std::string text) {
    const std::string tag = fmt::format("A{}", ++tag_);
    stream_.put(tag + " " + text + "\r\n");
    if (Status status = co_await stream_.flush(); !status) co_return status;
    co_return co_await ok(tag);
  }

  // The line of its answer that begins with `prefix`; there must be one.
  Task<Result<std::string>> answer_of(std::string text, std::string prefix) {
    const std::string tag = fmt::format("A{}", ++tag_);
    stream_.put(tag + " " + text + "\r\n");
    CO_TRY_STATUS(co_await stream_.flush());
    CO_TRY(std::string line, co_await line_with(std::move(prefix)));
    CO_TRY_STATUS(co_await ok(tag));
    co_return line;
  }

  Task<Status> append(const std::string* text) {
    const std::string tag = fmt::format("A{}", ++tag_);
    stream_.put(fmt::format("{} APPEND INBOX {{{}}}\r\n", tag, text->size()));
    if (Status status = co_await stream_.flush(); !status) co_return status;
    auto line = co_await line_with("+ ");
    if (!line) co_return std::unexpected(line.error());
    stream_.put(*text);
    stream_.put("\r\n");
    if (Status status = co_await stream_.flush(); !status) co_return status;
    co_return co_await ok(tag);
  }

  Task<Status> idle(bool compressed) {
    if (compressed) co_return co_await idle_compressed();
    stream_.put("A IDLE\r\n");
    if (Status status = co_await stream_.flush(); !status) co_return status;
    auto line = co_await line_with("+ ");
    if (!line) co_return std::unexpected(line.error());
    co_return Status();
  }

 private:
  Task<Status> idle_compressed() {
    CO_TRY_STATUS(co_await command("COMPRESS DEFLATE"));
    Deflater out;
    const auto put = [this](std::string_view bytes) { stream_.put(bytes); };
    out.add("A IDLE\r\n", put);
    out.flush(put);
    CO_TRY_STATUS(co_await stream_.flush());
    Inflater in;
    std::string said;
    while (!said.starts_with("+ ") && said.find("\n+ ") == said.npos) {
      CO_TRY_STATUS(co_await stream_.fill(kPatience));
      std::string_view bytes = stream_.input();
      const size_t before = bytes.size();
      CO_TRY_STATUS(in.take(bytes, said, 64 * 1024));
      stream_.consume(before - bytes.size());
    }
    co_return Status();
  }

  Task<Status> ok(std::string tag) {
    auto line = co_await line_with(tag + " ");
    if (!line) co_return std::unexpected(line.error());
    if (!line->starts_with(tag + " OK"))
      co_return std::unexpected(Error(Fault::refused, std::move(*line)));
    co_return Status();
  }

  Stream stream_;
  unsigned tag_ = 0;
};

struct Where {
  std::string host;
  uint16_t port = 0;
};

Fd connect_to(const Where& where) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(where.port);
  inet_pton(AF_INET, where.host.c_str(), &address.sin_addr);
  const int one = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // On loopback this does not wait, but for a full backlog.
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  return fd;
}

std::string login_of(unsigned user) { return fmt::format("LOGIN u{} pw", user); }

Task<Status> log_in(Client* client, unsigned user) {
  if (Status status = co_await client->greeting(); !status) co_return status;
  co_return co_await client->command(login_of(user));
}

Task<void> login_client(Loop& loop, Where where, unsigned user, Totals& totals) {
  while (Clock::now() < totals.end) {
    Fd fd = connect_to(where);
    if (!fd) {
      failed(totals, "connect: " + std::string(strerror(errno)));
      co_await sleep_for(loop, Milliseconds(10));
      continue;
    }
    Client client(loop, std::move(fd));
    Status status = co_await log_in(&client, user);
    if (status) status = co_await client.command("LOGOUT");
    if (status) {
      totals.operations++;
    } else {
      failed(totals, status.error().reply());
    }
  }
}

// Each of `texts` in turn.
Task<void> append_client(Loop& loop, Where where, unsigned user,
                         const std::vector<std::string>* texts, uint64_t at_most, Totals& totals) {
  Client client(loop, connect_to(where));
  if (Status status = co_await log_in(&client, user); !status) {
    failed(totals, "login: " + status.error().reply());
    co_return;
  }
  for (uint64_t n = 0; n < at_most && Clock::now() < totals.end; n++) {
    if (Status status = co_await client.append(&(*texts)[n % texts->size()]); !status) {
      failed(totals, status.error().reply());
      co_return;
    }
    totals.operations++;
  }
  if (Status status = co_await client.command("LOGOUT"); !status)
    failed(totals, status.error().reply());
}

// Doubles the mailbox four times.
Task<void> copy_client(Loop& loop, Where where, unsigned user, Totals& totals) {
  Client client(loop, connect_to(where));
  Status status = co_await log_in(&client, user);
  for (int i = 0; i < 4 && status; i++) {
    status = co_await client.command("SELECT INBOX");
    if (status) status = co_await client.command("COPY 1:* INBOX");
  }
  if (!status) failed(totals, status.error().reply());
}

Task<void> fetch_client(Loop& loop, Where where, unsigned user, Milliseconds how_long,
                        Totals& totals) {
  const std::string all = "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)";
  Client client(loop, connect_to(where));
  Status status = co_await log_in(&client, user);
  if (status) status = co_await client.command("SELECT INBOX");
  if (status) status = co_await client.command(all);  // caches are warm from here on
  totals.start = Clock::now();
  totals.end = totals.start + how_long;
  while (status && Clock::now() < totals.end) {
    status = co_await client.command(all);
    if (status) totals.operations++;
  }
  if (!status) failed(totals, status.error().reply());
}

// Messages first, first + step ... below `count`.
Task<void> mail_client(Loop& loop, Where where, unsigned user, unsigned first, unsigned step,
                       unsigned count, size_t size, Totals& totals) {
  Client client(loop, connect_to(where));
  Status status = co_await log_in(&client, user);
  for (unsigned n = first; n < count && status; n += step) {
    const std::string text = different_message(n, size);
    status = co_await client.append(&text);
    if (status) totals.operations++;
  }
  if (!status) failed(totals, status.error().reply());
}

// The number behind `name` in a STATUS response.
std::string number_behind(const std::string& line, std::string_view name) {
  const size_t at = line.find(name);
  if (at == line.npos) return "0";
  const size_t from = at + name.size() + 1;
  return line.substr(from, line.find_first_of(" )", from) - from);
}

void replace(std::string& text, std::string_view what, const std::string& with) {
  if (const size_t at = text.find(what); at != text.npos) text.replace(at, what.size(), with);
}

// Makes something to resynchronise, and names in `command` the state before it.
Task<Status> change_some(Client& client, std::string& command) {
  CO_TRY_STATUS(co_await client.command("ENABLE QRESYNC"));
  CO_TRY(const std::string told,
         co_await client.answer_of("STATUS INBOX (UIDVALIDITY HIGHESTMODSEQ)", "* STATUS INBOX "));
  replace(command, "{v}", number_behind(told, "UIDVALIDITY"));
  replace(command, "{m}", number_behind(told, "HIGHESTMODSEQ"));
  CO_TRY_STATUS(co_await client.command("SELECT INBOX"));
  CO_TRY_STATUS(co_await client.command("STORE 1:100 -FLAGS.SILENT (\\Flagged)"));
  co_return co_await client.command("STORE 1:100 +FLAGS.SILENT (\\Flagged)");
}

Task<void> ask_client(Loop& loop, Where where, unsigned user, unsigned seconds, std::string command,
                      Totals& totals) {
  Client client(loop, connect_to(where));
  Status status = co_await log_in(&client, user);
  if (status && command.contains("{m}")) status = co_await change_some(client, command);
  if (status) status = co_await client.command("SELECT INBOX");
  if (status && seconds > 0) status = co_await client.command(command);
  totals.start = Clock::now();
  totals.end = totals.start + std::chrono::seconds(seconds);
  while (status && (totals.operations == 0 || Clock::now() < totals.end)) {
    status = co_await client.command(command);
    if (status) totals.operations++;
  }
  if (!status) failed(totals, status.error().reply());
}

Task<void> idle_client(Loop& loop, Where where, unsigned user, bool compressed, Totals& totals,
                       std::vector<std::unique_ptr<Client>>* keep) {
  auto client = std::make_unique<Client>(loop, connect_to(where));
  Status status = co_await log_in(client.get(), user);
  if (status) status = co_await client->command("SELECT INBOX");
  if (status) status = co_await client->idle(compressed);
  if (status) {
    totals.operations++;
  } else {
    failed(totals, status.error().reply());
  }
  keep->push_back(std::move(client));
}

void print(const Totals& totals, double program_cpu = 0) {
  const double seconds = std::chrono::duration<double>(Clock::now() - totals.start).count();
  rusage own{};
  getrusage(RUSAGE_SELF, &own);
  const auto in_seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  std::string why;
  for (const char c : totals.first_error) why += c == '"' || c == '\\' ? '\'' : c;
  fmt::print(
      "{{\"operations\": {}, \"seconds\": {:.4f}, \"errors\": {}, \"first_error\": \"{}\", "
      "\"own_cpu\": {:.3f}, \"program_cpu\": {:.3f}}}\n",
      totals.operations, seconds, totals.errors, why,
      in_seconds(own.ru_utime) + in_seconds(own.ru_stime), program_cpu);
  fflush(stdout);
}

// Deliveries as an MTA makes them: one process each, `clients` at a time.
int spawn(unsigned users, unsigned clients, unsigned seconds, size_t size,
          const std::vector<std::string>& program) {
  // MTAs write to their pipes with plain line ends.
  std::string text;
  for (const char c : message(size))
    if (c != '\r') text += c;
  Totals totals;
  totals.start = Clock::now();
  totals.end = totals.start + std::chrono::seconds(seconds);
  double cpu = 0;
  std::map<pid_t, bool> running;
  uint64_t next = 0;
  for (;;) {
    const bool more = Clock::now() < totals.end;
    while (more && running.size() < clients) {
      const Fd file(memfd_create("message", MFD_CLOEXEC));
      if (write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return 1;
      lseek(file.get(), 0, SEEK_SET);
      std::vector<std::string> words = program;
      for (std::string& word : words) {
        const size_t place = word.find("{}");
        if (place != std::string::npos) word.replace(place, 2, fmt::format("u{}", next % users));
      }
      next++;
      std::vector<char*> argv;
      for (std::string& word : words) argv.push_back(word.data());
      argv.push_back(nullptr);
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      posix_spawn_file_actions_adddup2(&actions, file.get(), 0);
      pid_t pid = 0;
      const int error = posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
      posix_spawn_file_actions_destroy(&actions);
      if (error != 0) {
        failed(totals, strerror(error));
        break;
      }
      running.emplace(pid, true);
    }
    if (running.empty()) break;
    int status = 0;
    rusage used{};
    const pid_t pid = wait4(-1, &status, 0, &used);
    if (pid < 0) break;
    running.erase(pid);
    cpu += static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      totals.operations++;
    } else {
      failed(totals, fmt::format("status {}", status));
    }
  }
  print(totals, cpu);
  return 0;
}

int usage() {
  fmt::print(stderr, "usage: see the head of bench/load.cc\n");
  return 2;
}

int load(const std::vector<std::string>& args) {
  const auto number = [&](size_t n) {
    return n < args.size() ? static_cast<unsigned>(strtoul(args[n].c_str(), nullptr, 10)) : 0u;
  };
  if (args.size() < 4) return usage();
  const std::string& what = args[0];
  if (what == "spawn" && args.size() > 5)
    return spawn(number(1), number(2), number(3), number(4), {args.begin() + 5, args.end()});

  const Where where{args[1], static_cast<uint16_t>(number(2))};
  Loop loop;
  Totals totals;
  std::vector<std::unique_ptr<Client>> idle;
  Scope scope(loop);
  std::vector<std::string> texts;
  totals.start = Clock::now();
  const auto run_until = [&](unsigned seconds) {
    totals.end = totals.start + std::chrono::seconds(seconds);
  };
  if (what == "login" && args.size() == 6) {
    run_until(number(5));
    for (unsigned n = 0; n < number(4); n++)
      scope.spawn(login_client(loop, where, n % number(3), totals));
  } else if (what == "append" && args.size() == 7) {
    run_until(number(5));
    texts = {message(number(6))};
    for (unsigned n = 0; n < number(4); n++)
      scope.spawn(append_client(loop, where, n % number(3), &texts, ~uint64_t{0}, totals));
  } else if (what == "fill" && args.size() == 6) {
    run_until(3600);
    texts = {message(number(5)), message(number(5), true)};
    // A sixteenth of them by several sessions; the rest are copies of those.
    for (unsigned n = 0; n < kFillers; n++)
      scope.spawn(append_client(loop, where, number(3), &texts, number(4) / 16 / kFillers, totals));
    run(loop, scope.join());
    scope.spawn(copy_client(loop, where, number(3), totals));
  } else if (what == "fetch" && args.size() == 5) {
    scope.spawn(fetch_client(loop, where, number(3), std::chrono::seconds(number(4)), totals));
  } else if (what == "mail" && args.size() == 6) {
    for (unsigned n = 0; n < kFillers; n++)
      scope.spawn(mail_client(loop, where, number(3), n, kFillers, number(4), number(5), totals));
  } else if (what == "ask" && args.size() == 6) {
    scope.spawn(ask_client(loop, where, number(3), number(4), args[5], totals));
  } else if (what == "idle" && (args.size() == 5 || (args.size() == 6 && args[5] == "compress"))) {
    // In groups, so that no server's limit on pending logins is what is measured.
    for (unsigned n = 0; n < number(4); n += 50) {
      for (unsigned m = n; m < n + 50 && m < number(4); m++)
        scope.spawn(idle_client(loop, where, m % number(3), args.size() == 6, totals, &idle));
      run(loop, scope.join());
    }
    print(totals);
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
  } else {
    return usage();
  }
  run(loop, scope.join());
  print(totals);
  return 0;
}

}  // namespace
}  // namespace rims::bench

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return rims::bench::load({argv + 1, argv + argc});
}
