// tests/imap/parser_test.cc - command lines in, structs out; every way to be wrong, with its column
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
            static_cast<uint8_t>(SpecialUse::drafts) | static_cast<uint8_t>(SpecialUse::sent));
  EXPECT_EQ(args<Create>("a CREATE foo (use ())").special_use, 0);
  EXPECT_EQ(args<Create>("a CREATE foo (USE (\\Important))").special_use,
            static_cast<uint8_t>(SpecialUse::other));
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

TEST(Parser, NamesACommandThatThereIsNot) {
  const std::string longest(32, 'x');
  const struct {
    std::string line, name;
  } rows[] = {
      {"a FOO", "FOO"},
      {"a Noops", "Noops"},
      {"a FOO (((", "FOO"},
      {"a FOO(((", "FOO"},
      {"a FOO\"x", "FOO"},
      {"a FOO\r\x01", "FOO"},
      {"a FOO {3}\r\nabc y", "FOO"},
      {"a FOO \"\xe4", "FOO"},
      {"a \xc3\xa4\xffX \xff", "???X"},
      {"a UID FOO 1", "UID FOO"},
      {"a uid  foo", "UID foo"},
      {"a UID NOOP", "UID NOOP"},
      {"a UID UID FETCH 1 FLAGS", "UID UID"},
      {"a " + longest, longest},
      {"a UID " + longest + "y (", "UID " + longest + "..."},
  };
  for (const auto& row : rows) {
    for (const bool before_login : {false, true}) {
      const Result<Command> c = parse_line(row.line, {.before_login = before_login});
      ASSERT_FALSE(c) << row.line;
      EXPECT_EQ(c.error().fault(), Fault::syntax) << row.line;
      EXPECT_EQ(c.error().reply(), "unknown command " + row.name) << row.line;
      EXPECT_TRUE(c.error().detail().starts_with("unknown command at column ")) << row.line;
    }
  }
  EXPECT_EQ(unknown_command("a FOO {"), "unknown command FOO");
  EXPECT_EQ(unknown_command("a " + longest), "unknown command " + longest);
  for (const char* beginning :
       {"", "a", "a ", "a NO", "a NOOP", "a NOOP (", "a UID", "a UID FETC", "a ((", "("})
    EXPECT_EQ(unknown_command(beginning), "") << beginning;
}

TEST(Parser, SaysWhatWasExpectedAndWhere) {
  const struct {
    std::string_view line, error;
  } rows[] = {
      {"", "tag at column 1"},
      {"+ NOOP", "tag at column 1"},
      {" a NOOP", "tag at column 1"},
      {"a", "SP at column 2"},
      {"a ", "command at column 3"},
      {"a (((", "command at column 3"},
      {"a \x01", "command at column 3"},
      {"a NOOP x", "end of command at column 7"},
      {"a NOOP\r", "end of command at column 7"},
      {"a UID", "SP at column 6"},
      {"a UID ", "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD at column 7"},
      {"a UID (", "COPY, EXPUNGE, FETCH, MOVE, REPLACE, SEARCH, SORT, STORE or THREAD at column 7"},
      {"a LOGIN", "SP at column 8"},
      {"a LOGIN ", "astring at column 9"},
      {"a LOGIN foo", "SP at column 12"},
      {"a LOGIN foo (", "astring at column 13"},
      {"a LOGIN foo p%w", "end of command at column 14"},
      {"a LOGIN foo \"bar", "closing quote at column 17"},
      {"a LOGIN foo \"b\0r\""sv, "closing quote at column 15"},
      {"a LOGIN foo \"b\\r\"", "\"\\\" or quote after \"\\\" at column 16"},
      {"a LOGIN foo {3}", "literal at column 13"},
      {"a LOGIN foo {}\r\n", "literal at column 13"},
      {"a LOGIN foo \xE9", "astring at column 13"},
      {"a LOGIN {1}\r\n\0 x"sv, "literal without NUL at column 9"},
      {"a AUTHENTICATE", "SP at column 15"},
      {"a AUTHENTICATE {5}\r\nPLAIN", "mechanism at column 16"},
      {"a AUTHENTICATE PLAIN {4}\r\nAAAA", "base64 or \"=\" at column 22"},
      {"a AUTHENTICATE PLAIN A B", "end of command at column 23"},
      {"a ID", "SP at column 5"},
      {"a ID x", "\"(\" or NIL at column 6"},
      {"a ID (x", "string at column 7"},
      {"a ID (\"x\")", "SP at column 10"},
      {"a ID (\"x\" y)", "string or NIL at column 11"},
      {"a ID (\"x\" NIL", "SP or \")\" at column 14"},
      {"a APPEND x UTF8", "SP at column 16"},
      {"a APPEND x UTF8 {1+}\r\ny", "\"(\" at column 17"},
      {"a APPEND x UTF8 (~", "literal at column 19"},
      {"a GETMETADATA", "SP at column 14"},
      {"a GETMETADATA INBOX", "SP at column 20"},
      {"a GETMETADATA INBOX ()", "entry at column 22"},
      {"a GETMETADATA INBOX (/private/a", "SP or \")\" at column 32"},
      {"a GETMETADATA INBOX (/private/a) x", "end of command at column 33"},
      {"a GETMETADATA INBOX /private/a x",
       "entry that begins with /private or /shared at column 32"},
      {"a GETMETADATA () INBOX /private/a", "MAXSIZE or DEPTH at column 16"},
      {"a GETMETADATA (FOO 1) INBOX /private/a", "MAXSIZE or DEPTH at column 16"},
      {"a GETMETADATA (MAXSIZE) INBOX /private/a", "SP at column 23"},
      {"a GETMETADATA (MAXSIZE x) INBOX /private/a", "number at column 24"},
      {"a GETMETADATA (DEPTH 2) INBOX /private/a", "0, 1 or infinity at column 22"},
      {"a GETMETADATA (DEPTH 1 INBOX /private/a", "MAXSIZE or DEPTH at column 24"},
      {"a GETMETADATA (DEPTH 1) INBOX (DEPTH 1) /private/a",
       "entry that begins with /private or /shared at column 32"},
      {"a GETMETADATA INBOX /comment", "entry that begins with /private or /shared at column 21"},
      {"a GETMETADATA INBOX /privates", "entry that begins with /private or /shared at column 21"},
      {"a GETMETADATA INBOX /private/", "entry without empty components at column 21"},
      {"a GETMETADATA INBOX /private//a", "entry without empty components at column 21"},
      {"a GETMETADATA INBOX \"/private/a*\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/a%\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/\x19\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a GETMETADATA INBOX \"/private/\xc3\xa9\"",
       "entry without \"*\", \"%\", control or 8-bit characters at column 21"},
      {"a SETMETADATA INBOX", "SP at column 20"},
      {"a SETMETADATA INBOX /private/a NIL", "\"(\" at column 21"},
      {"a SETMETADATA INBOX ()", "entry at column 22"},
      {"a SETMETADATA INBOX (/private/a)", "SP at column 32"},
      {"a SETMETADATA INBOX (/private/a b)", "string or NIL at column 33"},
      {"a SETMETADATA INBOX (/private/a ~\"b\")", "literal at column 34"},
      {"a SETMETADATA INBOX (/private/a NIL", "SP or \")\" at column 36"},
      {"a SETMETADATA INBOX (/private/a NIL) x", "end of command at column 37"},
      {"a SETMETADATA INBOX (/private NIL)", "entry below /private or /shared at column 22"},
      {"a SETMETADATA INBOX (/shared/vendor NIL)", "entry below the name of a vendor at column 22"},
      {"a SETMETADATA INBOX (/shared/vendor/x NIL)",
       "entry below the name of a vendor at column 22"},
      {"a LIST \"\" * RETURN (METADATA)", "SP at column 29"},
      {"a LIST \"\" * RETURN (METADATA ())", "entry at column 31"},
      {"a LIST \"\" * RETURN (METADATA (/x))",
       "entry that begins with /private or /shared at column 31"},
      {"a GETQUOTA", "SP at column 11"},
      {"a GETQUOTA (", "astring at column 12"},
      {"a GETQUOTAROOT", "SP at column 15"},
      {"a SETQUOTA x", "SP at column 13"},
      {"a SETQUOTA x STORAGE", "\"(\" at column 14"},
      {"a SETQUOTA x (1)", "SP at column 16"},
      {"a SETQUOTA x (STORAGE x)", "number at column 23"},
      {"a SETQUOTA x (STORAGE 1", "SP or \")\" at column 24"},
      {"a ENABLE", "SP at column 9"},
      {"a ENABLE (", "capability at column 10"},
      {"a SELECT (x)", "mailbox name at column 10"},
      {"a SELECT a%", "end of command at column 11"},
      {"a SELECT a CONDSTORE", "end of command at column 11"},
      {"a SELECT a(CONDSTORE)", "end of command at column 11"},
      {"a SELECT a ()", "CONDSTORE or QRESYNC, each once at column 13"},
      {"a SELECT a (CONDSTORE CONDSTORE)", "CONDSTORE or QRESYNC, each once at column 23"},
      {"a SELECT a (CONDSTORE", "SP or \")\" at column 22"},
      {"a SELECT a (CONDSTORE) x", "end of command at column 23"},
      {"a EXAMINE a (QRESYNC)", "SP at column 21"},
      {"a SELECT a (QRESYNC 1)", "\"(\" at column 21"},
      {"a SELECT a (QRESYNC ())", "non-zero number at column 22"},
      {"a SELECT a (QRESYNC (0 1))", "non-zero number at column 22"},
      {"a SELECT a (QRESYNC (1))", "SP at column 23"},
      {"a SELECT a (QRESYNC (1 0))", "non-zero number at column 24"},
      {"a SELECT a (QRESYNC (1 9223372036854775808))", "63-bit number at column 24"},
      {"a SELECT a (QRESYNC (1 2 *))", "set without \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 $))", "number or \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 3:*))", "set without \"*\" at column 26"},
      {"a SELECT a (QRESYNC (1 2 3 4))", "\"(\" at column 28"},
      {"a SELECT a (QRESYNC (1 2 3 (4)))", "SP at column 30"},
      {"a SELECT a (QRESYNC (1 2 3 (4 *)))", "set without \"*\" at column 31"},
      {"a SELECT a (QRESYNC (1 2 3 (5,4 6:7)))", "ascending set at column 29"},
      {"a SELECT a (QRESYNC (1 2 (2:1 6:7)))", "ascending set at column 27"},
      {"a SELECT a (QRESYNC (1 2 (1,2 6:8)))", "as many UIDs as message numbers at column 31"},
      {"a SELECT a (QRESYNC (1 2 (1 6) 3))", "\")\" at column 32"},
      {"a SELECT a (QRESYNC (1 2)", "SP or \")\" at column 26"},
      {"a CREATE x y", "\"(\" at column 12"},
      {"a CREATE x (FOO", "USE at column 13"},
      {"a CREATE x (USE \\Sent)", "\"(\" at column 17"},
      {"a CREATE x (USE (Sent))", "special-use attribute at column 18"},
      {"a CREATE x (USE (\\Sent)", "\")\" at column 24"},
      {"a RENAME x", "SP at column 11"},
      {"a LIST", "SP at column 7"},
      {"a LIST (FOO) \"\" *", "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE at column 9"},
      {"a LIST (RECURSIVEMATCH) \"\" *",
       "another selection option beside RECURSIVEMATCH at column 8"},
      {"a LIST (RECURSIVEMATCH REMOTE) \"\" *",
       "another selection option beside RECURSIVEMATCH at column 8"},
      {"a LIST \"\"", "SP at column 10"},
      {"a LIST \"\" (", "list-mailbox at column 12"},
      {"a LIST \"\" * FOO", "RETURN at column 13"},
      {"a LIST \"\" * RETURN (FOO)",
       "SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS or METADATA at column 21"},
      {"a LIST \"\" * RETURN (STATUS)", "SP at column 27"},
      {"a LIST \"\" * RETURN (STATUS UNSEEN)", "\"(\" at column 28"},
      {"a LIST \"\" * RETURN (STATUS ())", "status item at column 29"},
      {"a LIST (STATUS (UNSEEN)) \"\" *",
       "SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE at column 9"},
      {"a CREATE x (USE (\\))", "special-use attribute at column 18"},
      {"a STATUS x", "SP at column 11"},
      {"a STATUS x UNSEEN", "\"(\" at column 12"},
      {"a STATUS x ()", "status item at column 13"},
      {"a STATUS x (UNSEEN", "SP or \")\" at column 19"},
      {"a APPEND x", "SP at column 11"},
      {"a APPEND x \"hi\"", "date-time (\"17-Jul-1996 02:44:25 -0700\") at column 12"},
      {"a APPEND x hi", "literal at column 12"},
      {"a APPEND x (\\Foo) {1}\r\nx",
       "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 13"},
      {"a APPEND x (\\Seen) \"31-Feb-1996 02:44:25 -0700\" {1}\r\nx",
       "date-time (\"17-Jul-1996 02:44:25 -0700\") at column 20"},
      {"a APPEND x {1}\r\ny z", "literal at column 18"},
      {"a APPEND x {1}\r\ny(\\Seen) {1}\r\nz", "SP at column 17"},
      {"a APPEND x {1}\r\ny (\\Seen)", "SP at column 25"},
      {"a APPEND x {1}\r\ny (\\Foo) {1}\r\nz",
       "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 19"},
      {"a STORE", "SP at column 8"},
      {"a STORE ", "number, \"*\" or \"$\" at column 9"},
      {"a STORE x FLAGS ()", "number, \"*\" or \"$\" at column 9"},
      {"a STORE $,1 FLAGS ()", "SP at column 10"},
      {"a STORE 1,$ FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1:$ FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 0 FLAGS ()", "non-zero number at column 9"},
      {"a STORE 4294967296 FLAGS ()", "32-bit number at column 9"},
      {"a STORE 1: FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1,, FLAGS ()", "number or \"*\" at column 11"},
      {"a STORE 1:2:3 FLAGS ()", "SP at column 12"},
      {"a STORE 1 FLAG ()", "FLAGS at column 11"},
      {"a STORE 1 (CHANGEDSINCE 1) FLAGS ()", "UNCHANGEDSINCE at column 12"},
      {"a STORE 1 (UNCHANGEDSINCE) FLAGS ()", "SP at column 26"},
      {"a STORE 1 (UNCHANGEDSINCE x) FLAGS ()", "number at column 27"},
      {"a STORE 1 (UNCHANGEDSINCE 1 2) FLAGS ()", "\")\" at column 29"},
      {"a STORE 1 (UNCHANGEDSINCE 1)FLAGS ()", "SP at column 29"},
      {"a STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()", "63-bit number at column 27"},
      {"a STORE 1 FLAGS", "SP at column 16"},
      {"a STORE 1 FLAGS ", "flag at column 17"},
      {"a STORE 1 FLAGS.LOUD ()", "SP at column 16"},
      {"a STORE 1 FLAGS (\\Seen", "SP or \")\" at column 23"},
      {"a STORE 1 FLAGS (\\Seen))", "end of command at column 24"},
      {"a STORE 1 FLAGS (\\Seen\\Draft)", "SP or \")\" at column 23"},
      {"a STORE 1 FLAGS \\", "\\Answered, \\Flagged, \\Deleted, \\Seen or \\Draft at column 17"},
      {"a FETCH 1", "SP at column 10"},
      {"a FETCH 1 FOO", "fetch item at column 11"},
      {"a FETCH 1 (ALL)", "fetch item at column 12"},
      {"a FETCH 1 ()", "fetch item at column 12"},
      {"a FETCH 1 ALL FLAGS", "end of command at column 14"},
      {"a FETCH 1 FLAGS ()", "CHANGEDSINCE, once at column 18"},
      {"a FETCH 1 FLAGS (VANISHED)", "CHANGEDSINCE, once at column 18"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE)", "SP at column 30"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE -1)", "number at column 31"},
      {"a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "CHANGEDSINCE, once at column 33"},
      {"a FETCH 1 BODY[](CHANGEDSINCE 1)", "end of command at column 17"},
      {"a UID FETCH 1 FLAGS (VANISHED)", "CHANGEDSINCE beside VANISHED at column 20"},
      {"a UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
       "CHANGEDSINCE, PARTIAL or VANISHED, each once at column 37"},
      {"a FETCH 1 (FLAGS", "SP or \")\" at column 17"},
      {"a FETCH 1 (FLAGS,UID)", "SP or \")\" at column 17"},
      {"a FETCH 1 BODY.PEEK", "\"[\" at column 20"},
      {"a FETCH 1 BODY[", "part number, HEADER, TEXT or \"]\" at column 16"},
      {"a FETCH 1 BODY[MIME]", "part number, HEADER, TEXT or \"]\" at column 16"},
      {"a FETCH 1 BODY[1.]", "part number, HEADER, TEXT or MIME at column 18"},
      {"a FETCH 1 BODY[0]", "non-zero number at column 16"},
      {"a FETCH 1 (PREVIEW (EAGER))", "fetch item at column 20"},
      {"a FETCH 1 (PREVIEW (LAZY EAGER))", "LAZY at column 26"},
      {"a FETCH 1 PREVIEW (LAZY", "SP or \")\" at column 24"},
      {"a FETCH 1 BINARY", "\"[\" at column 17"},
      {"a FETCH 1 BINARY[TEXT]", "part number at column 18"},
      {"a FETCH 1 BINARY[1.]", "part number at column 20"},
      {"a FETCH 1 BINARY[1x]", "\".\" or \"]\" at column 19"},
      {"a FETCH 1 BINARY.SIZE[1]<0.5>", "end of command at column 25"},
      {"a APPEND x ~", "literal at column 13"},
      {"a FETCH 1 BODY[1x]", "\".\" or \"]\" at column 17"},
      {"a FETCH 1 BODY[TEXTS]", "\"]\" at column 20"},
      {"a FETCH 1 BODY[HEADER.FIELD (x)]", "FIELDS at column 23"},
      {"a FETCH 1 BODY[HEADER.FIELDS]", "SP at column 29"},
      {"a FETCH 1 BODY[HEADER.FIELDS ()]", "header name at column 31"},
      {"a FETCH 1 BODY[]<1>", "\".\" at column 19"},
      {"a FETCH 1 BODY[]<1.0>", "non-zero number at column 20"},
      {"a FETCH 1 BODY[]<1.2", "\">\" at column 21"},
      {"a SEARCH", "SP at column 9"},
      {"a SEARCH ", "search key at column 10"},
      {"a SEARCH FOO", "search key at column 10"},
      {"a SEARCH CHARSET", "search key at column 10"},
      {"a SEARCH CHARSET utf-8", "SP at column 23"},
      {"a SEARCH ALL(SEEN)", "SP or end of command at column 13"},
      {"a SEARCH ()", "search key at column 11"},
      {"a XLIST \"\"", "SP at column 11"},
      {"a NOTIFY", "SP at column 9"},
      {"a NOTIFY ALL", "SET or NONE at column 10"},
      {"a NOTIFY NONE x", "end of command at column 14"},
      {"a NOTIFY SET", "SP at column 13"},
      {"a NOTIFY SET STATUS", "SP at column 20"},
      {"a NOTIFY SET personal NONE", "\"(\" at column 14"},
      {"a NOTIFY SET ()",
       "selected, selected-delayed, inboxes, personal, subscribed, subtree or mailboxes at column "
       "15"},
      {"a NOTIFY SET (personal)", "SP at column 23"},
      {"a NOTIFY SET (personal MailboxName)", "\"(\" or NONE at column 24"},
      {"a NOTIFY SET (personal ())", "event at column 25"},
      {"a NOTIFY SET (personal (\"MailboxName\"))", "event at column 25"},
      {"a NOTIFY SET (personal (MailboxName)", "\")\" at column 37"},
      {"a NOTIFY SET (personal (MailboxName))(personal NONE)", "SP at column 38"},
      {"a NOTIFY SET (personal (MailboxName(x)))", "SP or \")\" at column 36"},
      {"a NOTIFY SET (personal (MessageNew))", "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (selected (MessageExpunge))",
       "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (selected (FlagChange))", "both MessageNew and MessageExpunge at column 24"},
      {"a NOTIFY SET (personal (MessageNew (UID) MessageExpunge))", "event at column 36"},
      {"a NOTIFY SET (selected (MessageNew () MessageExpunge))", "fetch item at column 37"},
      {"a NOTIFY SET (selected (MailboxName))", "event of messages at column 25"},
      {"a NOTIFY SET (selected NONE) (selected-delayed NONE)",
       "selected or selected-delayed once at column 31"},
      {"a NOTIFY SET (mailboxes NONE)", "SP at column 29"},
      {"a NOTIFY SET (mailboxes () NONE)", "mailbox name at column 26"},
      {"a SORT", "SP at column 7"},
      {"a SORT ALL", "\"(\" at column 8"},
      {"a SORT (REVERSE) x ALL", "SP at column 16"},
      {"a SORT (REVERSE REVERSE SIZE) x ALL", "sort key at column 17"},
      {"a SORT (SIZE DATES) x ALL", "sort key at column 14"},
      {"a SORT (SIZE)", "SP at column 14"},
      {"a SORT (SIZE) utf-8", "SP at column 20"},
      {"a SORT RETURN (SAVE) (SIZE) x ALL", "MIN, MAX, ALL, COUNT or PARTIAL at column 16"},
      {"a THREAD ", "ORDEREDSUBJECT, REFERENCES or REFS at column 10"},
      {"a THREAD REFERENCE x ALL", "ORDEREDSUBJECT, REFERENCES or REFS at column 10"},
      {"a THREAD REFS x", "SP at column 16"},
      {"a SEARCH (SEEN", "SP or \")\" at column 15"},
      {"a SEARCH OR SEEN", "SP at column 17"},
      {"a SEARCH NOT", "SP at column 13"},
      {"a SEARCH KEYWORD \\Seen", "keyword at column 18"},
      {"a SEARCH BEFORE 31-Apr-2000", "date (1-Feb-1994) at column 17"},
      {"a SEARCH BEFORE \"1-Apr-2000", "date (1-Feb-1994) at column 17"},
      {"a SEARCH LARGER x", "number at column 17"},
      {"a SEARCH HEADER x", "SP at column 18"},
      {"a SEARCH MODSEQ", "SP at column 16"},
      {"a SEARCH MODSEQ x", "number at column 17"},
      {"a SEARCH MODSEQ 9223372036854775808", "63-bit number at column 17"},
      {"a SEARCH MODSEQ \"/flag/x\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/a b\" all 1", "entry \"/flags/...\" at column 17"},
      {"a SEARCH MODSEQ \"/flags/x\" some 1", "priv, shared or all at column 28"},
      {"a SEARCH MODSEQ \"/flags/x\" 1", "priv, shared or all at column 28"},
      {"a SEARCH BODY", "SP at column 14"},
      {"a SEARCH EMAILID", "SP at column 17"},
      {"a SEARCH EMAILID \"m1\"", "object id at column 18"},
      {"a SEARCH THREADID a.b", "object id at column 19"},
      {"a SEARCH SAVEDON x", "date (1-Feb-1994) at column 18"},
      {"a FETCH 1 (SAVEDATE EMAILIDS)", "fetch item at column 21"},
      {"a STATUS x (SIZE FOO)", "status item at column 18"},
      {"a SEARCH OLDER", "SP at column 15"},
      {"a SEARCH OLDER 0", "non-zero number at column 16"},
      {"a SEARCH YOUNGER x", "non-zero number at column 18"},
      {"a SEARCH YOUNGER 4294967296", "32-bit number at column 18"},
      {"a SEARCH RETURN", "SP at column 16"},
      {"a SEARCH RETURN ALL", "\"(\" at column 17"},
      {"a SEARCH RETURN (FOO) ALL", "MIN, MAX, ALL, COUNT, PARTIAL or SAVE at column 18"},
      {"a SEARCH RETURN (MIN MAXI) ALL", "MIN, MAX, ALL, COUNT, PARTIAL or SAVE at column 22"},
      {"a SEARCH RETURN (MIN", "SP or \")\" at column 21"},
      {"a SEARCH RETURN (MIN)", "SP at column 22"},
      {"a SEARCH RETURN () ", "search key at column 20"},
      {"a SEARCH CHARSET utf-8 RETURN (MIN) ALL", "search key at column 24"},
      {"a SEARCH $1", "SP or end of command at column 11"},
      {"a SEARCH $Junk", "SP or end of command at column 11"},
      {"a COPY 1", "SP at column 9"},
      {"a UID EXPUNGE", "SP at column 14"},
      {"a REPLACE 0 x {0}\r\n", "non-zero number at column 11"},
      {"a REPLACE 1,2 x {0}\r\n", "SP at column 12"},
      {"a REPLACE 1 x", "SP at column 14"},
      {"a REPLACE 1 x y", "literal at column 15"},
      {"a UIDBATCHES 500 1:2 3", "end of command at column 21"},
      {"a SEARCH UIDAFTER 0", "non-zero number at column 19"},
      {"a EXPUNGE 1", "end of command at column 10"},
  };
  for (const auto& row : rows) {
    const Result<Command> c = parse_line(row.line);
    ASSERT_FALSE(c) << row.line;
    EXPECT_EQ(c.error().reply(), "expected " + std::string(row.error)) << row.line;
    EXPECT_EQ(c.error().fault(), Fault::syntax);
  }
}

// The right commands cut off anywhere are wrong, or right in themselves, but never a crash or an
// error beyond the end.
TEST(Parser, EveryPrefixIsJudgedWithinItself) {
  for (const std::string_view line :
       {"a LIST (SUBSCRIBED) \"x\" (a% \"b\") RETURN (CHILDREN)"sv,
        "a UID FETCH 1:2,* (FLAGS BODY.PEEK[1.2.HEADER.FIELDS (A B)]<0.1>)"sv,
        "a SEARCH RETURN (MIN SAVE) CHARSET x OR $ OLDER 5 UID $"sv,
        "a UID SEARCH RETURN (PARTIAL -1:-10 COUNT) ALL"sv,
        "a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 PARTIAL 2:3)"sv,
        "a SEARCH CHARSET x OR (SEEN 1:*) NOT SINCE 1-Jan-2000 HEADER a b"sv,
        "a APPEND x (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" "sv,
        "a UID REPLACE 1 x (\\Seen k) \"17-Jul-1996 02:44:25 -0700\" "sv, "a UIDBATCHES 500 1:2"sv,
        "a CREATE x (USE (\\Sent \\Junk))"sv, "a ID (\"a\" \"b\\\"\" \"c\" NIL)"sv}) {
    for (size_t n = 0; n < line.size(); n++) {
      const std::string part(line.substr(0, n));
      const Result<Command> c = parse_line(part);
      if (c) continue;
      const std::string& detail = c.error().detail();
      EXPECT_LE(std::stoul(detail.substr(detail.rfind(' ') + 1)), n + 1) << part;
    }
  }
}

// --- limits: counts, not only bytes

std::string repeat(std::string_view piece, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; i++) out += piece;
  return out;
}

TEST(ParserLimits, EveryCountHasOne) {
  const ParserLimits l;
  const struct {
    std::string good, bad, error;
  } rows[] = {
      {"a COPY " + repeat("1,", l.sequence_ranges - 1) + "1 x",
       "a COPY " + repeat("1,", l.sequence_ranges) + "1 x", "more than 20000 ranges in a set"},
      {"a SEARCH" + repeat(" ALL", l.search_keys), "a SEARCH" + repeat(" ALL", l.search_keys + 1),
       "more than 2000 search keys"},
      {"a SEARCH " + repeat("NOT ", l.search_depth - 1) + "ALL",
       "a SEARCH " + repeat("NOT ", l.search_depth) + "ALL", "more than 200 levels of search keys"},
      {"a SEARCH " + repeat("(", l.search_depth - 1) + "ALL" + repeat(")", l.search_depth - 1),
       "a SEARCH " + repeat("(", l.search_depth) + "ALL", "more than 200 levels of search keys"},
      // A chain of ORs, which is how clients list addresses, is no depth.
      {"a SEARCH " + repeat("OR ALL ", l.search_keys - 2) + "ALL",
       "a SEARCH " + repeat("OR ALL ", l.search_keys - 1) + "ALL", "more than 2000 search keys"},
      {"a SEARCH " + repeat("OR ", l.search_keys - 2) + "ALL" + repeat(" ALL", l.search_keys - 2),
       "a SEARCH " + repeat("OR ", l.search_keys - 1) + "ALL" + repeat(" ALL", l.search_keys - 1),
       "more than 2000 search keys"},
      {"a FETCH 1 (" + repeat("BODY[] ", l.fetch_items) + ")",
       "a FETCH 1 (" + repeat("BODY[] ", l.fetch_items + 1) + ")", "more than 100 fetch items"},
      {"a FETCH 1 BODY[HEADER.FIELDS (" + repeat("x ", l.header_names) + ")]",
       "a FETCH 1 BODY[HEADER.FIELDS (" + repeat("x ", l.header_names + 1) + ")]",
       "more than 200 names in a header list"},
      {"a FETCH 1 BODY[" + repeat("1.", l.part_depth - 1) + "1]",
       "a FETCH 1 BODY[" + repeat("1.", l.part_depth) + "1]", "more than 100 numbers in a section"},
      {"a STORE 1 FLAGS (" + repeat("k ", l.flags) + ")",
       "a STORE 1 FLAGS (" + repeat("k ", l.flags + 1) + ")", "more than 100 keywords"},
      {"a LIST \"\" (" + repeat("x ", l.list_patterns) + ")",
       "a LIST \"\" (" + repeat("x ", l.list_patterns + 1) + ")", "more than 50 patterns"},
      {"a ID (" + repeat("\"k\" \"v\" ", l.id_fields) + ")",
       "a ID (" + repeat("\"k\" \"v\" ", l.id_fields + 1) + ")", "more than 30 fields of ID"},
      {"a ID (\"" + repeat("k", 30) + "\" NIL)", "a ID (\"" + repeat("k", 31) + "\" NIL)",
       "more than 30 octets in a field name of ID"},
      {"a ID (\"k\" \"" + repeat("v", 1024) + "\")", "a ID (\"k\" \"" + repeat("v", 1025) + "\")",
       "more than 1024 octets in a value of ID"},
      {"a ENABLE" + repeat(" X", l.enable_names), "a ENABLE" + repeat(" X", l.enable_names + 1),
       "more than 30 capabilities"},
      {"a NOTIFY SET" + repeat(" (personal NONE)", l.notify_groups),
       "a NOTIFY SET" + repeat(" (personal NONE)", l.notify_groups + 1),
       "more than 100 groups of events"},
      {"a NOTIFY SET (subtree x NONE) (mailboxes (" + repeat("x ", l.notify_mailboxes - 1) +
           ") NONE)",
       "a NOTIFY SET (subtree x NONE) (mailboxes (" + repeat("x ", l.notify_mailboxes) + ") NONE)",
       "more than 10000 mailboxes"},
      {"a NOTIFY SET (selected (MessageExpunge MessageNew (" + repeat("BODY[] ", l.fetch_items) +
           ")))",
       "a NOTIFY SET (selected (MessageNew (" + repeat("BODY[] ", l.fetch_items + 1) + ")))",
       "more than 100 fetch items"},
  };
  for (const auto& row : rows) {
    const Result<Command> good = parse_line(row.good);
    EXPECT_TRUE(good) << row.error << ": " << good.error().reply();
    const Result<Command> bad = parse_line(row.bad);
    ASSERT_FALSE(bad) << row.error;
    EXPECT_TRUE(bad.error().reply().starts_with(row.error + " at column ")) << bad.error().reply();
    EXPECT_EQ(bad.error().fault(), Fault::limit);
    EXPECT_EQ(bad.error().code(), "LIMIT");
  }
}

TEST(ParserLimits, BeforeLoginOnlyItsOwnCommandsAreParsed) {
  const ParserLimits limits{.before_login = true};
  for (const char* line : {"a CAPABILITY", "a NOOP", "a LOGOUT", "a STARTTLS", "a LOGIN x y",
                           "a AUTHENTICATE PLAIN", "a ID NIL"})
    EXPECT_TRUE(parse_command(line, {}, limits)) << line;
  // By name alone: the arguments are not even looked at.
  for (const char* line :
       {"a SELECT ((((", "a UID FETCH 1 FLAGS", "a uid", "a SEARCH ((((", "a LIST", "a APPEND {",
        "a IDLE", "a ENABLE X", "a UNSELECT", "a COMPRESS DEFLATE"}) {
    const Result<Command> c = parse_command(line, {}, limits);
    ASSERT_FALSE(c) << line;
    EXPECT_EQ(c.error().fault(), Fault::refused) << line;
    EXPECT_EQ(c.error().reply(), "log in first");
  }
  EXPECT_EQ(parse_command("a FOO", {}, limits).error().fault(), Fault::syntax);
}

// The text of an error goes to logs and back over the wire: nothing of the client's is in it, but
// for the name of an unknown command, which only the client reads.
TEST(Parser, ErrorsNeverRepeatTheClient) {
  for (int byte = 0; byte < 256; byte++) {
    const std::string line = std::string("a LOGIN foo ") + static_cast<char>(byte) + "secret(";
    const Result<Command> c = parse_line(line);
    ASSERT_FALSE(c);
    EXPECT_EQ(c.error().reply().find("secret"), std::string::npos);
    EXPECT_EQ(c.error().detail().find("secret"), std::string::npos);
  }
  EXPECT_EQ(parse_line("a secret x").error().detail(), "unknown command at column 3");
}

}  // namespace
}  // namespace rims::imap
