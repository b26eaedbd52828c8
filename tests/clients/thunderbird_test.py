"""Thunderbird against the real suite, by its own remote control: the first minutes of a new account"""

import json
import os
import re
import signal
import subprocess
import unittest

from tests.clients.marionette import Marionette
from tests.clients.support import ClientTest, digest, message
from tests.system.harness import wait_for

# Nothing may leave this machine, and nothing may stand in front of the window.
SETTINGS = {
    "marionette.port": 0,
    "network.proxy.type": 1,
    "network.proxy.http": "127.0.0.1",
    "network.proxy.http_port": 9,
    "network.proxy.ssl": "127.0.0.1",
    "network.proxy.ssl_port": 9,
    "network.proxy.no_proxies_on": "localhost, 127.0.0.1",
    "datareporting.policy.dataSubmissionEnabled": False,
    "mail.biff.play_sound": False,
    "mail.biff.show_alert": False,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mailnews.start_page.enabled": False,
    "mailnews.emptyTrash.dontAskAgain": True,
}

# What all scripts start with.
COMMON = """
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const until = async (condition, what) => {
  for (let n = 0; n < 600; n++) {
    const value = condition();
    if (value) return value;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error("not within 30 s: " + what);
};
const server = MailServices.accounts.defaultAccount?.incomingServer;
const folder = flag => server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags[flag]);
const about = window.gTabmail.currentAbout3Pane;
const header = row => about.gDBView.getMsgHdrAt(row);
const row = subject => {
  for (let n = 0; n < (about.gDBView?.rowCount ?? 0); n++)
    if (header(n).subject == subject) return n;
  return -1;
};
const show = async flag => {
  about.displayFolder(folder(flag).URI);
  await until(() => about.gDBView?.msgFolder == folder(flag), flag + " is shown");
};
const tell = async (subject, command, ...more) => {
  about.threadTree.selectedIndex = await until(() => row(subject) + 1, subject) - 1;
  about.commandController.doCommand(command, ...more);
};
"""

NEW_ACCOUNT = """
const [port, certificate] = args;
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService)
  .rememberValidityOverride("localhost", port, {}, certificates.constructX509FromBase64(certificate), false);
const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
login.init("imap://localhost", null, "imap://localhost", "foo", "bar", "", "");
await Services.logins.addLoginAsync(login);
const fresh = MailServices.accounts.createIncomingServer("foo", "localhost", "imap");
fresh.port = port;
fresh.socketType = Ci.nsMsgSocketType.SSL;
fresh.authMethod = Ci.nsMsgAuthMethod.passwordCleartext;
const identity = MailServices.accounts.createIdentity();
identity.email = "foo@example.org";
const account = MailServices.accounts.createAccount();
account.addIdentity(identity);
account.incomingServer = fresh;
MailServices.accounts.defaultAccount = account;
about.displayFolder(fresh.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox).URI);
const roles = ["Inbox", "Drafts", "SentMail", "Junk", "Trash", "Archive"];
await until(() => roles.every(role => fresh.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags[role])),
            "all folders with a role are there");
identity.draftsFolderURI = fresh.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Drafts).URI;
return fresh.rootFolder.descendants.map(f => f.URI.replace("imap://foo@localhost/", ""));
"""

READ = """
await show("Inbox");
about.threadTree.selectedIndex = await until(() => row(args[0]) + 1, "the message is listed") - 1;
const pane = await until(() => about.messageBrowser.contentWindow?.getMessagePaneBrowser?.(), "a pane");
return await until(() => {
  const text = pane.contentDocument?.body?.textContent;
  return text?.includes("This is") && text;
}, "its text is shown");
"""

FLAG_MOVE_DELETE = """
await show("Inbox");
await tell("message 2", "cmd_markAsFlagged");
await tell("message 3", "cmd_moveMessage", folder("Archive"));
await until(() => row("message 3") < 0, "message 3 has gone");
await tell("message 4", "cmd_deleteMessage");
await until(() => row("message 4") < 0, "message 4 has gone");
await show("Trash");
await until(() => row("message 4") >= 0, "message 4 is in the trash");
"""

EMPTY_TRASH = """
about.folderPane.emptyTrash(folder("Trash"));
await until(() => folder("Trash").getTotalMessages(false) == 0, "the trash is empty");
"""

DRAFT = """
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
Object.assign(fields, { to: "bar@example.org", subject: "ein Entwurf: Äpfel", body: "Some words." });
const start = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
start.composeFields = fields;
start.format = Ci.nsIMsgCompFormat.PlainText;
start.identity = MailServices.accounts.defaultAccount.defaultIdentity;
MailServices.compose.OpenComposeWindowWithParams(null, start);
const letter = await until(() => Services.wm.getMostRecentWindow("msgcompose"), "a window");
await until(() => letter.document.getElementById("msgSubject")?.value && letter.gMsgCompose?.editor &&
                  letter.document.querySelector("#toAddrContainer mail-address-pill"), "it is ready");
letter.goDoCommand("cmd_saveAsDraft");
await until(() => letter.gMsgCompose.compFields.draftId && !letter.gSaveOperationInProgress, "it is saved");
letter.close();
await until(() => !Services.wm.getMostRecentWindow("msgcompose"), "its window is closed");
"""

NEWS = """
await until(() => row("message 7") < 0, "message 7 has gone");
await until(() => header(row("message 5")).isFlagged, "message 5 is flagged");
"""

# As after a night: another connection, and what was known before.
COME_BACK = """
folder("Inbox").updateFolder(window.msgWindow);
await until(() => row("message 9") >= 0, "message 9 has come");
await until(() => row("message 1") < 0, "message 1 has gone");
await until(() => header(row("message 8")).isFlagged, "message 8 is flagged");
"""


class ThunderbirdTest(ClientTest):
    TOOL = "thunderbird"
    SECURITY = "tls"

    def start(self):
        profile = self.path("profile")
        os.mkdir(profile)
        with open(self.path("profile", "user.js"), "w", encoding="ascii") as f:
            for name, value in SETTINGS.items():
                f.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
        with open(self.path("output"), "wb") as output:
            child = subprocess.Popen(
                ["thunderbird", "--headless", "--marionette", "--remote-allow-system-access",
                 "--no-remote", "--profile", profile],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                env={"HOME": self.home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "UTC",
                     "MOZ_CRASHREPORTER_DISABLE": "1", "MOZ_LOG": "IMAP:4,sync",
                     "MOZ_LOG_FILE": self.path("imap")})
        self.child = child
        self.addCleanup(self.end)
        return Marionette(profile)

    def end(self):
        if self.child.returncode is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()

    def said(self):
        """[(mailbox or "", command)] that it sent."""
        with open(self.path("imap.moz_log"), encoding="utf-8", errors="replace") as f:
            return re.findall(r":(?:S-(\w+)|A|NA):SendData: \d+ ([^\r\n]*)", f.read())

    def idles(self):
        """It waits, its inbox selected."""
        of_inbox = [command for mailbox, command in self.said() if mailbox == "INBOX"]
        return of_inbox and of_inbox[-1] == "IDLE"

    def flags(self, number, mailbox="INBOX"):
        return {d: f for f, d in self.everything(mailbox).values()}.get(digest(message(number)))

    def test_reads_flags_moves_deletes_drafts_and_hears_of_news(self):
        for number in range(1, 8):
            self.suite.deliver(message(number))
        with open(self.suite.cert, encoding="ascii") as f:
            certificate = "".join(f.read().split("-----")[2].split())
        with self.start() as thunderbird:
            run = lambda script, *words: thunderbird.script(COMMON + script, *words)
            names = run(NEW_ACCOUNT, self.port, certificate)
            self.assertEqual(set(names), {"INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive"})

            self.assertIn("Äpfel, 日本語.", run(READ, "message 6"))
            wait_for(lambda: "\\Seen" in self.flags(6), 20, "message 6 is read")
            self.assertEqual(self.flags(5), frozenset())

            run(FLAG_MOVE_DELETE)
            wait_for(lambda: "\\Flagged" in self.flags(2), 20, "message 2 is flagged")
            self.assertIsNotNone(self.flags(3, "Archive"))
            self.assertIsNone(self.flags(3))
            self.assertIsNotNone(self.flags(4, "Trash"))
            self.assertIsNone(self.flags(4))
            run(EMPTY_TRASH)
            wait_for(lambda: not self.everything("Trash"), 20, "the trash is empty")

            run(DRAFT)
            with self.suite.login("foo") as imap:
                imap.select("Drafts", readonly=True)
                (_, draft), _ = imap.fetch("1", "(FLAGS BODY.PEEK[])")[1]
                flags = imap.fetch("1", "(FLAGS)")[1][0]
            self.assertIn(b"\\Draft", flags)
            self.assertIn(b"\r\n\r\nSome words.", draft)
            self.assertIn("=?UTF-8?", draft.decode())

            # It waits, and others change the mailbox that it shows. What comes with the answer to its
            # download of message 8 it does not look at, so that comes first.
            run('await show("Inbox");')
            wait_for(self.idles, 20, "it waits")
            self.suite.deliver(message(8))
            run('await until(() => row("message 8") >= 0, "message 8 has come");')
            wait_for(self.idles, 20, "it waits again")
            self.change_as_another(flagged=5, gone=7)
            run(NEWS)  # it asks by itself each ten minutes only

            wait_for(self.idles, 20, "it waits once more")
            run("server.closeCachedConnections();")
            self.ended_sessions()
            self.suite.deliver(message(9))
            self.change_as_another(flagged=8, gone=1)
            run(COME_BACK)

        said = [command for _, command in self.said()]
        for command in ('COMPRESS DEFLATE', 'ENABLE UTF8=ACCEPT', 'uid move 3 "Archive"',
                        'list (subscribed) "" "*" return (special-use)', 'getquotaroot "INBOX"'):
            self.assertIn(command, said)
        self.assertRegex("\n".join(said), r'append "Drafts" \(\\Draft\) UTF8 \(~\{\d+\+?\}')
        self.end()
        self.assert_page("Thunderbird")


if __name__ == "__main__":
    unittest.main()
