// tests/deliver/client_test.cc - the program rims-deliver, as an MTA starts it, against a false
// rims-deliverd
//
// The environment is hostile on purpose: open descriptors, closed ones, signals, limits.

#include <dirent.h>
#include <fcntl.h>
#include <functional>
#include <poll.h>
#include <set>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "common/ipc/deliver_link.h"
#include "common/ipc/sealed.h"
#include "tests/deliver/support.h"

namespace rims::deliver {
namespace {

struct Ended {
  int status = -1;  // of exit; 1000 + number for a signal
  std::string error_text;
};

// One started rims-deliver. The test writes its input.
class Program {
 public:
  Program(
      std::vector<std::string> args, std::vector<std::string> env = {},
      const std::function<void()>& in_child = [] {}) {
    int in[2], err[2];
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) std::abort();
    args.insert(args.begin(), RIMS_DELIVER);
    std::vector<char*> argv, envp;
    for (std::string& a : args) argv.push_back(a.data());
    argv.push_back(nullptr);
    for (std::string& e : env) envp.push_back(e.data());
    envp.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(in[0], 0);
      dup2(err[1], 1);
      dup2(err[1], 2);
      in_child();
      execve(argv[0], argv.data(), envp.data());
      _exit(126);
    }
    input_ = Fd(in[1]);
    output_ = Fd(err[0]);
    close(in[0]);
    close(err[1]);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  // False when the program no longer reads.
  bool feed(std::string_view bytes) {
    return write(input_.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  }
  void end_input() { input_.reset(); }
  [[nodiscard]] pid_t pid() const { return pid_; }
  Ended wait() {
    end_input();
    Ended ended;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = read(output_.get(), buffer, sizeof buffer)) > 0)
      ended.error_text.append(buffer, static_cast<size_t>(got));
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
    return ended;
  }

 private:
  pid_t pid_ = -1;
  Fd input_, output_;
};

class Client : public testing::Test {
 protected:
  Client() { signal(SIGPIPE, SIG_IGN); }

  [[nodiscard]] std::vector<std::string> to(const std::string& user) const {
    return {"-S", socket.path, "-d", user};
  }
  // What one connection brings; answers `status` to each of `count` submissions.
  struct Got {
    std::vector<ipc::Submit> submits;
    std::vector<std::string> messages;
    std::set<std::string> descriptors;  // of the client, while it waits
  };
  Got serve(ipc::Delivery status, size_t count = 1) {
    Got got;
    for (size_t i = 0; i < count; i++) {
      const Fd connection(accept(socket.fd.get(), nullptr, nullptr));
      auto [bytes, fds] = test::receive(connection.get());
      if (bytes.empty() || fds.size() != 1) break;
      const auto submit = ipc::decode<ipc::Submit>(std::string_view(bytes).substr(2));
      if (!submit) break;
      got.descriptors = descriptors_of(connection.get());
      got.submits.push_back(*submit);
      got.messages.push_back(ipc::sealed_bytes(fds[0].get(), 1 << 30).value());
      ipc::SubmitReply r;
      r.request = submit->request;
      r.status = status;
      r.reason = "because\nof\x1b[31m this";
      const std::string reply = std::string("\0\2", 2) + ipc::encode(r);
      send(connection.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
    }
    return got;
  }
  static std::set<std::string> descriptors_of(int connection) {
    ucred who{};
    socklen_t size = sizeof who;
    getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &who, &size);
    std::set<std::string> found;
    DIR* dir = opendir(("/proc/" + std::to_string(who.pid) + "/fd").c_str());
    while (const dirent* entry = dir ? readdir(dir) : nullptr)
      if (entry->d_name[0] != '.') found.insert(entry->d_name);
    if (dir) closedir(dir);
    return found;
  }
  // Nobody ever connected.
  [[nodiscard]] bool untouched() const {
    pollfd p{.fd = socket.fd.get(), .events = POLLIN, .revents = 0};
    return poll(&p, 1, 0) == 0;
  }

  test::ListeningSocket socket;
};

TEST_F(Client, AMessageGoesThrough) {
  Got got;
  std::thread daemon([&] { got = serve(ipc::Delivery::delivered); });
  Program p({"-S", socket.path, "-f", "a@b", "-m", "Spam", "-i", "4Q", "-d", "-x y;id"});
  p.feed("From x\nA: b\n");
  p.feed("\n.\nbody\n");
  const Ended ended = p.wait();
  daemon.join();
  EXPECT_EQ(ended.status, 0) << ended.error_text;
  EXPECT_EQ(ended.error_text, "");
  ASSERT_EQ(got.messages.size(), 1U);
  EXPECT_EQ(got.messages[0], "A: b\r\n\r\n.\r\nbody\r\n");
  EXPECT_EQ(got.submits[0].recipient.value, "-x y;id");
  EXPECT_EQ(got.submits[0].sender.value, "a@b");
  EXPECT_EQ(got.submits[0].mailbox.value, "Spam");
  EXPECT_EQ(got.submits[0].delivery_id.value, "4Q");
}

TEST_F(Client, EveryAnswerIsAStatusAndOnePrintableLine) {
  const std::pair<ipc::Delivery, int> rows[] = {
      {ipc::Delivery::no_user, EX_NOUSER},       {ipc::Delivery::rejected, EX_DATAERR},
      {ipc::Delivery::not_permitted, EX_NOPERM}, {ipc::Delivery::temporary, EX_TEMPFAIL},
      {ipc::Delivery::over_quota, EX_NOPERM},
  };
  for (const auto& [answer, status] : rows) {
    std::thread daemon([&, what = answer] { serve(what); });
    Program p(to("foo"));
    p.feed("A: b\n\n");
    const Ended ended = p.wait();
    daemon.join();
    EXPECT_EQ(ended.status, status);
    // With the code of RFC 3463 at its beginning an MTA knows more than by the status.
    const char* by = answer == ipc::Delivery::over_quota ? "5.2.2 " : "rims-deliver: ";
    EXPECT_EQ(ended.error_text, std::string(by) + "because\\x0aof\\x1b[31m this\n");
  }
}

TEST_F(Client, AddressesComeFromTheEnvironment) {
  Got got;
  std::thread daemon([&] { got = serve(ipc::Delivery::delivered); });
  Program p({"-S", socket.path}, {"RECIPIENT=-S/x@d", "SENDER=<-f@x>", "MESSAGE_ID=1rX",
                                  "USER=root", "LD_X=y", "PATH=/nowhere"});
  p.feed("A: b\r\n\r\n");
  EXPECT_EQ(p.wait().status, 0);
  daemon.join();
  ASSERT_EQ(got.submits.size(), 1U);
  EXPECT_EQ(got.submits[0].recipient.value, "-S/x@d");
  EXPECT_EQ(got.submits[0].sender.value, "-f@x");
  EXPECT_EQ(got.submits[0].delivery_id.value, "1rX");
  EXPECT_EQ(got.messages[0], "A: b\r\n\r\n");
}

TEST_F(Client, TraceFieldsAreAddedForEachRecipient) {
  Got got;
  std::thread daemon([&] { got = serve(ipc::Delivery::delivered, 2); });
  Program p({"-r", "-S", socket.path, "-f", "", "-d", "foo", "--", "bar"});
  p.feed("A: b\n\n");
  EXPECT_EQ(p.wait().status, 0);
  daemon.join();
  ASSERT_EQ(got.messages.size(), 2U);
  EXPECT_EQ(got.messages[0], "Return-Path: <>\r\nDelivered-To: foo\r\nA: b\r\n\r\n");
  EXPECT_EQ(got.messages[1], "Return-Path: <>\r\nDelivered-To: bar\r\nA: b\r\n\r\n");
}

TEST_F(Client, InheritedDescriptorsAreClosed) {
  Got got;
  std::thread daemon([&] { got = serve(ipc::Delivery::delivered); });
  Program p(to("foo"), {}, [] {
    dup2(0, 10);
    dup2(0, 251);
  });
  p.feed("A: b\n\n");
  EXPECT_EQ(p.wait().status, 0);
  daemon.join();
  // Standard ones, the message, the socket.
  EXPECT_EQ(got.descriptors, (std::set<std::string>{"0", "1", "2", "3", "4"}));
}

TEST_F(Client, ClosedStandardDescriptorsAreDoubtfulNotDangerous) {
  Program none(to("foo"), {}, [] {
    close(0);
    close(1);
    close(2);
  });
  EXPECT_EQ(none.wait().status, EX_TEMPFAIL);
  EXPECT_TRUE(untouched());
  // Without stdout and stderr there is nobody to complain to, but the mail gets through, and the
  // socket does not become number 1.
  Got got;
  std::thread daemon([&] { got = serve(ipc::Delivery::delivered); });
  Program p(to("foo"), {}, [] {
    close(1);
    close(2);
  });
  p.feed("A: b\n\n");
  EXPECT_EQ(p.wait().status, 0);
  daemon.join();
  EXPECT_EQ(got.descriptors, (std::set<std::string>{"0", "1", "2", "3", "4"}));
}

TEST_F(Client, AnInputThatCanNotBeReadIsDoubtful) {
  Program p(to("foo"), {}, [] {
    const int directory = open("/", O_RDONLY | O_DIRECTORY);
    dup2(directory, 0);
  });
  const Ended ended = p.wait();
  EXPECT_EQ(ended.status, EX_TEMPFAIL);
  EXPECT_NE(ended.error_text.find("reading standard input"), std::string::npos);
  EXPECT_TRUE(untouched());
}

TEST_F(Client, NoRoomForTheMessageIsDoubtful) {
  Program p(to("foo"), {}, [] {
    const rlimit small{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &small);  // counts for a memfd, too
  });
  p.feed("A: b\n\n" + std::string(5000, 'x'));
  EXPECT_EQ(p.wait().status, EX_TEMPFAIL);
  EXPECT_TRUE(untouched());
}

TEST_F(Client, AnEmptyMessageIsRefused) {
  Program p(to("foo"));
  EXPECT_EQ(p.wait().status, EX_DATAERR);
  Program separator(to("foo"));
  separator.feed("From a b\n");
  EXPECT_EQ(separator.wait().status, EX_DATAERR);
  EXPECT_TRUE(untouched());
}

TEST_F(Client, ASignalIsDoubtful) {
  for (const int number : {SIGTERM, SIGHUP, SIGINT, SIGALRM}) {
    // Blocked and ignored signals are inherited; they must not keep an MTA from ending it.
    Program p(to("foo"), {}, [number] {
      signal(number, SIG_IGN);
      sigset_t all;
      sigfillset(&all);
      sigprocmask(SIG_BLOCK, &all, nullptr);
    });
    std::thread daemon([&] {
      const Fd connection(accept(socket.fd.get(), nullptr, nullptr));
      auto got = test::receive(connection.get());
      EXPECT_FALSE(got.first.empty());
      kill(p.pid(), number);  // while it waits for the answer
      char byte = 0;
      EXPECT_EQ(recv(connection.get(), &byte, 1, 0), 0);
    });
    p.feed("A: b\n\n");
    const Ended ended = p.wait();
    daemon.join();
    EXPECT_EQ(ended.status, EX_TEMPFAIL);
    EXPECT_EQ(ended.error_text, "rims-deliver: ended by a signal\n");
  }
}

TEST_F(Client, KilledBeforeTheEndOfInputItHasSaidNothing) {
  const std::string message = "A: b\n\n" + std::string(200'000, 'x');
  for (size_t at = 0; at < message.size(); at += 20'000) {
    Program p(to("foo"));
    ASSERT_TRUE(p.feed(std::string_view(message).substr(0, at)));
    kill(p.pid(), SIGKILL);
    EXPECT_EQ(p.wait().status, 1000 + SIGKILL);
  }
  EXPECT_TRUE(untouched());
}

TEST_F(Client, NoAnswerIsDoubtfulInTime) {
  test::Gate over;
  std::thread daemon([&] {
    const Fd connection(accept(socket.fd.get(), nullptr, nullptr));
    over.wait();
  });
  Program p({"-S", socket.path, "-t", "1", "-d", "foo"});
  p.feed("A: b\n\n");
  const Ended ended = p.wait();
  over.open();
  daemon.join();
  EXPECT_EQ(ended.status, EX_TEMPFAIL);
  EXPECT_EQ(ended.error_text, "rims-deliver: no answer of rims-deliverd in time\n");
}

TEST_F(Client, SeveralRecipientsTakeTheWorstStatus) {
  std::thread daemon([&] {
    serve(ipc::Delivery::delivered);
    serve(ipc::Delivery::no_user);
  });
  Program p({"-S", socket.path, "-d", "foo", "-d", "bar"});
  p.feed("A: b\n\n");
  const Ended ended = p.wait();
  daemon.join();
  EXPECT_EQ(ended.status, EX_NOUSER);
  EXPECT_TRUE(ended.error_text.starts_with("rims-deliver: bar: because"));
}

TEST_F(Client, TheConfigurationNamesTheSocket) {
  test::TempDir dir;
  const std::string config = dir.file("config.yml");
  const auto write_config = [&](const std::string& text) {
    const Fd fd(open(config.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ASSERT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  };
  write_config("listen:\n  deliver_socket: " + socket.path + "\n");
  for (const bool by_environment : {false, true}) {
    std::thread daemon([&] { serve(ipc::Delivery::delivered); });
    std::vector<std::string> args{"-d", "foo"}, env;
    if (by_environment) {
      env.push_back("RIMS_CONFIG=" + config);
    } else {
      args.insert(args.end(), {"-c", config});
    }
    Program p(args, env);
    p.feed("A: b\n\n");
    const Ended ended = p.wait();
    daemon.join();
    EXPECT_EQ(ended.status, 0) << ended.error_text;
  }
  write_config("listen: [\n");
  Program broken({"-c", config, "-d", "foo"});
  EXPECT_EQ(broken.wait().status, EX_TEMPFAIL);
  Program missing({"-c", config + "x", "-d", "foo"});
  EXPECT_EQ(missing.wait().status, EX_CONFIG);
}

}  // namespace
}  // namespace rims::deliver
