// Names of Maildir files and folders, Dovecot's files beside them, mbox files, names of mailboxes.

#include <algorithm>
#include <cctype>

#include <gtest/gtest.h>

#include "cli/formats/files.h"
#include "cli/formats/maildir_names.h"
#include "cli/formats/mbox.h"
#include "cli/formats/mbox_files.h"
#include "cli/formats/ruby_rims.h"
#include "cli/import_mail.h"
#include "common/mail/types.h"
#include "deliver/intake.h"

namespace rims::cli {
namespace {

using store::kAnswered, store::kDeleted, store::kDraft, store::kFlagged, store::kSeen;
using Strings = std::vector<std::string>;

TEST(Maildir, FileNames) {
  const auto keywords = parse_dovecot_keywords("0 $Junk\n2 work\n99 far\nx y\n");
  const auto m = parse_maildir_name("17.M1P2.host,S=12,W=14:2,FPSacz", keywords);
  EXPECT_EQ(m.base, "17.M1P2.host,S=12,W=14");
  EXPECT_EQ(m.flags, kFlagged | kSeen);
  EXPECT_EQ(m.keywords, (Strings{"$Forwarded", "$Junk", "work"}));
  EXPECT_EQ(m.unknown, "z");
  EXPECT_EQ(parse_maildir_name("17.host").base, "17.host");
  EXPECT_EQ(parse_maildir_name("17.host:1,x").base, "17.host");
  EXPECT_EQ(parse_maildir_name("17.host:2,DFRST").flags,
            kDraft | kFlagged | kAnswered | kSeen | kDeleted);
  // As Windows needs it.
  for (const char* name : {"17.a!b;c:2,FS", "17.a!b;c;2,FS", "17.a!b;c!2,FS"}) {
    EXPECT_EQ(parse_maildir_name(name).base, "17.a!b;c") << name;
    EXPECT_EQ(parse_maildir_name(name).flags, kFlagged | kSeen) << name;
  }
  EXPECT_EQ(parse_maildir_name("17.a!2,S:2,F").base, "17.a!2,S");
  EXPECT_EQ(size_in_maildir_name("17.host,S=12,W=14"), 12U);
  EXPECT_EQ(size_in_maildir_name("17.host,W=14,S=12"), 12U);
  EXPECT_EQ(size_in_maildir_name("17.S=3,S=x,S=12"), std::nullopt);
  EXPECT_EQ(size_in_maildir_name("17.hostS=12"), std::nullopt);
  EXPECT_EQ(maildir_info(m.flags, m.keywords, keywords), ":2,FPSac");
  EXPECT_EQ(maildir_info(0, {"WORK", "other"}, keywords), ":2,c");
  EXPECT_EQ(dovecot_keywords_text(keywords), "0 $Junk\n2 work\n");
}

TEST(Maildir, ZonesInNames) {
  for (const int zone : {0, 540, -570, 345, 840}) {
    const auto minutes = static_cast<int16_t>(zone);
    EXPECT_EQ(zone_from_text(zone_text(minutes)), minutes);
    EXPECT_EQ(zone_in_maildir_name("17.R1U5Z" + zone_text(minutes) + ".rims,S=1,W=2"), minutes);
  }
  EXPECT_EQ(zone_text(-570), "-0930");
  for (const char* text : {"", "0100", "+100", "+0160", "+-1-1", "+01000", "*0100"})
    EXPECT_EQ(zone_from_text(text), std::nullopt) << text;
  EXPECT_EQ(zone_in_maildir_name("-17.R1U5Z+0100.rims,S=1"), 60);
  for (const char* name : {"17.R1U5Z+0100.host", "17.M1P2Z+0100.rims", "17.R1UZ+0100.rims", "",
                           "17.R1U5Z+01", "17.R1U5Z+0199.rims", "17.R1U5.rims"})
    EXPECT_EQ(zone_in_maildir_name(name), 0) << name;
}

TEST(Maildir, Uidlists) {
  const auto v3 = parse_dovecot_uidlist(
      "3 V1700000000 N90 G0123\n5 W124 S120 :17.a,S=12:2,S\n7 :17.b\nnonsense\n8 :17.a,S=12\n");
  ASSERT_TRUE(v3);
  EXPECT_EQ(v3->uidvalidity, 1700000000U);
  EXPECT_EQ(v3->uidnext, 90U);
  EXPECT_EQ(v3->uids.at("17.b"), 7U);
  EXPECT_EQ(v3->uids.at("17.a,S=12"), 8U) << "the later line counts";
  EXPECT_EQ(v3->bad_lines, Strings{"nonsense"});
  const auto v1 = parse_dovecot_uidlist("1 1700000000 90\n5 17.a:2,S\n");
  ASSERT_TRUE(v1);
  EXPECT_EQ(v1->uidnext, 90U);
  EXPECT_EQ(v1->uids.at("17.a"), 5U);
  EXPECT_FALSE(parse_dovecot_uidlist(""));
  EXPECT_FALSE(parse_dovecot_uidlist("4 V1 N2\n"));
  EXPECT_FALSE(parse_dovecot_uidlist("3 N2\n"));
}

TEST(Maildir, Folders) {
  const std::pair<const char*, const char*> both[] = {{".Work.2026", "Work/2026"},
                                                      {".&ANw-n&AO8-", "Ünï"},
                                                      {".a\\2eb.c\\5cd", "a.b/c\\d"},
                                                      {".INBOX.x", "INBOX/x"}};
  for (const auto& [directory, mailbox] : both) {
    EXPECT_EQ(folder_from_directory(directory), mailbox);
    EXPECT_EQ(directory_of_folder(mailbox), directory);
  }
  EXPECT_EQ(folder_from_directory(".\xc3\x9c"), "Ü") << "raw UTF-8 is taken as it is";
  EXPECT_EQ(folder_from_directory(".a\\zz"), "a\\zz");
  EXPECT_EQ(folder_from_directory("cur"), std::nullopt);
  EXPECT_EQ(folder_from_directory(".a..b"), std::nullopt);
  EXPECT_EQ(folder_from_directory("."), std::nullopt);
}

TEST(Maildir, Subscriptions) {
  const Strings names{"INBOX", "Work/2026", "Ünï"};
  const std::string text = "V\t2\n\nINBOX\nWork\t2026\n&ANw-n&AO8-\n";
  EXPECT_EQ(parse_dovecot_subscriptions(text, '.'), names);
  EXPECT_EQ(dovecot_subscriptions_text(names), text);
  EXPECT_EQ(parse_dovecot_subscriptions("inbox\nWork.2026\n&ANw-n&AO8-\n", '.'), names);
}

TEST(Maildir, KeywordsOfCourier) {
  const auto keywords =
      parse_courier_keywords("$Forwarded\nwork\n\n1.M2P2.h:0\n2.a:b:1 0\n3.x:7 x\n:0\nnothing\n");
  const std::vector<std::string> both{"work", "$Forwarded"};
  EXPECT_EQ(keywords.size(), 3);
  EXPECT_EQ(keywords.at("1.M2P2.h"), std::vector<std::string>{"$Forwarded"});
  EXPECT_EQ(keywords.at("2.a:b"), both);
  EXPECT_TRUE(keywords.at("3.x").empty());
  EXPECT_TRUE(parse_courier_keywords("").empty());
}

TEST(LineEnds, LocalFormLeadsBackExactly) {
  const Strings cases{"",         "a\r\n",        "a\r\n\r\nb\r\n", "a\nb\n",
                      "a\r\nb\n", "a\r\r\nb\r\n", "a\rb",           "\r\n\r"};
  for (const auto& stored : cases) {
    const std::string local = local_lines(stored);
    if (!stored.contains("\r\n") && stored.contains('\n'))
      EXPECT_EQ(local, stored);  // such a message was never a file's
    else
      EXPECT_EQ(deliver::wire_lines(local), stored);
  }
  EXPECT_EQ(local_lines("a\r\nb\r\n"), "a\nb\n");
}

TEST(Mbox, Separators) {
  const std::pair<const char*, std::optional<int64_t>> cases[] = {
      {"From a@b Sat Jan  3 01:05:34 2026\n", 1767402334},
      {"From MAILER-DAEMON Sat Jan  3 01:05 2026", 1767402300},
      {"From a@b Sat Jan  3 01:05:34 +0900 2026\r\n", 1767402334 - 9 * 3600},
      {"From a@b Sat Jan  3 01:05:34 2026 +0100", 1767402334 - 3600},
      {"From \"a b\"@c Sat Jan  3 01:05:34 2026", 1767402334},
      {"From Sat Jan  3 01:05:34 2026", 1767402334},
      {"From a@b Sat, 03 Jan 2026 01:05:34 GMT", 1767402334},
      {"From a@b Sat, 3 Jan 2026 02:05:34 +0100", 1767402334},
      {"From MAILER-DAEMON Fri Jan  2 20:05:34 EST 2026", 1767402334},
      {"From a@b Sat Jan  3 01:05:34 2026 remote from uucp", 1767402334},
      {"From ???@??? Sat Jan 03 01:05:34 2026", 1767402334},
      {"From a@b Sun Dec 31 23:59:59 1899", -2208988801},
      {"From a@b Sat Jan  1 00:00:00 0001 +0900", std::nullopt},
      {"From a@b Sat Jan  1 00:00:00 0001", -62'135'596'800},
      {"From a@b", std::nullopt},
      {"From a@b Sat, to be sure", std::nullopt},
      {"From here on it is text", std::nullopt},
      {"From Sat to Sun", std::nullopt},
      {"from a@b Sat Jan  3 01:05:34 2026", std::nullopt},
      {"From a@b Sat Jan 93 01:05:34 2026", std::nullopt},
  };
  for (const auto& [line, seconds] : cases) {
    const auto date = parse_separator(line);
    EXPECT_EQ(date ? std::optional(date->seconds) : std::nullopt, seconds) << line;
  }
}

TEST(Mbox, WhatIsTextBeginsNoMessage) {
  const std::string file =
      "From a@b Sat Jan  3 01:05:34 2026\nA: b\n\ntext\nFrom a@b Sat Jan  3 01:05:34 2026\n\n"
      "From here on it is text\n\nFrom a@b Sat Jan  3 01:05:34 2026\nA: c\n\n";
  std::vector<MboxPlace> places;
  ASSERT_TRUE(find_mbox_messages(file, places));
  ASSERT_EQ(places.size(), 2U);
  EXPECT_EQ(places[0].length + places[1].length, file.size());
  EXPECT_FALSE(find_mbox_messages("hello\n", places));
  EXPECT_TRUE(find_mbox_messages("", places));
  EXPECT_TRUE(places.empty());
}

TEST(Mbox, MessagesThatOtherProgramsBegin) {
  const Strings messages{
      "From a@b Sat Jan  3 01:05:34 2026\nA: b\n\ntext\n",  // no empty line before the next
      "From a@b Sat Jan  3 01:05:34 2026\nSubject: x\n\n\n",
      "From a@b\nSubject: no date\nDate: Fri, 2 Jan 2015 01:02:03 +0100\n\n",
      "From a@b one day in 15\nReceived: from x\n by y\nSubject: no date\n\n",
      "From -\r\nTo: c\r\nX-Y:\r\n\r\n",
      "From joe 2003-02-03 10:11:12\nMIME-Version: 1.0\nDate: y\nFrom: z\n\n",
      "From mcd Mo M\u00e4r  9 12:03:19 2020\nReceived: from x\nMessage-ID: <1@x>\nFrom: z\n\n",
      "From joe Mon Feb  3 10:11:12 MET DST 2003\n\nno header\n\n",
      "From a@b Sat, 03 Jan 2026 01:05:34 GMT\n\nno header\n\n",
      // None of these begins one.
      "From a@b Sat Jan  3 01:05:34 2026\nA: b\n\ntext\nFrom a@b\nSubject: x\nDate: y\n\n"
      "From a@b\nto c\n\nFrom the desk of Bob\nTo: all\nSubject: x\n\n"
      "From the desk of Bob\nFrom: Bob\nTo: all\nDate: today\n\nFrom a@b\nSubject: x\n\n"
      "From a@b\n\nFrom a@b\nA: b\nC: d\n\ntext\nFrom a@b Sat Jan  3 01:05:34 2026\n"
      "http://example.org\n"};
  std::string file;
  for (const auto& message : messages) file += message;
  std::vector<MboxPlace> places;
  ASSERT_TRUE(find_mbox_messages(file, places));
  Strings found;
  for (const auto& place : places) found.push_back(file.substr(place.offset, place.length));
  EXPECT_EQ(found, messages);
}

TEST(Mbox, ThunderbirdsFields) {
  const auto m = parse_mbox_message(
      "From - Sat Jan  3 01:05:34 2026\nX-Account-Key: account1\nX-UIDL: 7\n"
      "X-Mozilla-Status: 1007\nX-Mozilla-Status2: 02800000\nX-Mozilla-Keys: $label1 foo   \n"
      "Subject: x\n\ny\n\n",
      MboxQuoting::mboxrd);
  EXPECT_EQ(m.bytes, "X-Account-Key: account1\nX-UIDL: 7\nSubject: x\n\ny\n");
  EXPECT_EQ(m.flags, kSeen | kAnswered | kFlagged);
  EXPECT_EQ(m.keywords, (Strings{"$Forwarded", "$MDNSent", "$label1", "foo"}));
  EXPECT_FALSE(m.expunged);
  const auto gone = parse_mbox_message("From -\nX-Mozilla-Status: 0009\n\n", MboxQuoting::mboxrd);
  EXPECT_EQ(gone.flags, kSeen | kDeleted);
  EXPECT_TRUE(gone.expunged);
  EXPECT_EQ(
      parse_mbox_message("From -\nX-Mozilla-Status2: 00200000\n\n", MboxQuoting::mboxrd).flags,
      kDeleted);
  // A second separator, quoted, above them.
  EXPECT_EQ(parse_mbox_message("From - Sat Jan  3 01:05:34 2026\n>From - Sat Jan  3 01:05:34 2026\n"
                               "X-Mozilla-Status: 0001\nSubject: x\n\n",
                               MboxQuoting::mboxrd)
                .flags,
            kSeen);
  // Below the first field of the mail itself, they are the sender's.
  const auto sent = parse_mbox_message(
      "From a@b\nReceived: by c\nX-Mozilla-Status: 0009\nX-Mozilla-Keys: x\n\n\n",
      MboxQuoting::mboxrd);
  EXPECT_EQ(sent.bytes, "Received: by c\nX-Mozilla-Status: 0009\nX-Mozilla-Keys: x\n\n");
  EXPECT_EQ(sent.flags, 0);
  EXPECT_TRUE(sent.keywords.empty());
}

TEST(Mbox, FieldsThatTheSenderWroteAreKeptAndMeanNothing) {
  MboxMessage m;
  m.bytes =
      "X-Mozilla-Status: 0009\nSTATUS: RO\nX-Status : D\n AF\nX-Keywords: a\nX-UID: 9\n"
      "X-IMAPbase: 1 4\nx-imap: 1 4\nContent-Length: 3\nX-Evolution: 00000001-0001\n"
      "X-RIMS-Kept-Status: R\nx-rims-kept-X-RIMS-Kept-X-Status: D\nX-RIMS-Kept-Subject: x\n"
      "Subject: s\nX-Mozilla-Status2: 00200000\nX-Mozilla-Keys: b\n\nStatus: RO\n";
  const std::string text = mbox_text(m);
  EXPECT_TRUE(text.contains("\nX-RIMS-Kept-X-Status : D\n AF\n")) << text;
  EXPECT_TRUE(text.contains("\nX-RIMS-Kept-X-RIMS-Kept-Status: R\n")) << text;
  EXPECT_TRUE(text.contains("\nX-RIMS-Kept-Subject: x\n")) << text;
  EXPECT_TRUE(text.contains("\n\nStatus: RO\n")) << text;
  // What is left with a name that a reader knows, we have written.
  Strings acting;
  for (size_t at = 0; at < text.find("\n\n");) {
    const size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    std::ranges::transform(line, line.begin(), [](unsigned char c) { return std::tolower(c); });
    for (const char* name : {"status", "x-status", "x-keywords", "x-uid", "x-imap",
                             "content-length", "x-mozilla", "x-evolution"}) {
      if (line.starts_with(name)) acting.push_back(line);
    }
    at = end + 1;
  }
  EXPECT_EQ(acting, Strings{"status: o"});
  const auto back = parse_mbox_message(text, MboxQuoting::mboxrd);
  EXPECT_EQ(back.bytes, m.bytes);
  EXPECT_EQ(back.flags, 0);
  EXPECT_TRUE(back.keywords.empty());
  EXPECT_EQ(back.uid, 0U);
  EXPECT_EQ(back.uidvalidity, 0U);
}

TEST(Mbox, DatesKeepTheirZone) {
  for (const int zone : {0, 540, -570, 345, -1, 840}) {
    for (const int64_t date : {int64_t{1'767'402'334}, int64_t{0}, int64_t{-2'000'000'000}}) {
      MboxMessage m;
      m.bytes = "A: b\n\n";
      m.date = date;
      m.zone = static_cast<int16_t>(zone);
      const auto back = parse_mbox_message(mbox_text(m), MboxQuoting::mboxrd);
      EXPECT_TRUE(back.dated);
      EXPECT_EQ(back.date, date) << zone;
      EXPECT_EQ(back.zone, zone) << date;
    }
  }
  MboxMessage m{.bytes = "A: b\n\n", .date = 1'767'402'334};
  EXPECT_TRUE(mbox_text(m).starts_with("From MAILER-DAEMON Sat Jan  3 01:05:34 2026\n"));
  m.zone = 330;
  EXPECT_TRUE(mbox_text(m).starts_with("From MAILER-DAEMON/+0530 Sat Jan  3 01:05:34 2026\n"));
  // A zone that another program has written.
  EXPECT_EQ(
      parse_mbox_message("From x/+0530 Sat Jan  3 10:05:34 2026 +0900\n\n", MboxQuoting::mboxo)
          .zone,
      540);
}

TEST(Mbox, FieldsOfTheFileAreTakenOut) {
  const auto m = parse_mbox_message(
      "From a@b Sat Jan  3 01:05:34 2026\nX-IMAPbase: 1700000000 0000000090 $Junk\nA: b\n"
      "Status: RO\nX-Status: AF\nX-Keywords: $Junk\n\twork\nX-UID: 7\nContent-Length: 9999\n\n"
      ">From me\n>>From you\nStatus: here is text\n\n",
      MboxQuoting::mboxrd);
  EXPECT_EQ(m.bytes, "A: b\nContent-Length: 9999\n\nFrom me\n>From you\nStatus: here is text\n");
  EXPECT_EQ(m.flags, kSeen | kAnswered | kFlagged);
  EXPECT_EQ(m.keywords, (Strings{"$Junk", "work"}));
  EXPECT_EQ(m.uid, 7U);
  EXPECT_EQ(m.uidvalidity, 1700000000U);
  EXPECT_EQ(m.last_uid, 90U);
  EXPECT_EQ(m.date, 1767402334);
  EXPECT_EQ(parse_mbox_message("From x\n\n>From a\n>>From b\n\n", MboxQuoting::mboxo).bytes,
            "\nFrom a\n>>From b\n");
}

TEST(Mbox, WhatIsWrittenIsReadBack) {
  const Strings texts{"A: b\n\nbody\n",
                      "A: b\n\n",
                      "\nno header\n",
                      "A: b\n\nFrom x\n>From y\n\nFrom z\n\n\n",
                      "A: b\r\n\r\nbare\nlf\r\n",
                      "From: me\nFrom here\n\nx\n",
                      "no end of the header\n"};
  std::string file;
  std::vector<MboxMessage> all;
  for (const auto& text : texts) {
    MboxMessage m;
    m.bytes = text;
    m.flags = static_cast<uint8_t>(all.size() * 5 % 32);
    m.keywords = {"$Junk", "k" + std::to_string(all.size())};
    m.date = 1700000000 + static_cast<int64_t>(all.size());
    m.uid = static_cast<uint32_t>(all.size() * 3 + 1);
    if (all.empty()) {
      m.uidvalidity = 77;
      m.last_uid = 90;
      m.all_keywords = {"$Junk", "k0"};
    }
    file += mbox_text(m);
    all.push_back(m);
  }
  std::vector<MboxPlace> places;
  ASSERT_TRUE(find_mbox_messages(file, places));
  ASSERT_EQ(places.size(), all.size());
  for (size_t i = 0; i < all.size(); i++) {
    const auto back = parse_mbox_message(
        std::string_view(file).substr(places[i].offset, places[i].length), MboxQuoting::mboxrd);
    EXPECT_EQ(back.bytes, all[i].bytes) << i;
    EXPECT_EQ(back.flags, all[i].flags) << i;
    EXPECT_EQ(back.keywords, all[i].keywords) << i;
    EXPECT_EQ(back.date, all[i].date) << i;
    EXPECT_EQ(back.uid, all[i].uid) << i;
    EXPECT_EQ(back.uidvalidity, all[i].uidvalidity) << i;
  }
}

TEST(Mbox, Paths) {
  EXPECT_EQ(mbox_path("INBOX"), "INBOX");
  EXPECT_EQ(mbox_path("Work/2026"), "Work.sbd/2026");
  EXPECT_EQ(mbox_path(".a/b.sbd"), "\\2ea.sbd/b\\2esbd");
  EXPECT_EQ(mbox_path("R&D"), "R&D");
  EXPECT_EQ(level_of_file("&AOQ-b"), "äb");
  EXPECT_EQ(level_of_file("äb"), "äb");
  EXPECT_EQ(level_of_file("R&D"), "R&D");
  for (const char* name : {"&AOQ-b", "a&-b", "a\\2eb", "\\", "..", ".x.sbd", "INBOX.msf", "x.y",
                           "popstate.dat", "ä&AOQ-", "\\26AOQ-", ".&AOQ-.sbd", "100%", "\\5c"}) {
    EXPECT_EQ(level_of_file(mbox_path(name)), name) << mbox_path(name);
    EXPECT_FALSE(mbox_path(name).starts_with('.')) << name;
  }
}

TEST(RubyRims, Checksums) {
  EXPECT_EQ(*ruby_value("plain"), "plain");
  EXPECT_EQ(*ruby_value("md5 5d41402abc4b2a76b9719d911017c592\nhello"), "hello");
  EXPECT_FALSE(ruby_value("md5 5d41402abc4b2a76b9719d911017c592\nhellO"));
}

TEST(Names, ThoseThatCanNotBeAreMadePossible) {
  EXPECT_EQ(possible_name("inbox"), "INBOX");
  EXPECT_EQ(possible_name("Work/2026"), "Work/2026");
  EXPECT_EQ(possible_name("100%*"), "100%*");
  EXPECT_EQ(possible_name("/a//b/"), "_a/_b");
  EXPECT_EQ(possible_name("\xdcn\x01"), "Ün_");
  EXPECT_EQ(possible_name(""), "_");
}

}  // namespace
}  // namespace rims::cli
