// tests/imapd/imap/threads_test.cc - THREAD's trees (RFC 5256 §3), also of messages that contradict
// each other or are made to cost much

#include "imapd/imap/threads.h"

#include <ctime>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace rims::imapd {
namespace {

using Algorithm = Threads::Algorithm;

struct Mail {
  std::string id, references, subject = "";
  std::string in_reply_to = "";
  int64_t date = 0;  // 0: that of its number
};

std::string bracketed(const std::string& ids) {
  std::string out;
  for (const char c : ids) out += fmt::format(" <{}@x>", c);
  return out;
}

// The header of a message whose ids are single letters.
std::string header(const Mail& mail) {
  std::string text;
  if (!mail.id.empty()) text += "Message-ID:" + bracketed(mail.id) + "\r\n";
  if (!mail.references.empty()) text += "References:" + bracketed(mail.references) + "\r\n";
  if (!mail.in_reply_to.empty()) text += "In-Reply-To: " + mail.in_reply_to + "\r\n";
  if (!mail.subject.empty()) text += "Subject: " + mail.subject + "\r\n";
  return text + "\r\n";
}

std::string written(Threads& threads) {
  std::string out;
  while (threads.write(out, [](SeqNum number) { return number.value; })) {
  }
  return out;
}

std::string threaded(Algorithm algorithm, const std::vector<Mail>& mails) {
  Threads threads(algorithm);
  uint32_t number = 0;
  for (const Mail& mail : mails) {
    number++;
    threads.add(SeqNum(number), mail.date != 0 ? mail.date : number, header(mail));
  }
  threads.build();
  return written(threads);
}

std::string references(const std::vector<Mail>& mails) {
  return threaded(Algorithm::references, mails);
}

TEST(Threads, OfNothingAreNothing) {
  for (const auto algorithm : {Algorithm::ordered_subject, Algorithm::references, Algorithm::refs})
    EXPECT_EQ(threaded(algorithm, {}), "");
}

// RFC 5256 §3 ORDEREDSUBJECT: no grandchildren; threads by the date of their first message.
TEST(Threads, BySubject) {
  EXPECT_EQ(threaded(Algorithm::ordered_subject, {{"", "", "one"},
                                                  {"", "", "Two", "", 9},
                                                  {"", "", "Re: ONE"},
                                                  {"", "", "two (fwd)"},
                                                  {"", "", "[list] one"},
                                                  {"", "", "three"},
                                                  {"", "", ""},
                                                  {"", "", "Re:"}}),
            "(1 (3)(5))(4 2)(6)(7 8)");
}

TEST(Threads, ByReferences) {
  EXPECT_EQ(references({{"a", ""}, {"b", "a"}, {"c", "ab"}, {"d", "a"}, {"e", ""}}),
            "(1 (2 3)(4))(5)");
  // In-Reply-To counts without References, and only its first id.
  EXPECT_EQ(references({{"a", ""}, {"b", "", "", "message of <a@x> and <e@x>"}, {"e", ""}}),
            "(1 2)(3)");
  EXPECT_EQ(references({{"a", ""}, {"b", "a", "", "<e@x>"}, {"e", ""}}), "(1 2)(3)");
  // The order in which they came does not matter; that of siblings is by date.
  EXPECT_EQ(references({{"c", "ab", "", "", 3}, {"b", "a", "", "", 2}, {"a", "", "", "", 1}}),
            "(3 2 1)");
  EXPECT_EQ(references({{"a", "", "", "", 9}, {"b", "a", "", "", 8}, {"c", "a", "", "", 7}}),
            "(1 (3)(2))");
}

// Step 3: one that is not there is left out, but as the root of two or more.
TEST(Threads, WhatIsNotThereIsLeftOut) {
  EXPECT_EQ(references({{"b", "z"}}), "(1)");
  EXPECT_EQ(references({{"b", "z"}, {"c", "z"}}), "((1)(2))");
  EXPECT_EQ(references({{"b", "yz"}, {"c", "yz"}}), "((1)(2))");
  EXPECT_EQ(references({{"b", "yz"}, {"c", "yw"}}), "((1)(2))");
  EXPECT_EQ(references({{"a", ""}, {"b", "azy"}, {"c", "azw"}}), "(1 (2)(3))");
  // By the date of its first child, it stands among the other roots.
  EXPECT_EQ(references({{"a", "", "", "", 5}, {"b", "z", "", "", 7}, {"c", "z", "", "", 2}}),
            "((3)(2))(1)");
}

TEST(Threads, WhatContradictsItselfMakesNoLoop) {
  EXPECT_EQ(references({{"a", "a"}}), "(1)");
  EXPECT_EQ(references({{"a", "b"}, {"b", "a"}}), "(2 1)");
  EXPECT_EQ(references({{"a", "bc"}, {"b", "ca"}, {"c", "ab"}}).size(),
            std::string("(1 2 3)").size());
  // Two with one id: the second one is in no other's references.
  EXPECT_EQ(references({{"a", ""}, {"a", ""}, {"b", "a"}}), "(1 3)(2)");
  // Its own last reference is its parent, whatever others say.
  EXPECT_EQ(references({{"a", ""}, {"b", ""}, {"c", "ab"}, {"b", "c"}}), "(1 2 3 4)");
  EXPECT_EQ(references({{"a", ""}, {"x", "ba"}, {"b", "a"}}), "(1 (2)(3))");
}

TEST(Threads, IdsAreComparedAsTheyAreMeant) {
  Threads threads(Algorithm::references);
  threads.add(SeqNum(1), 1, "Message-ID: <\"a b\"@x>\r\n\r\n");
  threads.add(SeqNum(2), 2, "References: garbage < \"a\\ b\" @ x >\r\n\r\n");
  threads.add(SeqNum(3), 3, "Message-ID: <no-at>\r\nReferences: <a b@x>\r\n\r\n");
  threads.add(SeqNum(4), 4, "References: <no-at>\r\nIn-Reply-To: <\"a b\"@x>\r\n\r\n");
  threads.add(SeqNum(5), 5, "References: <<\"a b\"@x>\r\n\r\n");
  threads.add(SeqNum(6), 6, "References: <\"a b@x>\r\n\r\n");
  threads.build();
  EXPECT_EQ(written(threads), "(1 (2)(4)(5))(3)(6)");
}

// Step 5.
TEST(Threads, RootsWithOneSubjectBecomeOneThread) {
  // neither is a reply
  EXPECT_EQ(references({{"a", "", "s"}, {"b", "", "S"}}), "((1)(2))");
  EXPECT_EQ(references({{"a", "", "s"}, {"b", "", "s"}, {"c", "", "s"}}), "((1)(2)(3))");
  // a reply goes under what is none
  EXPECT_EQ(references({{"a", "", "s"}, {"b", "", "Re: s"}}), "(1 2)");
  EXPECT_EQ(references({{"a", "", "Re: s"}, {"b", "", "s"}}), "(2 1)");
  EXPECT_EQ(references({{"a", "", "Re: s"}, {"b", "", "Re: s"}}), "((1)(2))");
  // with one that is not there
  EXPECT_EQ(references({{"a", "z", "Re: s"}, {"b", "z", "Re: s"}, {"c", "", "s"}}), "((1)(2)(3))");
  EXPECT_EQ(references({{"a", "z", "s"}, {"b", "z", "x"}, {"c", "y", "s"}, {"d", "y", "x"}}),
            "((1)(2)(3)(4))");
  // no subject is none in common
  EXPECT_EQ(references({{"a", "", "Re:"}, {"b", "", ""}}), "(1)(2)");
  // what is under another one has no part in it
  EXPECT_EQ(references({{"a", "", "t"}, {"b", "a", "s"}, {"c", "", "s"}}), "(1 2)(3)");
}

// REFS: not by subject, and the thread with the latest message is the last one.
TEST(Threads, ByReferencesAlone) {
  EXPECT_EQ(threaded(Algorithm::refs, {{"a", "", "s"}, {"b", "", "s"}, {"c", "a", "s"}}),
            "(2)(1 3)");
  EXPECT_EQ(threaded(Algorithm::refs, {{"a", "z", "s"}, {"b", ""}, {"c", "z"}, {"d", ""}}),
            "(2)((1)(3))(4)");
}

// --- against a plain reading of the RFC, for messages that do not contradict each other ---

class Plain {
 public:
  explicit Plain(const std::vector<Mail>& mails) {
    std::map<char, int> of;
    for (size_t i = 0; i < mails.size(); i++) of[mails[i].id[0]] = static_cast<int>(i);
    for (size_t i = 0; i < mails.size(); i++) {
      int parent = -1;
      for (const char c : mails[i].references)
        if (of.contains(c)) parent = of[c];
      children_[parent].push_back(static_cast<int>(i));
    }
  }
  std::string text() const { return list(-1); }

 private:
  std::string list(int parent) const {
    std::string out;
    const auto found = children_.find(parent);
    if (found == children_.end()) return out;
    for (const int child : found->second) out += '(' + members(child) + ')';
    return out;
  }
  std::string members(int message) const {
    const auto found = children_.find(message);
    const std::string own = std::to_string(message + 1);
    if (found == children_.end()) return own;
    if (found->second.size() == 1) return own + ' ' + members(found->second[0]);
    return own + ' ' + list(message);
  }
  std::map<int, std::vector<int>> children_;
};

TEST(Threads, AreWhatAPlainReadingGives) {
  std::mt19937 random(7);
  for (int round = 0; round < 1000; round++) {
    // A random forest in which every message names all above it, and all are there.
    std::vector<Mail> mails;
    const uint32_t size = 1 + random() % 20;
    for (uint32_t i = 0; i < size; i++) {
      Mail mail{std::string(1, static_cast<char>('a' + i)), ""};
      if (i > 0 && random() % 4 != 0) {
        const Mail& parent = mails[random() % i];
        mail.references = parent.references + parent.id;
      }
      mails.push_back(mail);
    }
    ASSERT_EQ(references(mails), Plain(mails).text()) << "round " << round;
  }
}

// Of any references, every message is named once, in trees.
TEST(Threads, OfAnythingNameEachMessageOnce) {
  std::mt19937 random(11);
  for (int round = 0; round < 1500; round++) {
    std::vector<Mail> mails;
    const uint32_t size = 1 + random() % 12;
    const auto letters = [&](uint32_t most) {
      std::string all;
      for (uint32_t n = random() % (most + 1); n > 0; n--)
        all += static_cast<char>('a' + random() % 14);
      return all;
    };
    for (uint32_t i = 0; i < size; i++)
      mails.push_back({letters(1), letters(4), letters(1) + (random() % 3 == 0 ? " (fwd)" : ""), "",
                       static_cast<int64_t>(1 + random() % 5)});
    for (const auto algorithm :
         {Algorithm::ordered_subject, Algorithm::references, Algorithm::refs}) {
      const std::string text = threaded(algorithm, mails);
      std::multiset<uint32_t> named;
      int depth = 0;
      for (size_t i = 0; i < text.size(); i++) {
        if (text[i] == '(') depth++;
        if (text[i] == ')') depth--;
        ASSERT_GE(depth, 0) << text;
        if (isdigit(text[i]) != 0 && (i == 0 || isdigit(text[i - 1]) == 0)) {
          ASSERT_GT(depth, 0) << text;
          named.insert(static_cast<uint32_t>(std::stoul(text.substr(i))));
        }
      }
      ASSERT_EQ(depth, 0) << text;
      ASSERT_EQ(named.size(), size) << text;
      ASSERT_EQ(std::set<uint32_t>(named.begin(), named.end()).size(), size) << text;
      ASSERT_EQ(text.find("()"), text.npos) << text;
      ASSERT_EQ(text.find("( "), text.npos) << text;
      ASSERT_EQ(text.find(" )"), text.npos) << text;
    }
  }
}

// Seconds of processor time for so many messages, the least of three.
template <class Make>
double seconds(uint32_t many, Make make, std::string& written_then) {
  double least = 1e9;
  for (int i = 0; i < 3; i++) {
    Threads threads(Algorithm::references);
    const std::clock_t begin = std::clock();
    for (uint32_t n = 1; n <= many; n++) threads.add(SeqNum(n), n, make(n, many));
    threads.build();
    written_then = written(threads);
    least = std::min(least, static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC);
  }
  return least;
}

// Four times as many take about four times as long; sixteen times if each link looked at all that
// is above it.
TEST(Threads, OfHostileReferencesTakeNoLongerThanOthers) {
  const auto id = [](uint32_t n) { return fmt::format("<{}@x>", n); };
  const auto chain = [&](uint32_t message, uint32_t parent) {
    return "Message-ID: " + id(message) + "\r\nReferences: " + id(parent) + "\r\n\r\n";
  };
  struct Shape {
    const char* name;
    std::function<std::string(uint32_t n, uint32_t many)> make;
    const char* begins_with;
  };
  const Shape shapes[] = {
      {"a chain from its top", [&](uint32_t n, uint32_t) { return chain(n, n - 1); }, "(1 2 3 4 "},
      {"a chain from its bottom",
       [&](uint32_t n, uint32_t many) { return chain(many - n, many - n + 1); }, "("},
      {"a ring", [&](uint32_t n, uint32_t many) { return chain(n, n % many + 1); }, "("},
      {"one subject", [](uint32_t, uint32_t) { return "Subject: s\r\n\r\n"; }, "((1)(2)(3)"},
      {"all under a long chain that is not there",
       [&](uint32_t, uint32_t many) {
         std::string text = "References:";
         for (uint32_t k = 0; k < 20; k++) text += ' ' + id(many + 1000 + k);
         return text + "\r\n\r\n";
       },
       "((1)(2)(3)"},
      {"a long chain of which nothing is there",
       [&](uint32_t n, uint32_t many) {
         return "References: " + id(many + n) + ' ' + id(many + n + 1) + "\r\n\r\n";
       },
       "((1)("},
  };
  for (const Shape& shape : shapes) {
    SCOPED_TRACE(shape.name);
    std::string text;
    const double few = seconds(10'000, shape.make, text);
    EXPECT_TRUE(text.starts_with(shape.begins_with)) << text.substr(0, 20);
    EXPECT_LT(seconds(40'000, shape.make, text), 10 * few);
  }
}

}  // namespace
}  // namespace rims::imapd
