// tests/imap/capabilities_test.cc - what is announced when, and what an administrator takes away

#include "common/imap/capabilities.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace rims::imap {
namespace {

using Rules = std::vector<std::string>;

TEST(Capabilities, FollowTheStateBeforeTheLogin) {
  EXPECT_EQ(capabilities({.tls_offered = true}),
            "IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR STARTTLS LOGINDISABLED");
  EXPECT_EQ(capabilities({.tls_active = true, .tls_offered = true}),
            "IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR AUTH=PLAIN");
  EXPECT_EQ(capabilities({.tls_offered = true, .plaintext = true, .cram_md5 = true}),
            "IMAP4rev1 IMAP4rev2 LITERAL- ID SASL-IR STARTTLS AUTH=PLAIN AUTH=CRAM-MD5");
}

TEST(Capabilities, FollowTheStateAfterTheLogin) {
  const std::string always =
      "IMAP4rev1 IMAP4rev2 LITERAL+ BINARY CHILDREN CONDSTORE CREATE-SPECIAL-USE ENABLE ESEARCH "
      "ESORT I18NLEVEL=1 ID IDLE INPROGRESS LIST-EXTENDED LIST-METADATA LIST-STATUS METADATA MOVE "
      "NAMESPACE NOTIFY OBJECTID "
      "PARTIAL PREVIEW QRESYNC QUOTA QUOTA=RES-MAILBOX QUOTA=RES-MESSAGE QUOTA=RES-STORAGE REPLACE "
      "SASL-IR "
      "SAVEDATE SEARCHRES SORT SORT=DISPLAY SPECIAL-USE STATUS=SIZE THREAD=ORDEREDSUBJECT "
      "THREAD=REFERENCES THREAD=REFS UIDBATCHES UIDONLY UIDPLUS UNSELECT UTF8=ACCEPT WITHIN XLIST";
  EXPECT_EQ(capabilities({.logged_in = true, .append_limit = 10}),
            always + " COMPRESS=DEFLATE UNAUTHENTICATE APPENDLIMIT=10 MULTIAPPEND");
  EXPECT_EQ(capabilities({.logged_in = true, .compressed = true, .append_limit = 10}),
            always + " APPENDLIMIT=10 MULTIAPPEND");
  EXPECT_EQ(capabilities({.logged_in = true, .append_limit = 10, .save_limit = 5}),
            always + " COMPRESS=DEFLATE UNAUTHENTICATE APPENDLIMIT=10 MULTIAPPEND SAVELIMIT=5");
  EXPECT_EQ(
      capabilities({.logged_in = true, .append_limit = 1, .message_limit = 7, .save_limit = 7}),
      always + " COMPRESS=DEFLATE UNAUTHENTICATE APPENDLIMIT=1 MULTIAPPEND MESSAGELIMIT=7");
  EXPECT_EQ(capabilities({.logged_in = true, .post_only = true, .append_limit = 7}),
            always + " COMPRESS=DEFLATE UNAUTHENTICATE APPENDLIMIT=7 X-RIMS-MAIL-DELIVERY-USER");
}

TEST(Capabilities, ThatAreDisabledAreNotAnnounced) {
  const Rules rules{"imap4rev2",           "LITERAL-",        "STATUS=SIZE", "AppendLimit",
                    "WITHIN for Mail 16*", "SORT for *phone?"};
  const auto has = [&](std::string_view client, bool logged_in, std::string_view name) {
    const std::string told = " " +
                             capabilities({.plaintext = true,
                                           .logged_in = logged_in,
                                           .append_limit = 10,
                                           .disabled = rules,
                                           .client = client}) +
                             " ";
    return told.contains(" " + std::string(name) + " ");
  };
  for (const bool logged_in : {false, true}) {
    EXPECT_TRUE(has("", logged_in, "IMAP4rev1"));
    EXPECT_FALSE(has("", logged_in, "IMAP4rev2"));
    EXPECT_TRUE(has("", logged_in, "SASL-IR"));
  }
  EXPECT_FALSE(has("", false, "LITERAL-"));
  EXPECT_TRUE(has("", true, "LITERAL+"));
  EXPECT_FALSE(has("", true, "STATUS=SIZE"));
  EXPECT_FALSE(has("", true, "APPENDLIMIT=10"));
  EXPECT_TRUE(has("", true, "WITHIN"));
  EXPECT_TRUE(has("Mail 15", true, "WITHIN"));
  EXPECT_FALSE(has("mail 16.2", true, "WITHIN"));
  EXPECT_FALSE(has("An iPhone 9", true, "SORT") && has("An iPhone9", true, "SORT"));
  EXPECT_TRUE(has("An iPhone 9", true, "SORT"));
  EXPECT_FALSE(has("An iPhone9", true, "SORT"));
  EXPECT_TRUE(has("An iPhone9", true, "SORT=DISPLAY"));
}

TEST(Capabilities, ARuleOfTheAdministratorNamesOneThatThereIs) {
  for (const char* good : {"QRESYNC", "qresync", "COMPRESS=DEFLATE for *", "APPENDLIMIT",
                           "LITERAL-", "IMAP4rev2", "MULTIAPPEND for a for b"})
    EXPECT_TRUE(check_disabled_capability(good)) << good;
  const struct {
    const char *text, *problem;
  } rows[] = {
      {"QRESYN", "\"QRESYN\" is no capability that can be disabled"},
      {"QRESYNC Mail", "\"QRESYNC Mail\" is no capability that can be disabled"},
      {"IMAP4rev1", "\"IMAP4rev1\" is no capability that can be disabled"},
      {"AUTH=PLAIN for x", "\"AUTH=PLAIN\" is no capability that can be disabled"},
      {"QRESYNC for ", "\"QRESYNC for \" names no client behind \"for\""},
      {"", "\"\" is no capability that can be disabled"},
  };
  for (const auto& row : rows) {
    const Status checked = check_disabled_capability(row.text);
    ASSERT_FALSE(checked) << row.text;
    EXPECT_EQ(checked.error().reply(), row.problem);
  }
}

}  // namespace
}  // namespace rims::imap
