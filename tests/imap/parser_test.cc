// tests/imap/parser_test.cc - command lines in, structs out; wrong ones: parser_errors_test.cc
//
// Mirrors common/imap/parser*.cc and cursor.cc. Where a struct is long to write, its printed form
// stands for it: the printer writes every member, and print-and-parse-again is tested for each row.

#include "common/imap/parser.h"

#include <gtest/gtest.h>

#include "common/imap/printer.h"
#include "tests/imap/support.h"

namespace rims::imap {
namespace {

template <class T>
T args(std::string_view line) {
  Result<Command> c = parse_line(line);
  if (!c) {
    ADD_FAILURE() << line << ": " << c.error().reply();
    return {};
  }
  EXPECT_TRUE(std::holds_alternative<T>(c->args)) << line;
  return std::holds_alternative<T>(c->args) ? std::get<T>(std::move(c->args)) : T{};
}

using Ranges = std::vector<SeqRange>;

TEST(Parser, CommandsWithoutArguments) {
  args<Capability>("a CAPABILITY");
  args<Noop>("a nOoP");
  args<Logout>("a LOGOUT");
  args<Starttls>("a STARTTLS");
  args<Namespace>("a NAMESPACE");
  args<Idle>("a IDLE");
  args<Check>("a CHECK");
  args<Close>("a CLOSE");
  args<Unselect>("a UNSELECT");
  args<Compress>("a COMPRESS deflate");
  EXPECT_EQ(args<Expunge>("a EXPUNGE").uids, std::nullopt);
}

TEST(Parser, TagsAreKeptAsWritten) {
  EXPECT_EQ(parse_line("A1.x]%no NOOP").error().reply(), "expected SP at column 6");
  EXPECT_EQ(parse_line("A1.x] NOOP")->tag, "A1.x]");
  EXPECT_EQ(parse_line(std::string(255, 't') + " NOOP")->tag.size(), 255U);
  EXPECT_EQ(parse_line(std::string(256, 't') + " NOOP").error().fault(), Fault::limit);
}

TEST(Parser, NamesOfCommands) {
  EXPECT_EQ(name(*parse_line("a NOOP")), "NOOP");
  EXPECT_EQ(name(*parse_line("a COPY 1 x")), "COPY");
  EXPECT_EQ(name(*parse_line("a UID COPY 1 x")), "UID COPY");
  EXPECT_EQ(name(*parse_line("a UID EXPUNGE 1")), "UID EXPUNGE");
  EXPECT_EQ(name(*parse_line("a STATUS x (UNSEEN)")), "STATUS");
}

TEST(Parser, LoginTakesEveryKindOfString) {
  const auto check = [](std::string_view line, std::string_view user, std::string_view password) {
    const Login login = args<Login>(line);
    EXPECT_EQ(login.user, user) << line;
    EXPECT_EQ(login.password.reveal(), password) << line;
  };
  check("a LOGIN foo bar", "foo", "bar");
  check("a login \"foo\" \"b\\\"a\\\\r\"", "foo", "b\"a\\r");
  check("a LOGIN {3}\r\nfoo {4}\r\nb\r\nr", "foo", "b\r\nr");
  check("a LOGIN {3+}\r\nfoo \"\"", "foo", "");
  check("a LOGIN foo]+&,$ \"p%w\xC3\xA9\"", "foo]+&,$", "p%w\xC3\xA9");
}

TEST(Parser, AuthenticateWithAndWithoutInitialResponse) {  // RFC 4959 §3
  EXPECT_EQ(args<Authenticate>("a AUTHENTICATE plain").mechanism, "PLAIN");
  EXPECT_FALSE(args<Authenticate>("a AUTHENTICATE CRAM-MD5").response);
  EXPECT_EQ(args<Authenticate>("a AUTHENTICATE PLAIN AGZvbwBiYXI=").response->reveal(),
            "AGZvbwBiYXI=");
  EXPECT_EQ(args<Authenticate>("a AUTHENTICATE EXTERNAL =").response->reveal(), "");
}

TEST(Parser, IdFieldsAndNil) {  // RFC 2971 §3.1
  EXPECT_TRUE(args<Id>("a ID NIL").fields.empty());
  EXPECT_TRUE(args<Id>("a ID ()").fields.empty());
  const auto fields = args<Id>("a ID (\"name\" \"mutt\" \"version\" NIL \"os\" {2}\r\nx\n)").fields;
  ASSERT_EQ(fields.size(), 3U);
  EXPECT_EQ(fields[0].first, "name");
  EXPECT_EQ(fields[0].second, "mutt");
  EXPECT_EQ(fields[1].second, std::nullopt);
  EXPECT_EQ(fields[2].second, "x\n");
}

TEST(Parser, MailboxNamesComeAsUtf8) {
  EXPECT_EQ(args<Select>("a SELECT inbox").mailbox, "INBOX");
  EXPECT_EQ(args<Select>("a SELECT InBoX/Sub").mailbox, "INBOX/Sub");
  EXPECT_EQ(args<Select>("a SELECT inboxes").mailbox, "inboxes");
  EXPECT_EQ(args<Examine>("a EXAMINE \"Entw&APw-rfe\"").mailbox, "Entw\xC3\xBCrfe");
  EXPECT_EQ(args<Delete>("a DELETE {3}\r\nR&-").mailbox, "R&");
  EXPECT_EQ(args<Subscribe>("a SUBSCRIBE \"a b\"").mailbox, "a b");
  EXPECT_EQ(args<Unsubscribe>("a UNSUBSCRIBE x").mailbox, "x");
  const Rename rename = args<Rename>("a RENAME Inbox \"old/&2D3cqQ-\"");
  EXPECT_EQ(rename.from, "INBOX");
  EXPECT_EQ(rename.to, "old/\xF0\x9F\x92\xA9");
}

TEST(Parser, CreateWithSpecialUse) {  // RFC 6154 §3; the trailing delimiter RFC 3501 §6.3.3
  EXPECT_EQ(args<Create>("a CREATE foo/bar/").mailbox, "foo/bar");
  EXPECT_EQ(args<Create>("a CREATE inbox//").mailbox, "INBOX");
  EXPECT_EQ(args<Create>("a CREATE foo").special_use, 0);
  EXPECT_EQ(args<Create>("a CREATE foo (USE (\\Drafts \\SENT))").special_use,
            static_cast<uint16_t>(SpecialUse::drafts) | static_cast<uint16_t>(SpecialUse::sent));
  EXPECT_EQ(args<Create>("a CREATE foo (use ())").special_use, 0);
  EXPECT_EQ(
      args<Create>("a CREATE foo (USE (\\important \\Snoozed))").special_use,  // RFC 8457, 9979
      static_cast<uint16_t>(SpecialUse::important) | static_cast<uint16_t>(SpecialUse::snoozed));
  EXPECT_EQ(args<Create>("a CREATE foo (USE (\\Invented))").special_use,
            static_cast<uint16_t>(SpecialUse::other));
}

TEST(Parser, ListBasicAndExtended) {  // RFC 5258 §6
  const List basic = args<List>("a LIST \"\" *");
  EXPECT_FALSE(basic.extended);
  EXPECT_EQ(basic.reference, "");
  EXPECT_EQ(basic.patterns, std::vector<std::string>{"*"});
  const List asked = args<List>(
      "a LIST (SUBSCRIBED recursivematch) \"\" (INBOX \"Sent%\" {1}\r\nx) RETURN (CHILDREN "
      "special-use)");
  EXPECT_TRUE(asked.extended);
  EXPECT_EQ(asked.select, List::subscribed | List::recursive_match);
  EXPECT_EQ(asked.patterns, (std::vector<std::string>{"INBOX", "Sent%", "x"}));
  EXPECT_EQ(asked.returns, List::return_children | List::return_special_use);
  const List status = args<List>(
      "a LIST \"\" % RETURN (subscribed status (unseen messages) CHILDREN STATUS (SIZE))");
  EXPECT_EQ(status.returns,
            List::return_subscribed | List::return_status | List::return_children);  // RFC 5819 §4
  EXPECT_EQ(status.status, StatusQuery::unseen | StatusQuery::messages | StatusQuery::size);
  EXPECT_TRUE(args<List>("a LIST () \"\" %").extended);
  EXPECT_TRUE(args<List>("a LIST \"\" % RETURN ()").extended);
  EXPECT_EQ(args<List>("a LIST \"\" Entw&APw-*").patterns[0], "Entw\xC3\xBC*");
  EXPECT_EQ(args<List>("a LIST \"\" \"R&D*\"").patterns[0], "R&D*");
  EXPECT_EQ(args<List>("a LIST ~/Mail/ %").reference, "~/Mail/");
  const Lsub lsub = args<Lsub>("a LSUB \"#news.\" \"comp.%\"");
  EXPECT_EQ(lsub.reference, "#news.");
  EXPECT_EQ(lsub.pattern, "comp.%");
  const Xlist xlist = args<Xlist>("a XLIST \"\" Entw&APw-*");
  EXPECT_EQ(xlist.reference, "");
  EXPECT_EQ(xlist.pattern, "Entw\xC3\xBC*");
}

TEST(Parser, NotifyGroups) {  // RFC 5465 §8
  EXPECT_TRUE(args<Notify>("a NOTIFY NONE").groups.empty());
  EXPECT_FALSE(args<Notify>("a NOTIFY SET (personal NONE)").status);
  const Notify all = args<Notify>(
      "a notify set status (Selected (messagenew (uid BODY.PEEK[HEADER.FIELDS (to)]) "
      "messageexpunge)) (subtree (inbox/x &AOk-) (MAILBOXNAME FutureEvent)) (mailboxes inbox "
      "none)");
  EXPECT_TRUE(all.status);
  ASSERT_EQ(all.groups.size(), 3U);
  EXPECT_EQ(all.groups[0].filter, Notify::Filter::selected);
  EXPECT_EQ(all.groups[0].events, Notify::message_new | Notify::message_expunge);
  EXPECT_EQ(all.groups[0].fetch.items, Fetch::uid);
  EXPECT_EQ(all.groups[0].fetch.sections.at(0).fields, std::vector<std::string>{"to"});
  EXPECT_EQ(all.groups[1].filter, Notify::Filter::subtree);
  EXPECT_EQ(all.groups[1].mailboxes, (std::vector<std::string>{"INBOX/x", "\xC3\xA9"}));
  EXPECT_EQ(all.groups[1].events, Notify::mailbox_name | Notify::other);
  EXPECT_EQ(all.groups[2].mailboxes, std::vector<std::string>{"INBOX"});
  EXPECT_EQ(all.groups[2].events, 0);
  // Whether there are such events is not for the grammar to say, so not what they go with, either.
  EXPECT_EQ(args<Notify>("a NOTIFY SET (selected (AnnotationChange X))").groups[0].events,
            Notify::annotation_change | Notify::other);
}

// RFC 8474 §7 is in SearchKeysOfEveryKind, too.
TEST(Parser, StatusItems) {
  const StatusQuery s = args<StatusQuery>("a STATUS blurdybloop (UIDNEXT MESSAGES)");
  EXPECT_EQ(s.mailbox, "blurdybloop");
  EXPECT_EQ(s.items, StatusQuery::uidnext | StatusQuery::messages);
  EXPECT_EQ(args<StatusQuery>("a STATUS x (size MailboxId)").items,
            StatusQuery::size | StatusQuery::mailbox_id);
  EXPECT_EQ(args<StatusQuery>("a STATUS x (messages recent uidnext uidvalidity unseen)").items, 31);
}

TEST(Parser, AppendTakesTheMessageByteForByte) {
  AppendMessage a = args<Append>("a APPEND saved {5}\r\nx\0\r\n\xFF"s).messages.at(0);
  EXPECT_EQ(a.bytes, "x\0\r\n\xFF"s);
  EXPECT_TRUE(a.flags.empty());
  EXPECT_FALSE(a.date);
  const Append full = args<Append>(
      "a APPEND {5}\r\nINBOX (\\Seen $Forwarded) \"17-Jul-1996 02:44:25 -0700\" {2+}\r\nhi");
  EXPECT_EQ(full.mailbox, "INBOX");
  ASSERT_EQ(full.messages.size(), 1U);
  a = full.messages[0];
  EXPECT_EQ(a.flags, (FlagList{.system = 1, .keywords = {"$Forwarded"}}));
  EXPECT_EQ(a.date, (DateTime{{1996, 7, 17}, 2, 44, 25, -420}));
  EXPECT_EQ(a.bytes, "hi");
  EXPECT_EQ(args<Append>("a APPEND x {0}\r\n").messages.at(0).bytes, "");
}

TEST(Parser, AppendTakesSeveralMessages) {  // RFC 3502 §6.3.11
  const auto messages = args<Append>(
                            "a APPEND x (\\Seen) {2}\r\nhi \" 7-Feb-1994 22:43:04 -0800\" "
                            "{2+}\r\nho () {0}\r\n  ")
                            .messages;
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0], (AppendMessage{.flags = {.system = 1}, .bytes = "hi"}));
  EXPECT_EQ(messages[1].date, (DateTime{{1994, 2, 7}, 22, 43, 4, -480}));
  EXPECT_TRUE(messages[1].flags.empty());
  EXPECT_EQ(messages[1].bytes, "ho");
  EXPECT_EQ(messages[2].bytes, "");
}

TEST(Parser, SequenceSetsKeepTheStar) {
  EXPECT_EQ(args<Copy>("a COPY 2:4,*,7:*,*:3,9 x").messages.ranges,
            (Ranges{{2, 4}, {kStar, kStar}, {7, kStar}, {kStar, 3}, {9, 9}}));
  EXPECT_EQ(args<Copy>("a COPY 4294967295:1 x").messages.ranges, (Ranges{{4294967295U, 1}}));
}

TEST(Parser, StoreKindsOfChange) {
  Store s = args<Store>("a STORE 1 FLAGS (\\Deleted Work)");
  EXPECT_EQ(s.how, Store::How::replace);
  EXPECT_FALSE(s.silent);
  EXPECT_EQ(s.flags,
            (FlagList{.system = static_cast<uint8_t>(SystemFlag::deleted), .keywords = {"Work"}}));
  s = args<Store>("a STORE 1 +flags.silent \\seen \\DRAFT NonJunk");
  EXPECT_EQ(s.how, Store::How::add);
  EXPECT_TRUE(s.silent);
  EXPECT_TRUE(s.flags.has(SystemFlag::draft));
  EXPECT_EQ(s.flags.keywords, std::vector<std::string>{"NonJunk"});
  s = args<Store>("a UID STORE 1:* -FLAGS ()");
  EXPECT_EQ(s.how, Store::How::remove);
  EXPECT_TRUE(s.flags.empty());
  EXPECT_TRUE(parse_line("a UID STORE 1:* -FLAGS ()")->by_uid);
  // No client can alter \Recent; one that gives it back is not punished.
  EXPECT_EQ(args<Store>("a STORE 1 FLAGS (\\Recent \\Seen)").flags.system, 1);
}

TEST(Parser, FetchMacrosAndItems) {
  constexpr auto fast = Fetch::flags | Fetch::internal_date | Fetch::rfc822_size;
  EXPECT_EQ(args<Fetch>("a FETCH 1 FAST").items, fast);
  EXPECT_EQ(args<Fetch>("a FETCH 1 all").items, fast | Fetch::envelope);
  EXPECT_EQ(args<Fetch>("a FETCH 1 FULL").items, fast | Fetch::envelope | Fetch::body);
  EXPECT_EQ(args<Fetch>("a FETCH 1 (UID BODYSTRUCTURE rfc822.size)").items,
            Fetch::uid | Fetch::body_structure | Fetch::rfc822_size);
  EXPECT_EQ(args<Fetch>("a FETCH 1 BODY").items, Fetch::body);
  const Fetch old = args<Fetch>("a FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT)");
  ASSERT_EQ(old.sections.size(), 3U);
  EXPECT_FALSE(old.sections[0].peek);
  EXPECT_TRUE(old.sections[1].peek);
  EXPECT_EQ(old.sections[1].text, FetchSection::Text::header);
  EXPECT_FALSE(old.sections[2].peek);
}

TEST(Parser, FetchSections) {
  const auto section = [](std::string_view item) {
    Fetch f = args<Fetch>("a FETCH 1 " + std::string(item));
    EXPECT_EQ(f.sections.size(), 1U);
    return f.sections.empty() ? FetchSection{} : f.sections[0];
  };
  using Text = FetchSection::Text;
  EXPECT_EQ(section("BODY[]"), FetchSection{});
  EXPECT_EQ(section("BODY.PEEK[TEXT]<0.2048>"),
            (FetchSection{.peek = true, .text = Text::text, .partial = Partial{0, 2048}}));
  EXPECT_EQ(section("body[1.2.3.mime]"), (FetchSection{.part = {1, 2, 3}, .text = Text::mime}));
  EXPECT_EQ(section("BODY[4.HEADER]"), (FetchSection{.part = {4}, .text = Text::header}));
  using Form = FetchSection::Form;
  EXPECT_EQ(section("binary[]"), (FetchSection{.form = Form::binary}));
  EXPECT_EQ(
      section("BINARY.PEEK[1.2]<5.6>"),
      (FetchSection{.form = Form::binary, .peek = true, .part = {1, 2}, .partial = Partial{5, 6}}));
  EXPECT_EQ(section("BINARY.SIZE[3]"),
            (FetchSection{.form = Form::binary_size, .peek = true, .part = {3}}));
  EXPECT_EQ(section("BODY[4294967295]"), (FetchSection{.part = {4294967295U}}));
  EXPECT_EQ(section("BODY[2.HEADER.FIELDS.NOT (To \"Cc\" {1}\r\nx)]<1.2>"),
            (FetchSection{.part = {2},
                          .text = Text::header_fields_not,
                          .fields = {"To", "Cc", "x"},
                          .partial = Partial{1, 2}}));
  EXPECT_EQ(section("BODY.PEEK[HEADER.FIELDS (DATE FROM)]").fields,
            (std::vector<std::string>{"DATE", "FROM"}));
}

TEST(Parser, SearchKeysOfEveryKind) {
  using Kind = SearchKey::Kind;
  const auto key = [](std::string_view text) {
    return args<Search>("a SEARCH " + std::string(text)).key;
  };
  EXPECT_EQ(key("ALL"), SearchKey{});
  EXPECT_EQ(key("UNDELETED"), (SearchKey{.kind = Kind::flag_clear, .flag = SystemFlag::deleted}));
  EXPECT_EQ(key("OLD"), (SearchKey{.kind = Kind::flag_clear, .flag = SystemFlag::recent}));
  EXPECT_EQ(key("NEW"),
            (SearchKey{.kind = Kind::both,
                       .keys = {{.kind = Kind::flag_set, .flag = SystemFlag::recent},
                                {.kind = Kind::flag_clear, .flag = SystemFlag::seen}}}));
  EXPECT_EQ(key("KEYWORD $Junk"), (SearchKey{.kind = Kind::keyword, .text = "$Junk"}));
  EXPECT_EQ(key("2:*"), (SearchKey{.kind = Kind::sequence, .set = {{{2, kStar}}}}));
  EXPECT_EQ(key("UID 1,3"), (SearchKey{.kind = Kind::uid, .set = {{{1, 1}, {3, 3}}}}));
  EXPECT_EQ(key("BEFORE 1-Feb-1994"), (SearchKey{.kind = Kind::before, .date = {1994, 2, 1}}));
  EXPECT_EQ(key("SENTSINCE \"29-feb-2024\""),
            (SearchKey{.kind = Kind::sent_since, .date = {2024, 2, 29}}));
  EXPECT_EQ(key("LARGER 4294967295"), (SearchKey{.kind = Kind::larger, .size = 4294967295U}));
  EXPECT_EQ(key("SAVEDON 1-Feb-1994"), (SearchKey{.kind = Kind::saved_on, .date = {1994, 2, 1}}));
  EXPECT_EQ(key("savedbefore \"1-Feb-1994\"").kind, Kind::saved_before);
  EXPECT_EQ(key("SAVEDSINCE 1-Feb-1994").kind, Kind::saved_since);
  EXPECT_EQ(key("SAVEDATESUPPORTED"), (SearchKey{.kind = Kind::save_date_supported}));
  EXPECT_EQ(key("EMAILID Mx_-1"), (SearchKey{.kind = Kind::email_id, .text = "Mx_-1"}));
  EXPECT_EQ(key("THREADID t"), (SearchKey{.kind = Kind::thread_id, .text = "t"}));
  EXPECT_EQ(key("EMAILID " + std::string(255, 'x')).text.size(), 255U);
  EXPECT_EQ(key("OLDER 1"), (SearchKey{.kind = Kind::older, .size = 1}));
  EXPECT_EQ(key("younger 4294967295"), (SearchKey{.kind = Kind::younger, .size = 4294967295U}));
  EXPECT_EQ(key("$"), (SearchKey{.kind = Kind::sequence, .set = {.saved = true}}));
  EXPECT_EQ(key("UID $"), (SearchKey{.kind = Kind::uid, .set = {.saved = true}}));
  EXPECT_EQ(key("FROM \"Smith\""),
            (SearchKey{.kind = Kind::header, .field = "from", .text = "Smith"}));
  EXPECT_EQ(key("HEADER Message-ID {4}\r\n<\xC3\xA9>"),
            (SearchKey{.kind = Kind::header, .field = "message-id", .text = "<\xC3\xA9>"}));
  EXPECT_EQ(key("HEADER X-Y \"\"").text, "");
  EXPECT_EQ(key("TEXT \"a b\""), (SearchKey{.kind = Kind::text, .text = "a b"}));
  const SearchKey tree = key("OR (SEEN BODY x) NOT FLAGGED 1:5");
  EXPECT_EQ(tree.kind, Kind::both);
  ASSERT_EQ(tree.keys.size(), 2U);
  EXPECT_EQ(tree.keys[0].kind, Kind::either);
  EXPECT_EQ(tree.keys[0].keys[0].kind, Kind::both);
  EXPECT_EQ(tree.keys[0].keys[1].kind, Kind::negation);
  EXPECT_EQ(tree.keys[1].kind, Kind::sequence);
  EXPECT_EQ(key("((((SEEN))))"), key("SEEN"));
  // However a chain of ORs is nested, it is one list.
  const SearchKey chain = key("OR SEEN OR DRAFT OR DELETED NOT FLAGGED");
  EXPECT_EQ(chain.kind, Kind::either);
  EXPECT_EQ(chain.keys.size(), 4U);
  EXPECT_EQ(key("OR OR OR SEEN DRAFT DELETED NOT FLAGGED"), chain);
  EXPECT_EQ(key("OR (OR (SEEN) DRAFT) (OR DELETED (NOT (FLAGGED)))"), chain);
  EXPECT_EQ(key("NOT OR SEEN DRAFT").keys.front().kind, Kind::either);
  EXPECT_EQ(key("OR NOT OR SEEN DRAFT DELETED").keys.size(), 2U);
  EXPECT_EQ(args<Search>("a SEARCH CHARSET utf-8 SUBJECT x").charset, "utf-8");
  EXPECT_EQ(args<Search>("a SEARCH CHARSET \"x-y\" ALL").charset, "x-y");
  EXPECT_TRUE(parse_line("a uid search uid 1")->by_uid);
}

TEST(Parser, SearchReturnOptions) {  // RFC 4731 §3.1, RFC 5182 §2
  const auto returns = [](std::string_view options) {
    return args<Search>("a SEARCH " + std::string(options) + " ALL").returns;
  };
  EXPECT_EQ(args<Search>("a SEARCH ALL").returns, 0);
  EXPECT_EQ(returns("RETURN ()"), Search::all);
  EXPECT_EQ(returns("return (min MAX Count all save)"),
            Search::min | Search::max | Search::count | Search::all | Search::save);
  EXPECT_EQ(returns("RETURN  ( SAVE  SAVE )"), Search::save);
  EXPECT_EQ(args<Search>("a SEARCH RETURN (COUNT) CHARSET utf-8 TEXT x").charset, "utf-8");
}

TEST(Parser, APageHasAsManyMessagesFromEitherSide) {  // RFC 9394 §4
  const auto page = [](std::string_view range) {
    return args<Search>("a SEARCH RETURN (PARTIAL " + std::string(range) + ") ALL").page;
  };
  EXPECT_EQ(page("1:100").skips(), 0U);
  EXPECT_EQ(page("1:100").size(), 100U);
  EXPECT_EQ(page("400:301").skips(), 300U);
  EXPECT_EQ(page("400:301").size(), 100U);
  EXPECT_EQ(page("-5:-5"), (Page{.first = 5, .last = 5, .from_end = true}));
  EXPECT_EQ(page("1:4294967295").size(), UINT32_MAX);
}

TEST(Parser, KnowsASearchThatSavesByItsBeginning) {  // RFC 5182 §2.1
  for (const char* text : {"a SEARCH RETURN (SAVE)", "a uid  search  return ( min save ) (((",
                           "a SEARCH RETURN (SAVE) X", "a SEARCH RETURN (PARTIAL -1:-2 SAVE) X"})
    EXPECT_TRUE(saves_result(text)) << text;
  for (const char* text : {"", "a", "a SEARCH", "a SEARCH RETURN (", "a SEARCH RETURN (SAVE",
                           "a SEARCH RETURN (MIN) SAVE", "a SEARCH SAVE", "a FETCH RETURN (SAVE)",
                           "a SEARCHES RETURN (SAVE)", "a SEARCH RETURN (SAVE FOO) ALL"})
    EXPECT_FALSE(saves_result(text)) << text;
}

TEST(Parser, TheSavedResultStandsForASet) {  // RFC 5182 §3
  EXPECT_TRUE(args<Fetch>("a FETCH $ FLAGS").messages.saved);
  EXPECT_TRUE(args<Store>("a UID STORE $ FLAGS ()").messages.saved);
  EXPECT_TRUE(args<Copy>("a COPY $ x").messages.saved);
  EXPECT_TRUE(args<Expunge>("a UID EXPUNGE $").uids->saved);
  EXPECT_FALSE(args<Copy>("a COPY 1 x").messages.saved);
}

// One spelling in, the canonical one out; each parses back to itself.
TEST(Parser, CanonicalForms) {
  const struct {
    std::string_view in, out;
  } rows[] = {
      {"a noop  ", "a NOOP"},
      {"a  select   inbox ", "a SELECT \"INBOX\""},
      {"a LOGIN x {1}\r\n\xE9", "a LOGIN \"x\" {1+}\r\n\xE9"},
      {"a FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Date)]<0.10> UID)",
       "a FETCH 1:* (FLAGS UID BODY.PEEK[HEADER.FIELDS (\"Date\")]<0.10>)"},
      {"a FETCH 1 FAST", "a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE)"},
      {"a FETCH 1 BODY[1.TEXT]", "a FETCH 1 (BODY[1.TEXT])"},
      {"a FETCH 1 ( FLAGS  UID )", "a FETCH 1 (FLAGS UID)"},
      {"a UID FETCH 5 RFC822", "a UID FETCH 5 (RFC822)"},
      {"a UID EXPUNGE 3:4", "a UID EXPUNGE 3:4"},
      {"a STORE 1 FLAGS \\Seen x", "a STORE 1 FLAGS (\\Seen x)"},
      {"a STORE 1 -FLAGS.SILENT ()", "a STORE 1 -FLAGS.SILENT ()"},
      {"a SEARCH CC x NOT NEW", "a SEARCH HEADER \"cc\" \"x\" NOT (RECENT UNSEEN)"},
      {"a SEARCH OR 1 (2 3) OLD", "a SEARCH OR 1 (2 3) OLD"},
      {"a SEARCH CHARSET utf-8 UNKEYWORD q ON 1-Jan-2000 SMALLER 1",
       "a SEARCH CHARSET \"utf-8\" UNKEYWORD q ON 1-Jan-2000 SMALLER 1"},
      {"a SEARCH return ( max  SAVE MIN ) older 5 YOUNGER 6",
       "a SEARCH RETURN (MIN MAX SAVE) OLDER 5 YOUNGER 6"},
      {"a SEARCH return (partial 500:400 count) ALL",
       "a SEARCH RETURN (COUNT PARTIAL 500:400) ALL"},
      {"a uid sort return (PARTIAL -1:-100) (size) x ALL",
       "a UID SORT RETURN (PARTIAL -1:-100) (SIZE) \"x\" ALL"},
      {"a UID FETCH 1:* (UID) (partial -3:-1 changedsince 5)",
       "a UID FETCH 1:* (UID) (CHANGEDSINCE 5 PARTIAL -3:-1)"},
      {"a UID FETCH 1 FLAGS (PARTIAL 1:4294967295)",
       "a UID FETCH 1 (FLAGS) (PARTIAL 1:4294967295)"},
      // RFC 8508 §5, RFC 10022 §4, RFC 9738 §3.2
      {"a uid replace * inbox (\\Draft) {2}\r\nhi",
       "a UID REPLACE * \"INBOX\" (\\Draft) {2+}\r\nhi"},
      {"a REPLACE 4 {1}\r\nx \"17-Jul-1996 02:44:25 -0700\" UTF8 (~{2}\r\nhi)",
       "a REPLACE 4 \"x\" () \"17-Jul-1996 02:44:25 -0700\" ~{2+}\r\nhi"},
      {"a uidbatches 500 ", "a UIDBATCHES 500"},
      {"a UIDBATCHES 4294967295 3:2", "a UIDBATCHES 4294967295 3:2"},
      {"a SEARCH uidafter 5 NOT UIDBEFORE 4294967295",
       "a SEARCH UIDAFTER 5 NOT UIDBEFORE 4294967295"},
      {"a FETCH 1 (threadid UID emailid savedate)", "a FETCH 1 (UID SAVEDATE EMAILID THREADID)"},
      {"a SEARCH savedon 1-Jan-2000 SAVEDATESUPPORTED emailid M1 THREADID t_-",
       "a SEARCH SAVEDON 1-Jan-2000 SAVEDATESUPPORTED EMAILID M1 THREADID t_-"},
      {"a SEARCH SAVEDBEFORE 1-Jan-2000 SAVEDSINCE 1-Jan-2000",
       "a SEARCH SAVEDBEFORE 1-Jan-2000 SAVEDSINCE 1-Jan-2000"},
      {"a STATUS x (mailboxid SIZE UNSEEN)", "a STATUS \"x\" (UNSEEN SIZE MAILBOXID)"},
      {"a UID SEARCH RETURN () $ uid $", "a UID SEARCH RETURN (ALL) $ UID $"},
      {"a sort ( date  REVERSE size date reverse DATE) utf-8 seen 1:2",
       "a SORT (DATE REVERSE SIZE) \"utf-8\" SEEN 1:2"},
      {"a UID SORT return (count min) (arrival cc from subject to displayfrom displayto) \"\" ALL",
       "a UID SORT RETURN (MIN COUNT) (ARRIVAL CC FROM SUBJECT TO DISPLAYFROM DISPLAYTO) \"\" ALL"},
      {"a thread references us-ascii all", "a THREAD REFERENCES \"us-ascii\" ALL"},
      {"a UID THREAD orderedSubject x NOT 1", "a UID THREAD ORDEREDSUBJECT \"x\" NOT 1"},
      {"a THREAD Refs x ALL", "a THREAD REFS \"x\" ALL"},
      {"a STORE $ FLAGS ()", "a STORE $ FLAGS ()"},
      {"a LIST () \"\" (a b) RETURN ()", "a LIST () \"\" (\"a\" \"b\")"},
      {"a LIST (SPECIAL-USE) \"\" *", "a LIST (SPECIAL-USE) \"\" \"*\""},
      {"a LIST \"\" * RETURN (STATUS (unseen) children)",
       "a LIST () \"\" \"*\" RETURN (CHILDREN STATUS (UNSEEN))"},
      {"a CREATE x (USE (\\Foo \\Junk))", "a CREATE \"x\" (USE (\\Junk \\Other))"},
      {"a APPEND x {1}\r\ny (k) {1+}\r\nz", "a APPEND \"x\" () {1+}\r\ny (k) {1+}\r\nz"},
      {"a LSUB \"\" %", "a LSUB \"\" \"%\""},
      {"a xlist x %", "a XLIST \"x\" \"%\""},
      {"a NOTIFY none", "a NOTIFY NONE"},
      {"a NOTIFY SET ( personal  ( SubscriptionChange mailboxname ) ) ",
       "a NOTIFY SET (personal (MailboxName SubscriptionChange))"},
      {"a NOTIFY SET STATUS (selected-delayed (FlagChange MessageExpunge MessageNew  (PREVIEW "
       "(LAZY) "
       "BODY[])))",
       "a NOTIFY SET STATUS (selected-delayed (MessageNew (PREVIEW (LAZY) BODY[]) MessageExpunge "
       "FlagChange))"},
      {"a NOTIFY SET (inboxes NONE) (subtree {1+}\r\nx (ServerMetadataChange "
       "MailboxMetadataChange)) "
       "(mailboxes (a b) (AnnotationChange y z)) (subscribed NONE)",
       "a NOTIFY SET (inboxes NONE) (subtree (\"x\") (MailboxMetadataChange ServerMetadataChange)) "
       "(mailboxes (\"a\" \"b\") (AnnotationChange Other)) (subscribed NONE)"},
      {"a CREATE x (USE (\\Junk))", "a CREATE \"x\" (USE (\\Junk))"},
      {"a RENAME &AOk- x", "a RENAME \"&AOk-\" \"x\""},
      {"a STATUS x ( UNSEEN )", "a STATUS \"x\" (UNSEEN)"},
      {"a ID (\"a\" NIL)", "a ID (\"a\" NIL)"},
      {"a ID NIL", "a ID ()"},
      {"a ENABLE condstore UTF8=ACCEPT ", "a ENABLE CONDSTORE UTF8=ACCEPT"},
      {"a APPEND x UTF8 (~{1+}\r\ny)", "a APPEND \"x\" () ~{1+}\r\ny"},
      {"a GETQUOTA \"\"", "a GETQUOTA \"\""},
      {"a getquotaroot inbox", "a GETQUOTAROOT \"INBOX\""},
      {"a SETQUOTA {1+}\r\nx (storage 9223372036854775807 X-Y 0)",
       "a SETQUOTA \"x\" (STORAGE 9223372036854775807 X-Y 0)"},
      {"a SETQUOTA x ( )", "a SETQUOTA \"x\" ()"},
      {"a GETMETADATA \"\" /shared/comment", "a GETMETADATA (DEPTH 0) \"\" (\"/shared/comment\")"},
      {"a getmetadata ( depth INFINITY maxsize 10 ) inbox (/Private {7+}\r\n/shared)",
       "a GETMETADATA (DEPTH infinity MAXSIZE 10) \"INBOX\" (\"/Private\" \"/shared\")"},
      // As examples of the RFC have it.
      {"a GETMETADATA INBOX (DEPTH 1) (/private/a)",
       "a GETMETADATA (DEPTH 1) \"INBOX\" (\"/private/a\")"},
      {"a GETMETADATA \"INBOX\" /private/a /shared/a ",
       "a GETMETADATA (DEPTH 0) \"INBOX\" (\"/private/a\" \"/shared/a\")"},
      {"a SETMETADATA \"\" (/private/a NIL /private/b \"NIL\")",
       "a SETMETADATA \"\" (\"/private/a\" NIL \"/private/b\" \"NIL\")"},
      {"a SETMETADATA x (/Private/vendor/v/x {2}\r\n\r\n)",
       "a SETMETADATA \"x\" (\"/Private/vendor/v/x\" {2+}\r\n\r\n)"},
      {"a SETMETADATA x (/private/vendors \"\" \"/private/\x1f\" ~{2+}\r\n\x80y)",
       "a SETMETADATA \"x\" (\"/private/vendors\" \"\" \"/private/\x1f\" {2+}\r\n\x80y)"},
      {"a LIST \"\" * RETURN (METADATA (/private/a /shared/b) CHILDREN STATUS (UNSEEN))",
       "a LIST () \"\" \"*\" RETURN (CHILDREN STATUS (UNSEEN) METADATA (\"/private/a\" "
       "\"/shared/b\"))"},
      {"a LIST \"\" * RETURN (METADATA /private/a)",
       "a LIST () \"\" \"*\" RETURN (METADATA (\"/private/a\"))"},
      {"a AUTHENTICATE plain =", "a AUTHENTICATE PLAIN ="},
      {"a AUTHENTICATE PLAIN eA==", "a AUTHENTICATE PLAIN eA=="},
      {"a APPEND x \" 7-Jul-1996 02:44:25 +0000\" {1}\r\ny",
       "a APPEND \"x\" () \" 7-Jul-1996 02:44:25 +0000\" {1+}\r\ny"},
      {"a COPY *:1 \"a\\\"b\"", "a COPY *:1 \"a\\\"b\""},
      {"a move 1,3 x", "a MOVE 1,3 \"x\""},
      {"a uid move 1:* x", "a UID MOVE 1:* \"x\""},
      {"a SELECT x ( condstore )", "a SELECT \"x\" (CONDSTORE)"},
      {"a EXAMINE x (QRESYNC (7 9223372036854775807))",
       "a EXAMINE \"x\" (QRESYNC (7 9223372036854775807))"},
      {"a SELECT x (qresync (7 8 3:1,9 (1,3:4 5:7)) CONDSTORE)",
       "a SELECT \"x\" (CONDSTORE QRESYNC (7 8 3:1,9 (1,3:4 5:7)))"},
      {"a SELECT x (QRESYNC (7 8 (1 5) ))", "a SELECT \"x\" (QRESYNC (7 8 (1 5)))"},
      {"a STATUS x (highestmodseq)", "a STATUS \"x\" (HIGHESTMODSEQ)"},
      {"a FETCH 1 MODSEQ", "a FETCH 1 (MODSEQ)"},
      {"a FETCH 1 ALL (CHANGEDSINCE 0)",
       "a FETCH 1 (FLAGS INTERNALDATE RFC822.SIZE ENVELOPE) (CHANGEDSINCE 0)"},
      {"a UID FETCH 1:* (FLAGS)  (vanished changedsince 5)",
       "a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 5 VANISHED)"},
      {"a STORE 1 ( unchangedsince 0 ) +FLAGS x", "a STORE 1 (UNCHANGEDSINCE 0) +FLAGS (x)"},
      {"a SEARCH MODSEQ 0", "a SEARCH MODSEQ 0"},
      {"a SEARCH MODSEQ \"/flags/\\\\Draft\" ALL 620162338 SEEN",
       "a SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338 SEEN"},
      {"a SEARCH NOT MODSEQ \"/flags/$MDNSent\" priv 1",
       "a SEARCH NOT MODSEQ \"/flags/$mdnsent\" priv 1"},
  };
  for (const auto& row : rows) {
    Result<Command> c = parse_line(row.in);
    ASSERT_TRUE(c) << row.in << ": " << c.error().reply();
    EXPECT_EQ(print(*c), std::string(row.out) + "\r\n");
    Result<Command> again = parse_line(row.out);
    ASSERT_TRUE(again) << row.out << ": " << again.error().reply();
    EXPECT_EQ(*again, *c) << row.in;
  }
}

}  // namespace
}  // namespace rims::imap
